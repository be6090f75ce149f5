"""SQL: one query on a seeded SQLite database, run by the sandbox's own Python."""

import json
from collections.abc import Sequence
from typing import Any

from app.learning.languages.base import LanguageName, Toolchain
from app.learning.languages.callers import caller
from app.learning.sandbox.program import Program, Sandbox


class Sql:
    name: LanguageName = "sql"
    title = "SQL"

    def toolchain(self) -> Toolchain:
        return Toolchain(path="SQLite of the sandbox's Python")

    def query(self, sandbox: Sandbox, code: str, *, tables: str, rows: Sequence[str], nonce: str) -> Program:
        """Runs one query on each data set: the tables, filled with one of ``rows``."""
        code = code.replace("\u00a0", " ")  # what web pages put between words
        code = code.rstrip().rstrip("; \n")  # an empty statement after the query is none
        job = {"tables": tables, "rows": list(rows), "nonce": nonce}
        files = {
            "harness.py": caller("query.py").encode(), "solution.sql": code.encode(errors="replace"),
            "job.json": json.dumps(job).encode(),
        }  # fmt: skip
        return Program(argv=(sandbox.python, "-I", "-S", "harness.py"), files=files)

    def script(self, sandbox: Sandbox, code: str, stdin: bytes, *, nonce: str) -> Program:  # noqa: ARG002  # see base
        """Statements on an empty database; rows are printed with a bar between their columns."""
        files = {"shell.py": caller("statements.py").encode(), "solution.sql": code.encode(errors="replace")}
        return Program(argv=(sandbox.python, "-I", "-S", "shell.py"), files=files, stdin=stdin)

    def show(self, value: object) -> str:
        return table(value) if isinstance(value, list) else str(value)


def table(rows: Sequence[Any], most: int = 20) -> str:  # Any: rows of JSON values
    """Rows for people, one a line; NULL is spelled out."""
    if not rows:
        return "(no rows)"
    lines = [", ".join("NULL" if cell is None else repr(cell) for cell in row) for row in rows[:most]]
    return "\n".join(lines + ([f"… {len(rows) - most} more rows"] if len(rows) > most else []))
