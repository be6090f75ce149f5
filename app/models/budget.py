"""The purse: a call reserves its worst case on every budget that applies, and is booked once.

One conditional UPDATE for each budget (``spent + held + amount <= limit``), all in one transaction and always in the
order of their ids, so that the sum of calls can never pass a budget and two reservations never deadlock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import BudgetExceeded, InvalidInput, NotFound
from app.events import log as event_log
from app.events.schema import NewEvent
from app.storage.database import Database
from app.storage.tables.models import budgets, charges, holds

BudgetKind = Literal["provider", "burst", "user"]

WINDOW = timedelta(days=30)
HOLD_LIFETIME = timedelta(minutes=15)
WARNING_SHARE = 0.9
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


def budget_id(kind: BudgetKind, owner: str) -> str:
    return f"{kind}:{owner}"


def microusd(dollars: float) -> int:
    return round(dollars * MICROUSD)


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
            monthly, burst = DEFAULT_LIMITS_USD.get(provider, (10, 0))
            rows += [_new_row("provider", provider, monthly), _new_row("burst", provider, burst)]
        async with self._database.write(durable=True) as connection:
            for row in rows:
                await connection.execute(self._database.insert(budgets).values(row).on_conflict_do_nothing())

    async def reserve(
        self, call_id: str, *, provider: str, user_id: str, amount_microusd: int, now: datetime,
        allow_burst: bool = False,
    ) -> None:  # fmt: skip
        """Hold the worst case of a call on the provider's budget and on the user's, if one is set.

        Raises:
            BudgetExceeded: it does not fit; nothing is held.
        """
        async with self._database.write(durable=True) as connection:
            monthly = budget_id("provider", provider)
            burst = budget_id("burst", provider)
            user = budget_id("user", user_id)
            await _roll_off(connection, [monthly, burst, user], now)
            refused = None
            for wanted in ([monthly, user], [burst, user]) if allow_burst else ([monthly, user],):
                refused = await self._hold_all(connection, call_id, sorted(wanted), amount_microusd, now)
                if refused is None:
                    return
            assert refused is not None
        await self._note_exceeded(refused, now)
        raise BudgetExceeded(_spent_message(refused))

    async def _hold_all(
        self, connection: AsyncConnection, call_id: str, ids: Sequence[str], amount: int, now: datetime
    ) -> str | None:
        """Hold on all budgets of ``ids`` or on none; the id of the one that refused."""
        savepoint = await connection.begin_nested()
        held = []
        for wanted in ids:
            outcome = await _hold(connection, wanted, amount)
            if outcome == "refused":
                await savepoint.rollback()
                return wanted
            if outcome == "held":
                held.append(wanted)
        for wanted in held:
            await connection.execute(
                holds.insert().values(
                    call_id=call_id,
                    budget_id=wanted,
                    amount_microusd=amount,
                    created_at=now,
                    expires_at=now + HOLD_LIFETIME,
                )
            )
        await event_log.append(
            connection,
            NewEvent(type="budget.reserved", key=call_id, user_id=None, occurred_at=now,
                     payload={"amountMicrousd": amount, "budgets": held}),
        )  # fmt: skip
        await savepoint.commit()
        return None

    async def settle(self, call_id: str, *, cost_microusd: int | None, now: datetime) -> bool:
        """Book what a call cost, once; None books the whole hold. False when it was booked or released before."""
        async with self._database.write(durable=True) as connection:
            return await _settle(connection, call_id, cost_microusd, now)

    async def release(self, call_id: str, *, now: datetime) -> bool:
        """Give a hold back unbooked: the provider refused before it generated anything."""
        async with self._database.write(durable=True) as connection:
            held = await _take_holds(connection, call_id)
            for wanted, amount in held:
                await connection.execute(
                    budgets.update()
                    .where(budgets.c.id == wanted)
                    .values(held_microusd=budgets.c.held_microusd - amount)
                )
            if held:
                await event_log.append(
                    connection,
                    NewEvent(type="budget.released", key=call_id, user_id=None, occurred_at=now,
                             payload={"amountMicrousd": held[0][1]}),
                )  # fmt: skip
            return bool(held)

    async def sweep(self, now: datetime) -> int:
        """Charge in full the holds whose process died; returns how many calls."""
        async with self._database.read() as connection:
            expired = await connection.scalars(sa.select(holds.c.call_id).where(holds.c.expires_at <= now).distinct())
            call_ids = list(expired)
        for call_id in call_ids:
            await self.settle(call_id, cost_microusd=None, now=now)
        return len(call_ids)

    async def set_limit(
        self, kind: BudgetKind, owner: str, *, limit_microusd: int | None, active: bool, actor: str, now: datetime
    ) -> Budget:  # fmt: skip
        """Change or create a budget; None keeps its limit.

        Raises:
            NotFound: a provider's budget that does not exist.
        """
        wanted = budget_id(kind, owner)
        changes: dict[str, object] = {"active": active, "warned_at": None, "exceeded_at": None}
        if limit_microusd is not None:
            changes["limit_microusd"] = limit_microusd
        async with self._database.write(durable=True) as connection:
            updated = await connection.execute(budgets.update().where(budgets.c.id == wanted).values(**changes))
            if updated.rowcount == 0:
                if kind != "user":
                    raise NotFound(f"There is no provider {owner!r}. See /budget for those there are.")
                await connection.execute(
                    budgets.insert().values(
                        id=wanted, kind=kind, owner=owner, limit_microusd=limit_microusd or 0, active=active
                    )
                )
            await event_log.append(
                connection,
                NewEvent(type="budget.changed", key=wanted, user_id=actor, occurred_at=now,
                         payload={"limitMicrousd": limit_microusd, "active": active}),
            )  # fmt: skip
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

    async def _note_exceeded(self, refused: str, now: datetime) -> None:
        async with self._database.write(durable=True) as connection:
            await _note(connection, refused, "budget.exceeded", now)


async def _hold(connection: AsyncConnection, wanted: str, amount: int) -> Literal["held", "refused", "absent"]:
    fits = budgets.c.spent_microusd + budgets.c.held_microusd + amount <= budgets.c.limit_microusd
    updated = await connection.execute(
        budgets.update()
        .where(budgets.c.id == wanted, budgets.c.active, fits)
        .values(held_microusd=budgets.c.held_microusd + amount)
    )
    if updated.rowcount:
        return "held"
    row = (await connection.execute(sa.select(budgets.c.active).where(budgets.c.id == wanted))).first()
    if wanted.startswith("user:") and (row is None or not row.active):
        return "absent"
    return "refused"


async def _take_holds(connection: AsyncConnection, call_id: str) -> list[tuple[str, int]]:
    """Delete a call's holds and return (budget, amount); empty when somebody else took them."""
    taken = await connection.execute(
        holds.delete().where(holds.c.call_id == call_id).returning(holds.c.budget_id, holds.c.amount_microusd)
    )
    return sorted((row.budget_id, row.amount_microusd) for row in taken)


async def _settle(connection: AsyncConnection, call_id: str, cost_microusd: int | None, now: datetime) -> bool:
    held = await _take_holds(connection, call_id)
    for wanted, amount in held:
        cost = amount if cost_microusd is None else cost_microusd
        await connection.execute(
            budgets.update()
            .where(budgets.c.id == wanted)
            .values(
                held_microusd=budgets.c.held_microusd - amount,
                spent_microusd=budgets.c.spent_microusd + cost,
            )
        )
        await connection.execute(
            charges.insert().values(call_id=call_id, budget_id=wanted, amount_microusd=cost, charged_at=now)
        )
        await _note(connection, wanted, "budget.warning", now)
    if held:
        booked = held[0][1] if cost_microusd is None else cost_microusd
        await event_log.append(
            connection,
            NewEvent(type="budget.settled", key=call_id, user_id=None, occurred_at=now,
                     payload={"amountMicrousd": booked}),
        )  # fmt: skip
    return bool(held)


async def _roll_off(connection: AsyncConnection, ids: Sequence[str], now: datetime) -> None:
    """Take charges that are older than the window off what was spent."""
    old = await connection.execute(
        charges.update()
        .where(
            charges.c.budget_id.in_(ids),
            charges.c.rolled_off_at.is_(None),
            charges.c.charged_at <= now - WINDOW,
        )
        .values(rolled_off_at=now)
        .returning(charges.c.budget_id, charges.c.amount_microusd)
    )
    sums: dict[str, int] = {}
    for row in old:
        sums[row.budget_id] = sums.get(row.budget_id, 0) + row.amount_microusd
    for wanted, amount in sorted(sums.items()):
        await connection.execute(
            budgets.update()
            .where(budgets.c.id == wanted)
            .values(spent_microusd=budgets.c.spent_microusd - amount, warned_at=None, exceeded_at=None)
        )


async def _note(
    connection: AsyncConnection,
    wanted: str,
    alert: Literal["budget.warning", "budget.exceeded"],
    now: datetime,
) -> None:
    """Raise an alert once in a period: at 90 % of a limit, or when a call no longer fits."""
    column = budgets.c.warned_at if alert == "budget.warning" else budgets.c.exceeded_at
    row = (await connection.execute(sa.select(budgets, column.label("noted_at")).where(budgets.c.id == wanted))).one()
    due = alert == "budget.exceeded" or row.spent_microusd >= row.limit_microusd * WARNING_SHARE
    if row.noted_at is not None or row.limit_microusd == 0 or not due:
        return
    await connection.execute(budgets.update().where(budgets.c.id == wanted).values({column.name: now}))
    await event_log.append(
        connection,
        NewEvent(type=alert, key=wanted, user_id=row.owner if row.kind == "user" else None, occurred_at=now,
                 payload={"spentMicrousd": row.spent_microusd, "limitMicrousd": row.limit_microusd}),
    )  # fmt: skip


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


def _spent_message(refused: str) -> str:
    kind, owner = refused.split(":", 1)
    whose = "Your budget" if kind == "user" else f"The budget for {owner}"
    return f"{whose} has no room for this call. See /budget; it frees up as the last 30 days roll on."
