"""Verdicts: inputs go into the sandbox, values come out as JSON, and are compared here, strictly by type."""

import base64
import contextlib
import json
import math
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from app.errors import SandboxFailed
from app.learning.challenge_files import Case
from app.learning.code_text import as_code, check_code
from app.learning.languages.base import FunctionLanguage, Signature, Type, parse_type
from app.learning.sandbox.program import Program, Run, Sandbox

Verdict = Literal["passed", "failed", "error", "compile_error", "timeout", "killed"]
Pace = Literal["slow", "unclear", "endless"]
Shower = Callable[[object], str]

FLOAT_TOLERANCE = 1e-6
LONGEST_MS = 1e7  # no case takes hours: more is a forgery


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """One case for people, in the language's own notation; ``ms`` is None for one that never ended. ``value`` is what
    came out, as JSON, for recognising known mistakes; it is not stored."""

    number: int
    passed: bool
    hidden: bool
    input: str
    expected: str
    got: str | None
    stdout: str
    error: str | None
    trace: tuple[str, ...]
    ms: float | None


@dataclass(frozen=True, kw_only=True)
class Graded:
    """``stderr`` is what was printed aside in all cases together, so it may name hidden inputs."""

    verdict: Verdict
    cases: tuple[CaseResult, ...]
    message: str
    wall_ms: int
    isolated: bool = True
    stderr: str = ""

    @property
    def passed(self) -> int:
        return sum(case.passed for case in self.cases)

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A case as people read it, and whether an answer to it is right."""

    input: str
    expected: str
    hidden: bool
    is_right: Callable[[object], bool]


async def grade(
    sandbox: Sandbox, language: FunctionLanguage, code: str, *, signature: Signature, cases: Sequence[Case],
    any_order: bool = False,
) -> Graded:  # fmt: skip
    """Run a function against all cases.

    Raises:
        InvalidInput: see ``check_code``.
        SandboxFailed: our own launcher broke; the learner did nothing wrong.
    """
    check_code(code)
    code = as_code(code)
    nonce = secrets.token_hex(8)
    program = language.program(sandbox, code, signature, [case.arguments for case in cases], nonce=nonce)
    run = await run_program(sandbox, program)
    result = judge(run, shown_cases(language, signature, cases, any_order=any_order), nonce=nonce, show=language.show)
    return with_declaration(result, language, signature)


def with_declaration(result: Graded, language: FunctionLanguage, signature: Signature) -> Graded:
    """The same; of code that does not fit how it is called, this is said first."""
    if result.verdict == "compile_error" and _IN_THE_CALLER.search(result.message):
        called = f"`{language.declaration(signature)}`{language.place}"
        expected = f"What is called is {called}: is it there, with these types?"
        return replace(result, message=_cut(f"{expected}\n{result.message}", 4000))
    return result


# A compiler's complaint about the part of a program that calls the solution.
_IN_THE_CALLER = re.compile(r"\bcaller\.(?:go|cpp|rs|c|java)\b|\btypes\.h\b|undefined reference to", re.IGNORECASE)


def shown_cases(
    language: FunctionLanguage, signature: Signature, cases: Sequence[Case], *, any_order: bool
) -> list[Shown]:
    returns = parse_type(signature.returns)

    def right(case: Case) -> Callable[[object], bool]:
        return lambda got: matches(case.expected, got, returns, any_order=any_order)

    return [
        Shown(
            input=", ".join(language.show(argument) for argument in case.arguments),
            expected=language.show(in_order(case.expected)), hidden=case.hidden, is_right=right(case),
        )
        for case in cases
    ]  # fmt: skip


async def run_program(sandbox: Sandbox, program: Program) -> Run:
    """Run it.

    Raises:
        SandboxFailed: our own launcher broke; the learner did nothing wrong.
    """
    run = await sandbox.run(program)
    if run.status == "infrastructure_error":
        raise SandboxFailed("The code could not be started here; this is not your mistake. Try again in a moment.")
    return run


def judge(run: Run, cases: Sequence[Shown], *, nonce: str, show: Shower) -> Graded:
    """The verdict on a run: pure. What did not answer, after the first that did not, is not counted as wrong."""
    answers: dict[int, dict[str, Any]] = {}  # Any: JSON that the learner's process wrote
    begun, printed = -1, ""  # of the case that began last
    for message in messages(run.stdout, nonce):
        if message.get("refused") is True:
            return _unreadable(_cut(compiler_words(run.stderr), 3000), (), run)
        if "load" in message:
            error, trace = failure(message["load"])
            return _unreadable(_HIDDEN_PATH.sub("", error or ""), trace, run)
        if type(message.get("begin")) is int:
            begun, printed = message["begin"], ""
        printed += _printed(message)
        number = message.get("case")
        if type(number) is int:
            answers.setdefault(number, message)
    unanswered = next((place for place in range(len(cases)) if place not in answers), len(cases))
    results = [
        _case_result(
            number,
            case,
            answers.get(number - 1),
            show,
            _why_unanswered(run, is_first=number - 1 == unanswered, has_begun=begun >= 0),
            printed=printed if number - 1 == max(begun, 0) else "",
        )
        for number, case in enumerate(cases, start=1)
    ]
    return graded(run, results)


def graded(run: Run, results: Sequence[CaseResult]) -> Graded:
    verdict = _verdict(run, results)
    if verdict == "error" and _OUT_OF_MEMORY.search((first_failing(results) or results[0]).error or ""):
        verdict = "killed"
    crash = _CRASHES.get(run.exit_code or 0, "crashed") if run.status == "crashed" else "raised an error"
    passed = sum(result.passed for result in results)
    message = _MESSAGES[verdict].format(total=len(results), passed=passed, crash=crash)
    if verdict == "killed" and run.flooded:
        message = FLOODED.format(passed=passed, total=len(results))
    if verdict == "timeout":
        wrong = next((case.number for case in results if not case.passed and was_answered(case)), None)
        message += _PACES[pace_of(results)] if wrong is None else WRONG_BEFORE.format(wrong=wrong)
    aside = _cut(compiler_words(run.stderr)) if run.status == "ok" else ""
    return Graded(verdict=verdict, cases=tuple(results), message=message, wall_ms=run.wall_ms, stderr=aside)


def was_answered(case: CaseResult) -> bool:
    """Whether a case came to an end, with a value or an error."""
    return case.ms is not None or case.got is not None


def pace_of(cases: Sequence[CaseResult]) -> Pace:
    """Why the time was up: "slow" where all that was answered is right and no larger than a large input that was not,
    "endless" where a smaller one was not, "unclear" where it may be either."""
    answered = [case for case in cases if was_answered(case)]
    stopped = next((case.input for case in cases if not was_answered(case)), "")
    if not (stopped and answered and all(case.passed and len(case.input) <= len(stopped) for case in answered)):
        return "endless"
    largest = max(map(int, re.findall(r"(?<![\d.'\"\w])\d{1,30}(?![.\w'\"])", stopped)), default=0)
    return "slow" if len(stopped) >= LARGE_CHARACTERS or largest >= LARGE_NUMBER else "unclear"


def _unreadable(error: str, trace: tuple[str, ...], run: Run) -> Graded:
    message = _cut("\n".join(("The code could not be loaded.", error, *trace)).strip(), 4000)
    return Graded(verdict="compile_error", cases=(), message=message, wall_ms=run.wall_ms)


_MESSAGES: dict[Verdict, str] = {
    "passed": "All {total} cases pass.",
    "failed": "{passed} of {total} cases pass.",
    "error": "{passed} of {total} cases pass; the code {crash}.",
    "compile_error": "The code could not be loaded.",
    "timeout": "The code took too long and was stopped after {passed} of {total} cases.",
    "killed": "The code was stopped after {passed} of {total} cases: it passed a limit of memory, time or output.",
}
FLOODED = "The code was stopped after {passed} of {total} cases: it printed without an end."
# What languages say where they get no more memory.
_NO_MEMORY = r"(?:No|OutOf)?MemoryError|bad_alloc|memory allocation of \d+ bytes failed|out of memory"
_OUT_OF_MEMORY = re.compile(rf"\b(?:{_NO_MEMORY})\b")
LARGE_CHARACTERS, LARGE_NUMBER = 200, 50_000  # of an input
WRONG_BEFORE = " Case {wrong} was wrong before that: look at it first."
_PACES: dict[Pace, str] = {
    "slow": " What it gave before was right: is it too slow for a larger input?",
    "unclear": " What it gave before was right: does it never end here, or take too many steps?",
    "endless": " Is there an endless loop?",
}
_CRASHES = {
    139: "crashed: it used memory that is not its own, or called itself without an end (segmentation fault)",
    136: "crashed: it divided by zero or overflowed (arithmetic exception)",
    134: "crashed: it ended itself (abort)",
}


def _verdict(run: Run, results: Sequence[CaseResult]) -> Verdict:
    if all(result.passed for result in results):
        return "passed"
    if run.status in ("timeout", "killed"):
        return "timeout" if run.status == "timeout" else "killed"
    if run.status == "crashed":
        return "error"
    first = next(result for result in results if not result.passed)
    return "error" if first.error else "failed"


def first_failing(cases: Sequence[CaseResult]) -> CaseResult | None:
    return next((case for case in cases if not case.passed), None)


def matches(expected: Any, got: Any, kind: Type, *, any_order: bool = False) -> bool:  # Any: JSON values
    """Whether two JSON values are the same value of a type; ``any_order`` compares the outer list as a multiset."""
    match kind.kind:
        case "optional":
            return got is None if expected is None else matches(expected, got, kind.inner, any_order=any_order)
        case "list" if any_order:
            return _same_items(expected, got, kind.inner)
        case "list":
            return (
                isinstance(got, list)
                and len(got) == len(expected)
                and all(matches(e, g, kind.inner) for e, g in zip(expected, got, strict=True))
            )
        case "map":
            return (
                isinstance(got, dict)
                and got.keys() == expected.keys()
                and all(matches(value, got[key], kind.inner) for key, value in expected.items())
            )
        case "float":
            return type(got) in (int, float) and math.isclose(
                got, expected, rel_tol=FLOAT_TOLERANCE, abs_tol=FLOAT_TOLERANCE
            )
    scalar = {"int": int, "str": str, "bool": bool}[kind.kind]
    return type(got) is scalar and bool(got == expected)


def _same_items(expected: list[Any], got: Any, kind: Type) -> bool:  # Any: JSON values
    if not isinstance(got, list) or len(got) != len(expected):
        return False
    left = list(expected)
    for item in got:
        place = next((i for i, wanted in enumerate(left) if matches(wanted, item, kind)), None)
        if place is None:
            return False
        del left[place]
    return True


def messages(stdout: bytes, nonce: str) -> list[dict[str, Any]]:  # Any: JSON
    """What a harness said behind its nonce, in order."""
    found = []
    for line in stdout.decode(errors="replace").split("\n"):
        if line.startswith(nonce):
            try:
                message = json.loads(line[len(nonce) :], object_pairs_hook=_once)
            except (ValueError, RecursionError):
                continue
            if isinstance(message, dict):
                found.append(message)
    return found


def _printed(message: dict[str, Any]) -> str:  # Any: JSON
    """What a program that was stopped had printed: as a text, or as base64 where only a shell was left to tell."""
    if "printed64" not in message:
        return str(message.get("printed", ""))
    with contextlib.suppress(ValueError):
        return base64.b64decode(str(message["printed64"])).decode(errors="replace")
    return ""


def _case_result(
    number: int, case: Shown, answer: dict[str, Any] | None, show: Shower, reason: str, *, printed: str
) -> CaseResult:  # Any: JSON  # fmt: skip
    if answer is None:
        return CaseResult(
            number=number, passed=False, hidden=case.hidden, input=_cut(case.input), expected=_cut(case.expected),
            got=None, stdout=_cut(printed), error=reason, trace=(), ms=None,
        )  # fmt: skip
    error, trace = failure(answer.get("error"))
    if error is not None and error.startswith("crash:"):
        error = f"{error}{reason.removeprefix(ENDED)}"
    passed, got = False, None
    if "value" in answer:
        try:
            passed, got = error is None and case.is_right(answer["value"]), _cut(show(in_order(answer["value"])))
        except (OverflowError, RecursionError, ValueError):
            error = error or "the result is too large or too deep to compare"
    ms = answer.get("ms")
    return CaseResult(
        number=number, passed=passed, hidden=case.hidden, input=_cut(case.input), expected=_cut(case.expected), got=got,
        stdout=_cut(str(answer.get("stdout", ""))), error=error, trace=trace,
        ms=float(ms) if isinstance(ms, int | float) and abs(ms) < LONGEST_MS else None,
    )  # fmt: skip


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any] | list[list[Any]]:  # Any: JSON
    """An object; as the list of its pairs, which is no map, where a name is there twice."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else [list(pair) for pair in pairs]


def in_order(value: Any) -> Any:  # Any: JSON
    """A value with its maps' keys in order: some languages keep them as they were put in, others do not."""
    match value:
        case list():
            return [in_order(item) for item in value]
        case dict():
            return {key: in_order(value[key]) for key in sorted(value)}
        case _:
            return value


def compiler_words(stderr: bytes) -> str:
    """What a compiler said, about files as the learner knows them."""
    said = _HIDDEN_PATH.sub("", stderr.decode(errors="replace"))
    return re.sub(r"^# command-line-arguments\n", "", said).strip()


# The folders of a sandbox before the files in it.
_HIDDEN_PATH = re.compile(r"(?:/[\w.-]+)*/(?=(?:solution|caller|types|main|query|script)\.[a-z]+\b)", re.IGNORECASE)

# What runtimes say before they end: of Go, C++, Rust, the C library, and Java.
_LAST_WORDS = re.compile(
    r"^(?:fatal error: .+|panic: .+|terminate called .+| *what\(\): .+|.*has overflowed its stack"
    r"|.*Assertion '.+' failed\.|memory allocation of .+|(?:free|malloc)\(\): .+"
    r"|\*\*\* stack smashing.+|Exception in thread .+)$",
    re.MULTILINE,
)


ENDED = "the program ended before it answered this case"


def _why_unanswered(run: Run, *, is_first: bool, has_begun: bool) -> str:
    """What became of a case that has no answer."""
    match run.status:
        case "timeout" | "killed" if not is_first:
            return "not run: the program was stopped before"
        case "timeout" if not has_begun:
            return "it was not called: a line outside of it did not end in time"
        case "timeout":
            return "it did not end in time"
        case "killed":
            return "it was stopped at a limit of memory, time or output"
    return ENDED + _last_words(run)


def _last_words(run: Run) -> str:
    found = _LAST_WORDS.findall(run.stderr.decode(errors="replace")[:20_000])
    return f": {_cut('; '.join(line.strip() for line in found[:2]), 300)}" if found else ""


def failure(error: object) -> tuple[str | None, tuple[str, ...]]:
    """An error that a harness reported, and the learner's lines that led to it."""
    if not isinstance(error, dict):
        return None, ()
    trace = error.get("trace")
    lines = tuple(_cut(str(line)) for line in trace[:5]) if isinstance(trace, list) else ()
    message = error.get("message")
    return _cut(f"{error.get('type')}: {message}" if message else str(error.get("type"))), lines


def _cut(text: str, most: int = 1000) -> str:
    """A learner's text as it may be shown and stored: not too long, and without half characters."""
    text = text.encode(errors="replace").decode()
    return text if len(text) <= most else text[:most] + " …"
