"""The purse: a call reserves its worst case on every budget that applies, and is booked once.

All budgets of a call are locked, those of providers first and each kind in the order of their ids, checked, and held in
one conditional UPDATE (``spent + held + amount <= limit``) of one transaction, so that the sum of calls can never pass
a budget and two reservations never deadlock, in however many processes they run.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.errors import BudgetExceeded, Conflict, InvalidInput, NotFound
from app.models import audit, ledger, limits
from app.models.ledger import OWN_KINDS, WARNING_SHARE, WINDOW, Alert, Settled
from app.models.wording import spent_message
from app.storage.database import Database
from app.storage.tables.models import (
    budgets,
    call_costs,
    charges,
    holds,
    provider_logs,
    provider_metrics,
    told_alerts,
)

logger = structlog.get_logger()

BudgetKind = Literal["provider", "burst", "user", "allowance", "intent"]

HOLD_LIFETIME = timedelta(minutes=15)
MICROUSD = 1_000_000
LARGEST_LIMIT_USD = 1_000_000.0

# Dollars for 30 days and for bursts: the product's defaults for a new installation.
DEFAULT_LIMITS_USD: dict[str, tuple[int, int]] = {
    "ollama": (0, 0),
    "anthropic": (30, 10),
    "openai": (20, 10),
    "gemini": (25, 10),
    "deepseek": (50, 20),
}
OTHER_LIMITS_USD = (10, 0)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """One budget and its state in micro-dollars; ``spent`` counts the last 30 days."""

    id: str
    kind: BudgetKind
    owner: str
    limit_microusd: int
    spent_microusd: int
    held_microusd: int
    active: bool

    @property
    def remaining_microusd(self) -> int:
        return max(0, self.limit_microusd - self.spent_microusd - self.held_microusd)


@dataclass(frozen=True, kw_only=True)
class DaySpent:
    """What calls of one provider cost on one day (UTC, as ISO text)."""

    day: str
    provider: str
    calls: int
    spent_microusd: int


def budget_id(kind: BudgetKind, owner: str) -> str:
    return f"{kind}:{owner}"


def intent_owner(user_id: str, intent: str) -> str:
    return f"{user_id}:{intent}"


def microusd(dollars: float) -> int:
    """Micro-dollars, rounded up: what costs something is never booked as nothing."""
    return math.ceil(Decimal(str(dollars)) * MICROUSD)


def limit_of(amount_usd: float) -> int:
    """A limit in micro-dollars.

    Raises:
        InvalidInput: negative, not a number, or above a million dollars.
    """
    if not 0 <= amount_usd <= LARGEST_LIMIT_USD:
        raise InvalidInput(f"{amount_usd!r} is not a budget. Give an amount from 0 to 1000000 dollars.")
    return microusd(amount_usd)


class Purse:
    """Budgets in the database. Times are passed in; a clock is not read here."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, providers: Sequence[str]) -> None:
        """Make sure that every provider has its two budgets."""
        rows = []
        for provider in providers:
            monthly, burst = DEFAULT_LIMITS_USD.get(provider, OTHER_LIMITS_USD)
            rows += [_new_row("provider", provider, monthly), _new_row("burst", provider, burst)]
        async with self._database.write(durable=True) as connection:
            for row in rows:
                await connection.execute(self._database.insert(budgets).values(row).on_conflict_do_nothing())

    async def reserve(
        self, call_id: str, *, provider: str, user_id: str, amount_microusd: int, now: datetime,
        model: str | None = None, task: str | None = None, intent: str | None = None, thread_id: str | None = None,
        allow_burst: bool = False, lifetime: timedelta = HOLD_LIFETIME,
    ) -> None:  # fmt: skip
        """Hold the worst case of a call on the provider's budget, and on those of the user and the intent that are set.

        Raises:
            BudgetExceeded: it does not fit; nothing is held.
        """
        ways = _ways(provider, user_id, intent, allow_burst=allow_burst)

        def hold(connection: sa.Connection) -> str | None:
            held = ledger.hold_one_way(connection, ways, amount_microusd)
            if isinstance(held, str) and ledger.roll_off(connection, [wanted for way in ways for wanted in way], now):
                held = ledger.hold_one_way(connection, ways, amount_microusd)
            if isinstance(held, str):
                row = ledger.note_refusal(connection, held, now)
                return spent_message(held, row, amount=amount_microusd, model=f"{provider}/{model}" if model else "")
            ledger.write_holds(connection, call_id, held, amount_microusd, now, now + lifetime)
            ledger.open_cost(
                connection, call_id, user_id=user_id, thread_id=thread_id, intent=intent, provider=provider,
                model=model, task=task, amount=amount_microusd, now=now,
            )  # fmt: skip
            return None

        refused = await self._database.run(hold)
        if refused is not None:
            raise BudgetExceeded(refused)

    async def refuse(
        self, *, provider: str, model: str, user_id: str, amount_microusd: int, now: datetime,
        intent: str | None = None, allow_burst: bool = False,
    ) -> str | None:  # fmt: skip
        """Why a call is not even tried to be held, as ``reserve`` would say and note it; None where it would fit."""
        ways = _ways(provider, user_id, intent, allow_burst=allow_burst)

        def look(connection: sa.Connection) -> str | None:
            refused = ledger.way_that_fits(connection, ways, amount_microusd)
            if isinstance(refused, str) and ledger.roll_off(connection, [one for way in ways for one in way], now):
                refused = ledger.way_that_fits(connection, ways, amount_microusd)
            if not isinstance(refused, str):
                return None
            row = ledger.note_refusal(connection, refused, now)
            return spent_message(refused, row, amount=amount_microusd, model=f"{provider}/{model}")

        return await self._database.run(look)

    async def settle(self, call_id: str, *, cost_microusd: int | None, now: datetime) -> Settled:
        """Book what a call cost, once; None books the whole hold."""
        return await self._database.run(lambda connection: ledger.settle(connection, call_id, cost_microusd, now))

    async def release(self, call_id: str, *, now: datetime, has_left: bool = True) -> Settled:
        """Give a hold back unbooked: the provider refused before it generated anything, or the call never left. Where
        it was swept and charged meanwhile, that stands."""
        return await self._database.run(lambda connection: ledger.release(connection, call_id, now, has_left=has_left))

    async def sweep(self, now: datetime) -> int:
        """Charge in full the holds whose process died, and let old charges roll off; returns how many calls."""
        async with self._database.read() as connection:
            expired = await connection.scalars(sa.select(holds.c.call_id).where(holds.c.expires_at <= now).distinct())
            call_ids = list(expired)
        for call_id in call_ids:
            try:
                settled = await self.settle(call_id, cost_microusd=None, now=now)
                await self._correct_log(call_id, settled.cost_microusd)
            except DBAPIError:  # one that cannot be booked must not keep back all others
                logger.exception("budget.not_swept", call=call_id)
        await self._database.run(lambda connection: ledger.roll_all(connection, now))
        return len(call_ids)

    async def _correct_log(self, call_id: str, cost_microusd: int) -> None:
        """A call that was logged before it could be booked cost what it was charged in the end."""
        async with self._database.write() as connection:
            for table, name in ((provider_logs, "id"), (provider_metrics, "call_id")):
                is_call = table.c[name] == call_id
                await connection.execute(table.update().where(is_call).values(cost_microusd=cost_microusd))

    async def record(
        self, call_id: str, *, provider: str, user_id: str, cost_microusd: int, actor: str, now: datetime
    ) -> Settled:
        """Book what was spent elsewhere on the provider's budget and the user's, once for a ``call_id``.

        It was spent already, so it is booked even where it does not fit.

        Raises:
            NotFound: the provider has no budget.
            Conflict: something else was booked for that ``call_id``.
        """

        own = [budget_id("user", user_id), budget_id("allowance", user_id)]

        def book(connection: sa.Connection) -> Settled:
            rows = ledger.lock(connection, [budget_id("provider", provider), *own])
            if budget_id("provider", provider) not in rows:
                raise NotFound(f"There is no provider {provider!r}. See /budget for those there are.")
            known = connection.execute(sa.select(call_costs).where(call_costs.c.call_id == call_id)).first()
            if known is not None:
                if (known.provider, known.amount_microusd, known.is_final) != (provider, cost_microusd, True):
                    raise Conflict(f"For {call_id!r} something else is booked already. Give it an id of its own.")
                return Settled(booked=False, cost_microusd=cost_microusd)
            ledger.open_cost(
                connection, call_id, user_id=user_id, provider=provider, amount=cost_microusd, now=now, is_final=True
            )
            ledger.book(connection, call_id, sorted(rows), cost_microusd, now, held=0)
            detail = {"callId": call_id, "costMicrousd": cost_microusd}
            audit.record(connection, actor, "budget.record", budget_id("provider", provider), detail, at=now)
            return Settled(booked=True, cost_microusd=cost_microusd)

        try:
            return await self._database.run(book)
        except IntegrityError:  # another process booked for it meanwhile, with another provider
            return await self._database.run(book)

    async def set_limit(
        self, kind: BudgetKind, owner: str, *, limit_microusd: int | None, active: bool | None, actor: str,
        now: datetime,
    ) -> Budget:  # fmt: skip
        """Change or create a budget; None keeps its limit, or whether it counts. A cap counts the last 30 days too.

        Raises:
            NotFound: a provider's budget that does not exist, or a cap that is lifted and was never set.
            InvalidInput: an intent that no call is made for.
        """
        wanted = budget_id(kind, owner)

        def change(connection: sa.Connection) -> None:
            limits.change(connection, wanted, limit_microusd=limit_microusd, active=active, actor=actor, now=now)

        await self._database.run(change)
        return (await self.budgets(now, ids=[wanted]))[0]

    async def budgets(self, now: datetime, *, ids: Sequence[str] | None = None) -> list[Budget]:
        """Budgets with what was spent in the 30 days before ``now``."""
        rolled_off = (
            sa.select(sa.func.coalesce(sa.func.sum(charges.c.amount_microusd), 0))
            .where(
                charges.c.budget_id == budgets.c.id,
                charges.c.rolled_off_at.is_(None),
                charges.c.charged_at <= now - WINDOW,
            )
            .scalar_subquery()
        )
        query = sa.select(budgets, rolled_off.label("rolled_off")).order_by(budgets.c.kind, budgets.c.owner)
        if ids is not None:
            query = query.where(budgets.c.id.in_(ids))
        async with self._database.read() as connection:
            return [_budget_of(row) for row in await connection.execute(query)]

    async def of_user(self, user_id: str, now: datetime) -> list[Budget]:
        """What a user may see: the providers' budgets, and their own."""
        return [
            budget
            for budget in await self.budgets(now)
            if budget.kind not in OWN_KINDS or budget.owner.split(":", 1)[0] == user_id
        ]

    async def spent_by(self, user_id: str, *, since: datetime | None = None, thread_id: str | None = None) -> int:
        """What a user's calls have cost since then, in micro-dollars; of one thread, if given."""
        query = sa.select(sa.func.coalesce(sa.func.sum(call_costs.c.amount_microusd), 0)).where(
            call_costs.c.user_id == user_id, call_costs.c.is_final
        )
        if since is not None:
            query = query.where(call_costs.c.at > since)
        if thread_id is not None:
            query = query.where(call_costs.c.thread_id == thread_id)
        async with self._database.read() as connection:
            return int(await connection.scalar(query) or 0)

    async def history(self, user_id: str | None, *, since: datetime) -> list[DaySpent]:
        """What each provider cost on each day (UTC), the newest first; of everybody where ``user_id`` is None."""
        at = call_costs.c.at
        is_sqlite = self._database.is_sqlite
        day = sa.func.date(at) if is_sqlite else sa.func.to_char(sa.func.timezone("UTC", at), "YYYY-MM-DD")
        query = (
            sa.select(
                day.label("day"), call_costs.c.provider, sa.func.count().label("calls"),
                sa.func.sum(call_costs.c.amount_microusd).label("spent"),
            )
            .where(at > since, call_costs.c.is_final)
            .group_by(sa.text("day"), call_costs.c.provider)
            .order_by(sa.desc("day"), call_costs.c.provider)
        )  # fmt: skip
        if user_id is not None:
            query = query.where(call_costs.c.user_id == user_id)
        async with self._database.read() as connection:
            return [
                DaySpent(day=str(row.day), provider=row.provider, calls=row.calls, spent_microusd=int(row.spent))
                for row in await connection.execute(query)
            ]

    async def tell(self, user_id: str, *, is_admin: bool, now: datetime) -> list[Alert]:
        """The alerts of the last 30 days that this user was not told of: of budgets of their own, and for an
        administrator those of providers. They count as told from now on."""
        own = sa.or_(budgets.c.owner == user_id, budgets.c.owner.startswith(f"{user_id}:"))
        shown = sa.and_(budgets.c.kind.in_(OWN_KINDS), own)
        if is_admin:
            shown = sa.or_(shown, budgets.c.kind.in_(("provider", "burst")))
        raised = sa.or_(budgets.c.warned_at > now - WINDOW, budgets.c.exceeded_at > now - WINDOW)
        async with self._database.read() as connection:
            rows = (
                (await connection.execute(sa.select(budgets).where(shown, raised, budgets.c.active))).mappings().all()
            )
            if not rows:
                return []
            query = sa.select(told_alerts).where(told_alerts.c.user_id == user_id)
            told = {(row.budget_id, row.kind, row.raised_at) for row in await connection.execute(query)}
        spent = {b.id: b.spent_microusd for b in await self.budgets(now, ids=[row["id"] for row in rows])}
        alerts = [_alert_of(row, spent[row["id"]], now) for row in rows]
        alerts = [one for one in alerts if one.spent_microusd >= WARNING_SHARE * one.limit_microusd]  # still true
        new = [alert for alert in alerts if (alert.budget_id, alert.kind, alert.raised_at) not in told]
        return await self._noted_as_told(user_id, new) if new else []

    async def _noted_as_told(self, user_id: str, alerts: Sequence[Alert]) -> list[Alert]:
        """Those that nobody else, such as another chat of the same person, tells at this moment."""
        told = []
        async with self._database.write() as connection:
            for alert in alerts:
                row = {"user_id": user_id, "budget_id": alert.budget_id, "kind": alert.kind}
                statement = self._database.insert(told_alerts).values(**row, raised_at=alert.raised_at)
                noted = await connection.scalar(
                    statement.on_conflict_do_update(
                        index_elements=list(row), set_={"raised_at": alert.raised_at},
                        where=told_alerts.c.raised_at != alert.raised_at,
                    ).returning(told_alerts.c.kind)
                )  # fmt: skip
                told += [alert] if noted is not None else []
        return told


def _ways(provider: str, user_id: str, intent: str | None, *, allow_burst: bool) -> list[list[str]]:
    """Which budgets a call is held on: the provider's, or else its burst, and those of the user and the intent."""
    own = [budget_id("user", user_id), budget_id("allowance", user_id)]
    own += [budget_id("intent", intent_owner(user_id, intent))] if intent else []
    ways = [[budget_id("provider", provider), *own]]
    return [*ways, [budget_id("burst", provider), *own]] if allow_burst else ways


def _new_row(kind: BudgetKind, owner: str, dollars: int) -> dict[str, object]:
    limit = dollars * MICROUSD
    return {"id": budget_id(kind, owner), "kind": kind, "owner": owner, "limit_microusd": limit, "active": True}


def _budget_of(row: sa.Row[tuple[object, ...]]) -> Budget:
    fields = row._mapping
    return Budget(
        id=fields["id"],
        kind=fields["kind"],
        owner=fields["owner"],
        limit_microusd=fields["limit_microusd"],
        spent_microusd=fields["spent_microusd"] - int(fields["rolled_off"]),
        held_microusd=fields["held_microusd"],
        active=fields["active"],
    )


def _alert_of(row: sa.RowMapping, spent: int, now: datetime) -> Alert:
    """What a budget has raised; where it is spent, that it was nearly so is no news any more."""
    is_spent = row["exceeded_at"] is not None and row["exceeded_at"] > now - WINDOW
    has_room = row["warned_at"] is not None and spent < row["limit_microusd"]
    if is_spent and has_room and row["warned_at"] > row["exceeded_at"]:
        is_spent = False  # it was spent before, and is nearly so again
    return Alert(
        kind="exceeded" if is_spent else "warning", budget_id=row["id"],
        raised_at=row["exceeded_at"] if is_spent else row["warned_at"], spent_microusd=spent,
        limit_microusd=row["limit_microusd"],
    )  # fmt: skip
