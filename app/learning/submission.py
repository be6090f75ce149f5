"""Submissions: a solution is graded, recorded, and ends the sitting where it is right."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import Conflict
from app.learning import attempt_log, coach, code_quality, grading, kinds, not_a_solution, progress, sitting, started
from app.learning.challenge_files import AnswerChallenge
from app.learning.code_text import as_code
from app.learning.curriculum import Curriculum
from app.learning.languages import known_language
from app.learning.languages.base import Language
from app.learning.mistakes import KnownMistakes
from app.learning.sandbox.probe import Isolation
from app.learning.sandbox.program import Sandbox
from app.learning.score import Score, Signals, score
from app.learning.started import Started
from app.learning.stopping import Stoppable
from app.storage.database import Database
from app.storage.tables.learning import attempts, started_challenges

MOST_ANSWERS = 2  # tries at predicting or choosing an answer: more would be guessing
UNISOLATED = "(This ran without isolation.)"
STILL_OPEN = "counted once you solve it or give it up"


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A graded attempt. ``change`` says what it did to mastery, or that it did nothing yet."""

    started: Started
    attempt_id: str
    graded: grading.Graded
    score: Score
    feedback: str
    change: progress.Change


@dataclass(frozen=True, kw_only=True)
class Revealed:
    """The reference solution, in the language that the learner chose where there is one."""

    started: Started
    language: str
    solution: str
    explanation: str
    change: progress.Change


class Submissions:
    def __init__(
        self, *, database: Database, curriculum: Curriculum, isolation: Isolation, clock: Callable[[], datetime],
        stoppable: Stoppable,
    ) -> None:  # fmt: skip
        self._database = database
        self._curriculum = curriculum
        self._isolation = isolation
        self._clock = clock
        self._mistakes = KnownMistakes()
        self._stoppable = stoppable
        self._in_flight: set[tuple[str, str]] = set()

    async def run_examples(self, user_id: str, one: Started, code: str, *, language: str | None) -> grading.Graded:
        """Run a solution on the shown examples; nothing is recorded."""
        spoken = _spoken(one, language)
        running = kinds.grade_examples(self._sandbox_of(user_id), one.challenge, spoken.name, code)
        return self._labelled(one, await self._stoppable.run((user_id, one.id), running))

    async def submit(self, user_id: str, one: Started, code: str, *, language: str | None) -> Submission:
        """Grade a solution on all cases and record the attempt."""
        if one.status not in ("open", "passed"):
            raise Conflict(f"This challenge was {_ENDED[one.status]}. Start another one with /challenge.")
        spoken = _spoken(one, language)
        not_a_solution.check(one.challenge, spoken.name, code)
        one = replace(one, language=spoken, card=self._curriculum.card_of(one.challenge.concept, spoken.name))
        with self._grading_once(one.id, code):
            return await self._grade(user_id, one, code)

    @contextmanager
    def _grading_once(self, started_id: str, code: str) -> Iterator[None]:
        """The same sent twice at once is graded once."""
        key = (started_id, code)
        if key in self._in_flight:
            raise Conflict("You sent just this a moment ago, and it is being graded.")
        self._in_flight.add(key)
        try:
            yield
        finally:
            self._in_flight.discard(key)

    async def _grade(self, user_id: str, one: Started, code: str) -> Submission:
        spoken = one.language
        grading_it = kinds.grade_challenge(self._sandbox_of(user_id), one.challenge, spoken.name, code)
        graded = replace(await self._stoppable.run((user_id, one.id), grading_it), stderr="")
        graded = self._labelled(one, graded)
        signals = None
        if graded.verdict == "passed":
            signals = await code_quality.measure(one.challenge, spoken.name, as_code(code))
        means = await self._mistakes.means(self._sandbox_of(user_id), one.challenge, spoken.name, graded)
        return await self._record(user_id, one, code, graded, signals, means)

    def _sandbox_of(self, user_id: str) -> Callable[[], Sandbox]:
        return lambda: self._isolation.for_owner(user_id)

    def _labelled(self, one: Started, graded: grading.Graded) -> grading.Graded:
        """The same, which says so where code ran without isolation."""
        sandbox = self._isolation.sandbox
        if sandbox is None or sandbox.is_isolated or isinstance(one.challenge, AnswerChallenge):
            return graded
        return replace(graded, isolated=False, message=f"{graded.message} {UNISOLATED}")

    async def _record(
        self, user_id: str, one: Started, code: str, graded: grading.Graded, signals: Signals | None, means: str | None
    ) -> Submission:
        now = self._clock()
        attempt_id = uuid.uuid4().hex
        passed = graded.verdict == "passed"
        async with self._database.write() as connection:
            await progress.lock(connection, user_id)
            if await attempt_log.repeats(connection, user_id, one.id, code=code, language=one.language.name):
                raise Conflict("You submitted just this already, and it counted once. Change something first.")
            one = await self._count_attempt(connection, one)
            tries, since = await sitting.tries_of(connection, user_id, one, now)
            points = score(
                passed=graded.passed, cases=max(1, len(graded.cases)), attempts=tries, hints=one.hints_shown,
                coached=one.coached, seconds=(now - since).total_seconds(), minutes=one.challenge.minutes,
                signals=signals,
            )  # fmt: skip
            feedback = coach.feedback(graded, points.total, kind=one.challenge.kind, means=means)
            await connection.execute(
                attempts.insert().values(
                    id=attempt_id, user_id=user_id, started_id=one.id, challenge_id=one.challenge.id,
                    language=one.language.name, code=code, verdict=graded.verdict, score=points.total,
                    wall_ms=graded.wall_ms, result={**graded.to_json(), "feedback": feedback},
                    created_at=await attempt_log.next_at(connection, one.id, now),
                )
            )  # fmt: skip
            details = {
                "language": one.language.name, "verdict": graded.verdict, "score": points.total,
                "attempt": one.attempts, "aided": one.is_aided, "check": one.is_check, "thread": one.thread_id,
            }  # fmt: skip
            await started.note(connection, "challenge.submitted", one, user_id, now, details)
            if one.status == "open":  # what comes after a solution is practice: it counts for nothing more
                kind = "challenge.passed" if passed else "challenge.failed"
                await started.note(connection, kind, one, user_id, now, details)
            await started.note(connection, "coach.feedback-given", one, user_id, now, {"kind": graded.verdict})
            change = await self._settle(connection, user_id, one, passed=passed, score=points.total, now=now)
            now_in_hand = await started.load(connection, self._curriculum, user_id, one.id)
        return Submission(
            started=now_in_hand, attempt_id=attempt_id, graded=graded, score=points,
            feedback=feedback, change=change,
        )  # fmt: skip

    async def _count_attempt(self, connection: AsyncConnection, one: Started) -> Started:
        counted = await connection.execute(
            started_challenges.update()
            .where(started_challenges.c.id == one.id, started_challenges.c.status.in_(("open", "passed")))
            .values(attempts=started_challenges.c.attempts + 1, language=one.language.name)
            .returning(
                started_challenges.c.attempts, started_challenges.c.hints_shown, started_challenges.c.coached,
                started_challenges.c.status,
            )
        )  # fmt: skip
        row = counted.first()
        if row is None:
            raise Conflict("This challenge ended while your code was graded. Start another one with /challenge.")
        return replace(one, attempts=row.attempts, hints_shown=row.hints_shown, coached=row.coached, status=row.status)

    async def _settle(
        self, connection: AsyncConnection, user_id: str, one: Started, *, passed: bool, score: int, now: datetime
    ) -> progress.Change:
        """End the sitting where this attempt ends it: solved, or the last answer that may be tried."""
        tries, _ = await sitting.tries_of(connection, user_id, one, now)
        out_of_tries = isinstance(one.challenge, AnswerChallenge) and tries >= MOST_ANSWERS
        if passed and await started.end(connection, one.id, "passed", now):
            return await sitting.finish(
                connection, self._database, user_id=user_id, started_one=one, ending="solved", score=score, now=now
            )
        if not passed and out_of_tries and await started.end(connection, one.id, "failed", now):
            return await sitting.finish(
                connection, self._database, user_id=user_id, started_one=one, ending="failed", score=score, now=now
            )
        why = "counted already" if passed or one.status == "passed" else STILL_OPEN
        return await progress.standing(connection, user_id, one.challenge.concept, why=why)


_ENDED = {"skipped": "put aside", "revealed": "given up: its solution was shown", "failed": "ended"}


def _spoken(one: Started, language: str | None) -> Language:
    if language is None:
        return one.language
    return kinds.language_of(one.challenge, known_language(language))
