"""The kinds of challenges: what is shown of each, and how a submission to it becomes a verdict."""

import math
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from app.errors import InvalidInput
from app.learning import grading, written_tests
from app.learning.challenge_files import (
    AnswerChallenge,
    Challenge,
    FileSet,
    FunctionChallenge,
    ShellChallenge,
    SqlChallenge,
    TestChallenge,
)
from app.learning.code_text import as_code, check_code, encoded
from app.learning.grading import CaseResult, Graded, Shown
from app.learning.languages import BASH, FUNCTION_LANGUAGES, LANGUAGES, SQL
from app.learning.languages.base import Language, LanguageName
from app.learning.languages.sql import table
from app.learning.sandbox.program import Run, Sandbox

Json = dict[str, Any]  # Any: JSON
LARGEST_ANSWER = 2000


def stub(challenge: Challenge, language: LanguageName) -> str:
    """What the editor starts with."""
    match challenge:
        case FunctionChallenge():
            started = challenge.starters.get(language)
            if started is None and language == "typescript":
                started = challenge.starters.get("javascript")
            return started if started is not None else FUNCTION_LANGUAGES[language].stub(challenge.signature)
        case TestChallenge():
            if language == "python":
                return "def test(function):\n    # assert function(...) == ...\n    "
            return "function test(fn) {\n  // assert(fn(...) === ...);\n  \n}\n"
        case ShellChallenge():
            return "#!/bin/bash\n"
        case SqlChallenge():
            return "SELECT "
    return ""


def declaration(challenge: Challenge, language: LanguageName) -> str:
    """The line above the editor: the signature, or what to write."""
    match challenge:
        case FunctionChallenge() | TestChallenge():
            return FUNCTION_LANGUAGES[language].declaration(challenge.signature)
        case AnswerChallenge(kind="predict"):
            return "What does it print?"
        case AnswerChallenge():
            return "Choose the answer"
    return {"sql": "one SELECT statement", "bash": "a script that prints the result"}[language]


def examples(challenge: Challenge, language: LanguageName) -> list[dict[str, str]]:
    """Inputs and results that the learner sees before the first try."""
    match challenge:
        case FunctionChallenge():
            show = LANGUAGES[language].show
            return [
                {"input": ", ".join(show(argument) for argument in case.arguments), "expected": show(case.expected)}
                for case in challenge.examples
            ]
        case SqlChallenge():
            return [{"input": data.rows.strip(), "expected": table(data.expected)} for data in challenge.examples]
        case ShellChallenge():
            return [{"input": _files_text(given), "expected": given.expected} for given in challenge.examples]
    return []


def material(challenge: Challenge) -> Json | None:
    """What is given to read: code to predict, tables to query. ``choices`` are shown in the order of the alphabet."""
    match challenge:
        case AnswerChallenge():
            choices = sorted([challenge.answer, *(wrong.answer for wrong in challenge.wrong)])
            return {
                "title": LANGUAGES[challenge.language].title, "text": challenge.code,
                "choices": choices if challenge.kind == "read" else [],
            }  # fmt: skip
        case SqlChallenge():
            return {"title": "Tables", "text": challenge.tables, "choices": []}
    return None


def language_of(challenge: Challenge, name: LanguageName) -> Language:
    """The language of a submission.

    Raises:
        InvalidInput: the challenge is not offered in it, or its toolchain is not here.
    """
    if name not in challenge.languages:
        offered = ", ".join(LANGUAGES[one].title for one in challenge.languages)
        raise InvalidInput(f"This challenge is not offered in {LANGUAGES[name].title}. Use: {offered}.")
    language = LANGUAGES[name]
    toolchain = language.toolchain()
    if toolchain.path is None:
        raise InvalidInput(f"{language.title} is not installed here. {toolchain.remedy}")
    return language


async def grade_examples(
    sandbox: Callable[[], Sandbox], challenge: Challenge, language: LanguageName, code: str
) -> Graded:
    """A verdict on what the learner can see; it counts for nothing.

    Raises:
        InvalidInput, SandboxUnavailable, SandboxFailed.
    """
    match challenge:
        case AnswerChallenge():
            raise InvalidInput("There is nothing to run here: submit your answer.")
        case FunctionChallenge():
            shown = [case for case in challenge.all_cases() if not case.hidden]
            return await grading.grade(
                sandbox(), FUNCTION_LANGUAGES[language], code, signature=challenge.signature, cases=shown,
                any_order=challenge.any_order,
            )  # fmt: skip
        case SqlChallenge():
            return await _grade_sql(sandbox(), challenge, code, examples_only=True)
        case ShellChallenge():
            return await _grade_shell(sandbox(), code, challenge.examples, ())
        case TestChallenge():
            return await written_tests.grade_test(sandbox(), challenge, language, code, right_only=True)


async def grade_challenge(
    sandbox: Callable[[], Sandbox], challenge: Challenge, language: LanguageName, code: str
) -> Graded:
    """The verdict on a submission. ``sandbox`` is asked for only where code runs.

    Raises:
        InvalidInput: the submission cannot be one.
        SandboxUnavailable, SandboxFailed: nothing was graded.
    """
    match challenge:
        case AnswerChallenge():
            return _grade_answer(challenge, code)
        case FunctionChallenge():
            return await grading.grade(
                sandbox(), FUNCTION_LANGUAGES[language], code, signature=challenge.signature,
                cases=challenge.all_cases(), any_order=challenge.any_order,
            )  # fmt: skip
        case SqlChallenge():
            return await _grade_sql(sandbox(), challenge, code, examples_only=False)
        case ShellChallenge():
            return await _grade_shell(sandbox(), code, challenge.examples, challenge.cases)
        case TestChallenge():
            return await written_tests.grade_test(sandbox(), challenge, language, code, right_only=False)


# -- answers ---------------------------------------------------------------------------------------------------------


def _grade_answer(challenge: AnswerChallenge, answer: str) -> Graded:
    if not answer.strip():
        raise InvalidInput("There is no answer. Write one first.")
    if len(encoded(answer)) > LARGEST_ANSWER:
        raise InvalidInput(f"The answer is too long: at most {LARGEST_ANSWER:,} bytes.")
    if "\x00" in answer:
        raise InvalidInput("The answer holds NUL bytes; it is not text. Write it anew.")
    said = same_text(answer)
    right = (challenge.answer, *challenge.accept)
    wrong = {_loosely(one.answer) for one in challenge.wrong}
    passed = said in map(same_text, right) or _loosely(answer) in {*map(_loosely, right)} - wrong
    means = next((wrong.means for wrong in challenge.wrong if same_text(wrong.answer) == said), None)
    case = CaseResult(
        number=1, passed=passed, hidden=False, input=challenge.code.strip(),
        expected=challenge.answer if passed else "(not shown yet)", got=answer.strip(), stdout="", error=None, trace=(),
        ms=None,
    )  # fmt: skip
    message = f"Right. {challenge.explanation.strip()}" if passed else (means or "That is not it.")
    return Graded(verdict="passed" if passed else "failed", cases=(case,), message=message, wall_ms=0)


def same_text(answer: str) -> str:
    """An answer without what makes no difference: spaces at the ends of lines, quotes and backticks around it."""
    lines = [line.strip() for line in answer.strip().strip("`").splitlines()]
    text = "\n".join(line for line in lines if line)
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def _loosely(answer: str) -> str:
    """An answer without line breaks, commas and quotes too; it is compared so only where that confuses no two."""
    return " ".join(re.sub(r"[\s,'\"`]+", " ", answer).split())


# -- SQL -------------------------------------------------------------------------------------------------------------


async def _grade_sql(sandbox: Sandbox, challenge: SqlChallenge, code: str, *, examples_only: bool) -> Graded:
    check_code(code)
    sets = [(data, False) for data in challenge.examples]
    if not examples_only:
        sets += [(data, True) for data in challenge.cases]
    nonce = secrets.token_hex(8)
    rows = [data.rows for data, _ in sets]
    program = SQL.query(sandbox, as_code(code), tables=challenge.tables, rows=rows, nonce=nonce)
    run = await grading.run_program(sandbox, program)

    def right(expected: list[list[Any]]) -> Callable[[object], bool]:  # Any: cells
        return lambda got: same_rows(expected, got, ordered=challenge.ordered)

    shown = [
        Shown(
            input=data.rows.strip(), expected=table(data.expected), hidden=hidden, is_right=right(data.expected)
        )
        for data, hidden in sets
    ]  # fmt: skip
    return grading.judge(run, shown, nonce=nonce, show=SQL.show)


def same_rows(expected: list[list[Any]], got: object, *, ordered: bool) -> bool:  # Any: cells
    """Whether a query gave these rows: cells by type (1 is not '1', but is 1.0), in order only where that matters."""
    if not isinstance(got, list) or len(got) != len(expected):
        return False
    if ordered:
        return all(_same_row(e, g) for e, g in zip(expected, got, strict=True))
    left = list(got)
    for row in expected:
        place = next((i for i, other in enumerate(left) if _same_row(row, other)), None)
        if place is None:
            return False
        del left[place]
    return True


def _same_row(expected: list[Any], got: Any) -> bool:  # Any: cells
    return isinstance(got, list) and len(got) == len(expected) and all(map(_same_cell, expected, got))


def _same_cell(expected: Any, got: Any) -> bool:  # Any: cells
    if float in (type(expected), type(got)) and {type(expected), type(got)} <= {int, float}:
        return math.isclose(expected, got, rel_tol=grading.FLOAT_TOLERANCE, abs_tol=grading.FLOAT_TOLERANCE)
    same: bool = type(expected) is type(got) and expected == got
    return same


# -- shell -----------------------------------------------------------------------------------------------------------


async def _grade_shell(sandbox: Sandbox, code: str, shown: Sequence[FileSet], hidden: Sequence[FileSet]) -> Graded:
    check_code(code)
    code = as_code(code)
    results: list[CaseResult] = []
    runs: list[Run] = []
    given_files = [(given, False) for given in shown] + [(given, True) for given in hidden]
    for number, (given, is_hidden) in enumerate(given_files, start=1):
        run = await grading.run_program(sandbox, BASH.over_files(code, given.files))
        runs.append(run)
        results.append(_shell_result(number, given, run, hidden=is_hidden))
        if run.status in ("timeout", "killed"):
            results += [_not_run(place, *one) for place, one in enumerate(given_files[number:], start=number + 1)]
            break  # the rest would only take as long
    worst = next((run for run in runs if run.status in ("timeout", "killed")), runs[-1])
    return grading.graded(worst, results)


def _shell_result(number: int, given: FileSet, run: Run, *, hidden: bool) -> CaseResult:
    """What a script printed, and with it what it complained of, where that was wrong."""
    printed = run.stdout.decode(errors="replace")
    complaint = grading.compiler_words(run.stderr).replace("solution.sh: ", "")
    failed_silently = run.status == "error" and not printed and bool(complaint)  # where nothing is expected, too
    passed = run.status in ("ok", "error") and _lines(printed) == _lines(given.expected) and not failed_silently
    if run.status == "timeout":
        complaint = "it did not end in time"
    elif not printed and not complaint and run.exit_code:
        complaint = f"it printed nothing and ended with exit status {run.exit_code}"
    ended_silently = not printed and bool(complaint)
    return CaseResult(
        number=number, passed=passed, hidden=hidden, input=_files_text(given)[:1000], expected=given.expected[:1000],
        got=None if ended_silently and not passed else printed[:1000], stdout="",
        error=complaint[:1000] if ended_silently and not passed else None,
        trace=() if passed or ended_silently else tuple(complaint[:1000].splitlines()[:5]), ms=float(run.wall_ms),
    )  # fmt: skip


def _not_run(number: int, given: FileSet, hidden: bool) -> CaseResult:  # as the list has it
    return CaseResult(
        number=number, passed=False, hidden=hidden, input=_files_text(given)[:1000], expected=given.expected[:1000],
        got=None, stdout="", error="not run: the script was stopped before", trace=(), ms=None,
    )  # fmt: skip


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _files_text(given: FileSet) -> str:
    return "\n".join(f"{name}:\n{text}" for name, text in given.files.items())


# -- help ------------------------------------------------------------------------------------------------------------


def solution_of(challenge: Challenge, language: LanguageName) -> tuple[LanguageName, str]:
    """The reference solution and its language: the wanted one, where it is written in that."""
    match challenge:
        case AnswerChallenge():
            return challenge.language, challenge.answer
        case FunctionChallenge() | TestChallenge() | SqlChallenge() | ShellChallenge():
            wanted: tuple[LanguageName, ...] = (language,)
            if language == "typescript":  # whose types are taken out before it runs: JavaScript is all there is of it
                wanted += ("javascript",)
            found = next((name for name in wanted if name in challenge.solutions), next(iter(challenge.solutions)))
            return found, challenge.solutions[found]


def explanation_of(challenge: Challenge) -> str:
    """Why the solution is one: for an answer its explanation, for code the way as the last hint tells it."""
    return challenge.explanation if isinstance(challenge, AnswerChallenge) else challenge.hints[-1]
