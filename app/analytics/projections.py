"""What happened, counted by day and by concept: tables that the event log alone builds and can build again."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.events.schema import Event
from app.storage.database import Database
from app.storage.tables.events import learner_concepts, learner_days


class LearnerStats:
    """The consumer behind /stats."""

    name = "learner-stats"
    types: Sequence[str] = (
        "challenge.submitted",
        "challenge.passed",
        "challenge.failed",
        "challenge.finished",
        "challenge.hinted",
        "training.answered",
        "mastery.changed",
    )

    def __init__(self, database: Database) -> None:
        self._database = database

    async def apply(self, connection: AsyncConnection, event: Event) -> None:
        if event.user_id is None:
            return
        day = _day_counts(event)
        if day:
            key = {"user_id": event.user_id, "day": event.occurred_at.date().isoformat()}
            await self._add(connection, learner_days, key, day)
        concept = event.payload.get("concept")
        if isinstance(concept, str):
            await self._count_concept(connection, event, concept)

    async def reset(self, connection: AsyncConnection) -> None:
        await connection.execute(learner_days.delete())
        await connection.execute(learner_concepts.delete())

    async def _count_concept(self, connection: AsyncConnection, event: Event, concept: str) -> None:
        key = {"user_id": event.user_id, "concept": concept}
        counts = _concept_counts(event)
        extra: dict[str, Any] = {"last_at": event.occurred_at}  # Any: columns of several types
        if event.type == "mastery.changed":
            extra["mastery"] = event.payload["after"]
        await self._add(connection, learner_concepts, key, counts, extra=extra)
        if event.type == "challenge.passed":
            await connection.execute(
                learner_concepts.update()
                .where(
                    learner_concepts.c.user_id == event.user_id,
                    learner_concepts.c.concept == concept,
                    learner_concepts.c.best_score < event.payload["score"],
                )
                .values(best_score=event.payload["score"])
            )

    async def _add(
        self,
        connection: AsyncConnection,
        table: sa.Table,
        key: dict[str, Any],  # Any: columns of several types
        counts: dict[str, int],
        *,
        extra: dict[str, Any] | None = None,  # Any: as above
    ) -> None:
        """Add to a row's counters, and set ``extra``, whether the row is there or not."""
        changes = {name: table.c[name] + value for name, value in counts.items()} | (extra or {})
        statement = self._database.insert(table).values(**key, **counts, **(extra or {}))
        await connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changes))


def _day_counts(event: Event) -> dict[str, int]:
    match event.type:
        case "challenge.submitted":
            return {"submitted": 1, "score_sum": int(event.payload["score"])}
        case "challenge.passed":
            return {"passed": 1}
        case "challenge.hinted":
            return {"hints": 1}
        case "training.answered":
            return {"answered": 1, "correct": int(event.payload["correct"])}
        case _:
            return {}


def _concept_counts(event: Event) -> dict[str, int]:
    match event.type:
        case "challenge.passed":
            return {"tried": 1, "succeeded": 1}
        case "challenge.failed":
            return {"tried": 1}
        case "challenge.finished":
            if event.payload["known"]:
                return {}  # the same challenge again says nothing about working alone or with help
            how = "aided" if event.payload["aided"] or event.payload["ending"] == "revealed" else "alone"
            return {f"{how}_ended": 1, f"{how}_solved": int(event.payload["solved"])}
        case "training.answered":
            return {"tried": 1, "succeeded": int(event.payload["correct"])}
        case _:
            return {}
