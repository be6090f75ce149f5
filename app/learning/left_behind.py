"""What was begun and then left: a sitting with attempts or answers is rated as of then when its learner begins
something new, so that walking away from a mistake does not take it back."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import NotFound
from app.learning import answering, progress, scheduler, sitting, started
from app.learning.curriculum import Curriculum
from app.storage.database import Database
from app.storage.tables.learning import attempts, started_challenges, training_answers, training_sessions

MOST_AT_ONCE = 20


async def settle(
    connection: AsyncConnection, database: Database, curriculum: Curriculum, user_id: str, now: datetime, *,
    going_on_with: str | None = None,
) -> None:  # fmt: skip
    """Rate what this learner left a sitting ago. A challenge is given up, unless its session is being gone on with; a
    session can always be."""
    await progress.lock(connection, user_id)
    await _give_up(connection, database, curriculum, user_id, now, going_on_with=going_on_with)
    await _rate_answers(connection, database, curriculum, user_id, now)


async def _give_up(
    connection: AsyncConnection, database: Database, curriculum: Curriculum, user_id: str, now: datetime, *,
    going_on_with: str | None,
) -> None:  # fmt: skip
    in_it = started_challenges.c.session_id.is_not_distinct_from(going_on_with)
    newest_at = sa.func.max(attempts.c.created_at, type_=attempts.c.created_at.type)
    query = (
        sa.select(started_challenges.c.id, newest_at.label("left_at"))
        .join(attempts, attempts.c.started_id == started_challenges.c.id)
        .where(started_challenges.c.user_id == user_id, started_challenges.c.status == "open")
        .where(sa.true() if going_on_with is None else sa.not_(in_it))
        .group_by(started_challenges.c.id)
        .having(newest_at < now - scheduler.SITTING)
        .limit(MOST_AT_ONCE)
    )
    for row in (await connection.execute(query)).all():
        try:
            one = await started.load(connection, curriculum, user_id, row.id)
        except NotFound:
            continue  # its file is gone
        if await started.end(connection, one.id, "skipped", row.left_at):
            await sitting.finish(
                connection, database, user_id=user_id, started_one=one, ending="given up", score=0, now=row.left_at,
                is_late=True,
            )  # fmt: skip


async def _rate_answers(
    connection: AsyncConnection, database: Database, curriculum: Curriculum, user_id: str, now: datetime
) -> None:
    newest_at = sa.func.max(training_answers.c.created_at, type_=training_answers.c.created_at.type)
    query = (
        sa.select(training_sessions.c.id, newest_at.label("left_at"))
        .join(training_answers, training_answers.c.session_id == training_sessions.c.id)
        .where(training_sessions.c.user_id == user_id, training_answers.c.rated_at.is_(None))
        .group_by(training_sessions.c.id)
        .having(newest_at < now - scheduler.SITTING)
        .limit(MOST_AT_ONCE)
    )
    for row in (await connection.execute(query)).all():
        await answering.rate(
            connection, database, curriculum, user_id=user_id, session_id=row.id, now=row.left_at, is_late=True
        )
