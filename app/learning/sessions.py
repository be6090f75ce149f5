"""A training session as it is stored and shown: what was asked, what became of it, and what is waiting."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import NotFound
from app.learning import started
from app.learning.curriculum import Curriculum, Question, shuffled
from app.learning.interleaving import Done
from app.learning.started import Started
from app.storage.tables.learning import training_answers, training_sessions

Status = Literal["open", "paused", "ended"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question as it is shown: its choices in this session's order."""

    number: int
    concept: str
    question_id: str
    prompt: str
    choices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class InHand:
    """A challenge of the session that is not over yet."""

    number: int
    concept: str
    started: Started


@dataclass(frozen=True, kw_only=True)
class Session:
    """A training session and where it stands. ``current`` is None once it has ended, and between two items."""

    id: str
    concepts: tuple[str, ...]
    length: int
    done: tuple[Done, ...]
    current: Asked | InHand | None
    status: Status
    thread_id: str | None

    @property
    def correct(self) -> int:
        return sum(item.correct for item in self.done)

    @property
    def answers(self) -> tuple[Done, ...]:
        return tuple(item for item in self.done if item.kind == "question")


async def load(connection: AsyncConnection, curriculum: Curriculum, user_id: str, session_id: str) -> Session:
    """A session of this learner.

    Raises:
    NotFound: it is not there, or somebody else's.
    """
    row = await row_of(connection, user_id, session_id)
    query = sa.select(training_answers.c.question_id, training_answers.c.correct)
    given = await connection.execute(query.where(training_answers.c.session_id == session_id))
    correct = {answer.question_id: answer.correct for answer in given}
    done: list[Done] = []
    current: Asked | InHand | None = None
    for number, item in enumerate(row.items, 1):
        if item["kind"] == "challenge":
            one = await _in_hand(connection, curriculum, user_id, item["id"])
            if one is not None and one.status == "open":
                current = InHand(number=number, concept=item["concept"], started=one)
            else:
                passed = one is not None and one.status == "passed"
                done.append(Done(kind="challenge", concept=item["concept"], correct=passed))
        elif item["id"] in correct or curriculum.question(item["id"]) is None:
            done.append(Done(kind="question", concept=item["concept"], correct=correct.get(item["id"], False)))
        else:
            current = _asked(curriculum, session_id, item["id"], number)
    return Session(
        id=row.id, concepts=tuple(row.concepts), length=row.length, done=tuple(done), status=row.status,
        current=current if row.status != "ended" else None, thread_id=row.thread_id,
    )  # fmt: skip


async def questions_seen(connection: AsyncConnection, user_id: str) -> dict[str, float]:
    """When this learner last answered each question, in seconds since 1970."""
    last_at = sa.func.max(training_answers.c.created_at).label("at")
    query = (
        sa.select(training_answers.c.question_id, last_at)
        .join(training_sessions, training_sessions.c.id == training_answers.c.session_id)
        .where(training_sessions.c.user_id == user_id)
        .group_by(training_answers.c.question_id)
    )
    return {row.question_id: row.at.timestamp() for row in await connection.execute(query)}


async def _in_hand(
    connection: AsyncConnection, curriculum: Curriculum, user_id: str, started_id: str
) -> Started | None:
    try:
        return await started.load(connection, curriculum, user_id, started_id)
    except NotFound:
        return None  # its file is gone


def _asked(curriculum: Curriculum, session_id: str, question_id: str, number: int) -> Asked:
    concept, question = question_of(curriculum, question_id)
    return Asked(
        number=number, concept=concept, question_id=question_id, prompt=question.prompt,
        choices=shuffled(question, _order(session_id, question)),
    )  # fmt: skip


async def row_of(connection: AsyncConnection, user_id: str, session_id: str) -> Any:  # Any: a row
    query = sa.select(training_sessions).where(
        training_sessions.c.id == session_id, training_sessions.c.user_id == user_id
    )
    row = (await connection.execute(query)).first()
    if row is None:
        raise NotFound("This training session is not there. Start one with /train.")
    return row


async def set_status(
    connection: AsyncConnection, to: Status, /, *, ended_at: datetime | None = None, **where: str
) -> bool:
    """Change sessions that have not ended; False when there was none."""
    changed = await connection.execute(
        training_sessions.update()
        .where(training_sessions.c.status != "ended")
        .where(*(training_sessions.c[name] == value for name, value in where.items()))
        .values(status=to, ended_at=ended_at)
    )
    return changed.rowcount > 0


def question_of(curriculum: Curriculum, question_id: str) -> tuple[str, Question]:
    found = curriculum.question(question_id)
    assert found is not None
    return found


def drawn(curriculum: Curriculum, concept: str, *, seed: str) -> list[str]:
    """The ids of a concept's questions, in an order drawn from ``seed``."""
    ids = [question.id for question in curriculum.questions[concept]]
    random.Random(seed + concept).shuffle(ids)
    return ids


def chosen_of(text: str, choices: Sequence[str]) -> int | None:
    """Which choice a text names: by its words, by letter ("b", "B)") or by number ("2"); None for none of them."""
    said = text.strip().strip(".)( ").lower()
    for read in (str.strip, lambda words: words.strip().lower()):
        matching = [place for place, choice in enumerate(choices) if read(choice) == read(text)]
        if matching:
            return matching[0]
    if len(said) == 1 and said.isalpha():
        place = ord(said) - ord("a")
        return place if 0 <= place < len(choices) else None
    if said.isdecimal() and len(said) <= 2:
        return int(said) - 1 if 1 <= int(said) <= len(choices) else None
    return None


def _order(session_id: str, question: Question) -> list[int]:
    order = list(range(1 + len(question.wrong)))
    random.Random(session_id + question.id).shuffle(order)
    return order
