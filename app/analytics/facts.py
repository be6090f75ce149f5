"""What is known of a learner, read from the projections: the values that metrics, badges and reports are made of."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.analytics.local_time import as_lived, known_zone
from app.storage.tables.analytics import learner_activity, learner_concepts, learner_passes, learner_used, learners


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A quarter of an hour with practice. ``at`` is its start by the learner's own clock, as it went then."""

    at: datetime
    submitted: int
    passed: int
    answered: int
    correct: int
    hints: int
    score_sum: int
    ended_alone: int
    solved_alone: int
    sessions: int
    logged_minutes: int

    @property
    def day(self) -> date:
        return self.at.date()

    @property
    def is_practice(self) -> bool:
        return self.submitted > 0 or self.answered > 0


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A challenge's first pass, by the learner's own clock as it went then, where ``clock_known``. ``score`` is the
    best since; ``alone`` means without help and never seen before."""

    challenge_id: str
    at: datetime
    clock_known: bool
    seconds: int
    score: int
    alone: bool


@dataclass(frozen=True, kw_only=True)
class ConceptRow:
    concept: str
    tried: int
    succeeded: int
    best_score: int
    alone_ended: int
    alone_solved: int
    aided_ended: int
    aided_solved: int
    mastery: int


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One learner; slots and passes are in order of time, ``zone`` is the one of now: UTC until one is known."""

    zone: ZoneInfo
    slots: tuple[Slot, ...]
    passes: tuple[Pass, ...]
    concepts: tuple[ConceptRow, ...]
    languages: tuple[str, ...]
    providers: tuple[str, ...]

    def local(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone)


async def facts_of(connection: AsyncConnection, user_id: str) -> Facts:
    """What is known of a learner; of one who never did anything, nothing."""
    who = (await connection.execute(sa.select(learners).where(learners.c.user_id == user_id))).first()
    zone = await known_zone((who.timezone if who else None) or "UTC")
    used: dict[str, list[str]] = defaultdict(list)
    for row in await _rows(connection, learner_used, user_id, order=("kind", "name")):
        used[row["kind"]].append(row["name"])
    return Facts(
        zone=zone,
        slots=tuple(
            Slot(at=as_lived(fields.pop("slot_at"), fields.pop("utc_offset_minutes"), zone), **fields)
            for row in await _rows(connection, learner_activity, user_id, order=("slot_at",))
            if (fields := dict(row))
        ),
        passes=tuple(
            Pass(
                challenge_id=row["challenge_id"], at=as_lived(row["passed_at"], row["utc_offset_minutes"], zone),
                clock_known=row["utc_offset_minutes"] is not None, seconds=row["seconds"], score=row["score"],
                alone=row["alone"],
            )
            for row in await _rows(connection, learner_passes, user_id, order=("passed_at",))
        ),
        concepts=tuple(
            ConceptRow(**{name: value for name, value in row.items() if name != "last_at"})
            for row in await _rows(connection, learner_concepts, user_id, order=("concept",))
        ),
        languages=tuple(used["language"]), providers=tuple(used["provider"]),
    )  # fmt: skip


async def _rows(
    connection: AsyncConnection, table: sa.Table, user_id: str, *, order: Sequence[str]
) -> Sequence[sa.RowMapping]:
    columns = [column for column in table.c if column.name != "user_id"]
    query = sa.select(*columns).where(table.c.user_id == user_id).order_by(*(table.c[name] for name in order))
    return (await connection.execute(query)).mappings().all()


def today(facts: Facts, now: datetime) -> date:
    return facts.local(now.astimezone(UTC)).date()
