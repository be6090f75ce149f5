"""Training sessions: questions and challenges about some concepts, chosen one by one by how well the last ones went."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import Conflict, InvalidInput
from app.events import log as event_log
from app.events.schema import NewEvent
from app.learning import answering, interleaving, left_behind, mastery, plans, progress, sessions, started
from app.learning.challenges import ChallengeService
from app.learning.curriculum import Curriculum
from app.learning.interleaving import Kind, Offer
from app.learning.mastery import Skill
from app.learning.path import WEAK_MASTERY, path_of
from app.learning.sessions import Asked, InHand, Session
from app.storage.database import Database
from app.storage.tables.learning import started_challenges, training_answers, training_sessions

DEFAULT_ITEMS, MOST_ITEMS = 6, 20
Json = dict[str, Any]  # Any: JSON


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A session after a step; ``changes`` are what its end did to mastery."""

    session: Session
    changes: tuple[progress.Change, ...]


@dataclass(frozen=True, kw_only=True)
class Marked(Moved):
    """What became of one answer, and the session after it."""

    correct: bool
    right_answer: str
    explanation: str


class TrainingService:
    def __init__(
        self, *, database: Database, curriculum: Curriculum, challenges: ChallengeService,
        clock: Callable[[], datetime], wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self._database = database
        self._curriculum = curriculum
        self._challenges = challenges
        self._clock = clock
        self._wake = wake

    async def start(
        self, user_id: str, *, thread_id: str | None, concepts: Sequence[str] = (), count: int | None = None,
        with_challenges: bool | None = None, today: date | None = None,
    ) -> Session:  # fmt: skip
        """Begin a session. Without concepts it is the one that a plan has for ``today`` (the learner's), or mixes what
        is due, weak and new. A count without more means that many questions; otherwise challenges are among the items.
        A session that is open in the same conversation is paused.

        Raises:
            InvalidInput: an unknown concept, or a count that is not from 1 to 20.
        """
        wanted = count if count is not None else DEFAULT_ITEMS
        if not 1 <= wanted <= MOST_ITEMS:
            raise InvalidInput(f"A session has 1 to {MOST_ITEMS} questions, not {wanted}.")
        mixes = count is None if with_challenges is None else with_challenges
        await self._settle(user_id)
        planned = await plans.due(self._database, user_id, today) if today is not None and not concepts else None
        chosen = list(dict.fromkeys(concepts)) or (list(planned.concepts) if planned else await self._mixed(user_id))
        self._check_concepts(chosen)
        session_id = uuid.uuid4().hex
        if planned is not None and count is None:  # each of its concepts has a turn
            wanted = min(MOST_ITEMS, max(wanted, len(chosen)))
        length = min(wanted, self._most(chosen, with_challenges=mixes))
        async with self._database.write() as connection:
            if thread_id is not None:
                await sessions.set_status(connection, "paused", user_id=user_id, thread_id=thread_id, status="open")
            await connection.execute(
                training_sessions.insert().values(
                    id=session_id, user_id=user_id, thread_id=thread_id, concepts=chosen, items=[], asked=0,
                    length=length, with_challenges=mixes, status="open", started_at=self._clock(),
                )
            )  # fmt: skip
            if planned is not None:
                await plans.take(connection, planned, session_id)
            payload = {"concepts": chosen, "questions": length}
            await self._note(connection, "training.started", session_id, user_id, payload)
        self._wake()
        return (await self.go_on(user_id, session_id)).session

    async def get(self, user_id: str, session_id: str) -> Session:
        """A session of this learner.

        Raises:
            NotFound: it is not there, or somebody else's.
        """
        async with self._database.read() as connection:
            return await sessions.load(connection, self._curriculum, user_id, session_id)

    async def open_in_thread(self, user_id: str, thread_id: str) -> Session | None:
        """The session that runs in a conversation, if one does."""
        return await self._newest(user_id, thread_id=thread_id, status="open")

    async def unfinished(self, user_id: str) -> list[Session]:
        """Sessions that can be gone on with, newest first, 10 at most."""
        query = (
            sa.select(training_sessions.c.id)
            .where(training_sessions.c.user_id == user_id, training_sessions.c.status != "ended")
            .order_by(training_sessions.c.started_at.desc())
            .limit(10)
        )
        async with self._database.read() as connection:
            ids = list(await connection.scalars(query))
            return [await sessions.load(connection, self._curriculum, user_id, one) for one in ids]

    async def answer(self, user_id: str, session_id: str, text: str, *, question_id: str | None = None) -> Marked:
        """Mark an answer (a letter, a number or the words of a choice) to the current question and go on.

        Raises:
            NotFound: not this learner's session.
            Conflict: it has ended or is paused, this question was answered already, or a challenge comes first.
            InvalidInput: the text names none of the choices.
        """
        session = await self.get(user_id, session_id)
        asked = session.current
        if session.status != "open":
            raise Conflict("This session has ended." if session.status == "ended" else PAUSED)
        if isinstance(asked, InHand):
            raise Conflict("A challenge comes first: solve it, skip it or reveal it, then say /train next.")
        if asked is None or (question_id is not None and question_id != asked.question_id):
            raise Conflict("This question is answered already, or is none of this session.")
        choice = sessions.chosen_of(text, asked.choices)
        if choice is None:
            letters = ", ".join("ABCDEFGH"[: len(asked.choices)])
            raise InvalidInput(f"That is none of the choices. Answer with one of {letters}.")
        _, question = sessions.question_of(self._curriculum, asked.question_id)
        correct = asked.choices[choice] == question.answer
        await self._store(user_id, session, asked, answer=asked.choices[choice], correct=correct)
        moved = await self.go_on(user_id, session_id)
        return Marked(
            correct=correct, right_answer=question.answer, explanation=question.explanation, session=moved.session,
            changes=moved.changes,
        )  # fmt: skip

    async def go_on(self, user_id: str, session_id: str) -> Moved:
        """Ask the next item where none is waiting, or end the session where nothing is left; else change nothing.

        Raises:
            NotFound: not this learner's session.
        """
        session = await self.get(user_id, session_id)
        changes: tuple[progress.Change, ...] = ()
        if session.status == "open" and session.current is None:
            following = interleaving.next_item(
                session.done, await self._offers(user_id, session), length=session.length
            )
            if following is None:
                async with self._database.write() as connection:
                    changes = await self._end(connection, user_id, session)
            else:
                await self._ask(user_id, session, following)
            self._wake()
        return Moved(session=await self.get(user_id, session_id), changes=changes)

    async def pause(self, user_id: str, session_id: str) -> Session:
        """Put a session aside; nothing of it is lost, and no answer is taken until it goes on.

        Raises:
            NotFound: not this learner's session.
            Conflict: it has ended.
        """
        session = await self.get(user_id, session_id)
        if session.status == "ended":
            raise Conflict("This session has ended.")
        async with self._database.write() as connection:
            await sessions.set_status(connection, "paused", user_id=user_id, id=session_id, status="open")
        return await self.get(user_id, session_id)

    async def resume(self, user_id: str, session_id: str, *, thread_id: str | None = None) -> Session:
        """Go on with a session, in the conversation given; one that is open there is paused.

        Raises:
            NotFound: not this learner's session.
            Conflict: it has ended.
        """
        session = await self.get(user_id, session_id)
        if session.status == "ended":
            raise Conflict("This session has ended. Start another one with /train.")
        await self._settle(user_id, going_on_with=session_id)
        async with self._database.write() as connection:
            if thread_id is not None:
                await sessions.set_status(connection, "paused", user_id=user_id, thread_id=thread_id, status="open")
            change = {"status": "open"} | ({"thread_id": thread_id} if thread_id is not None else {})
            await connection.execute(
                training_sessions.update()
                .where(training_sessions.c.id == session_id, training_sessions.c.status != "ended")
                .values(**change)
            )
            if thread_id is not None and isinstance(session.current, InHand):
                await connection.execute(
                    started_challenges.update()
                    .where(started_challenges.c.id == session.current.started.id)
                    .values(thread_id=thread_id)
                )
        return (await self.go_on(user_id, session_id)).session

    async def finish(self, user_id: str, session_id: str) -> Moved:
        """End a session early; what was answered counts.

        Raises:
            NotFound: not this learner's session.
        """
        session = await self.get(user_id, session_id)
        changes: tuple[progress.Change, ...] = ()
        if session.status != "ended":
            async with self._database.write() as connection:
                changes = await self._end(connection, user_id, session)
            self._wake()
        return Moved(session=await self.get(user_id, session_id), changes=changes)

    async def _settle(self, user_id: str, *, going_on_with: str | None = None) -> None:
        """Rate what was left a sitting ago, before anything is chosen by what is known."""
        async with self._database.write() as connection:
            await left_behind.settle(
                connection, self._database, self._curriculum, user_id, self._clock(), going_on_with=going_on_with
            )

    # -- items -------------------------------------------------------------------------------------------------

    async def _offers(self, user_id: str, session: Session) -> list[Offer]:
        now = self._clock()
        async with self._database.read() as connection:
            row = await sessions.row_of(connection, user_id, session.id)
            skills = await progress.skills_of(connection, user_id)
            waiting = {concept for concept, at in (await progress.checks_of(connection, user_id)).items() if at <= now}
            seen = await sessions.questions_seen(connection, user_id)
        used = {item["id"] for item in row.items}
        return [
            Offer(
                concept=concept,
                known=concept in waiting or mastery.mastery(skills.get(concept, Skill())) >= WEAK_MASTERY,
                questions=sorted(  # those never seen, then those seen longest ago
                    (q for q in sessions.drawn(self._curriculum, concept, seed=session.id) if q not in used),
                    key=lambda q: seen.get(q, 0.0),
                ),
                has_challenge=row.with_challenges and self._challenges.offers(concept),
            )
            for concept in session.concepts
        ]  # fmt: skip

    async def _ask(self, user_id: str, session: Session, following: interleaving.Next) -> None:
        """Put the next item behind the others, once, however many ask for it at the same time."""
        choice = None
        if following.question_id is None:
            choice = await self._challenges.following(user_id, concept=following.concept)
        now = self._clock()
        async with self._database.write() as connection:
            row = await sessions.row_of(connection, user_id, session.id)
            one = self._challenges.new_start(choice, now=now) if choice is not None else None
            kind: Kind = "challenge" if one else "question"
            item = {"kind": kind, "id": one.id if one else following.question_id, "concept": following.concept}
            taken = await connection.execute(
                training_sessions.update()
                .where(
                    training_sessions.c.id == session.id,
                    training_sessions.c.asked == len(session.done),
                    training_sessions.c.status == "open",
                )
                .values(items=[*row.items, item], asked=len(session.done) + 1)
            )
            if taken.rowcount and one is not None:
                await started.begin(
                    connection, one, user_id=user_id, thread_id=session.thread_id, session_id=session.id, now=now
                )

    async def _store(self, user_id: str, session: Session, asked: Asked, *, answer: str, correct: bool) -> None:
        try:
            async with self._database.write() as connection:
                await progress.lock(connection, user_id)
                if (await sessions.row_of(connection, user_id, session.id)).status != "open":
                    raise Conflict("This session has ended, or is paused.")
                await left_behind.settle(
                    connection, self._database, self._curriculum, user_id, self._clock(), going_on_with=session.id
                )
                await connection.execute(
                    training_answers.insert().values(
                        id=uuid.uuid4().hex, session_id=session.id, question_id=asked.question_id,
                        answer=answer, correct=correct, created_at=self._clock(),
                    )
                )  # fmt: skip
                await self._note(
                    connection, "training.answered", session.id, user_id,
                    {"concept": asked.concept, "questionId": asked.question_id, "correct": correct},
                )  # fmt: skip
        except IntegrityError as error:
            raise Conflict("This question is answered already.") from error

    async def _end(
        self, connection: AsyncConnection, user_id: str, session: Session
    ) -> tuple[progress.Change, ...]:  # fmt: skip
        """Close the session and rate each of its concepts once, by its share of right answers. Its challenges were
        rated when each of them ended."""
        now = self._clock()
        await progress.lock(connection, user_id)
        if not await sessions.set_status(connection, "ended", ended_at=now, id=session.id, user_id=user_id):
            return ()
        # An answer may have come in the meantime.
        session = await sessions.load(connection, self._curriculum, user_id, session.id)
        changes = await answering.rate(
            connection, self._database, self._curriculum, user_id=user_id, session_id=session.id, now=now
        )
        rated = {change.concept for change in changes}
        changes += [
            await progress.standing(connection, user_id, item.concept, why=_RATED_BEFORE[item.kind])
            for item in {item.concept: item for item in session.done}.values()
            if item.concept not in rated
        ]
        is_left = sa.and_(started_challenges.c.session_id == session.id, started_challenges.c.status == "open")
        alone = started_challenges.update().where(is_left).values(session_id=None)  # it goes on by itself
        await connection.execute(alone)
        if not session.done:
            await plans.give_back(connection, session.id)
        payload = {"correct": sum(item.correct for item in session.answers), "questions": len(session.answers)}
        await self._note(connection, "training.completed", session.id, user_id, payload)
        return tuple(changes)

    # -- reading -----------------------------------------------------------------------------------------------

    def _check_concepts(self, concepts: Sequence[str]) -> None:
        unknown = [concept for concept in concepts if concept not in self._curriculum.questions]
        if unknown:
            known = ", ".join(sorted(self._curriculum.questions))
            raise InvalidInput(f"There are no questions about {unknown[0]!r} yet. There are some about: {known}.")

    def _most(self, concepts: Sequence[str], *, with_challenges: bool) -> int:
        """How many items these concepts have."""
        questions = sum(len(self._curriculum.questions[concept]) for concept in concepts)
        challenges = sum(self._challenges.offers(concept) for concept in concepts) if with_challenges else 0
        return questions + min(challenges, interleaving.MOST_CHALLENGES)

    async def _mixed(self, user_id: str) -> list[str]:
        tried = await progress.overview(self._database, user_id)
        path = path_of(self._curriculum.concepts, tried, self._clock())
        return interleaving.mixed(path, offered=self._curriculum.questions.keys())

    async def _newest(self, user_id: str, **where: str) -> Session | None:
        query = (
            sa.select(training_sessions.c.id)
            .where(training_sessions.c.user_id == user_id)
            .where(*(training_sessions.c[name] == value for name, value in where.items()))
            .order_by(training_sessions.c.started_at.desc())
            .limit(1)
        )
        async with self._database.read() as connection:
            found = await connection.scalar(query)
            return None if found is None else await sessions.load(connection, self._curriculum, user_id, found)

    async def _note(self, connection: AsyncConnection, event_type: str, key: str, user_id: str, payload: Json) -> None:
        await event_log.append(
            connection,
            NewEvent(type=event_type, key=key, user_id=user_id, occurred_at=self._clock(), payload=payload),
        )


_RATED_BEFORE = {"question": "rated when you left it", "challenge": "rated by its challenge"}
PAUSED = "This session is paused. Go on with /train resume."
