"""A program run for itself, with what it printed: no cases, no verdict."""

import secrets
from dataclasses import dataclass
from typing import Any, Literal

from app.learning.code_text import as_code, check_code
from app.learning.grading import compiler_words, messages
from app.learning.languages.base import Language
from app.learning.sandbox.program import Run, RunStatus, Sandbox

Status = Literal["ok", "error", "compile_error", "timeout", "killed", "infrastructure_error"]
MOST_STDIN_BYTES = 256 * 1024
_STATUS: dict[RunStatus, Status] = {
    "ok": "ok", "error": "error", "crashed": "error", "timeout": "timeout", "killed": "killed",
    "infrastructure_error": "infrastructure_error",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RawRun:
    """``value`` is what a function gave back, as its language writes it; None for a whole program."""

    status: Status
    value: str | None = None
    stdout: str
    stderr: str
    exit_code: int | None
    wall_ms: int
    isolated: bool

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        return {
            "status": self.status, "value": self.value, "stdout": self.stdout, "stderr": self.stderr,
            "exitCode": self.exit_code, "wallMs": self.wall_ms, "isolated": self.isolated,
        }  # fmt: skip


async def run_script(sandbox: Sandbox, language: Language, code: str, stdin: bytes) -> RawRun:
    """Run code as a program of its own.

    Raises:
        InvalidInput: see ``check_code``.
    """
    check_code(code)
    nonce = secrets.token_hex(8)
    run = await sandbox.run(language.script(sandbox, as_code(code), stdin, nonce=nonce))
    refused = any(message.get("refused") is True for message in messages(run.stdout, nonce))
    return raw(sandbox, run, refused=refused)


def raw(sandbox: Sandbox, run: Run, *, refused: bool = False) -> RawRun:
    """What is told of a run; of one that a compiler ``refused``, what that said."""
    return RawRun(
        status="compile_error" if refused else _STATUS[run.status],
        stdout="" if refused else run.stdout.decode(errors="replace"),
        stderr=compiler_words(run.stderr) if refused else run.stderr.decode(errors="replace"),
        exit_code=run.exit_code, wall_ms=run.wall_ms, isolated=sandbox.is_isolated,
    )  # fmt: skip
