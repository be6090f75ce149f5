"""The event log and its consumers: order, exactly one effect, retries that keep order, dead letters, replay."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import NotFound
from app.events import log as event_log
from app.events.bus import MAX_ATTEMPTS, Bus
from app.events.schema import Event, NewEvent
from app.storage.database import Database
from app.storage.tables.events import consumer_retries

NOW = datetime(2026, 3, 2, tzinfo=UTC)


class Recorder:
    """Remembers what it was given; raises for the keys it is told to."""

    name = "recorder"
    types: Sequence[str] = ("workflow.deleted",)

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.broken: set[str] = set()

    async def apply(self, connection: AsyncConnection, events: Sequence[Event]) -> None:
        if self.broken & {event.key for event in events}:
            raise RuntimeError("broken on purpose")
        self.seen += [event.id for event in events]

    async def reset(self, connection: AsyncConnection) -> None:
        self.seen.clear()


async def _publish(database: Database, *keys: str) -> None:
    async with database.write() as connection:
        await event_log.append(
            connection, *(NewEvent(type="workflow.deleted", key=key, user_id=None, occurred_at=NOW) for key in keys)
        )


async def _make_due(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(consumer_retries.update().values(next_at=NOW))


async def test_every_event_is_seen_once_and_in_order(database: Database) -> None:
    recorder = Recorder()
    bus = Bus(database, [recorder])
    await _publish(database, "a", "b", "a")

    await bus.drain()
    await bus.drain()

    async with database.read() as connection:
        positions = [event.position for event in await event_log.read_after(connection, 0)]
    assert positions == [1, 2, 3]
    assert len(recorder.seen) == 3


async def test_the_same_fact_is_appended_once(database: Database) -> None:
    event = NewEvent(type="workflow.deleted", key="a", user_id=None, occurred_at=NOW, dedupe_key="once")

    async with database.write() as connection:
        first = await event_log.append(connection, event)
        second = await event_log.append(connection, event)

    assert (first, second) == (1, 0)


async def test_an_event_of_a_rolled_back_change_never_was(database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with database.write() as connection:
            await event_log.append(
                connection, NewEvent(type="workflow.deleted", key="a", user_id=None, occurred_at=NOW)
            )
            raise RuntimeError

    assert await event_log.sequence(database) == 0


async def test_a_failing_key_waits_and_others_go_on(database: Database) -> None:
    recorder = Recorder()
    recorder.broken.add("a")
    bus = Bus(database, [recorder])
    await _publish(database, "a", "b", "a")

    await bus.drain()
    recorder.broken.clear()
    seen_while_broken = len(recorder.seen)
    await _make_due(database)
    await bus.drain()

    assert seen_while_broken == 1
    assert len(recorder.seen) == 3


async def test_what_keeps_failing_becomes_a_dead_letter_that_can_be_retried(database: Database) -> None:
    recorder = Recorder()
    recorder.broken.add("a")
    bus = Bus(database, [recorder])
    await _publish(database, "a")
    for _ in range(MAX_ATTEMPTS):
        await bus.drain()
        await _make_due(database)

    dead = await bus.dead_letters()
    recorder.broken.clear()
    revived = await bus.retry("recorder")

    assert [letter["type"] for letter in dead] == ["workflow.deleted"]
    assert "broken on purpose" in dead[0]["error"]
    assert (revived, len(recorder.seen), await bus.dead_letters()) == (1, 1, [])


async def test_a_dead_letter_can_be_dropped_once(database: Database) -> None:
    recorder = Recorder()
    recorder.broken.add("a")
    bus = Bus(database, [recorder])
    await _publish(database, "a")
    for _ in range(MAX_ATTEMPTS):
        await bus.drain()
        await _make_due(database)
    event_id = (await bus.dead_letters())[0]["event_id"]

    await bus.drop("recorder", event_id)

    assert await bus.dead_letters() == []
    with pytest.raises(NotFound):
        await bus.drop("recorder", event_id)


async def test_a_replay_gives_everything_again(database: Database) -> None:
    recorder = Recorder()
    bus = Bus(database, [recorder])
    await _publish(database, "a", "b")
    await bus.drain()
    live = list(recorder.seen)

    await bus.replay("recorder")

    assert recorder.seen == live


async def test_an_unknown_consumer_is_named(database: Database) -> None:
    with pytest.raises(NotFound, match="recorder"):
        await Bus(database, [Recorder()]).replay("nobody")


async def test_no_payload_lacks_a_field() -> None:
    with pytest.raises(ValueError, match="lacks"):
        NewEvent(type="user.created", key="a", user_id=None, occurred_at=NOW)


async def test_late_commits_never_slip_behind_a_cursor(database: Database) -> None:
    """Positions are given after the commit, so that they grow without gaps whatever the order of commits."""
    recorder = Recorder()
    bus = Bus(database, [recorder])
    for key in "abc":
        await _publish(database, key)
        await bus.drain()

    async with database.read() as connection:
        rows = await event_log.read_after(connection, 0)
        unsequenced = await connection.scalar(sa.text("SELECT count(*) FROM events WHERE position IS NULL"))

    assert [row.position for row in rows] == [1, 2, 3]
    assert unsequenced == 0


async def test_what_comes_afterwards_waits_for_every_consumer_and_is_part_of_a_drain(database: Database) -> None:
    recorder = Recorder()
    seen_before: list[int] = []

    async def afterwards() -> bool:
        seen_before.append(len(recorder.seen))
        return len(seen_before) == 1

    bus = Bus(database, [recorder], afterwards=afterwards)
    await _publish(database, "a", "b")

    await bus.drain()

    assert seen_before == [2, 2]


async def test_settled_waits_for_what_was_written_and_never_for_ever(database: Database) -> None:
    recorder = Recorder()
    bus = Bus(database, [recorder])
    following = asyncio.create_task(bus.run())
    await _publish(database, "a")
    bus.wake()

    await bus.settled(10)
    following.cancel()
    seen = len(recorder.seen)
    bus.wake()
    await bus.settled(0.01)

    assert seen == 1
