"""The log of model calls: what was asked of whom, how it ended, what it cost. Rows are written in batches."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, StatementError

from app.events import log as event_log
from app.events.schema import NewEvent
from app.models.selector import Outcome
from app.storage.database import Database
from app.storage.paging import older_than
from app.storage.tables.identity import users
from app.storage.tables.models import call_costs, charges, holds, provider_logs, provider_metrics

logger = structlog.get_logger()

FLUSH_SECONDS = 0.2
MOST_WAITING = 2000
SELECTIONS_KEPT = 1000
NO_PROVIDER = "none"  # of a request that no model was asked for
LOST_AFTER = timedelta(minutes=5)  # a call that holds nothing any more is logged by its process long before
LOST_WITHIN = timedelta(days=1)  # once all that is kept was looked through
LOST_STATES = "Idle > Validating > Requesting > Failed"
LOG_DAYS = 90
METRICS_DAYS = 400


@dataclass(frozen=True, kw_only=True)
class CallRecord:
    """One finished call. Times in milliseconds, money in micro-dollars."""

    id: str
    request_id: str
    user_id: str | None
    thread_id: str | None
    task: str
    intent: str | None
    provider: str
    model: str
    status: str
    states: str
    error_kind: str | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    tokens_counted: bool
    held_microusd: int
    cost_microusd: int
    first_token_ms: int | None
    total_ms: int | None
    selection: dict[str, Any]  # Any: JSON
    created_at: datetime
    tokens_per_second: float | None = None  # of the metrics alone

    def metrics(self) -> dict[str, Any]:  # Any: a row
        return {
            "call_id": self.id, "provider": self.provider, "model": self.model, "task": self.task,
            "succeeded": self.status == "ok", "error_kind": self.error_kind, "first_token_ms": self.first_token_ms,
            "total_ms": self.total_ms, "tokens_per_second": self.tokens_per_second,
            "cost_microusd": self.cost_microusd, "created_at": self.created_at,
        }  # fmt: skip


class CallLog:
    """Writes calls and what happened in them a fifth of a second later, many at a time; money is booked elsewhere.

    The queue is bounded: when it is full, whoever adds to it writes it out.
    """

    def __init__(self, database: Database, *, enabled: bool = True) -> None:
        self._database = database
        self.enabled = enabled
        self._looked_through = False
        self._records: list[CallRecord] = []
        self._events: list[NewEvent] = []
        self._writing = asyncio.Lock()
        self._due: asyncio.Task[None] | None = None

    async def put(self, record: CallRecord | None, *events: NewEvent) -> None:
        if record is not None and self.enabled:
            self._records.append(record)
        self._events.extend(events)
        if len(self._records) + len(self._events) >= MOST_WAITING:
            await self._flush_or_wait()
        elif self._due is None or self._due.done():
            self._due = asyncio.create_task(self._flush_later())

    async def flush(self) -> None:
        """Write what waits.

        Raises:
            StorageFailed: the database cannot be used; what waits goes on waiting.
        """
        async with self._writing:
            records, events = self._records, self._events
            if not records and not events:
                return
            self._records, self._events = [], []
            writing = asyncio.ensure_future(self._database.run(lambda connection: _write(connection, records, events)))
            try:
                await asyncio.shield(writing)
            finally:
                await asyncio.wait({writing})  # also when we are cancelled: what was written must not be written again
                if writing.exception() is not None:
                    self._records, self._events = records + self._records, events + self._events

    async def log_lost(self, now: datetime) -> int:
        """Log the calls that were charged, or refused, and that nobody logged since their process died; returns
        how many. Where one is logged by its own process after all, that is what counts."""
        if not self.enabled:
            return 0
        await self.flush()  # what waits here is not lost
        within = LOST_WITHIN if self._looked_through else timedelta(days=LOG_DAYS)
        async with self._database.read() as connection:
            found = (await connection.execute(_LOST, {"since": now - within, "until": now - LOST_AFTER})).all()
        if found:
            lost = [_lost(row) for row in found]
            await self._database.run(lambda connection: _insert(connection, lost, replacing=False))
            logger.warning("model.calls_lost", calls=len(found))
        self._looked_through = self._looked_through or len(found) < MOST_WAITING
        return len(found)

    async def close(self) -> None:
        if self._due is not None and not self._due.done():
            self._due.cancel()
            await asyncio.gather(self._due, return_exceptions=True)
        await self.flush()

    async def _flush_later(self) -> None:
        await asyncio.sleep(FLUSH_SECONDS)
        await self._flush_or_wait()

    async def _flush_or_wait(self) -> None:
        """The log outlives a database that is gone for a while, and never keeps an answer back; the next call tries
        again, with the newest that there is room for."""
        try:
            await self.flush()
        except Exception:  # it must outlive a database that is gone for a while
            logger.exception("model.log_failed", waiting=len(self._records))
            del self._records[:-MOST_WAITING], self._events[:-MOST_WAITING]


_TABLES = (provider_logs, provider_metrics)
_LOGGED = tuple(column.name for column in provider_logs.c)
_LOST = (
    sa.select(call_costs)
    .join(users, users.c.id == call_costs.c.user_id)
    .where(
        call_costs.c.at.between(sa.bindparam("since"), sa.bindparam("until")),
        call_costs.c.model.is_not(None),
        call_costs.c.call_id.not_in(sa.select(holds.c.call_id)),
        ~sa.exists().where(provider_logs.c.id == call_costs.c.call_id),
    )
    .limit(MOST_WAITING)
)


@cache
def _inserts(dialect: str, *, replacing: bool) -> tuple[Any, ...]:  # Any: the dialects' Insert share no public type
    """INSERT into the log and the metrics; what is there already is replaced, or stays."""
    made = []
    for table in _TABLES:
        insert = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
        if replacing:
            key = list(table.primary_key)
            others = {column.name: insert.excluded[column.name] for column in table.c if not column.primary_key}
            made.append(insert.on_conflict_do_update(index_elements=key, set_=others))
        else:
            made.append(insert.on_conflict_do_nothing())
    return tuple(made)


def _write(connection: sa.Connection, records: list[CallRecord], events: list[NewEvent]) -> None:
    try:
        with connection.begin_nested():
            _write_all(connection, records, events)
    except IntegrityError:  # somebody's account was deleted while their call ran: what it cost stays, without a name
        named = {record.user_id for record in records} | {event.user_id for event in events}
        gone = _unknown_users(connection, {user_id for user_id in named if user_id is not None})
        _write_all(
            connection,
            [replace(record, user_id=None) if record.user_id in gone else record for record in records],
            [replace(event, user_id=None) if event.user_id in gone else event for event in events],
        )
    except (StatementError, ValueError, OverflowError) as error:
        if isinstance(error, DBAPIError) and (isinstance(error, OperationalError) or error.connection_invalidated):
            raise  # the database is gone for a while
        _write_what_fits(connection, records, events)


def _write_what_fits(connection: sa.Connection, records: list[CallRecord], events: list[NewEvent]) -> None:
    """One by one: a row that the database does not take must not keep back all that come after it."""
    rows: list[tuple[list[CallRecord], list[NewEvent]]] = [([record], []) for record in records]
    rows += [([], [event]) for event in events]
    for own_records, own_events in rows:
        try:
            with connection.begin_nested():
                _write_all(connection, own_records, own_events)
        except (StatementError, ValueError, OverflowError):
            logger.exception("model.log_row_dropped", records=len(own_records), events=len(own_events))


def _unknown_users(connection: sa.Connection, user_ids: set[str]) -> set[str]:
    return user_ids - set(connection.scalars(sa.select(users.c.id).where(users.c.id.in_(user_ids))))


def _write_all(connection: sa.Connection, records: list[CallRecord], events: list[NewEvent]) -> None:
    if records:
        _insert(connection, records, replacing=True)
    event_log.append_in(connection, *events)


def _insert(connection: sa.Connection, records: list[CallRecord], *, replacing: bool) -> None:
    into_log, into_metrics = _inserts(connection.dialect.name, replacing=replacing)
    connection.execute(into_log, [{name: vars(record)[name] for name in _LOGGED} for record in records])
    connection.execute(into_metrics, [record.metrics() for record in records])


def _lost(row: sa.Row[Any]) -> CallRecord:  # Any: of call_costs
    return CallRecord(
        id=row.call_id, request_id=row.call_id, user_id=row.user_id, thread_id=row.thread_id, task=row.task,
        intent=row.intent, provider=row.provider, model=row.model, status="lost", states=LOST_STATES, error_kind=None,
        input_tokens=0, cached_tokens=0, output_tokens=0, tokens_counted=False, held_microusd=row.amount_microusd,
        cost_microusd=row.amount_microusd, first_token_ms=None, total_ms=None,
        selection={"reason": "how far it came is not known", "ranking": []}, created_at=row.at,
    )  # fmt: skip


async def recent_outcomes(
    database: Database, since: datetime, *, limit: int = 1000
) -> list[tuple[Outcome, int | None]]:
    """How the calls since then ended, oldest first, each with the milliseconds to its first token; the failed tries of
    one request at one model are one."""
    request = provider_logs.c.request_id
    query = (
        sa.select(provider_metrics, request)
        .outerjoin(provider_logs, provider_logs.c.id == provider_metrics.c.call_id)
        .where(provider_metrics.c.created_at >= since)
        .order_by(provider_metrics.c.created_at.desc())
        .limit(limit)
    )
    async with database.read() as connection:
        rows = [row for row in await connection.execute(query) if row.succeeded or row.error_kind]
    blamed: set[tuple[str, str]] = set()
    found = []
    for row in rows:
        outcome = Outcome(
            model_id=f"{row.provider}/{row.model}", error_kind=row.error_kind, at=row.created_at,
            tokens_per_second=row.tokens_per_second,
        )  # fmt: skip
        failure = (row.request_id or row.call_id, outcome.model_id)
        if row.error_kind is None or failure not in blamed:
            found.append((outcome, row.first_token_ms))
        if row.error_kind is not None:
            blamed.add(failure)
    return found[::-1]


async def newest(
    database: Database, *, user_id: str | None = None, thread_id: str | None = None, provider: str | None = None,
    failed: bool = False, asked: bool = False, before: str | None = None, limit: int = 20, rankings: bool = True,
) -> list[dict[str, Any]]:  # Any: a row for people  # fmt: skip
    """The newest calls first, of everybody or of one user, thread or provider; only those that failed, or for which a
    model was asked, if wanted; ``before`` is the id of the last one of the page before. Without ``rankings`` they lack
    their selection, which is most of a row.

    Raises:
        InvalidInput: there is no such call.
    """
    columns = [column for column in provider_logs.c if rankings or column.name != "selection"]
    query = sa.select(*columns).order_by(provider_logs.c.created_at.desc(), provider_logs.c.id).limit(limit)
    for column, wanted in (("user_id", user_id), ("thread_id", thread_id), ("provider", provider)):
        if wanted is not None:
            query = query.where(provider_logs.c[column] == wanted)
    if failed:
        query = query.where(provider_logs.c.status == "failed")
    if asked:
        query = query.where(provider_logs.c.status != "refused")
    async with database.read() as connection:
        if before is not None:
            own = [provider_logs.c.user_id == user_id] if user_id is not None else []
            query = query.where(
                await older_than(connection, provider_logs.c.created_at, provider_logs.c.id, before, *own)
            )
        return [dict(row._mapping) for row in await connection.execute(query)]


@dataclass(frozen=True, kw_only=True)
class ModelStats:
    """Figures of one model over a time; means in milliseconds, None where nothing was measured."""

    provider: str
    model: str
    calls: int
    successes: int
    failures: int
    first_token_ms: float | None
    total_ms: float | None
    tokens_per_second: float | None
    cost_microusd: int

    @property
    def success_rate(self) -> float | None:
        """Of the calls that succeeded or failed: what was stopped or lost says nothing of a model."""
        ended = self.successes + self.failures
        return self.successes / ended if ended else None


async def stats(database: Database, *, since: datetime) -> list[ModelStats]:
    """Figures of each model that was called since then, the most called first."""
    table = provider_metrics.c
    calls = sa.func.count().label("calls")
    successes = sa.func.sum(sa.case((table.succeeded, 1), else_=0)).label("successes")
    failures = sa.func.sum(sa.case((table.error_kind.is_not(None), 1), else_=0)).label("failures")
    query = (
        sa.select(
            table.provider, table.model, calls, successes, failures,
            sa.func.avg(table.first_token_ms).label("first"), sa.func.avg(table.total_ms).label("total"),
            sa.func.avg(table.tokens_per_second).label("speed"), sa.func.sum(table.cost_microusd).label("cost"),
        )
        .where(table.created_at >= since, table.provider != NO_PROVIDER)
        .group_by(table.provider, table.model)
        .order_by(calls.desc(), table.provider, table.model)
    )  # fmt: skip
    async with database.read() as connection:
        return [
            ModelStats(
                provider=row.provider, model=row.model, calls=row.calls, successes=int(row.successes),
                failures=int(row.failures),
                first_token_ms=None if row.first is None else float(row.first),
                total_ms=None if row.total is None else float(row.total), tokens_per_second=row.speed,
                cost_microusd=int(row.cost),
            )
            for row in await connection.execute(query)
        ]  # fmt: skip


async def prune(database: Database, now: datetime) -> None:
    """Drop what is past its time: calls after 90 days, metrics and costs after 400, all rankings but the last 1000."""

    def drop(connection: sa.Connection) -> None:
        for table, days in ((provider_logs, LOG_DAYS), (provider_metrics, METRICS_DAYS)):
            connection.execute(table.delete().where(table.c.created_at < now - timedelta(days=days)))
        connection.execute(call_costs.delete().where(call_costs.c.at < now - timedelta(days=METRICS_DAYS)))
        # what has not rolled off is still counted as spent
        connection.execute(charges.delete().where(charges.c.rolled_off_at < now - timedelta(days=METRICS_DAYS)))
        oldest_kept = connection.scalar(
            sa.select(provider_logs.c.created_at)
            .order_by(provider_logs.c.created_at.desc())
            .offset(SELECTIONS_KEPT - 1)
            .limit(1)
        )
        if oldest_kept is not None:
            has_one = sa.cast(provider_logs.c.selection, sa.String) != "{}"
            too_old = sa.and_(provider_logs.c.created_at < oldest_kept, has_one)
            connection.execute(provider_logs.update().where(too_old).values(selection={}))

    await database.run(drop)
