"""The log of model calls: what was asked of whom, how it ended, what it cost."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models.selector import Outcome
from app.storage.database import Database
from app.storage.tables.models import provider_logs


@dataclass(frozen=True, kw_only=True)
class CallRecord:
    """One finished call. Times in milliseconds, money in micro-dollars."""

    id: str
    user_id: str
    thread_id: str | None
    task: str
    provider: str
    model: str
    status: str
    error_kind: str | None
    input_tokens: int
    output_tokens: int
    held_microusd: int
    cost_microusd: int
    first_token_ms: int | None
    total_ms: int
    selection: dict[str, Any]  # Any: JSON
    created_at: datetime


async def write(connection: AsyncConnection, record: CallRecord) -> None:
    await connection.execute(provider_logs.insert().values(vars(record)))


async def recent_outcomes(database: Database, since: datetime, *, limit: int = 1000) -> list[Outcome]:
    """How the calls since then ended, newest first."""
    query = (
        sa.select(
            provider_logs.c.provider,
            provider_logs.c.model,
            provider_logs.c.error_kind,
            provider_logs.c.created_at,
        )
        .where(provider_logs.c.created_at >= since)
        .order_by(provider_logs.c.created_at.desc())
        .limit(limit)
    )
    async with database.read() as connection:
        return [
            Outcome(model_id=f"{row.provider}/{row.model}", error_kind=row.error_kind, at=row.created_at)
            for row in await connection.execute(query)
        ]


async def newest(
    database: Database, *, user_id: str | None = None, thread_id: str | None = None, limit: int = 20
) -> list[dict[str, Any]]:  # Any: a row for people
    """The newest calls first, of everybody or of one user or thread."""
    query = sa.select(provider_logs).order_by(provider_logs.c.created_at.desc()).limit(limit)
    if user_id is not None:
        query = query.where(provider_logs.c.user_id == user_id)
    if thread_id is not None:
        query = query.where(provider_logs.c.thread_id == thread_id)
    async with database.read() as connection:
        return [dict(row._mapping) for row in await connection.execute(query)]


async def spent_by(database: Database, *, user_id: str, since: datetime, thread_id: str | None = None) -> int:
    """What a user's calls have cost since then, in micro-dollars; of one thread, if given."""
    query = sa.select(sa.func.coalesce(sa.func.sum(provider_logs.c.cost_microusd), 0)).where(
        provider_logs.c.user_id == user_id, provider_logs.c.created_at >= since
    )
    if thread_id is not None:
        query = query.where(provider_logs.c.thread_id == thread_id)
    async with database.read() as connection:
        return int(await connection.scalar(query) or 0)
