"""What was submitted: attempts as they were graded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.learning.languages.base import LanguageName
from app.storage.paging import older_than
from app.storage.tables.learning import attempts, started_challenges

Json = dict[str, Any]  # Any: JSON
REPEATABLE = ("failed", "error", "compile_error")  # verdicts that the same code gets again


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One submission: its code, the verdict's message, the first case that failed, and the feedback it got."""

    code: str
    language: LanguageName
    message: str
    failing: Json | None
    feedback: str


async def newest(connection: AsyncConnection, user_id: str, started_id: str, *, limit: int) -> list[Attempt]:
    """What was submitted last to a started challenge, newest first."""
    query = (
        sa.select(attempts)
        .where(attempts.c.started_id == started_id, attempts.c.user_id == user_id)
        .order_by(attempts.c.created_at.desc())
        .limit(limit)
    )
    return [
        Attempt(
            code=row.code, language=row.language, message=row.result["message"],
            feedback=row.result.get("feedback", ""),
            failing=next((case for case in row.result["cases"] if not case["passed"]), None),
        )
        for row in await connection.execute(query)
    ]  # fmt: skip


async def next_at(connection: AsyncConnection, started_id: str, now: datetime) -> datetime:
    """When an attempt counts as made: after the one before, also where a clock was set back since."""
    newest_at = sa.func.max(attempts.c.created_at, type_=attempts.c.created_at.type)
    last = await connection.scalar(sa.select(newest_at).where(attempts.c.started_id == started_id))
    return now if last is None else max(now, last + timedelta(microseconds=1))


async def repeats(
    connection: AsyncConnection, user_id: str, started_id: str, *, code: str, language: LanguageName
) -> bool:
    """Whether the newest attempt was the very same, and failed by what it gave; a time-out may be tried again."""
    query = (
        sa.select(attempts.c.code, attempts.c.language, attempts.c.verdict)
        .where(attempts.c.started_id == started_id, attempts.c.user_id == user_id)
        .order_by(attempts.c.created_at.desc())
        .limit(1)
    )
    row = (await connection.execute(query)).first()
    return row is not None and (row.code, row.language) == (code, language) and row.verdict in REPEATABLE


async def newest_first(
    connection: AsyncConnection, user_id: str, *, challenge_ids: Sequence[str] | None, before: str | None, limit: int
) -> list[Json]:
    """A learner's attempts without code; those at some challenges, and those before an attempt, where they are given.

    Raises:
        InvalidInput: ``before`` is no attempt of this learner.
    """
    query = (
        sa.select(
            attempts.c.id, attempts.c.challenge_id, attempts.c.language, attempts.c.verdict, attempts.c.score,
            attempts.c.wall_ms, attempts.c.created_at, started_challenges.c.hints_shown,
            started_challenges.c.is_check,
        )
        .join(started_challenges, started_challenges.c.id == attempts.c.started_id)
        .where(attempts.c.user_id == user_id)
        .order_by(attempts.c.created_at.desc(), attempts.c.id)
        .limit(limit)
    )  # fmt: skip
    if challenge_ids is not None:
        query = query.where(attempts.c.challenge_id.in_(challenge_ids))
    if before is not None:
        own = attempts.c.user_id == user_id
        query = query.where(await older_than(connection, attempts.c.created_at, attempts.c.id, before, own))
    return [dict(row._mapping) for row in await connection.execute(query)]
