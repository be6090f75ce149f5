"""Measures a solution: length and branches by lizard, repeated lines, and what ruff finds where it is installed."""

import asyncio
import json
import shutil
import sys
from functools import lru_cache
from pathlib import Path

import lizard

from app.learning.challenge_files import Challenge, FunctionChallenge
from app.learning.languages.base import LanguageName
from app.learning.score import Signals, repeated_lines

_SUFFIX: dict[LanguageName, str] = {
    "python": "py", "javascript": "js", "typescript": "ts", "java": "java", "c": "c", "cpp": "cpp", "go": "go",
    "rust": "rs", "ruby": "rb",
}  # fmt: skip
LINT_SECONDS = 5.0
LONGEST_MEASURED = 8000  # characters: the parser takes time by the square of some texts
# Mistakes and needless work, never taste: names, spaces and line lengths are the learner's own.
RULES = "F,E7,E9,B,C4,PIE,SIM,RET5,PLR17"


async def measure(challenge: Challenge, language: LanguageName, code: str) -> Signals | None:
    """The signals of a solution, beside those of the reference; None for what is no function. What is very long has as
    many branches as lines: no exercise needs that, and nobody measures it."""
    if not isinstance(challenge, FunctionChallenge) or language not in _SUFFIX:
        return None
    reference = challenge.solutions.get(language)
    reference_language: LanguageName = language if reference is not None else "python"
    is_long = len(code) > LONGEST_MEASURED
    lines = branches = sum(bool(line.strip()) for line in code.splitlines())
    if not is_long:
        lines, branches = await asyncio.to_thread(_size, code, language)
    wanted_lines, wanted_branches = await asyncio.to_thread(
        _size, reference or challenge.solutions["python"], reference_language
    )
    if lines == 0:
        return None
    return Signals(
        lines=lines, branches=branches, repeated_lines=repeated_lines(code.splitlines()),
        lints=await _lints(code) if language == "python" and not is_long else None,
        reference_lines=wanted_lines, reference_branches=wanted_branches,
    )  # fmt: skip


def _size(code: str, language: LanguageName) -> tuple[int, int]:
    """Lines that are neither empty nor a comment, and branches (cyclomatic complexity) of all functions together."""
    found = lizard.analyze_file.analyze_source_code(  # type: ignore[attr-defined]  # its own documented way
        f"solution.{_SUFFIX[language]}", code
    )
    return int(found.nloc), sum(int(function.cyclomatic_complexity) for function in found.function_list)


async def _lints(code: str) -> tuple[str, ...] | None:
    linter = await asyncio.to_thread(_linter)
    if linter is None:
        return None
    process = await asyncio.create_subprocess_exec(
        linter, "check", "--isolated", "--no-cache", "--quiet", "--output-format", "json", "--select", RULES,
        "--stdin-filename", "solution.py", "-",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(code.encode(errors="replace")), LINT_SECONDS)
        return tuple(f"line {one['location']['row']}: {one['message']}" for one in json.loads(said)[:20])
    except (TimeoutError, ValueError, KeyError, TypeError):
        return None  # a linter that fails is as good as none
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@lru_cache(maxsize=1)
def _linter() -> str | None:
    beside = Path(sys.executable).parent / "ruff"
    return str(beside) if beside.exists() else shutil.which("ruff")
