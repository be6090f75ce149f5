"""Challenges: choose one, start it, run and grade solutions, give hints, reveal, skip."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from app.errors import Conflict, NotFound
from app.learning import (
    attempt_log,
    choosing,
    grading,
    kinds,
    left_behind,
    own_input,
    progress,
    sitting,
    started,
)
from app.learning.attempt_log import Attempt
from app.learning.challenge_files import Challenge, best_language
from app.learning.curriculum import Curriculum
from app.learning.languages import LANGUAGES, known_language
from app.learning.languages.base import LanguageName
from app.learning.path import path_of
from app.learning.sandbox.probe import Isolation
from app.learning.sandbox.raw import RawRun
from app.learning.started import Started
from app.learning.stopping import Stoppable
from app.learning.submission import Revealed, Submission, Submissions
from app.storage.database import Database
from app.storage.tables.learning import started_challenges


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
        self.stoppable = Stoppable()
        self._submissions = Submissions(
            database=database, curriculum=curriculum, isolation=isolation, clock=clock, stoppable=self.stoppable
        )

    async def start(
        self, user_id: str, *, thread_id: str | None, challenge_id: str | None = None, concept: str | None = None,
        difficulty: str | None = None, language: str | None = None,
    ) -> Started:  # fmt: skip
        """Choose the next challenge, or take the one named, and put it into the learner's hand.

        Raises:
            InvalidInput: an unknown concept, difficulty or language, or one that is not offered or not installed.
            NotFound: no challenge has that id.
        """
        wanted = known_language(language) if language else None
        async with self._database.write() as connection:  # before anything is chosen by what is known
            await left_behind.settle(connection, self._database, self._curriculum, user_id, self._clock())
        if challenge_id is not None:
            choice = await self._taken(user_id, self._named(challenge_id))
        else:
            choice = await self.following(user_id, concept=concept, difficulty=difficulty, language=wanted)
        now = self._clock()
        one = self.new_start(choice, now=now, language=wanted)
        async with self._database.write() as connection:
            one = await started.begin(connection, one, user_id=user_id, thread_id=thread_id, session_id=None, now=now)
        self._wake()
        return one

    def offers(self, concept: str) -> bool:
        """Whether there is a challenge about a concept that can be solved here."""
        here = {name for name, spoken in LANGUAGES.items() if spoken.toolchain().path is not None}
        about = self._curriculum.challenges_about(concept)
        return self._isolation.sandbox is not None and any(here & set(challenge.languages) for challenge in about)

    def new_start(self, choice: choosing.Choice, *, now: datetime, language: LanguageName | None = None) -> Started:
        """A challenge that is about to be put into somebody's hand, in the language wanted, or the one
        that is due, or else the best one here.

        Raises:
            InvalidInput: it is not offered in that language, or the language is not installed.
        """
        best = language or best_language(choice.challenge, choice.language)
        return Started(
            id=uuid.uuid4().hex, challenge=choice.challenge, hints_shown=0, attempts=0, status="open",
            language=kinds.language_of(choice.challenge, best), is_check=choice.is_check, coached=0, started_at=now,
            card=self._curriculum.card_of(choice.challenge.concept, best),
        )  # fmt: skip

    async def following(
        self, user_id: str, *, concept: str | None = None, difficulty: str | None = None, language: str | None = None
    ) -> choosing.Choice:
        """The challenge that would be started next.

        Raises:
            InvalidInput: an unknown concept, difficulty or language, or nothing of the kind is there.
        """
        wanted = known_language(language) if language else None
        offered = choosing.candidates(self._curriculum, concept=concept, difficulty=difficulty, language=wanted)
        locked = frozenset[str]()
        if concept is None:
            steps = path_of(self._curriculum.concepts, await progress.overview(self._database, user_id), self._clock())
            locked = frozenset(step.concept.id for step in steps if step.why == "locked")
        async with self._database.read() as connection:
            learner = await choosing.learner_of(connection, user_id, self._clock())
        return choosing.choose(offered, learner, locked=locked)

    async def _taken(self, user_id: str, challenge: Challenge) -> choosing.Choice:
        """A challenge that was asked for by name; it may be what a concept waits for to be checked without help."""
        async with self._database.read() as connection:
            learner = await choosing.learner_of(connection, user_id, self._clock())
        return choosing.Choice(challenge=challenge, is_check=choosing.is_check(challenge, learner))

    def _named(self, challenge_id: str) -> Challenge:
        challenge = self._curriculum.challenge(challenge_id)
        if challenge is None:
            raise NotFound(f"There is no challenge {challenge_id!r}. See /challenge or GET /api/v1/challenges.")
        return challenge

    async def get(self, user_id: str, started_id: str) -> Started:
        """A started challenge of this learner.

        Raises:
            NotFound: it is not there, or somebody else's.
        """
        async with self._database.read() as connection:
            return await started.load(connection, self._curriculum, user_id, started_id)

    async def open_in_thread(self, user_id: str, thread_id: str) -> Started | None:
        """The challenge that was started last in a conversation, if it is still open."""
        return await self._newest(user_id, thread_id=thread_id, status="open")

    async def open_elsewhere(self, user_id: str, thread_id: str) -> list[Started]:
        """What this learner began in the last day in other conversations, and has in hand, newest first."""
        async with self._database.read() as connection:
            return await started.open_elsewhere(
                connection, self._curriculum, user_id, thread_id=thread_id, now=self._clock()
            )

    async def latest(self, user_id: str, challenge_id: str) -> Started | None:
        """The newest start of a challenge by this learner, whatever became of it."""
        return await self._newest(user_id, challenge_id=challenge_id)

    async def _newest(self, user_id: str, **where: str) -> Started | None:
        async with self._database.read() as connection:
            found = await started.newest(connection, user_id, **where)
            return None if found is None else await started.load(connection, self._curriculum, user_id, found)

    # -- solutions ---------------------------------------------------------------------------------------------

    async def run_examples(
        self, user_id: str, started_id: str, code: str, *, language: str | None = None
    ) -> grading.Graded:
        """Run a solution on the shown examples; nothing is recorded.

        Raises:
            NotFound, InvalidInput, SandboxUnavailable, SandboxFailed, Stopped.
        """
        one = await self.get(user_id, started_id)
        return await self._submissions.run_examples(user_id, one, code, language=language)

    async def run_on(
        self, user_id: str, challenge: Challenge, code: str, given: Mapping[str, str], *, language: str,
        started_id: str = "",
    ) -> RawRun:  # fmt: skip
        """Run a solution on the learner's own input, without a verdict; nothing is recorded.

        Raises:
            InvalidInput, SandboxUnavailable, Stopped.
        """
        spoken = kinds.language_of(challenge, known_language(language))
        running = own_input.run_on(self._isolation.for_owner(user_id), challenge, spoken.name, code, given)
        return await self.stoppable.run((user_id, started_id), running)

    def stop(self, user_id: str, started_id: str) -> None:
        """Stop what runs of a started challenge; nothing, where it has ended already."""
        self.stoppable.stop((user_id, started_id))

    async def submit(self, user_id: str, started_id: str, code: str, *, language: str | None = None) -> Submission:
        """Grade a solution on all cases and record the attempt; one that ends the sitting moves skill and card.

        Raises:
            NotFound: not this learner's challenge.
            Conflict: it was skipped, or its solution was shown; or the same was submitted just before.
            InvalidInput: the code cannot be a solution.
            SandboxUnavailable, SandboxFailed, Stopped: nothing was graded or recorded.
        """
        one = await self.get(user_id, started_id)
        submission = await self._submissions.submit(user_id, one, code, language=language)
        self._wake()
        return submission

    # -- help --------------------------------------------------------------------------------------------------

    async def hint(self, user_id: str, started_id: str) -> Started:
        """Show the next hint of the ladder; after the last one nothing changes.

        Raises:
            NotFound: not this learner's challenge.
            Conflict: it is a check, which is done without help.
        """
        one = await self.get(user_id, started_id)
        if one.is_check:
            raise Conflict("This one shows what you can do without help, so it has no hints. Skip it, or reveal it.")
        if one.hints_shown >= len(one.challenge.hints) or one.status != "open":
            return one
        now = self._clock()
        async with self._database.write() as connection:
            updated = await connection.execute(
                started_challenges.update()
                .where(started_challenges.c.id == one.id, started_challenges.c.hints_shown == one.hints_shown)
                .values(hints_shown=one.hints_shown + 1)
            )
            if updated.rowcount:
                level = {"level": one.hints_shown + 1}
                await started.note(connection, "challenge.hinted", one, user_id, now, level)
        self._wake()
        return await self.get(user_id, started_id)

    async def reveal(self, user_id: str, started_id: str) -> Revealed:
        """Show a solution. It costs the card, and a challenge like it comes back later, without help.

        Raises:
            NotFound: not this learner's challenge.
            Conflict: it was skipped before.
        """
        one = await self.get(user_id, started_id)
        if one.status == "skipped":
            raise Conflict("This challenge was skipped. Start another one with /challenge.")
        now = self._clock()
        async with self._database.write() as connection:
            await progress.lock(connection, user_id)
            one = await started.load(connection, self._curriculum, user_id, started_id)
            if await started.end(connection, one.id, "revealed", now):
                change = await sitting.finish(
                    connection, self._database, user_id=user_id, started_one=one, ending="revealed", score=0, now=now
                )
            else:
                change = await progress.standing(connection, user_id, one.challenge.concept, why="counted already")
        self._wake()
        language, solution = kinds.solution_of(one.challenge, one.language.name)
        return Revealed(
            started=await self.get(user_id, one.id), language=language, solution=solution,
            explanation=kinds.explanation_of(one.challenge), change=change,
        )  # fmt: skip

    async def skip(self, user_id: str, started_id: str) -> Started:
        """Put a challenge aside. Untouched, it leaves skill and card as they are; after attempts it counts as given up.

        Raises:
            NotFound: not this learner's challenge.
            Conflict: it has ended already.
        """
        one = await self.get(user_id, started_id)
        now = self._clock()
        async with self._database.write() as connection:
            await progress.lock(connection, user_id)
            one = await started.load(connection, self._curriculum, user_id, started_id)
            if not await started.end(connection, one.id, "skipped", now):
                raise Conflict("This challenge is not open any more. Start another one with /challenge.")
            await started.note(connection, "challenge.skipped", one, user_id, now, {})
            if one.attempts:
                await sitting.finish(
                    connection, self._database, user_id=user_id, started_one=one, ending="given up", score=0, now=now
                )
        self._wake()
        return await self.get(user_id, started_id)

    async def attempts_of(
        self, user_id: str, *, concept: str | None = None, before: str | None = None, limit: int = 50
    ) -> list[dict[str, Any]]:  # Any: a row for people
        """A learner's attempts, newest first, without code; those at one concept, and those before another attempt,
        where they are given.

        Raises:
            InvalidInput: ``before`` is no attempt of this learner.
        """
        about = None if concept is None else [one.id for one in self._curriculum.challenges_about(concept)]
        async with self._database.read() as connection:
            return await attempt_log.newest_first(connection, user_id, challenge_ids=about, before=before, limit=limit)

    async def titles(self, user_id: str, started_ids: Sequence[str]) -> dict[str, str]:
        """What the challenges are called that this learner started, of those that are still in the pool."""
        query = sa.select(started_challenges.c.id, started_challenges.c.challenge_id).where(
            started_challenges.c.user_id == user_id, started_challenges.c.id.in_(started_ids)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        known = {row.id: self._curriculum.challenge(row.challenge_id) for row in rows}
        return {started_id: challenge.title for started_id, challenge in known.items() if challenge is not None}

    async def newest_attempts(self, user_id: str, started_id: str, *, limit: int) -> list[Attempt]:
        """What was submitted last to a started challenge, newest first."""
        async with self._database.read() as connection:
            return await attempt_log.newest(connection, user_id, started_id, limit=limit)

    async def note_coached(self, user_id: str, one: Started, *, by: str) -> None:
        """Write down that the coach spoke; a model's words are help."""
        async with self._database.write() as connection:
            if by == "model":
                await started.count_coached(connection, one.id)
            await started.note(connection, "coach.feedback-given", one, user_id, self._clock(), {"kind": by})
        self._wake()
