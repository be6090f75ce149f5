"""A learner's cards and skills: read them, and record an outcome in the caller's transaction."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.events import log as event_log
from app.events.schema import NewEvent
from app.learning import mastery, scheduler
from app.learning.mastery import Skill
from app.storage.database import Database
from app.storage.tables.learning import cards, skills


@dataclass(frozen=True, kw_only=True)
class Change:
    """What one outcome did: mastery from 0 to 100 before and after, and when the concept is due again."""

    concept: str
    before: int
    after: int
    due_at: datetime


@dataclass(frozen=True, kw_only=True)
class ConceptProgress:
    concept: str
    mastery: int
    outcomes: int
    due_at: datetime | None


async def skills_of(connection: AsyncConnection, user_id: str) -> dict[str, Skill]:
    rows = await connection.execute(sa.select(skills).where(skills.c.user_id == user_id))
    return {
        row.concept: Skill(rating=row.rating, deviation=row.deviation, volatility=row.volatility, outcomes=row.outcomes)
        for row in rows
    }


async def overview(database: Database, user_id: str) -> list[ConceptProgress]:
    """Every concept that was ever tried, the one due first at the top."""
    query = (
        sa.select(skills, cards.c.due_at)
        .outerjoin(cards, sa.and_(cards.c.user_id == skills.c.user_id, cards.c.concept == skills.c.concept))
        .where(skills.c.user_id == user_id)
        .order_by(cards.c.due_at)
    )
    async with database.read() as connection:
        rows = await connection.execute(query)
        return [
            ConceptProgress(
                concept=row.concept,
                mastery=mastery.mastery(
                    Skill(rating=row.rating, deviation=row.deviation, volatility=row.volatility, outcomes=row.outcomes)
                ),
                outcomes=row.outcomes,
                due_at=row.due_at,
            )
            for row in rows
        ]


async def record(
    connection: AsyncConnection,
    database: Database,
    *,
    user_id: str,
    concept: str,
    challenge_rating: float,
    outcome: float,
    grade: scheduler.Grade,
    now: datetime,
) -> Change:
    """Move skill and card by one outcome and write ``mastery.changed``, in the caller's transaction."""
    old = (await skills_of(connection, user_id)).get(concept, Skill())
    new = mastery.update(old, challenge_rating=challenge_rating, outcome=outcome)
    await _upsert(
        connection, database, skills, user_id, concept,
        {"rating": new.rating, "deviation": new.deviation, "volatility": new.volatility,
         "outcomes": new.outcomes, "updated_at": now},
    )  # fmt: skip
    card = await connection.scalar(
        sa.select(cards.c.card).where(cards.c.user_id == user_id, cards.c.concept == concept)
    )
    reviewed = scheduler.review(card, grade, now)
    due_at = scheduler.due_at(reviewed)
    await _upsert(
        connection, database, cards, user_id, concept, {"card": reviewed, "due_at": due_at, "reviewed_at": now}
    )
    change = Change(concept=concept, before=mastery.mastery(old), after=mastery.mastery(new), due_at=due_at)
    await event_log.append(
        connection,
        NewEvent(type="mastery.changed", key=user_id, user_id=user_id, occurred_at=now,
                 payload={"concept": concept, "before": change.before, "after": change.after,
                          "dueAt": due_at.isoformat()}),
    )  # fmt: skip
    return change


async def _upsert(
    connection: AsyncConnection,
    database: Database,
    table: sa.Table,
    user_id: str,
    concept: str,
    values: dict[str, object],
) -> None:
    statement = database.insert(table).values(user_id=user_id, concept=concept, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=["user_id", "concept"], set_=values))
