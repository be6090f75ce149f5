"""Challenges that learners have in hand: one is started, submitted to, and ends solved, failed, revealed or skipped."""

import contextlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import NotFound
from app.events import log as event_log
from app.events.schema import NewEvent
from app.learning.challenge_files import Challenge
from app.learning.curriculum import Curriculum
from app.learning.languages import LANGUAGES
from app.learning.languages.base import Language
from app.storage.tables.learning import started_challenges

Status = Literal["open", "passed", "failed", "revealed", "skipped"]
MOST_OPEN = 20
FRESH_FOR = timedelta(days=1)  # how long what was begun and left alone matters in other conversations
REMEMBERED_FOR = timedelta(days=60)  # how long help with a challenge, or its solution, stays in mind
ENDED = tuple(status for status in get_args(Status) if status != "open")


@dataclass(frozen=True, kw_only=True)
class Started:
    """A challenge that a learner has in hand. ``is_check``: without help, for what was solved with help before;
    ``coached`` counts what a model said about attempts; ``session_id`` is the training session it is part of and
    ``thread_id`` the conversation; ``card`` is the one that its end rates."""

    id: str
    challenge: Challenge
    language: Language
    hints_shown: int
    attempts: int
    status: Status
    is_check: bool
    coached: int
    started_at: datetime
    card: str
    session_id: str | None = None
    thread_id: str | None = None

    @property
    def hints(self) -> tuple[str, ...]:
        return self.challenge.hints[: self.hints_shown]

    @property
    def is_aided(self) -> bool:
        return self.hints_shown > 0 or self.coached > 0 or self.status == "revealed"


async def load(connection: AsyncConnection, curriculum: Curriculum, user_id: str, started_id: str) -> Started:
    """A started challenge of this learner.

    Raises:
        NotFound: it is not there, or somebody else's, or its file is gone.
    """
    query = sa.select(started_challenges).where(
        started_challenges.c.id == started_id, started_challenges.c.user_id == user_id
    )
    row = (await connection.execute(query)).first()
    challenge = curriculum.challenge(row.challenge_id) if row else None
    if row is None or challenge is None:
        raise NotFound("This challenge is not there. Start one with /challenge.")
    return Started(
        id=row.id, challenge=challenge, language=LANGUAGES[row.language], hints_shown=row.hints_shown,
        attempts=row.attempts, status=row.status, is_check=row.is_check, coached=row.coached,
        started_at=row.started_at, session_id=row.session_id, thread_id=row.thread_id,
        card=curriculum.card_of(challenge.concept, row.language),
    )  # fmt: skip


async def begin(
    connection: AsyncConnection, one: Started, *, user_id: str, thread_id: str | None, session_id: str | None,
    now: datetime,
) -> Started:  # fmt: skip
    """Put a challenge into a learner's hand, alone or as part of a training session. It is their newest, also where a
    clock that was ahead has been put right since the one before. Help that they had with it before they ever solved it
    is help still: hints that were read are not unread by beginning anew."""
    of_theirs = sa.func.max(started_challenges.c.started_at, type_=started_challenges.c.started_at.type)
    last = await connection.scalar(sa.select(of_theirs).where(started_challenges.c.user_id == user_id))
    hints, coached = await _help_before(connection, user_id, one.challenge.id, now)
    one = replace(one, hints_shown=hints, coached=coached)
    await connection.execute(
        started_challenges.insert().values(
            id=one.id, user_id=user_id, challenge_id=one.challenge.id, language=one.language.name,
            thread_id=thread_id, status="open", is_check=one.is_check, session_id=session_id, hints_shown=hints,
            coached=coached, started_at=now if last is None else max(now, last + timedelta(microseconds=1)),
        )
    )  # fmt: skip
    payload = {"language": one.language.name, "check": one.is_check}
    await note(connection, "challenge.started", one, user_id, now, payload)
    return one


def helped_challenges(user_id: str, now: datetime) -> sa.Select[tuple[str]]:
    """The ids of the challenges that a learner had help with lately."""
    return sa.select(started_challenges.c.challenge_id).where(
        started_challenges.c.user_id == user_id, started_challenges.c.started_at > now - REMEMBERED_FOR,
        sa.or_(started_challenges.c.hints_shown > 0, started_challenges.c.coached > 0),
    )  # fmt: skip


async def _help_before(connection: AsyncConnection, user_id: str, challenge_id: str, now: datetime) -> tuple[int, int]:
    """The hints and the coach's questions that this learner had with a challenge lately; none once it was solved."""
    theirs = sa.and_(
        started_challenges.c.user_id == user_id, started_challenges.c.challenge_id == challenge_id,
        started_challenges.c.started_at > now - REMEMBERED_FOR,
    )  # fmt: skip
    solved = sa.select(started_challenges.c.id).where(theirs, started_challenges.c.status == "passed")
    if await connection.scalar(solved.limit(1)) is not None:
        return 0, 0
    query = sa.select(sa.func.max(started_challenges.c.hints_shown), sa.func.max(started_challenges.c.coached))
    hints, coached = (await connection.execute(query.where(theirs))).one()
    return int(hints or 0), int(coached or 0)


async def open_elsewhere(
    connection: AsyncConnection, curriculum: Curriculum, user_id: str, *, thread_id: str, now: datetime
) -> list[Started]:
    """What this learner began in the last day in other conversations and has in hand, newest first, 20 at most; without
    those whose file is gone."""
    other = sa.or_(started_challenges.c.thread_id.is_(None), started_challenges.c.thread_id != thread_id)
    query = (
        sa.select(started_challenges.c.id)
        .where(
            started_challenges.c.user_id == user_id,
            started_challenges.c.status == "open",
            other,
            started_challenges.c.started_at > now - FRESH_FOR,
        )
        .order_by(started_challenges.c.started_at.desc())
        .limit(MOST_OPEN)
    )
    found = []
    for started_id in list(await connection.scalars(query)):
        with contextlib.suppress(NotFound):
            found.append(await load(connection, curriculum, user_id, started_id))
    return found


async def newest(connection: AsyncConnection, user_id: str, **where: str) -> str | None:
    """The id of this learner's newest start with these column values, such as a challenge, a thread or a status."""
    query = (
        sa.select(started_challenges.c.id)
        .where(started_challenges.c.user_id == user_id)
        .where(*(started_challenges.c[name] == value for name, value in where.items()))
        .order_by(started_challenges.c.started_at.desc())
        .limit(1)
    )
    found: str | None = await connection.scalar(query)
    return found


async def count_coached(connection: AsyncConnection, started_id: str) -> None:
    """A model spoke about it once more."""
    one_more = {"coached": started_challenges.c.coached + 1}
    await connection.execute(
        started_challenges.update().where(started_challenges.c.id == started_id).values(**one_more)
    )


async def end(connection: AsyncConnection, started_id: str, status: Status, now: datetime) -> bool:
    """Close one that is open; False when it was closed already, by whoever came first."""
    closed = await connection.execute(
        started_challenges.update()
        .where(started_challenges.c.id == started_id, started_challenges.c.status == "open")
        .values(status=status, ended_at=now)
    )
    return closed.rowcount == 1


async def note(
    connection: AsyncConnection, event_type: str, started: Started, user_id: str, now: datetime,
    payload: dict[str, Any],
) -> None:  # Any: JSON  # fmt: skip
    await event_log.append(
        connection,
        NewEvent(
            type=event_type, key=started.id, user_id=user_id, occurred_at=now,
            payload={"challengeId": started.challenge.id, "concept": started.challenge.concept, **payload},
        ),
    )  # fmt: skip
