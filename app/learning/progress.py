"""A learner's cards and skills: read them, and record outcomes in the caller's transaction."""

import uuid
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.events import log as event_log
from app.events.schema import NewEvent
from app.learning import mastery, scheduler
from app.learning.mastery import Skill
from app.storage.database import Database
from app.storage.tables.identity import users
from app.storage.tables.learning import card_weights, cards, challenge_ratings, reviews, skills, unaided_checks


@dataclass(frozen=True, kw_only=True)
class Change:
    """What one outcome did: mastery from 0 to 100 before and after, and when the concept is due again.

    ``due_at`` is None for a concept that has no card yet; ``why`` says what moved it, or why it stayed.
    """

    concept: str
    before: int
    after: int
    due_at: datetime | None
    why: str


@dataclass(frozen=True, kw_only=True)
class ConceptProgress:
    """``check_at`` is from when on it is to be shown without help, where the last solve had some."""

    concept: str
    mastery: int
    outcomes: int
    due_at: datetime | None
    check_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a sitting ended: ``result`` from 0 (failed) to 1 (solved at once) moves the skill, None leaves it as it is;
    ``grade`` moves the ``card`` (the concept's, or its card for a language), None leaves it. ``source`` is the
    challenge or session behind it; one that ``overrides`` moves the card though it was rated in this sitting."""

    concept: str
    card: str
    result: float | None
    grade: scheduler.Grade | None
    why: str
    source: str
    overrides: bool = False
    is_late: bool = False


async def lock(connection: AsyncConnection, user_id: str) -> None:
    """Let nobody else move this learner's skills and cards until the transaction has ended. (On SQLite nobody can.)"""
    await connection.execute(sa.select(users.c.id).where(users.c.id == user_id).with_for_update())


async def skills_of(connection: AsyncConnection, user_id: str) -> dict[str, Skill]:
    rows = await connection.execute(sa.select(skills).where(skills.c.user_id == user_id))
    return {
        row.concept: Skill(rating=row.rating, deviation=row.deviation, volatility=row.volatility, outcomes=row.outcomes)
        for row in rows
    }


async def ratings_of(connection: AsyncConnection) -> dict[str, Skill]:
    """The challenges that have been played, each with the rating that it earned."""
    rows = await connection.execute(sa.select(challenge_ratings))
    return {
        row.challenge_id: Skill(
            rating=row.rating, deviation=row.deviation, volatility=row.volatility, outcomes=row.outcomes
        )
        for row in rows
    }


async def overview(database: Database, user_id: str) -> list[ConceptProgress]:
    """Every concept that was ever tried, the one due first at the top."""
    async with database.read() as connection:
        known = await skills_of(connection, user_id)
        due = await _due_by_concept(connection, user_id)
        waiting = await checks_of(connection, user_id)
    found = [
        ConceptProgress(
            concept=concept,
            mastery=mastery.mastery(skill),
            outcomes=skill.outcomes,
            due_at=due.get(concept),
            check_at=waiting.get(concept),
        )
        for concept, skill in known.items()
    ]
    return sorted(found, key=lambda row: (row.due_at is None, row.due_at, row.concept))


def concept_of(card: str) -> str:
    """The concept of a card, which may be one of several for as many languages."""
    return card.partition(":")[0]


async def checks_of(connection: AsyncConnection, user_id: str) -> dict[str, datetime]:
    """The concepts that were solved with help or given up, and from when on each is to be shown without."""
    query = sa.select(unaided_checks.c.concept, unaided_checks.c.due_at).where(unaided_checks.c.user_id == user_id)
    return {row.concept: row.due_at for row in await connection.execute(query)}


async def _due_by_concept(connection: AsyncConnection, user_id: str) -> dict[str, datetime]:
    """When the first card of each concept is due."""
    query = sa.select(cards.c.card_id, cards.c.due_at).where(cards.c.user_id == user_id).order_by(cards.c.due_at.desc())
    return {concept_of(row.card_id): row.due_at for row in await connection.execute(query)}


async def standing(connection: AsyncConnection, user_id: str, concept: str, *, why: str) -> Change:
    """Where a concept stands, as a change that changes nothing."""
    now_at = mastery.mastery((await skills_of(connection, user_id)).get(concept, Skill()))
    due_at = (await _due_by_concept(connection, user_id)).get(concept)
    return Change(concept=concept, before=now_at, after=now_at, due_at=due_at, why=why)


async def record(
    connection: AsyncConnection,
    database: Database,
    *,
    user_id: str,
    outcome: Outcome,
    opponent: Skill,
    now: datetime,
) -> Change:
    """Move skill and card by one outcome against a challenge (or question) and write ``mastery.changed``."""
    old = (await skills_of(connection, user_id)).get(outcome.concept, Skill())
    new = old
    if outcome.result is not None:
        new = mastery.update(old, opponent=opponent, outcome=outcome.result)
    await _store_skill(connection, database, user_id, outcome.concept, new, now)
    await _review(connection, database, user_id, outcome.card, outcome, now)
    if outcome.card != outcome.concept and await _has_card(connection, user_id, outcome.concept):
        await _review(connection, database, user_id, outcome.concept, outcome, now)  # any language serves it
    due_at = (await _due_by_concept(connection, user_id)).get(outcome.concept)
    change = Change(
        concept=outcome.concept, before=mastery.mastery(old), after=mastery.mastery(new), due_at=due_at, why=outcome.why
    )
    await event_log.append(
        connection,
        NewEvent(
            type="mastery.changed", key=user_id, user_id=user_id, occurred_at=now,
            payload={
                "concept": change.concept, "before": change.before, "after": change.after, "why": change.why,
                "dueAt": due_at.isoformat() if due_at else None, "source": outcome.source,
            },
        ),
    )  # fmt: skip
    return change


async def rate_challenge(
    connection: AsyncConnection, database: Database, challenge_id: str, *, rating: Skill, learner: Skill, result: float
) -> None:
    """Move a challenge's own rating by one outcome: what the learner won, it lost."""
    new = mastery.update(rating, opponent=learner, outcome=1 - result)
    values = {
        "rating": new.rating, "deviation": max(new.deviation, mastery.CHALLENGE_DEVIATION),
        "volatility": new.volatility, "outcomes": new.outcomes,
    }  # fmt: skip
    statement = database.insert(challenge_ratings).values(challenge_id=challenge_id, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=["challenge_id"], set_=values))


async def _store_skill(
    connection: AsyncConnection, database: Database, user_id: str, concept: str, skill: Skill, now: datetime
) -> None:
    values = {
        "rating": skill.rating, "deviation": skill.deviation, "volatility": skill.volatility,
        "outcomes": skill.outcomes, "updated_at": now,
    }  # fmt: skip
    await _upsert(connection, database, skills, {"user_id": user_id, "concept": concept}, values)


async def _review(
    connection: AsyncConnection, database: Database, user_id: str, card_id: str, outcome: Outcome, now: datetime
) -> None:
    """Rate a card, once a sitting: what came first decides, unless the outcome overrides. One that is told late leaves
    a card that was reviewed since as it is."""
    grade = outcome.grade
    query = sa.select(cards).where(cards.c.user_id == user_id, cards.c.card_id == card_id)
    old = (await connection.execute(query)).first()
    is_rated = old is not None and abs(now - old.reviewed_at) < scheduler.SITTING
    is_over = outcome.is_late and old is not None and old.reviewed_at > now
    if grade is None or is_over:
        return
    if is_rated and not (outcome.overrides and await _last_rating(connection, user_id, card_id) != scheduler.AGAIN):
        return
    weights = await weights_of(connection, user_id)
    reviewed = scheduler.review(old.card if old is not None else None, grade, now, weights)
    due_at = scheduler.due_at(reviewed)
    values = {"card": reviewed, "due_at": due_at, "reviewed_at": now}
    await _upsert(connection, database, cards, {"user_id": user_id, "card_id": card_id}, values)
    await connection.execute(
        reviews.insert().values(
            id=uuid.uuid4().hex, user_id=user_id, card_id=card_id,
            rating=int(scheduler.RATINGS[grade]), reviewed_at=now,
        )
    )  # fmt: skip


async def _last_rating(connection: AsyncConnection, user_id: str, card_id: str) -> int | None:
    query = (
        sa.select(reviews.c.rating)
        .where(reviews.c.user_id == user_id, reviews.c.card_id == card_id)
        .order_by(reviews.c.reviewed_at.desc())
        .limit(1)
    )
    found: int | None = await connection.scalar(query)
    return found


async def _has_card(connection: AsyncConnection, user_id: str, card_id: str) -> bool:
    query = sa.select(cards.c.card_id).where(cards.c.user_id == user_id, cards.c.card_id == card_id)
    return await connection.scalar(query) is not None


async def weights_of(connection: AsyncConnection, user_id: str) -> scheduler.Weights:
    """FSRS weights fitted to this learner, or the published ones."""
    fitted = await connection.scalar(sa.select(card_weights.c.weights).where(card_weights.c.user_id == user_id))
    return tuple(fitted) if fitted else scheduler.DEFAULT_WEIGHTS


async def _upsert(
    connection: AsyncConnection,
    database: Database,
    table: sa.Table,
    key: dict[str, str],
    values: dict[str, object],
) -> None:
    statement = database.insert(table).values(**key, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))
