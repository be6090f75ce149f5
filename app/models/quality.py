"""What answers turned out to be worth: thumbs, questions asked again, answers of the right form, graded outcomes.

Each observation is a share of success from 0 to 1 with a weight; their sums, with the catalog's prior as pseudo-counts,
are the estimate the selector uses (``selector.Learned``).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.events.schema import Event
from app.models.selector import Learned
from app.storage.database import Database
from app.storage.tables.learning import started_challenges
from app.storage.tables.models import model_quality, provider_logs, quality_observations

Observation = Literal["thumb", "asked-again", "schema", "graded"]

# A thumb is what somebody thought of this answer; the others only hint at it.
WEIGHTS: dict[Observation, float] = {"thumb": 1.0, "asked-again": 0.5, "schema": 0.5, "graded": 0.5}
GRADED_WITHIN = timedelta(minutes=30)


async def learned(database: Database) -> dict[tuple[str, str], Learned]:
    """The sums for each model and kind of task."""
    async with database.read() as connection:
        return {
            (row.model_id, row.task): Learned(good=row.good, total=row.total)
            for row in await connection.execute(sa.select(model_quality))
        }


async def observe(database: Database, call_id: str, kind: Observation, value: float | None, *, now: datetime) -> bool:
    """Note what an answer was worth (0 to 1), or take a note back (None); a second note of a kind replaces the first.

    Returns False when no such call answered anything.
    """
    return await database.run(lambda connection: _note(connection, database, call_id, kind, value, now))


class GradedAnswers:
    """Follows the event log: a solution that is handed in soon after a model's answer in the same chat says something
    about that answer."""

    name = "graded-answers"
    types: Sequence[str] = ("challenge.submitted",)

    def __init__(self, database: Database) -> None:
        self._database = database

    async def apply(self, connection: AsyncConnection, events: Sequence[Event]) -> None:
        threads = await self._threads_of(connection, events)
        spoken_in = sa.select(provider_logs.c.thread_id).where(provider_logs.c.thread_id.in_(set(threads.values())))
        known = set(await connection.scalars(spoken_in.distinct()))  # most come from where no model spoke
        for event in events:
            if threads.get(event.id) in known:
                await self._judge(connection, event, threads[event.id])

    async def _threads_of(self, connection: AsyncConnection, events: Sequence[Event]) -> dict[str, str]:
        """In which conversation each event took place. Those of before did not say it: then the one that the challenge
        is in now, though a session may have gone on elsewhere since."""
        silent = {event.key for event in events if "thread" not in event.payload}
        query = sa.select(started_challenges.c.id, started_challenges.c.thread_id)
        rows = await connection.execute(query.where(started_challenges.c.id.in_(silent))) if silent else ()
        now_in = {row.id: row.thread_id for row in rows}
        found = {event.id: event.payload.get("thread", now_in.get(event.key)) for event in events}
        return {event_id: thread for event_id, thread in found.items() if thread is not None}

    async def _judge(self, connection: AsyncConnection, event: Event, thread: str) -> None:
        call_id = await connection.scalar(
            sa.select(provider_logs.c.id)
            .where(
                provider_logs.c.thread_id == thread,
                provider_logs.c.status == "ok",
                provider_logs.c.created_at.between(event.occurred_at - GRADED_WITHIN, event.occurred_at),
            )
            .order_by(provider_logs.c.created_at.desc())
            .limit(1)
        )
        if call_id is not None:
            value = float(event.payload["score"]) / 100
            await connection.run_sync(_note, self._database, str(call_id), "graded", value, event.occurred_at)

    async def reset(self, connection: AsyncConnection) -> None:
        known = sa.select(provider_logs.c.id)  # what was judged of a call that is no longer kept cannot be built again
        await connection.execute(
            quality_observations.delete().where(
                quality_observations.c.kind == "graded", quality_observations.c.call_id.in_(known)
            )
        )
        await connection.execute(model_quality.delete())
        for row in (await connection.execute(sa.select(quality_observations))).all():
            weight = WEIGHTS[row.kind]
            change = {"good": weight * row.value, "total": weight}
            await connection.run_sync(_add, self._database, row.model_id, row.task, change, row.created_at)


def _note(
    connection: sa.Connection, database: Database, call_id: str, kind: Observation, value: float | None, now: datetime
) -> bool:
    call = connection.execute(  # locked, so that of two notes at once each sees what the other left
        sa.select(provider_logs.c.provider, provider_logs.c.model, provider_logs.c.task)
        .where(provider_logs.c.id == call_id, provider_logs.c.status == "ok")
        .with_for_update()
    ).first()
    if call is None:
        return False
    model_id, task = f"{call.provider}/{call.model}", call.task
    is_this = sa.and_(quality_observations.c.call_id == call_id, quality_observations.c.kind == kind)
    before = connection.scalar(quality_observations.delete().where(is_this).returning(quality_observations.c.value))
    if value is not None:
        row = {"call_id": call_id, "kind": kind, "model_id": model_id, "task": task, "value": value}
        connection.execute(quality_observations.insert().values(**row, created_at=now))
    weight = WEIGHTS[kind]
    change = {
        "good": weight * ((value or 0.0) - (before or 0.0)),
        "total": weight * ((value is not None) - (before is not None)),
    }
    _add(connection, database, model_id, task, change, now)
    return True


def _add(
    connection: sa.Connection, database: Database, model_id: str, task: str, change: Mapping[str, float], now: datetime
) -> None:
    statement = database.insert(model_quality).values(model_id=model_id, task=task, **change, updated_at=now)
    sums = {name: model_quality.c[name] + amount for name, amount in change.items()}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["model_id", "task"], set_={**sums, "updated_at": now})
    )
