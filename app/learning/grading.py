"""Verdicts: inputs go into the sandbox, values come out as JSON, and are compared here, strictly by type."""

import json
import math
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from app.errors import InvalidInput, SandboxFailed
from app.learning.languages.base import Language, Signature
from app.learning.sandbox.program import Run, Sandbox

Verdict = Literal["passed", "failed", "error", "compile_error", "timeout", "killed"]

LARGEST_CODE_BYTES = 64 * 1024
FLOAT_TOLERANCE = 1e-6
HINT_COST, MOST_HINT_COST = 10, 30
ATTEMPT_COST, MOST_ATTEMPT_COST = 5, 20


@dataclass(frozen=True, kw_only=True)
class Case:
    """Arguments and the expected value; ``hidden`` ones are shown only once they fail."""

    arguments: tuple[Any, ...]  # Any: JSON values of the signature's types
    expected: Any  # Any: as above
    hidden: bool


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """One case for people, in the language's own notation; ``ms`` is None for one that never ended."""

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
    verdict: Verdict
    cases: tuple[CaseResult, ...]
    message: str
    wall_ms: int

    @property
    def passed(self) -> int:
        return sum(case.passed for case in self.cases)

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        return asdict(self)


def check_code(code: str) -> None:
    """Refuse what cannot be a solution.

    Raises:
        InvalidInput: empty, too large, or with NUL bytes.
    """
    if not code.strip():
        raise InvalidInput("There is no code to run. Write your solution first.")
    if len(code.encode(errors="replace")) > LARGEST_CODE_BYTES:
        raise InvalidInput(f"The code is too large: at most {LARGEST_CODE_BYTES // 1024} KB.")
    if "\x00" in code:
        raise InvalidInput("The code holds NUL bytes; it is not text. Paste the source itself.")


async def grade(
    sandbox: Sandbox, language: Language, code: str, *, signature: Signature, cases: Sequence[Case]
) -> Graded:
    """Run a solution against all cases.

    Raises:
        InvalidInput: see ``check_code``.
        SandboxFailed: our own launcher broke; the learner did nothing wrong.
    """
    check_code(code)
    nonce = secrets.token_hex(8)
    program = language.program(sandbox, code, signature, [case.arguments for case in cases], nonce=nonce)
    run = await sandbox.run(program)
    if run.status == "infrastructure_error":
        raise SandboxFailed("The code could not be started here; this is not your mistake. Try again in a moment.")
    return judge(run, language, signature, cases, nonce=nonce)


def judge(run: Run, language: Language, signature: Signature, cases: Sequence[Case], *, nonce: str) -> Graded:
    """The verdict on a run: pure. What did not answer, after the first that did not, is not counted as wrong."""
    answers: dict[int, dict[str, Any]] = {}  # Any: JSON that the learner's process wrote
    load_error = None
    for message in _messages(run.stdout, nonce):
        if "load" in message:
            load_error = message
        elif isinstance(message.get("case"), int):
            answers.setdefault(message["case"], message)
    if load_error is not None:
        error, trace = _failure(load_error.get("load"))
        return Graded(verdict="compile_error", cases=(), message=_joined(error, trace), wall_ms=run.wall_ms)
    results = [
        _case_result(number, case, answers.get(number - 1), language, signature.returns)
        for number, case in enumerate(cases, start=1)
    ]
    verdict = _verdict(run, results)
    return Graded(
        verdict=verdict, cases=tuple(results), message=_MESSAGES[verdict].format(total=len(results),
        passed=sum(r.passed for r in results)), wall_ms=run.wall_ms,
    )  # fmt: skip


_MESSAGES: dict[Verdict, str] = {
    "passed": "All {total} cases pass.",
    "failed": "{passed} of {total} cases pass.",
    "error": "{passed} of {total} cases pass; the code raised an error.",
    "compile_error": "The code could not be loaded.",
    "timeout": "The code took too long and was stopped after {passed} of {total} cases. Is there an endless loop?",
    "killed": "The code was stopped after {passed} of {total} cases: it passed a limit of memory, time or output.",
}


def _verdict(run: Run, results: Sequence[CaseResult]) -> Verdict:
    if all(result.passed for result in results):
        return "passed"
    if run.status in ("timeout", "killed"):
        return "timeout" if run.status == "timeout" else "killed"
    first = next(result for result in results if not result.passed)
    return "error" if first.error else "failed"


def first_failing(cases: Sequence[CaseResult]) -> CaseResult | None:
    return next((case for case in cases if not case.passed), None)


def score(graded: Graded, *, hints: int, earlier_attempts: int) -> int:
    """Points from 0 to 100: the share of cases that pass, less 10 a hint (at most 30) and, once all pass, less 5 for
    each earlier attempt (at most 20)."""
    if not graded.cases:
        return 0
    points = 100 * graded.passed // len(graded.cases)
    cost = min(HINT_COST * hints, MOST_HINT_COST)
    if graded.verdict == "passed":
        cost += min(ATTEMPT_COST * earlier_attempts, MOST_ATTEMPT_COST)
    return max(0, points - cost)


def matches(expected: Any, got: Any, type_name: str) -> bool:  # Any: JSON values
    """Whether two JSON values are the same value of a type: int, float, str, bool, list[T], map[T], optional[T]."""
    if type_name.startswith("optional["):
        return got is None if expected is None else matches(expected, got, type_name[9:-1])
    if type_name.startswith("list["):
        inner = type_name[5:-1]
        return (
            isinstance(got, list)
            and len(got) == len(expected)
            and all(matches(e, g, inner) for e, g in zip(expected, got, strict=True))
        )
    if type_name.startswith("map["):
        inner = type_name[4:-1]
        return (
            isinstance(got, dict)
            and got.keys() == expected.keys()
            and all(matches(value, got[key], inner) for key, value in expected.items())
        )
    if type_name == "float":
        return (
            type(got) in (int, float)
            and math.isclose(got, expected, rel_tol=FLOAT_TOLERANCE, abs_tol=FLOAT_TOLERANCE)
        )  # fmt: skip
    kind = {"int": int, "str": str, "bool": bool}[type_name]
    return type(got) is kind and bool(got == expected)


def _messages(stdout: bytes, nonce: str) -> list[dict[str, Any]]:  # Any: JSON
    messages = []
    for line in stdout.decode(errors="replace").splitlines():
        if line.startswith(nonce):
            try:
                message = json.loads(line[len(nonce) :])
            except ValueError:
                continue
            if isinstance(message, dict):
                messages.append(message)
    return messages


def _case_result(
    number: int, case: Case, answer: dict[str, Any] | None, language: Language, type_name: str
) -> CaseResult:  # Any: JSON
    shown_input = ", ".join(language.show(argument) for argument in case.arguments)
    expected = language.show(case.expected)
    if answer is None:
        return CaseResult(
            number=number, passed=False, hidden=case.hidden, input=shown_input, expected=expected, got=None,
            stdout="", error="the program ended before it answered this case", trace=(), ms=None,
        )  # fmt: skip
    error, trace = _failure(answer.get("error"))
    passed = error is None and "value" in answer and matches(case.expected, answer["value"], type_name)
    got = _cut(language.show(answer["value"])) if "value" in answer else None
    ms = answer.get("ms")
    return CaseResult(
        number=number, passed=passed, hidden=case.hidden, input=_cut(shown_input), expected=_cut(expected), got=got,
        stdout=_cut(str(answer.get("stdout", ""))), error=error, trace=trace,
        ms=float(ms) if isinstance(ms, int | float) else None,
    )  # fmt: skip


def _failure(error: object) -> tuple[str | None, tuple[str, ...]]:
    if not isinstance(error, dict):
        return None, ()
    trace = error.get("trace")
    lines = tuple(_cut(str(line)) for line in trace[:5]) if isinstance(trace, list) else ()
    return _cut(f"{error.get('type')}: {error.get('message')}"), lines


def _joined(error: str | None, trace: tuple[str, ...]) -> str:
    return "\n".join(("The code could not be loaded.", error or "", *trace)).strip()


def _cut(text: str, most: int = 1000) -> str:
    return text if len(text) <= most else text[:most] + " …"
