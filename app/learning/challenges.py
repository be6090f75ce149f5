"""Challenges: choose one, start it, run and grade solutions, give hints, skip."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import Conflict, InvalidInput, NotFound
from app.events import log as event_log
from app.events.schema import NewEvent
from app.learning import coach, grading, mastery, progress, scheduler
from app.learning.curriculum import DIFFICULTIES, Challenge, Curriculum
from app.learning.languages import LANGUAGES, language_named
from app.learning.languages.base import Language
from app.learning.mastery import Skill
from app.learning.sandbox.probe import Isolation
from app.storage.database import Database
from app.storage.tables.learning import attempts, cards, started_challenges

AIM = 0.75  # the chance of success that the next challenge aims at
RECENT = 12


@dataclass(frozen=True, kw_only=True)
class Started:
    """A challenge that a learner has in hand."""

    id: str
    challenge: Challenge
    language: Language
    hints_shown: int
    attempts: int
    status: str

    @property
    def hints(self) -> tuple[str, ...]:
        return self.challenge.hints[: self.hints_shown]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A graded attempt. ``change`` is there for the first attempt at a started challenge, which alone is rated."""

    started: Started
    attempt_id: str
    graded: grading.Graded
    score: int
    feedback: str
    change: progress.Change | None


class ChallengeService:
    def __init__(
        self, *, database: Database, curriculum: Curriculum, isolation: Isolation,
        clock: Callable[[], datetime], wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self._database = database
        self._curriculum = curriculum
        self._isolation = isolation
        self._clock = clock
        self._wake = wake

    async def start(
        self, user_id: str, *, thread_id: str | None, challenge_id: str | None = None, concept: str | None = None,
        difficulty: str | None = None, language: str | None = None,
    ) -> Started:  # fmt: skip
        """Choose the next challenge, or take the one named, and put it into the learner's hand.

        Raises:
            InvalidInput: an unknown concept, difficulty or language, or one without its toolchain.
            NotFound: no challenge has that id.
        """
        spoken = _usable_language(language or "python")
        if challenge_id is None:
            challenge = await self._next(user_id, concept, difficulty)
        else:
            challenge = self._named(challenge_id)
        started = Started(
            id=uuid.uuid4().hex, challenge=challenge, language=spoken, hints_shown=0, attempts=0, status="open"
        )
        now = self._clock()
        async with self._database.write() as connection:
            await connection.execute(
                started_challenges.insert().values(
                    id=started.id,
                    user_id=user_id,
                    challenge_id=challenge.id,
                    language=spoken.name,
                    thread_id=thread_id,
                    status="open",
                    started_at=now,
                )
            )
            await self._note(connection, "challenge.started", started, user_id, {"language": spoken.name})
        self._wake()
        return started

    def _named(self, challenge_id: str) -> Challenge:
        challenge = self._curriculum.challenge(challenge_id)
        if challenge is None:
            raise NotFound(f"There is no challenge {challenge_id!r}. See /challenge or GET /api/v1/challenges.")
        return challenge

    async def _next(self, user_id: str, concept: str | None, difficulty: str | None) -> Challenge:
        candidates = self._candidates(concept, difficulty)
        async with self._database.read() as connection:
            skills = await progress.skills_of(connection, user_id)
            recent = await _recent(connection, user_id)
            due = await _due_concepts(connection, user_id, self._clock())
        return choose(candidates, skills=skills, recent=recent, due=due, aim_by_rating=difficulty is None)

    def _candidates(self, concept: str | None, difficulty: str | None) -> list[Challenge]:
        if difficulty is not None and difficulty not in DIFFICULTIES:
            raise InvalidInput(f"{difficulty!r} is not a difficulty. Say one of: {', '.join(DIFFICULTIES)}.")
        found = [
            challenge
            for challenge in self._curriculum.challenges
            if concept in (None, challenge.concept) and difficulty in (None, challenge.difficulty)
        ]
        if not found:
            about = ", ".join(sorted({c.concept for c in self._curriculum.challenges}))
            raise InvalidInput(f"There is no such challenge about {concept!r} yet. There are some about: {about}.")
        return found

    async def get(self, user_id: str, started_id: str) -> Started:
        """A started challenge of this learner.

        Raises:
            NotFound: it is not there, or somebody else's.
        """
        async with self._database.read() as connection:
            return await self._load(connection, user_id, started_id)

    async def open_in_thread(self, user_id: str, thread_id: str) -> Started | None:
        """The challenge that was started last in a conversation, if it is still open."""
        query = (
            sa.select(started_challenges.c.id)
            .where(
                started_challenges.c.user_id == user_id,
                started_challenges.c.thread_id == thread_id,
                started_challenges.c.status == "open",
            )
            .order_by(started_challenges.c.started_at.desc())
            .limit(1)
        )
        async with self._database.read() as connection:
            found = await connection.scalar(query)
            return None if found is None else await self._load(connection, user_id, found)

    async def latest(self, user_id: str, challenge_id: str) -> Started | None:
        """The newest start of a challenge by this learner, whatever became of it."""
        query = (
            sa.select(started_challenges.c.id)
            .where(started_challenges.c.user_id == user_id, started_challenges.c.challenge_id == challenge_id)
            .order_by(started_challenges.c.started_at.desc())
            .limit(1)
        )
        async with self._database.read() as connection:
            found = await connection.scalar(query)
            return None if found is None else await self._load(connection, user_id, found)

    async def run_examples(
        self, user_id: str, started_id: str, code: str, *, language: str | None = None
    ) -> grading.Graded:
        """Run a solution on the shown examples; nothing is recorded.

        Raises:
            NotFound, InvalidInput, SandboxUnavailable, SandboxFailed.
        """
        started = await self.get(user_id, started_id)
        spoken = _usable_language(language) if language else started.language
        examples = [case for case in started.challenge.all_cases() if not case.hidden]
        return await grading.grade(
            self._isolation.require(), spoken, code, signature=started.challenge.signature, cases=examples
        )

    async def submit(self, user_id: str, started_id: str, code: str, *, language: str | None = None) -> Submission:
        """Grade a solution on all cases, record the attempt, and rate skill and card by the first one.

        Raises:
            NotFound: not this learner's challenge.
            Conflict: it was skipped.
            InvalidInput: the code cannot be a solution.
            SandboxUnavailable, SandboxFailed: nothing was graded or recorded.
        """
        started = await self.get(user_id, started_id)
        if started.status == "skipped":
            raise Conflict("This challenge was skipped. Start another one with /challenge.")
        spoken = _usable_language(language) if language else started.language
        graded = await grading.grade(
            self._isolation.require(), spoken, code,
            signature=started.challenge.signature, cases=started.challenge.all_cases(),
        )  # fmt: skip
        return await self._record(user_id, started, spoken, code, graded)

    async def _record(
        self, user_id: str, started: Started, language: Language, code: str, graded: grading.Graded
    ) -> Submission:
        now = self._clock()
        attempt_id = uuid.uuid4().hex
        passed = graded.verdict == "passed"
        async with self._database.write() as connection:
            row = await self._count_attempt(connection, started.id, passed=passed, now=now)
            score = grading.score(graded, hints=row.hints_shown, earlier_attempts=row.attempts - 1)
            await connection.execute(
                attempts.insert().values(
                    id=attempt_id, user_id=user_id, started_id=started.id, challenge_id=started.challenge.id,
                    language=language.name, code=code, verdict=graded.verdict, score=score, wall_ms=graded.wall_ms,
                    result=graded.to_json(), created_at=now,
                )
            )  # fmt: skip
            change = None
            if row.attempts == 1:
                change = await progress.record(
                    connection, self._database, user_id=user_id, concept=started.challenge.concept,
                    challenge_rating=started.challenge.rating, outcome=score / 100 if passed else 0.0,
                    grade=scheduler.grade_of(passed=passed, score=score, first_try=True), now=now,
                )  # fmt: skip
            await self._note(
                connection, "challenge.submitted", started, user_id,
                {"language": language.name, "verdict": graded.verdict, "score": score},
            )  # fmt: skip
            outcome = {"concept": started.challenge.concept, "score": score, "verdict": graded.verdict,
                       "attempt": row.attempts}  # fmt: skip
            await self._note(
                connection, "challenge.passed" if passed else "challenge.failed", started, user_id, outcome
            )
            await self._note(connection, "coach.feedback-given", started, user_id, {"kind": graded.verdict})
        self._wake()
        after = await self.get(user_id, started.id)
        return Submission(
            started=after, attempt_id=attempt_id, graded=graded, score=score,
            feedback=coach.feedback(graded, score), change=change,
        )  # fmt: skip

    async def _count_attempt(
        self, connection: AsyncConnection, started_id: str, *, passed: bool, now: datetime
    ) -> sa.Row[tuple[int, int]]:
        changes: dict[str, Any] = {"attempts": started_challenges.c.attempts + 1}  # Any: columns of several types
        if passed:
            changes |= {"status": "passed", "ended_at": sa.func.coalesce(started_challenges.c.ended_at, now)}
        counted = await connection.execute(
            started_challenges.update()
            .where(started_challenges.c.id == started_id)
            .values(**changes)
            .returning(started_challenges.c.attempts, started_challenges.c.hints_shown)
        )
        return counted.one()

    async def hint(self, user_id: str, started_id: str) -> Started:
        """Show the next hint of the ladder; after the last one nothing changes.

        Raises:
            NotFound: not this learner's challenge.
        """
        started = await self.get(user_id, started_id)
        if started.hints_shown >= len(started.challenge.hints):
            return started
        async with self._database.write() as connection:
            updated = await connection.execute(
                started_challenges.update()
                .where(started_challenges.c.id == started.id, started_challenges.c.hints_shown == started.hints_shown)
                .values(hints_shown=started.hints_shown + 1)
            )
            if updated.rowcount:
                await self._note(connection, "challenge.hinted", started, user_id, {"level": started.hints_shown + 1})
        self._wake()
        return await self.get(user_id, started_id)

    async def skip(self, user_id: str, started_id: str) -> Started:
        """Put a challenge aside: its card is due again soon, its skill keeps its rating.

        Raises:
            NotFound: not this learner's challenge.
            Conflict: it is passed or skipped already.
        """
        started = await self.get(user_id, started_id)
        now = self._clock()
        async with self._database.write() as connection:
            updated = await connection.execute(
                started_challenges.update()
                .where(started_challenges.c.id == started.id, started_challenges.c.status == "open")
                .values(status="skipped", ended_at=now)
            )
            if updated.rowcount == 0:
                raise Conflict("This challenge is not open any more. Start another one with /challenge.")
            await self._note(connection, "challenge.skipped", started, user_id, {})
        self._wake()
        return await self.get(user_id, started_id)

    async def attempts_of(self, user_id: str, *, limit: int = 50) -> list[dict[str, Any]]:  # Any: a row for people
        """A learner's attempts, newest first, without code."""
        query = (
            sa.select(
                attempts.c.id, attempts.c.challenge_id, attempts.c.language, attempts.c.verdict, attempts.c.score,
                attempts.c.wall_ms, attempts.c.created_at,
            )
            .where(attempts.c.user_id == user_id)
            .order_by(attempts.c.created_at.desc())
            .limit(limit)
        )  # fmt: skip
        async with self._database.read() as connection:
            return [dict(row._mapping) for row in await connection.execute(query)]

    async def _load(self, connection: AsyncConnection, user_id: str, started_id: str) -> Started:
        row = (
            await connection.execute(
                sa.select(started_challenges).where(
                    started_challenges.c.id == started_id, started_challenges.c.user_id == user_id
                )
            )
        ).first()
        challenge = self._curriculum.challenge(row.challenge_id) if row else None
        if row is None or challenge is None:
            raise NotFound("This challenge is not there. Start one with /challenge.")
        return Started(
            id=row.id, challenge=challenge, language=LANGUAGES[row.language], hints_shown=row.hints_shown,
            attempts=row.attempts, status=row.status,
        )  # fmt: skip

    async def _note(
        self, connection: AsyncConnection, event_type: str, started: Started, user_id: str, payload: dict[str, Any]
    ) -> None:  # Any: JSON
        await event_log.append(
            connection,
            NewEvent(type=event_type, key=started.id, user_id=user_id, occurred_at=self._clock(),
                     payload={"challengeId": started.challenge.id, **payload}),
        )  # fmt: skip


def choose(
    candidates: Sequence[Challenge],
    *,
    skills: dict[str, Skill],
    recent: Sequence[str],
    due: Sequence[str],
    aim_by_rating: bool,
) -> Challenge:
    """The next challenge: one not seen lately, of a concept that is due, with a chance of success nearest to 0.75.

    Where a difficulty was asked for, the chance does not decide. Ties go to the smaller id, so that it is repeatable.
    """
    places = {challenge_id: place for place, challenge_id in enumerate(recent)}

    def key(challenge: Challenge) -> tuple[int, bool, float, str]:
        seen = places.get(challenge.id)
        expected = mastery.chance(skills.get(challenge.concept, Skill()), challenge.rating)
        distance = abs(expected - AIM) if aim_by_rating else 0.0
        return (0 if seen is None else RECENT - seen, challenge.concept not in due, distance, challenge.id)

    return min(candidates, key=key)


def _usable_language(name: str) -> Language:
    language = language_named(name)
    if language is None:
        raise InvalidInput(f"{name!r} is not a language for challenges. Say one of: {', '.join(LANGUAGES)}.")
    toolchain = language.toolchain()
    if toolchain.path is None:
        raise InvalidInput(f"{language.title} is not installed here. {toolchain.remedy}")
    return language


async def _recent(connection: AsyncConnection, user_id: str) -> list[str]:
    """The challenges started last, newest first."""
    rows = await connection.scalars(
        sa.select(started_challenges.c.challenge_id)
        .where(started_challenges.c.user_id == user_id)
        .order_by(started_challenges.c.started_at.desc())
        .limit(RECENT)
    )
    return list(dict.fromkeys(rows))


async def _due_concepts(connection: AsyncConnection, user_id: str, now: datetime) -> list[str]:
    rows = await connection.scalars(
        sa.select(cards.c.concept).where(cards.c.user_id == user_id, cards.c.due_at <= now).order_by(cards.c.due_at)
    )
    return list(rows)
