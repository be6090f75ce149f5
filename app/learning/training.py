"""Training sessions: some questions about some concepts, answered one by one, with a score at the end."""

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import Conflict, InvalidInput, NotFound
from app.events import log as event_log
from app.events.schema import NewEvent
from app.learning import mastery, progress
from app.learning.curriculum import Curriculum, Question, shuffled
from app.storage.database import Database
from app.storage.tables.learning import training_answers, training_sessions

DEFAULT_QUESTIONS, MOST_QUESTIONS = 5, 20
QUESTION_RATING = 1100.0  # of a choice among four, on the scale of challenges


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question as it is shown: its choices in this session's order."""

    number: int
    concept: str
    question_id: str
    prompt: str
    choices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    question_id: str
    concept: str
    correct: bool


@dataclass(frozen=True, kw_only=True)
class Session:
    """A training session and where it stands; ``current`` is None once it has ended."""

    id: str
    concepts: tuple[str, ...]
    questions: int
    answers: tuple[Answer, ...]
    current: Asked | None
    status: str

    @property
    def correct(self) -> int:
        return sum(answer.correct for answer in self.answers)


@dataclass(frozen=True, kw_only=True)
class Marked:
    """What became of one answer, and the session after it."""

    correct: bool
    right_answer: str
    explanation: str
    session: Session
    changes: tuple[progress.Change, ...]


class TrainingService:
    def __init__(
        self, *, database: Database, curriculum: Curriculum, clock: Callable[[], datetime], wake: Callable[[], None]
    ) -> None:  # fmt: skip
        self._database = database
        self._curriculum = curriculum
        self._clock = clock
        self._wake = wake

    async def start(
        self, user_id: str, *, thread_id: str | None, concepts: Sequence[str] = (), count: int | None = None
    ) -> Session:
        """Begin a session; without concepts it mixes those that are due, weakest first, with new ones.

        Raises:
            InvalidInput: an unknown concept, or a count that is not from 1 to 20.
        """
        wanted = count if count is not None else DEFAULT_QUESTIONS
        if not 1 <= wanted <= MOST_QUESTIONS:
            raise InvalidInput(f"A session has 1 to {MOST_QUESTIONS} questions, not {wanted}.")
        chosen = list(concepts) or await self._mixed(user_id)
        unknown = [concept for concept in chosen if concept not in self._curriculum.questions]
        if unknown:
            known = ", ".join(sorted(self._curriculum.questions))
            raise InvalidInput(f"There are no questions about {unknown[0]!r} yet. There are some about: {known}.")
        session_id = uuid.uuid4().hex
        question_ids = draw(self._curriculum, chosen, wanted, seed=session_id)
        async with self._database.write() as connection:
            await connection.execute(
                training_sessions.insert().values(
                    id=session_id, user_id=user_id, thread_id=thread_id, concepts=chosen, question_ids=question_ids,
                    status="open", started_at=self._clock(),
                )
            )  # fmt: skip
            await self._note(
                connection, "training.started", session_id, user_id,
                {"concepts": chosen, "questions": len(question_ids)},
            )  # fmt: skip
        self._wake()
        return await self.get(user_id, session_id)

    async def get(self, user_id: str, session_id: str) -> Session:
        """A session of this learner.

        Raises:
            NotFound: it is not there, or somebody else's.
        """
        async with self._database.read() as connection:
            return await self._load(connection, user_id, session_id)

    async def open_in_thread(self, user_id: str, thread_id: str) -> Session | None:
        """The session that runs in a conversation, if one does."""
        query = (
            sa.select(training_sessions.c.id)
            .where(
                training_sessions.c.user_id == user_id,
                training_sessions.c.thread_id == thread_id,
                training_sessions.c.status == "open",
            )
            .order_by(training_sessions.c.started_at.desc())
            .limit(1)
        )
        async with self._database.read() as connection:
            found = await connection.scalar(query)
            return None if found is None else await self._load(connection, user_id, found)

    async def answer(self, user_id: str, session_id: str, text: str, *, question_id: str | None = None) -> Marked:
        """Mark an answer (a letter, a number or the words of a choice) to the current question and go on.

        Raises:
            NotFound: not this learner's session.
            Conflict: it has ended, or this question was answered already.
            InvalidInput: the text names none of the choices.
        """
        session = await self.get(user_id, session_id)
        asked = session.current
        if asked is None or (question_id is not None and question_id != asked.question_id):
            raise Conflict("This question is answered already." if asked else "This session has ended.")
        choice = chosen_of(text, asked.choices)
        if choice is None:
            letters = ", ".join("ABCDEFGH"[: len(asked.choices)])
            raise InvalidInput(f"That is none of the choices. Answer with one of {letters}.")
        found = self._curriculum.question(asked.question_id)
        assert found is not None
        _, question = found
        correct = asked.choices[choice] == question.answer
        changes = await self._store(user_id, session, asked, answer=asked.choices[choice], correct=correct)
        self._wake()
        return Marked(
            correct=correct, right_answer=question.answer, explanation=question.explanation,
            session=await self.get(user_id, session_id), changes=changes,
        )  # fmt: skip

    async def finish(self, user_id: str, session_id: str) -> Session:
        """End a session early; what was answered counts.

        Raises:
            NotFound: not this learner's session.
        """
        session = await self.get(user_id, session_id)
        if session.status == "open":
            async with self._database.write() as connection:
                await self._end(connection, user_id, session_id, session.answers)
            self._wake()
        return await self.get(user_id, session_id)

    async def _store(
        self, user_id: str, session: Session, asked: Asked, *, answer: str, correct: bool
    ) -> tuple[progress.Change, ...]:
        now = self._clock()
        try:
            async with self._database.write() as connection:
                await connection.execute(
                    training_answers.insert().values(
                        id=uuid.uuid4().hex, session_id=session.id, question_id=asked.question_id,
                        answer=answer, correct=correct, created_at=now,
                    )
                )  # fmt: skip
                await self._note(
                    connection, "training.answered", session.id, user_id,
                    {"concept": asked.concept, "questionId": asked.question_id, "correct": correct},
                )  # fmt: skip
                if asked.number < session.questions:
                    return ()
                newest = Answer(question_id=asked.question_id, concept=asked.concept, correct=correct)
                return await self._end(connection, user_id, session.id, (*session.answers, newest))
        except IntegrityError as error:
            raise Conflict("This question is answered already.") from error

    async def _end(
        self, connection: AsyncConnection, user_id: str, session_id: str, answers: Sequence[Answer]
    ) -> tuple[progress.Change, ...]:
        """Close the session and rate each of its concepts once, by its share of right answers."""
        now = self._clock()
        closed = await connection.execute(
            training_sessions.update()
            .where(training_sessions.c.id == session_id, training_sessions.c.status == "open")
            .values(status="ended", ended_at=now)
        )
        if closed.rowcount == 0:
            return ()
        changes = []
        for concept in dict.fromkeys(answer.concept for answer in answers):
            own = [answer.correct for answer in answers if answer.concept == concept]
            share = sum(own) / len(own)
            outcome = progress.Outcome(
                concept=concept, result=share, grade="good" if share >= 0.8 else "hard" if share >= 0.6 else "again",
                why=f"{sum(own)} of {len(own)} questions right", source=session_id,
            )  # fmt: skip
            changes.append(
                await progress.record(
                    connection, self._database, user_id=user_id, outcome=outcome,
                    opponent=mastery.of_rating(QUESTION_RATING), now=now,
                )
            )  # fmt: skip
        await self._note(
            connection, "training.completed", session_id, user_id,
            {"correct": sum(a.correct for a in answers), "questions": len(answers)},
        )  # fmt: skip
        return tuple(changes)

    async def _mixed(self, user_id: str) -> list[str]:
        tried = await progress.overview(self._database, user_id)
        now = self._clock()
        due = sorted((p for p in tried if p.due_at and p.due_at <= now), key=lambda p: p.mastery)
        known = {p.concept for p in tried}
        new = [concept for concept in self._curriculum.questions if concept not in known]
        waiting = [p.concept for p in tried if p not in due]
        order = [p.concept for p in due] + new + waiting
        return [concept for concept in order if concept in self._curriculum.questions][:3]

    async def _load(self, connection: AsyncConnection, user_id: str, session_id: str) -> Session:
        row = (
            await connection.execute(
                sa.select(training_sessions).where(
                    training_sessions.c.id == session_id, training_sessions.c.user_id == user_id
                )
            )
        ).first()
        if row is None:
            raise NotFound("This training session is not there. Start one with /train.")
        given = await connection.execute(
            sa.select(training_answers.c.question_id, training_answers.c.correct).where(
                training_answers.c.session_id == session_id
            )
        )
        correct = {answer.question_id: answer.correct for answer in given}
        known = [q for q in row.question_ids if self._curriculum.question(q) is not None]
        answers = tuple(
            Answer(question_id=q, concept=self._concept(q), correct=correct[q]) for q in known if q in correct
        )
        waiting = [q for q in known if q not in correct]
        current = self._asked(session_id, waiting[0], len(answers) + 1) if waiting and row.status == "open" else None
        return Session(
            id=row.id, concepts=tuple(row.concepts), questions=len(known), answers=answers, current=current,
            status=row.status,
        )  # fmt: skip

    def _concept(self, question_id: str) -> str:
        found = self._curriculum.question(question_id)
        assert found is not None
        return found[0]

    def _asked(self, session_id: str, question_id: str, number: int) -> Asked:
        found = self._curriculum.question(question_id)
        assert found is not None
        concept, question = found
        return Asked(
            number=number, concept=concept, question_id=question_id, prompt=question.prompt,
            choices=shuffled(question, _order(session_id, question)),
        )  # fmt: skip

    async def _note(
        self, connection: AsyncConnection, event_type: str, key: str, user_id: str, payload: dict[str, object]
    ) -> None:
        await event_log.append(
            connection,
            NewEvent(type=event_type, key=key, user_id=user_id, occurred_at=self._clock(), payload=payload),
        )


def draw(curriculum: Curriculum, concepts: Sequence[str], count: int, *, seed: str) -> list[str]:
    """Questions of the concepts in turn, each concept's in an order drawn from ``seed``; fewer if there are fewer."""
    generator = random.Random(seed)
    piles = []
    for concept in concepts:
        pile = [question.id for question in curriculum.questions[concept]]
        generator.shuffle(pile)
        piles.append(pile)
    drawn: list[str] = []
    while len(drawn) < count and any(piles):
        for pile in piles:
            if pile and len(drawn) < count:
                drawn.append(pile.pop())
    return drawn


def chosen_of(text: str, choices: Sequence[str]) -> int | None:
    """Which choice a text names: by letter ("b", "B)"), by number ("2"), or by its words; None for none of them."""
    said = text.strip().strip(".)( ").lower()
    if len(said) == 1 and said.isalpha():
        place = ord(said) - ord("a")
        return place if 0 <= place < len(choices) else None
    if said.isdecimal() and len(said) <= 2 and said not in [choice.lower() for choice in choices]:
        return int(said) - 1 if 1 <= int(said) <= len(choices) else None
    matching = [place for place, choice in enumerate(choices) if choice.strip().lower() == text.strip().lower()]
    return matching[0] if matching else None


def _order(session_id: str, question: Question) -> list[int]:
    order = list(range(1 + len(question.wrong)))
    random.Random(session_id + question.id).shuffle(order)
    return order
