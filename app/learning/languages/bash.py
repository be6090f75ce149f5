"""Bash: scripts over given files."""

from functools import lru_cache

from app.learning.languages.base import LanguageName, Toolchain
from app.learning.languages.compiled import found
from app.learning.sandbox.program import Program, Sandbox

REMEDY = "Install bash (Debian and Ubuntu: apt install bash)."


class Bash:
    name: LanguageName = "bash"
    title = "Bash"

    def toolchain(self) -> Toolchain:
        return Toolchain(path=_bash(), remedy=REMEDY)

    def script(self, sandbox: Sandbox, code: str, stdin: bytes, *, nonce: str) -> Program:  # noqa: ARG002  # see base
        return self.over_files(code, {}, stdin)

    def over_files(self, code: str, files: dict[str, str], stdin: bytes = b"") -> Program:
        """A script that starts in a folder with these files, which it may change."""
        given = {f"files/{name}": text.encode() for name, text in files.items()}
        start = 'here=$PWD\nmkdir "$TMPDIR/files" && cd "$TMPDIR/files" || exit 99\n'
        copy = 'cp -r "$here/files/." . || exit 99\n' if files else ""
        main = f'{start}{copy}exec {_bash()} "$here/solution.sh"\n'
        return Program(
            argv=(_bash() or "bash", "main.sh"), stdin=stdin,
            files={"main.sh": main.encode(), "solution.sh": code.encode(errors="replace"), **given},
        )  # fmt: skip

    def show(self, value: object) -> str:
        return str(value)


@lru_cache(maxsize=1)
def _bash() -> str | None:
    return found("bash")
