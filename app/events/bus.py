"""Consumers of the log: cursors, retries in order of key, dead letters, replay."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import NotFound
from app.events import log as event_log
from app.events.schema import Event
from app.storage.database import Database
from app.storage.tables.events import consumer_cursors, consumer_retries, events

logger = structlog.get_logger()

POLL_SECONDS = 1.0
BATCH = 500
MAX_ATTEMPTS = 5
RETRY_SECONDS = (1, 5, 30, 120)


class Consumer(Protocol):
    """Something that follows the log. ``apply`` runs in the transaction that moves the cursor; where a batch fails, its
    events are tried one by one."""

    name: str
    types: Sequence[str]

    async def apply(self, connection: AsyncConnection, events: Sequence[Event]) -> None: ...

    async def reset(self, connection: AsyncConnection) -> None:
        """Empty what ``apply`` builds, before a replay."""
        ...


class Bus:
    """Feeds every consumer at least once and in the order of each key. ``wake`` is a hint; polling is the truth."""

    def __init__(
        self,
        database: Database,
        consumers: Sequence[Consumer],
        *,
        afterwards: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        """``afterwards`` is called when every consumer has read the whole log, and says whether it worked."""
        self._database = database
        self.consumers = {consumer.name: consumer for consumer in consumers}
        self._afterwards = afterwards
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()

    def wake(self) -> None:
        self._idle.clear()
        self._wake.set()

    async def settled(self, seconds: float) -> None:
        """Wait until what was written so far has been followed, ``seconds`` at most: a hint, never a promise."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    async def run(self) -> None:
        """Follow the log until cancelled."""
        while True:
            try:
                busy = await self.drain_once()
            except Exception:  # the loop must outlive a database that is gone for a while
                logger.exception("events.bus_failed")
                busy = False
            if not busy:
                if not self._wake.is_set():
                    self._idle.set()
                try:
                    async with asyncio.timeout(POLL_SECONDS):  # wait_for can swallow a cancellation on Python 3.11
                        await self._wake.wait()
                except TimeoutError:
                    continue
                finally:
                    self._wake.clear()

    async def drain(self) -> None:
        """Feed consumers until nothing is waiting (retries that are not yet due stay)."""
        while await self.drain_once():
            pass

    async def drain_once(self) -> bool:
        moved = await event_log.sequence(self._database) > 0
        for consumer in self.consumers.values():
            moved = await self._feed(consumer) or moved
            moved = await self._retry(consumer) or moved
        if not moved and self._afterwards is not None:
            return await self._afterwards()
        return moved

    async def _feed(self, consumer: Consumer) -> bool:
        async with self._database.read() as connection:
            cursor = await _cursor(connection, consumer.name)
            if not await event_log.read_after(connection, cursor, limit=1):
                return False
        async with self._database.write() as connection:
            cursor = await _locked_cursor(connection, self._database, consumer.name)
            batch = await event_log.read_after(connection, cursor, limit=BATCH)
            if not batch:
                return False
            meant = [event for event in batch if event.type in consumer.types]
            parked = await _parked_keys(connection, consumer.name)
            if meant and (parked or await _try(connection, consumer, meant)):
                await _one_by_one(connection, consumer, meant, parked)
            await _set_cursor(connection, self._database, consumer.name, batch[-1].position or cursor)
        return True

    async def _retry(self, consumer: Consumer) -> bool:
        now = datetime.now(UTC)
        async with self._database.read() as connection:
            if not await _due(connection, consumer.name, now):
                return False
        async with self._database.write() as connection:
            await _locked_cursor(connection, self._database, consumer.name)
            due = await _due(connection, consumer.name, now)
            for event, attempts in due:
                error = await _try(connection, consumer, [event])
                if error is None:
                    await connection.execute(consumer_retries.delete().where(_is(consumer.name, event.id)))
                    continue
                await _postpone(connection, consumer.name, event, attempts=attempts + 1, error=error, now=now)
        return bool(due)

    async def replay(self, name: str) -> None:
        """Empty a consumer's projection and build it again from the first event.

        Raises:
            NotFound: no consumer has that name.
        """
        consumer = self._consumer(name)
        async with self._database.write() as connection:
            await _locked_cursor(connection, self._database, name)
            await consumer.reset(connection)
            await connection.execute(consumer_retries.delete().where(consumer_retries.c.consumer == name))
            await _set_cursor(connection, self._database, name, 0)
        await self.drain()

    async def dead_letters(self) -> list[dict[str, Any]]:  # Any: a row for people
        query = (
            sa.select(consumer_retries, events.c.type)
            .join(events, events.c.id == consumer_retries.c.event_id)
            .where(consumer_retries.c.dead_at.is_not(None))
            .order_by(consumer_retries.c.position)
        )
        async with self._database.read() as connection:
            return [dict(row._mapping) for row in await connection.execute(query)]

    async def retry(self, name: str) -> int:
        """Give a consumer's dead letters another round of attempts now; returns how many.

        Raises:
            NotFound: no consumer has that name.
        """
        self._consumer(name)
        async with self._database.write() as connection:
            revived = await connection.execute(
                consumer_retries.update()
                .where(consumer_retries.c.consumer == name, consumer_retries.c.dead_at.is_not(None))
                .values(dead_at=None, attempts=0, next_at=datetime.now(UTC))
            )
        await self.drain()
        return revived.rowcount

    async def drop(self, name: str, event_id: str) -> None:
        """Forget one dead letter.

        Raises:
            NotFound: it is not there.
        """
        async with self._database.write() as connection:
            dropped = await connection.execute(
                consumer_retries.delete().where(_is(name, event_id), consumer_retries.c.dead_at.is_not(None))
            )
            if dropped.rowcount == 0:
                raise NotFound(f"No dead letter {event_id!r} of {name!r}. See: tooloo events dead")

    def _consumer(self, name: str) -> Consumer:
        if name not in self.consumers:
            raise NotFound(f"No consumer {name!r}. There are: {', '.join(sorted(self.consumers))}.")
        return self.consumers[name]


async def _cursor(connection: AsyncConnection, name: str) -> int:
    query = sa.select(consumer_cursors.c.position).where(consumer_cursors.c.consumer == name)
    return int(await connection.scalar(query) or 0)


async def _locked_cursor(connection: AsyncConnection, database: Database, name: str) -> int:
    """The cursor, which nobody else moves until the transaction has ended; made where there is none, so that there is
    always a row to lock. Whoever applies, retries or resets for a consumer holds it."""
    blank = database.insert(consumer_cursors).values(consumer=name, position=0)
    await connection.execute(blank.on_conflict_do_nothing())
    query = sa.select(consumer_cursors.c.position).where(consumer_cursors.c.consumer == name).with_for_update()
    return int(await connection.scalar(query) or 0)


async def _set_cursor(connection: AsyncConnection, database: Database, name: str, position: int) -> None:
    statement = database.insert(consumer_cursors).values(consumer=name, position=position)
    await connection.execute(statement.on_conflict_do_update(index_elements=["consumer"], set_={"position": position}))


def _is(name: str, event_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(consumer_retries.c.consumer == name, consumer_retries.c.event_id == event_id)


async def _parked_keys(connection: AsyncConnection, name: str) -> set[str]:
    rows = await connection.scalars(
        sa.select(consumer_retries.c.key).where(
            consumer_retries.c.consumer == name, consumer_retries.c.dead_at.is_(None)
        )
    )
    return set(rows)


async def _park(connection: AsyncConnection, name: str, event: Event, *, error: str | None) -> None:
    attempts = 0 if error is None else 1
    await connection.execute(
        consumer_retries.insert().values(
            consumer=name,
            event_id=event.id,
            position=event.position,
            key=event.key,
            attempts=attempts,
            error=error,
            next_at=datetime.now(UTC) + timedelta(seconds=RETRY_SECONDS[0] * attempts),
        )
    )


async def _postpone(
    connection: AsyncConnection, name: str, event: Event, *, attempts: int, error: str, now: datetime
) -> None:
    dead = attempts >= MAX_ATTEMPTS
    wait = RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1]
    await connection.execute(
        consumer_retries.update()
        .where(_is(name, event.id))
        .values(
            attempts=attempts,
            error=error,
            next_at=now + timedelta(seconds=wait),
            dead_at=now if dead else None,
        )
    )


async def _due(connection: AsyncConnection, name: str, now: datetime) -> list[tuple[Event, int]]:
    """The oldest waiting event of each key, where it is due."""
    oldest = (
        sa.select(sa.func.min(consumer_retries.c.position))
        .where(consumer_retries.c.consumer == name, consumer_retries.c.dead_at.is_(None))
        .group_by(consumer_retries.c.key)
    )
    query = (
        sa.select(events, consumer_retries.c.attempts)
        .join(consumer_retries, consumer_retries.c.event_id == events.c.id)
        .where(
            consumer_retries.c.consumer == name,
            consumer_retries.c.position.in_(oldest),
            consumer_retries.c.next_at <= now,
        )
        .order_by(consumer_retries.c.position)
        .limit(BATCH)
    )
    return [(event_log.event_of(row), row._mapping["attempts"]) for row in await connection.execute(query)]


async def _one_by_one(
    connection: AsyncConnection, consumer: Consumer, events: Sequence[Event], parked: set[str]
) -> None:
    for event in events:
        if event.key in parked:
            await _park(connection, consumer.name, event, error=None)
        elif error := await _try(connection, consumer, [event]):
            parked.add(event.key)
            await _park(connection, consumer.name, event, error=error)


async def _try(connection: AsyncConnection, consumer: Consumer, events: Sequence[Event]) -> str | None:
    """Apply in a savepoint; a failure undoes these events alone and is returned as its text."""
    try:
        async with connection.begin_nested():
            await consumer.apply(connection, events)
    except Exception as error:  # a consumer's mistake must not stop the log
        logger.exception("events.consumer_failed", consumer=consumer.name, event_types=sorted({e.type for e in events}))
        return f"{type(error).__name__}: {error}"[:2000]
    return None
