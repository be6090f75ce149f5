"""Recognises mistakes that a challenge's file lists, by what they give: no model, and no guess."""

import secrets
from collections.abc import Callable

from app.errors import RateLimited, SandboxFailed
from app.learning import grading, kinds
from app.learning.challenge_files import Challenge, FunctionChallenge, ShellChallenge, SqlChallenge
from app.learning.grading import Graded
from app.learning.languages import FUNCTION_LANGUAGES, LANGUAGES
from app.learning.languages.base import LanguageName
from app.learning.sandbox.program import Sandbox

Results = tuple[str | None, ...]
MOST_KEPT = 2000


class KnownMistakes:
    """The results of the listed mistakes, each run once, when a submission first fails in a challenge."""

    def __init__(self) -> None:
        self._results: dict[tuple[str, str, LanguageName], Results] = {}

    async def means(
        self, sandbox: Callable[[], Sandbox], challenge: Challenge, language: LanguageName, graded: Graded
    ) -> str | None:
        """What the listed mistake means that fails the same cases with the same results; None if none does."""
        if not isinstance(challenge, FunctionChallenge | SqlChallenge | ShellChallenge):
            return None
        recognised = ("failed", "error") if isinstance(challenge, FunctionChallenge) else ("failed",)
        if graded.verdict not in recognised:
            return None
        own = _wrong_results(graded, language)
        try:
            for mistake in challenge.mistakes:
                if own == await self._results_of(sandbox, challenge, mistake.code, language):
                    return mistake.means
        except (RateLimited, SandboxFailed):
            pass  # the verdict stands without it
        return None

    async def _results_of(
        self, sandbox: Callable[[], Sandbox], challenge: FunctionChallenge | SqlChallenge | ShellChallenge, code: str,
        language: LanguageName,
    ) -> Results:  # fmt: skip
        key = (challenge.id, code, language)
        found = self._results.get(key)
        if found is None:
            if isinstance(challenge, FunctionChallenge):
                graded = await _grade_python(sandbox(), challenge, code, show=LANGUAGES[language].show)
            else:
                graded = await kinds.grade_challenge(sandbox, challenge, language, code)
            found = _wrong_results(graded, language)
            if len(self._results) < MOST_KEPT:
                self._results[key] = found
        return found


def _wrong_results(graded: Graded, language: LanguageName) -> Results:
    """What each case that failed gave: its value, or in Python, where the mistakes are written, the kind of its error;
    None for a case that passed."""
    return tuple(
        None if case.passed
        else f"gave {case.got}" if case.error is None
        else f"raised {case.error.partition(':')[0] if language == 'python' else ''}"
        for case in graded.cases
    )  # fmt: skip


async def _grade_python(sandbox: Sandbox, challenge: FunctionChallenge, code: str, *, show: grading.Shower) -> Graded:
    """Mistakes are written in Python; their results are compared as the learner's language writes them."""
    python, cases, nonce = FUNCTION_LANGUAGES["python"], challenge.all_cases(), secrets.token_hex(8)
    program = python.program(sandbox, code, challenge.signature, [case.arguments for case in cases], nonce=nonce)
    run = await grading.run_program(sandbox, program)
    shown = grading.shown_cases(python, challenge.signature, cases, any_order=challenge.any_order)
    return grading.judge(run, shown, nonce=nonce, show=show)
