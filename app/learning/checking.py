"""Checks a challenge before learners see it: the reference passes in each language; the listed mistakes, changed
references and the empty start do not."""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from app.learning import kinds
from app.learning.challenge_files import (
    AnswerChallenge,
    Challenge,
    FunctionChallenge,
    ShellChallenge,
    SqlChallenge,
    TestChallenge,
)
from app.learning.grading import Graded, first_failing
from app.learning.languages import FUNCTION_LANGUAGES, LANGUAGES
from app.learning.languages.base import LanguageName, parse_type
from app.learning.mutants import mutants
from app.learning.sandbox.program import Sandbox
from app.learning.sandbox.raw import run_script

CodeChallenge = FunctionChallenge | TestChallenge | SqlChallenge | ShellChallenge
MOST_MUTANTS, WRONG_ONES, MOST_ADVICE = 8, 2, 3
STARTS_AT_ONCE: tuple[LanguageName, ...] = ("python", "sql", "bash")
EMPTY: dict[str, Any] = {"list": [], "str": "", "map": {}}  # Any: values by kind


@dataclass(frozen=True, kw_only=True)
class Report:
    """``problems`` keep learners from a fair verdict; ``advice`` may be ignored. ``languages`` were really run."""

    problems: tuple[str, ...]
    advice: tuple[str, ...]
    languages: tuple[LanguageName, ...]


async def check(
    sandbox: Sandbox, challenge: Challenge, *, languages: Collection[LanguageName] = frozenset(LANGUAGES)
) -> Report:
    """Run everything that the file says of itself, in those of its ``languages`` that are here.

    Raises:
        SandboxFailed: our own launcher broke.
    """
    problems: list[str] = []
    advice: list[str] = []
    ran: list[LanguageName] = []
    if isinstance(challenge, AnswerChallenge):
        problems += await _answer(sandbox, challenge)
    else:
        for language, solution in challenge.solutions.items():
            if language not in languages:
                continue
            if LANGUAGES[language].toolchain().path is None:
                advice.append(f"{LANGUAGES[language].title} is not installed here, so its solution was not run")
                continue
            ran.append(language)
            found = await _solution(sandbox, challenge, language, solution)
            problems += found.problems
            advice += found.advice
    problems += _ambiguous(challenge)
    if isinstance(challenge, FunctionChallenge):
        advice += _missing(challenge)
    return Report(problems=tuple(problems), advice=tuple(advice), languages=tuple(ran))


async def _solution(sandbox: Sandbox, challenge: CodeChallenge, language: LanguageName, solution: str) -> Report:
    """A reference solution, and the wrong ones of its language: the editor's start, the empty value, the mistakes that
    the file lists, and changed references."""
    title = LANGUAGES[language].title
    problems, advice, failed = [], [], 0
    graded = await kinds.grade_challenge(lambda: sandbox, challenge, language, solution)
    if graded.verdict != "passed":
        problems.append(f"the solution in {title} does not pass: {_reason(graded)}")
    wrong = [("the editor's start", kinds.stub(challenge, language))]
    if isinstance(challenge, FunctionChallenge):
        wrong.append(("giving the empty value back", FUNCTION_LANGUAGES[language].empty(challenge.signature)))
    if language in STARTS_AT_ONCE and not isinstance(challenge, TestChallenge):
        wrong += [(f"the mistake {m.means.strip()[:60]!r}", m.code) for m in challenge.mistakes]
    if isinstance(challenge, TestChallenge):
        wrong.append(("a test that accepts everything", _ACCEPTS[language]))
    for what, code in wrong:
        graded = await kinds.grade_challenge(lambda: sandbox, challenge, language, code)
        failed += graded.verdict not in ("passed", "compile_error")
        if graded.verdict == "passed":
            problems.append(f"{what} passes in {title}: a case is missing that tells it from a right solution")
        elif graded.verdict == "compile_error" and what.startswith("the mistake"):
            problems.append(f"{what} cannot be read: {graded.message}")
    if not isinstance(challenge, TestChallenge):
        advice = await _changed(sandbox, challenge, language, solution, failed)
    return Report(problems=tuple(problems), advice=tuple(advice), languages=(language,))


async def _changed(
    sandbox: Sandbox, challenge: CodeChallenge, language: LanguageName, solution: str, failed: int
) -> list[str]:
    """Change a solution in one place at a time. In Python, SQL and Bash, whose programs start at once, many times, to
    find changes that no case notices; in the others until, with the ``failed``, two that could be run have failed, as
    wrong solutions must."""
    title = LANGUAGES[language].title
    unnoticed = []
    for mutant in islice(mutants(solution), MOST_MUTANTS):
        if language not in STARTS_AT_ONCE and failed == WRONG_ONES:
            break
        graded = await kinds.grade_challenge(lambda: sandbox, challenge, language, mutant.code)
        failed += graded.verdict not in ("passed", "compile_error")
        if graded.verdict == "passed":
            what = f"the solution in {title} passes with {mutant.change}, too"
            unnoticed.append(f"{what}: if that is wrong, a case is missing")
    return unnoticed[:MOST_ADVICE] if language in STARTS_AT_ONCE else []


# A wrong submission to a challenge to write a test: every such challenge must turn it down.
_ACCEPTS: dict[LanguageName, str] = {
    "python": "def test(function):\n    assert True\n",
    "javascript": "function test(fn) { return true; }\n",
}


async def _answer(sandbox: Sandbox, challenge: AnswerChallenge) -> list[str]:
    problems = [
        f"the wrong answer {wrong.answer!r} would be taken as right"
        for wrong in challenge.wrong
        if (await kinds.grade_challenge(lambda: sandbox, challenge, challenge.language, wrong.answer)).verdict
        == "passed"
    ]
    if challenge.kind == "predict" and LANGUAGES[challenge.language].toolchain().path is not None:
        run = await run_script(sandbox, LANGUAGES[challenge.language], challenge.code, b"")
        if kinds.same_text(run.stdout) != kinds.same_text(challenge.answer):
            problems.append(f"the code prints {run.stdout!r} ({run.status}), not {challenge.answer!r}")
    return problems


def _ambiguous(challenge: Challenge) -> list[str]:
    """What tells a learner nothing new, or two things at once."""
    match challenge:
        case AnswerChallenge():
            return _repeated("wrong answer", [kinds.same_text(wrong.answer) for wrong in challenge.wrong])
        case TestChallenge():
            others = [version.code for version in (*challenge.also_right, *challenge.broken)]
            versions = [
                (language, [code[language].strip() for code in (challenge.right, *others)])
                for language in challenge.right
            ]
            return [found for language, codes in versions for found in _repeated(f"version in {language}", codes)]
        case FunctionChallenge():
            told = [(json.dumps(case.arguments), json.dumps(case.expected)) for case in challenge.all_cases()]
        case SqlChallenge():
            told = [(case.rows.strip(), json.dumps(case.expected)) for case in (*challenge.examples, *challenge.cases)]
        case ShellChallenge():
            told = [
                (json.dumps(case.files, sort_keys=True), kinds.same_text(case.expected))
                for case in (*challenge.examples, *challenge.cases)
            ]
    seen: dict[str, str] = {}
    problems = []
    for number, (given, expected) in enumerate(told, start=1):
        if given in seen:
            what = "repeats an earlier one" if seen[given] == expected else "contradicts an earlier one"
            problems.append(f"case {number} {what}")
        seen[given] = expected
    if len({expected for _, expected in told}) < 2:
        problems.append("every case expects the same, so a constant passes")
    return problems


def _repeated(what: str, texts: Sequence[str]) -> list[str]:
    return [
        f"{what} {number} repeats an earlier one"
        for number, text in enumerate(texts, start=1)
        if text in texts[: number - 1]
    ]


def _missing(challenge: FunctionChallenge) -> list[str]:
    """Edge cases that no case holds: an empty list, text or map, and zero."""
    advice = []
    cases: Sequence[tuple[Any, ...]] = [case.arguments for case in challenge.all_cases()]  # Any: JSON
    for place, parameter in enumerate(challenge.signature.params):
        kind = parse_type(parameter.type).kind
        if kind in EMPTY and all(arguments[place] != EMPTY[kind] for arguments in cases):
            advice.append(f"no case has an empty `{parameter.name}`: say in the statement that it is never empty")
        if re.search(rf"`[^`\n]*\b{parameter.name}\b", challenge.statement) is None:
            advice.append(f"the statement never names `{parameter.name}`")
    return advice


def _reason(graded: Graded) -> str:
    failing = first_failing(graded.cases)
    if failing is None:
        return graded.message
    got = failing.error or failing.got
    return f"case {failing.number} ({failing.input[:200]}) gives {got}, not {failing.expected[:200]}"
