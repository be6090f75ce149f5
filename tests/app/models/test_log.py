"""The log of calls: its views, and how long things are kept."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.events.schema import NewEvent
from app.models import log as call_log
from app.models.log import CallLog, CallRecord
from app.storage.database import Database
from app.storage.tables.events import events
from app.storage.tables.models import provider_logs, provider_metrics


def record(number: int, *, at: datetime, status: str = "ok") -> CallRecord:
    return CallRecord(
        id=f"call-{number}", request_id=f"request-{number}", user_id=None, thread_id=None, task="chat", intent=None,
        provider="openai", model="m", status=status, states="Idle", error_kind=None if status == "ok" else "server",
        input_tokens=10, cached_tokens=0, output_tokens=40, tokens_counted=False, held_microusd=9, cost_microusd=5,
        first_token_ms=100, total_ms=1100, selection={"reason": "only one", "ranking": []}, created_at=at,
    )  # fmt: skip


async def write(database: Database, *records: CallRecord) -> None:
    log = CallLog(database)
    for one in records:
        await log.put(one)
    await log.close()


async def rows_of(database: Database, query: str) -> list[dict[str, object]]:
    async with database.read() as connection:
        return [dict(row._mapping) for row in await connection.execute(sa.text(query))]


async def test_the_views_tell_success_hours_and_failures(database: Database) -> None:
    now = datetime.now(UTC)
    old = now - timedelta(days=8)
    unasked = replace(record(4, at=now), provider="none", model="none", status="refused", error_kind=None)
    await write(database, record(1, at=now), record(2, at=now, status="failed"), record(3, at=old), unasked)

    week = await rows_of(database, "SELECT * FROM provider_success_7d")
    hours = await rows_of(database, "SELECT * FROM provider_hourly ORDER BY hour")
    failures = await rows_of(database, "SELECT * FROM provider_failures")

    assert [(row["provider"], row["calls"], float(row["success_rate"])) for row in week] == [("openai", 2, 0.5)]  # type: ignore[arg-type]
    assert [(row["hour"], row["calls"]) for row in hours] == [
        (old.strftime("%Y-%m-%d %H:00"), 1),
        (now.strftime("%Y-%m-%d %H:00"), 2),
    ]
    assert [(row["id"], row["error_kind"]) for row in failures] == [("call-2", "server")]


async def test_what_is_past_its_time_is_dropped(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.models.log.SELECTIONS_KEPT", 2)
    now = datetime.now(UTC)
    ages = (0, 1, 2, 91, 401)
    await write(database, *(record(days, at=now - timedelta(days=days)) for days in ages))

    await call_log.prune(database, now)
    await call_log.prune(database, now)

    async with database.read() as connection:
        logs = {row.id: row.selection for row in await connection.execute(sa.select(provider_logs))}
        measured = set(await connection.scalars(sa.select(provider_metrics.c.call_id)))
    assert logs.keys() == {"call-0", "call-1", "call-2"}
    assert [bool(logs[f"call-{days}"]) for days in (0, 1, 2)] == [True, True, False]
    assert measured == {"call-0", "call-1", "call-2", "call-91"}


async def test_stats_are_means_over_the_time_asked_for(database: Database) -> None:
    now = datetime.now(UTC)
    await write(database, record(1, at=now), record(2, at=now, status="failed"), record(3, at=now - timedelta(days=2)))

    [stats] = await call_log.stats(database, since=now - timedelta(days=1))

    assert (stats.calls, stats.failures, stats.success_rate, stats.cost_microusd) == (2, 1, 0.5, 10)
    assert stats.tokens_per_second == pytest.approx(40.0)


async def test_a_full_queue_is_written_out_and_a_database_that_is_gone_keeps_no_answer_back(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.models.log.MOST_WAITING", 3)
    now = datetime.now(UTC)
    log = CallLog(sqlite)
    for number in range(3):
        await log.put(record(number, at=now))
    written = len(await call_log.newest(sqlite))
    gone = CallLog(Database(sqlite.url + "/nowhere"))
    for number in range(10, 20):
        await gone.put(record(number, at=now))

    assert written == 3
    assert len(gone._records) <= 3
    await log.close()


async def test_a_row_that_the_database_does_not_take_keeps_back_no_other(database: Database) -> None:
    log = CallLog(database)
    now = datetime.now(UTC)
    bad = replace(record(1, at=now), model="x" * 200, selection={"reason": "\x00"})

    await log.put(bad, event("bad", now, {"provider": "openai", "retryAfterSeconds": float("inf")}))
    await log.put(record(2, at=now), event("good", now, {"provider": "openai", "retryAfterSeconds": 1}))
    await log.close()

    ids = {row["id"] for row in await call_log.newest(database, limit=10)}
    async with database.read() as connection:
        keys = set(await connection.scalars(sa.select(events.c.key)))
    assert record(2, at=now).id in ids
    assert "good" in keys
    assert log._records == []


def event(key: str, at: datetime, payload: dict[str, Any]) -> NewEvent:
    return NewEvent(type="provider.rate-limited", key=key, user_id=None, occurred_at=at, payload=payload)
