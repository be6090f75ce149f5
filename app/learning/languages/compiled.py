"""What compiled languages share: inputs as tokens that every one of them can read, a build step inside the sandbox."""

import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.learning.languages.base import Signature, Type, parse_type
from app.learning.sandbox.program import TIMEOUT_CODE, Limits, Program

# A compiler needs more than a solution does: time, threads, and room for what it writes.
BUILD_LIMITS = Limits(
    wall_seconds=20.0, cpu_seconds=25, memory_bytes=1024 * 1024 * 1024, disk_bytes=128 * 1024 * 1024, processes=128
)

RUN_SECONDS = 5  # for what was built; the limits are those of building and running together


def tokens(signature: Signature, inputs: Sequence[Sequence[Any]]) -> bytes:  # Any: JSON values of those types
    """The number of inputs, then each argument in turn, one token a line.

    An integer and a float are written in decimals, a boolean as 0 or 1, a string as "x" and its UTF-8 in hexadecimal,
    a list as its length and items, a map as its length, keys and values, an optional as 0, or as 1 and its value.
    """
    types = [parse_type(parameter.type) for parameter in signature.params]
    lines = [str(len(inputs))]
    for arguments in inputs:
        for kind, argument in zip(types, arguments, strict=True):
            _append(lines, kind, argument)
    return ("\n".join(lines) + "\n").encode()


def _append(lines: list[str], kind: Type, value: Any) -> None:  # Any: a JSON value of that type
    match kind.kind:
        case "int" | "float":
            lines.append(repr(float(value)) if kind.kind == "float" else str(value))
        case "bool":
            lines.append("1" if value else "0")
        case "str":
            lines.append("x" + value.encode(errors="surrogatepass").hex())
        case "optional":
            lines.append("0" if value is None else "1")
            if value is not None:
                _append(lines, kind.inner, value)
        case "list":
            lines.append(str(len(value)))
            for item in value:
                _append(lines, kind.inner, item)
        case "map":
            lines.append(str(len(value)))
            for key, item in value.items():
                _append(lines, Type("str"), key)
                _append(lines, kind.inner, item)


def built(
    files: Mapping[str, bytes],
    *,
    build: Sequence[str],
    run: Sequence[str],
    nonce: str,
    limits: Limits = BUILD_LIMITS,
    stdin: bytes = b"",
    read_only: tuple[Path, ...] = (),
) -> Program:
    """A program that compiles where it may write, and then becomes what was built.

    In the words of ``build`` and ``run``, ``$here`` is the folder with the files and ``$TMPDIR`` the one to write to.
    Where a linker may not make its output executable, it is copied into a file that is (see landlock.py). What does
    not compile is reported behind the nonce, with the compiler's words on the standard error output.
    """
    script = (
        f'here=$PWD\ncd "$TMPDIR" || exit 99\n{_line(build)} >build.txt 2>&1 || {{\n'
        f"printf '%s\\n' {shlex.quote(nonce + REFUSED)}; head -c 6000 build.txt >&2; exit 1; }}\n"
        f"rm -f build.txt\n{_MAKE_EXECUTABLE}"
        f'cd "$here"\ntimeout -k 1 {RUN_SECONDS} {_line(run)}\ncode=$?\n{_TELL_WHAT_WAS_PRINTED}'
        f"tell {shlex.quote(nonce)}\nexit $code\n"
    )
    return Program(
        argv=("/bin/sh", "build.sh"), files={**files, "build.sh": script.encode()}, limits=limits, stdin=stdin,
        read_only=read_only, timeout_code=TIMEOUT_CODE, timeout_seconds=RUN_SECONDS,
    )  # fmt: skip


# Of what did not come to its end, the file that a caller has its prints in.
_TELL_WHAT_WAS_PRINTED = (
    'tell() { [ $code -ne 0 ] || return; [ -s "$TMPDIR/printed" ] || return\n'
    """printf '\\n%s{"printed64":"%s"}\\n' "$1" "$(head -c 4000 "$TMPDIR/printed" | base64 -w 0)"; }\n"""
)
HAS_MAIN = re.compile(r"\bint\s+main\s*\(")


def strict(code: str, words: Sequence[str]) -> list[str]:
    """The options of a C or C++ compiler, but for the one that a main function of one's own, which needs no return,
    would fail by."""
    return [word for word in words if word != "-Werror=return-type" or HAS_MAIN.search(code) is None]


_MAKE_EXECUTABLE = (
    "if [ -f solution ] && ! [ -x solution ]; then cat solution >executable && mv executable solution; fi\n"
)


def _line(words: Sequence[str]) -> str:
    """A shell's command, in which the two folders are filled in and nothing else is."""
    return " ".join(f'"{word}"' if "$" in word else shlex.quote(word) for word in words)


REFUSED = '{"refused": true}'


def found(*names: str) -> str | None:
    """The first of these programs that can be run from inside a sandbox, which sees ``/usr`` only: not the links that
    Debian keeps in /etc, so they are followed here."""
    for name in names:
        path = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin")
        if path is not None:
            return str(Path(path).resolve())
    return None
