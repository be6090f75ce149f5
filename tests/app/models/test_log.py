"""The log of calls: its views, and how long things are kept."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from app.events.schema import NewEvent
from app.identity.accounts import AccountService, User
from app.models import log as call_log
from app.models.budget import HOLD_LIFETIME, Purse
from app.models.log import CallLog, CallRecord
from app.storage.database import Database
from app.storage.tables.events import events
from app.storage.tables.models import provider_logs, provider_metrics
from tests.fakes.clock import Clock
from tests.fakes.hashing import quick_hasher


def record(number: int, *, at: datetime, status: str = "ok") -> CallRecord:
    return CallRecord(
        id=f"call-{number}", request_id=f"request-{number}", user_id=None, thread_id=None, task="chat", intent=None,
        provider="openai", model="m", status=status, states="Idle", error_kind=None if status == "ok" else "server",
        input_tokens=10, cached_tokens=0, output_tokens=40, tokens_counted=False, held_microusd=9, cost_microusd=5,
        first_token_ms=100, total_ms=1100, selection={"reason": "only one", "ranking": []}, created_at=at,
        tokens_per_second=40.0,
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


async def _charged(database: Database, clock: Clock, *, enabled: bool = True, days: int = 0) -> tuple[CallLog, User]:
    """A log, beside calls that it was told nothing of: one that was held, one that ended, one that runs, one that
    was refused and costs nothing, and one that never left; and what was spent elsewhere."""
    purse, owner = Purse(database), await AccountService(database=database, clock=clock, hasher=quick_hasher()).owner()
    await purse.open(["openai"])
    for call_id in ("held", "ended", "refused", "stayed"):
        await purse.reserve(
            call_id, provider="openai", model="m", task="chat", user_id=owner.id, amount_microusd=9, now=clock(),
            intent="general.chat", thread_id="t",
        )  # fmt: skip
    await purse.settle("ended", cost_microusd=5, now=clock())
    await purse.release("refused", now=clock())
    await purse.release("stayed", now=clock(), has_left=False)
    await purse.record(
        "elsewhere", provider="openai", user_id=owner.id, cost_microusd=7, actor=owner.id, now=clock()
    )  # fmt: skip
    clock.move(days=days, seconds=HOLD_LIFETIME.total_seconds())
    await purse.reserve("runs", provider="openai", model="m", task="chat", user_id=owner.id, amount_microusd=9,
                        now=clock() - timedelta(minutes=10))  # fmt: skip
    await purse.sweep(clock())
    return CallLog(database, enabled=enabled), owner


@pytest.mark.parametrize("days", [0, 3])
async def test_a_call_whose_process_died_is_logged_from_its_charge(database: Database, clock: Clock, days: int) -> None:
    log, owner = await _charged(database, clock, days=days)

    lost = [await log.log_lost(clock()), await log.log_lost(clock())]

    async with database.read() as connection:
        logged = {row["id"]: row for row in (await connection.execute(sa.select(provider_logs))).mappings()}
        measured = {row["call_id"]: row for row in (await connection.execute(sa.select(provider_metrics))).mappings()}
    costs = {"held": 9, "ended": 5, "refused": 0}
    assert lost == [3, 0]
    assert {call_id: row["cost_microusd"] for call_id, row in logged.items()} == costs
    assert {call_id: row["cost_microusd"] for call_id, row in measured.items()} == costs
    held = logged["held"]
    assert (held["user_id"], held["thread_id"], held["intent"]) == (owner.id, "t", "general.chat")
    assert (held["provider"], held["model"], held["task"], held["status"]) == ("openai", "m", "chat", "lost")


async def test_a_lost_call_counts_as_a_call_and_says_nothing_of_its_model(database: Database, clock: Clock) -> None:
    now = clock()
    log, _ = await _charged(database, clock)
    await write(database, record(1, at=now), record(2, at=now, status="failed"))

    await log.log_lost(clock())

    [stats] = await call_log.stats(database, since=now - timedelta(days=1))
    [hour] = await rows_of(database, "SELECT * FROM provider_hourly")
    outcomes = await call_log.recent_outcomes(database, now - timedelta(days=1))
    assert (stats.calls, stats.failures, stats.total_ms, stats.cost_microusd) == (5, 1, 1100, 24)
    assert stats.success_rate == 0.5
    assert (hour["calls"], float(hour["success_rate"]), float(hour["total_ms"])) == (5, 0.5, 1100)  # type: ignore[arg-type]
    assert len(outcomes) == 2


async def test_what_its_own_process_says_of_a_lost_call_counts(database: Database, clock: Clock) -> None:
    log, owner = await _charged(database, clock)
    await log.log_lost(clock())
    own = replace(record(1, at=clock()), id="ended", user_id=owner.id)

    await log.put(own)
    await log.put(replace(record(2, at=clock()), user_id=owner.id))
    await log.close()
    again = await log.log_lost(clock())

    async with database.read() as connection:
        statuses = {row.id: row.status for row in await connection.execute(sa.select(provider_logs))}
        milliseconds = {row.call_id: row.total_ms for row in await connection.execute(sa.select(provider_metrics))}
    assert again == 0
    assert statuses == {"held": "lost", "refused": "lost", "ended": "ok", "call-2": "ok"}
    assert milliseconds == {"held": None, "refused": None, "ended": 1100, "call-2": 1100}


async def test_a_call_that_waits_to_be_logged_is_not_lost(sqlite: Database, clock: Clock) -> None:
    log, owner = await _charged(sqlite, clock)
    log._records.append(replace(record(1, at=clock()), id="ended", user_id=owner.id))

    lost = await log.log_lost(clock())

    statuses = {row["id"]: row["status"] for row in await call_log.newest(sqlite)}
    assert lost == 2
    assert statuses == {"held": "lost", "refused": "lost", "ended": "ok"}


async def test_a_log_that_is_switched_off_keeps_no_lost_calls_either(sqlite: Database, clock: Clock) -> None:
    log, _ = await _charged(sqlite, clock, enabled=False)

    assert (await log.log_lost(clock()), await call_log.newest(sqlite)) == (0, [])


async def test_a_row_that_the_database_does_not_take_keeps_back_no_other(database: Database) -> None:
    log = CallLog(database)
    now = datetime.now(UTC)
    bad = replace(record(1, at=now), model="x" * 200, selection={"reason": "\x00"})

    await log.put(bad, event("bad", now, {"provider": "openai", "retryAfterSeconds": float("inf")}))
    await log.put(None, event("no JSON", now, {"provider": "openai", "retryAfterSeconds": Decimal(1)}))
    await log.put(record(2, at=now), event("good", now, {"provider": "openai", "retryAfterSeconds": 1}))
    await log.close()

    ids = {row["id"] for row in await call_log.newest(database, limit=10)}
    async with database.read() as connection:
        keys = set(await connection.scalars(sa.select(events.c.key)))
    assert record(2, at=now).id in ids
    assert "good" in keys
    assert "no JSON" not in keys
    assert log._records == []


def event(key: str, at: datetime, payload: dict[str, Any]) -> NewEvent:
    return NewEvent(type="provider.rate-limited", key=key, user_id=None, occurred_at=at, payload=payload)
