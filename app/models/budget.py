"""The purse: a call reserves its worst case on every budget that applies, and is booked once.

All budgets of a call are locked in the order of their ids, checked, and held in one conditional UPDATE
(``spent + held + amount <= limit``) of one transaction, so that the sum of calls can never pass a budget and two
reservations never deadlock, in however many processes they run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from app.errors import BudgetExceeded, InvalidInput, NotFound
from app.events import log as event_log
from app.events.schema import NewEvent
from app.models import audit
from app.storage.database import Database
from app.storage.tables.models import budgets, charges, holds

BudgetKind = Literal["provider", "burst", "user", "intent"]
OWN_KINDS: tuple[BudgetKind, ...] = ("user", "intent")  # these apply only where somebody set them

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
class Alert:
    """A budget reached 90 % of its limit, or had no room for a call; told once in 30 days."""

    kind: Literal["warning", "exceeded"]
    budget_id: str
    spent_microusd: int
    limit_microusd: int


@dataclass(frozen=True, kw_only=True)
class Settled:
    """``booked`` is False when the call was booked or released before; then nothing was changed."""

    booked: bool
    cost_microusd: int
    alerts: tuple[Alert, ...] = ()


def budget_id(kind: BudgetKind, owner: str) -> str:
    return f"{kind}:{owner}"


def intent_owner(user_id: str, intent: str) -> str:
    return f"{user_id}:{intent}"


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
            monthly, burst = DEFAULT_LIMITS_USD.get(provider, OTHER_LIMITS_USD)
            rows += [_new_row("provider", provider, monthly), _new_row("burst", provider, burst)]
        async with self._database.write(durable=True) as connection:
            for row in rows:
                await connection.execute(self._database.insert(budgets).values(row).on_conflict_do_nothing())

    async def reserve(
        self, call_id: str, *, provider: str, user_id: str, amount_microusd: int, now: datetime,
        intent: str | None = None, allow_burst: bool = False, lifetime: timedelta = HOLD_LIFETIME,
    ) -> None:  # fmt: skip
        """Hold the worst case of a call on the provider's budget, and on the user's and the intent's if they are set.

        Raises:
            BudgetExceeded: it does not fit; nothing is held.
        """
        own = [budget_id("user", user_id)]
        own += [budget_id("intent", intent_owner(user_id, intent))] if intent else []
        ways = [[budget_id("provider", provider), *own]]
        ways += [[budget_id("burst", provider), *own]] if allow_burst else []

        def hold(connection: sa.Connection) -> tuple[str, tuple[Alert, ...]] | None:
            held = _hold_one_way(connection, ways, amount_microusd)
            if isinstance(held, str) and _roll_off(connection, [wanted for way in ways for wanted in way], now):
                held = _hold_one_way(connection, ways, amount_microusd)
            if isinstance(held, str):
                return held, _note(connection, [held], "exceeded", now)
            _write_holds(connection, call_id, held, amount_microusd, now, now + lifetime)
            return None

        outcome = await self._database.run(hold)
        if outcome is not None:
            refused, alerts = outcome
            raise BudgetExceeded(spent_message(refused), alerts=alerts)

    async def settle(self, call_id: str, *, cost_microusd: int | None, now: datetime) -> Settled:
        """Book what a call cost, once; None books the whole hold."""
        return await self._database.run(lambda connection: _settle(connection, call_id, cost_microusd, now))

    async def release(self, call_id: str, *, now: datetime) -> bool:
        """Give a hold back unbooked: the provider refused before it generated anything."""

        def give_back(connection: sa.Connection) -> bool:
            held = _take_holds(connection, call_id)
            if not held:
                return False
            amount = held[0][1]
            ids = [wanted for wanted, _ in held]
            _lock(connection, ids)
            connection.execute(_UNHOLD, {"ids": ids, "held": amount, "cost": 0})
            _append(connection, "budget.released", call_id, now, {"amountMicrousd": amount})
            return True

        return await self._database.run(give_back)

    async def sweep(self, now: datetime) -> int:
        """Charge in full the holds whose process died; returns how many calls."""
        async with self._database.read() as connection:
            expired = await connection.scalars(sa.select(holds.c.call_id).where(holds.c.expires_at <= now).distinct())
            call_ids = list(expired)
        for call_id in call_ids:
            await self.settle(call_id, cost_microusd=None, now=now)
        return len(call_ids)

    async def record(self, call_id: str, *, provider: str, user_id: str, cost_microusd: int, now: datetime) -> Settled:
        """Book what was spent elsewhere on the provider's budget and the user's, once for a ``call_id``.

        It was spent already, so it is booked even where it does not fit.

        Raises:
            NotFound: the provider has no budget.
        """

        def book(connection: sa.Connection) -> Settled:
            known = connection.execute(sa.select(charges.c.call_id).where(charges.c.call_id == call_id)).first()
            if known is not None:
                return Settled(booked=False, cost_microusd=0)
            rows = _lock(connection, [budget_id("provider", provider), budget_id("user", user_id)])
            if budget_id("provider", provider) not in rows:
                raise NotFound(f"There is no provider {provider!r}. See /budget for those there are.")
            alerts = _book(connection, call_id, sorted(rows), cost_microusd, now, held=0)
            return Settled(booked=True, cost_microusd=cost_microusd, alerts=alerts)

        return await self._database.run(book)

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

        def change(connection: sa.Connection) -> None:
            before = _lock(connection, [wanted]).get(wanted)
            if before is None and kind not in OWN_KINDS:
                raise NotFound(f"There is no provider {owner!r}. See /budget for those there are.")
            if before is None:
                row = {"id": wanted, "kind": kind, "owner": owner, "limit_microusd": limit_microusd or 0}
                connection.execute(budgets.insert().values(**row, active=active))
            else:
                connection.execute(budgets.update().where(budgets.c.id == wanted).values(**changes))
            detail = {"limitMicrousd": limit_microusd, "active": active}
            _append(connection, "budget.changed", wanted, now, detail, user_id=actor)
            old = None if before is None else {"limitMicrousd": before["limit_microusd"], "active": before["active"]}
            audit.record(connection, actor, "budget.change", wanted, {"before": old, "after": detail}, at=now)

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

    async def switched_off(self) -> set[str]:
        """Providers whose budget is switched off."""
        query = sa.select(budgets.c.owner).where(budgets.c.kind == "provider", sa.not_(budgets.c.active))
        async with self._database.read() as connection:
            return set(await connection.scalars(query))


Rows = Mapping[str, sa.RowMapping]

# Built once: building them anew for each call costs as much as running them.
_IDS = budgets.c.id.in_(sa.bindparam("ids", expanding=True))
_LOCK = sa.select(budgets).where(_IDS).order_by(budgets.c.id).with_for_update()
_HOLD = (
    budgets.update()
    .where(
        _IDS,
        budgets.c.active,
        budgets.c.spent_microusd + budgets.c.held_microusd + sa.bindparam("amount") <= budgets.c.limit_microusd,
    )
    .values(held_microusd=budgets.c.held_microusd + sa.bindparam("amount"))
)
_UNHOLD = (
    budgets.update()
    .where(_IDS)
    .values(
        held_microusd=budgets.c.held_microusd - sa.bindparam("held"),
        spent_microusd=budgets.c.spent_microusd + sa.bindparam("cost"),
    )
)
_TAKE = (
    holds.delete()
    .where(holds.c.call_id == sa.bindparam("call"))
    .returning(holds.c.budget_id, holds.c.amount_microusd)
)  # fmt: skip
_NEW_HOLD = holds.insert()
_NEW_CHARGE = charges.insert()


def _lock(connection: sa.Connection, ids: Sequence[str]) -> Rows:
    """The budgets by id, locked in the order of their ids (on SQLite the transaction is the lock)."""
    return {row["id"]: row for row in connection.execute(_LOCK, {"ids": sorted(set(ids))}).mappings()}


def _hold_one_way(connection: sa.Connection, ways: Sequence[Sequence[str]], amount: int) -> list[str] | str:
    """Hold on all budgets of the first way that fits and return them; else the id that refused the last way."""
    rows = _lock(connection, [wanted for way in ways for wanted in way])
    refused = ""
    for way in ways:
        applying = [wanted for wanted in way if _applies(wanted, rows, amount)]
        refusing = next((wanted for wanted in applying if not _fits(rows.get(wanted), amount)), None)
        if refusing is not None:
            refused = refusing
            continue
        updated = connection.execute(_HOLD, {"ids": applying, "amount": amount})
        assert updated.rowcount == len(applying), "a locked budget changed"
        return applying
    return refused


def _applies(wanted: str, rows: Rows, amount: int) -> bool:
    """A provider's budget must be there, unless the call is free; one's own counts only where it was set."""
    row = rows.get(wanted)
    if wanted.split(":", 1)[0] not in OWN_KINDS:
        return row is not None or amount > 0
    return row is not None and bool(row["active"])


def _fits(row: sa.RowMapping | None, amount: int) -> bool:
    if row is None or not row["active"]:
        return False
    return bool(row["spent_microusd"] + row["held_microusd"] + amount <= row["limit_microusd"])


def _write_holds(
    connection: sa.Connection, call_id: str, held: Sequence[str], amount: int, now: datetime, expires_at: datetime
) -> None:
    rows = [
        {"call_id": call_id, "budget_id": wanted, "amount_microusd": amount, "created_at": now,
         "expires_at": expires_at}
        for wanted in held
    ]  # fmt: skip
    if rows:
        connection.execute(_NEW_HOLD, rows)
    _append(connection, "budget.reserved", call_id, now, {"amountMicrousd": amount, "budgets": list(held)})


def _take_holds(connection: sa.Connection, call_id: str) -> list[tuple[str, int]]:
    """Delete a call's holds and return (budget, amount); empty when somebody else took them."""
    taken = connection.execute(_TAKE, {"call": call_id})
    return sorted((row.budget_id, row.amount_microusd) for row in taken)


def _settle(connection: sa.Connection, call_id: str, cost_microusd: int | None, now: datetime) -> Settled:
    held = _take_holds(connection, call_id)
    if not held:
        return Settled(booked=False, cost_microusd=0)
    amount = held[0][1]
    cost = amount if cost_microusd is None else cost_microusd
    alerts = _book(connection, call_id, [wanted for wanted, _ in held], cost, now, held=amount)
    return Settled(booked=True, cost_microusd=cost, alerts=alerts)


def _book(
    connection: sa.Connection, call_id: str, ids: Sequence[str], cost: int, now: datetime, *, held: int
) -> tuple[Alert, ...]:
    before = _lock(connection, ids)
    connection.execute(_UNHOLD, {"ids": ids, "held": held, "cost": cost})
    connection.execute(
        _NEW_CHARGE,
        [{"call_id": call_id, "budget_id": wanted, "amount_microusd": cost, "charged_at": now} for wanted in ids],
    )
    _append(connection, "budget.settled", call_id, now, {"amountMicrousd": cost})
    near = [
        wanted
        for wanted, row in before.items()
        if row["limit_microusd"] and row["spent_microusd"] + cost >= row["limit_microusd"] * WARNING_SHARE
    ]
    return _note(connection, near, "warning", now) if near else ()


def _roll_off(connection: sa.Connection, ids: Sequence[str], now: datetime) -> bool:
    """Take charges that are older than the window off what was spent; whether there were any."""
    old = connection.execute(
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
        connection.execute(
            budgets.update()
            .where(budgets.c.id == wanted)
            .values(spent_microusd=budgets.c.spent_microusd - amount)
        )  # fmt: skip
    return bool(sums)


def _note(
    connection: sa.Connection, ids: Sequence[str], kind: Literal["warning", "exceeded"], now: datetime
) -> tuple[Alert, ...]:
    """Raise an alert for each budget that was not told of in the last 30 days."""
    column = budgets.c.warned_at if kind == "warning" else budgets.c.exceeded_at
    query = (
        sa.select(budgets)
        .where(budgets.c.id.in_(ids), sa.or_(column.is_(None), column <= now - WINDOW))
        .order_by(budgets.c.id)
    )
    alerts = []
    for row in connection.execute(query).mappings().all():
        connection.execute(budgets.update().where(budgets.c.id == row["id"]).values({column.name: now}))
        alert = Alert(kind=kind, budget_id=row["id"], spent_microusd=row["spent_microusd"],
                      limit_microusd=row["limit_microusd"])  # fmt: skip
        payload = {"spentMicrousd": alert.spent_microusd, "limitMicrousd": alert.limit_microusd}
        whose = row["owner"].split(":", 1)[0] if row["kind"] in OWN_KINDS else None
        _append(connection, f"budget.{kind}", row["id"], now, payload, user_id=whose)
        alerts.append(alert)
    return tuple(alerts)


def _append(
    connection: sa.Connection, event_type: str, key: str, now: datetime, payload: dict[str, Any],
    *, user_id: str | None = None,
) -> None:  # Any: JSON  # fmt: skip
    event = NewEvent(type=event_type, key=key, user_id=user_id, occurred_at=now, payload=payload)
    event_log.append_in(connection, event)


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


def name_of(wanted: str) -> str:
    """Whose budget it is, for people."""
    kind, owner = wanted.split(":", 1)
    match kind:
        case "user":
            return "Your budget"
        case "intent":
            return f"Your budget for {owner.split(':', 1)[1]}"
        case "burst":
            return f"The burst budget for {owner}"
        case _:
            return f"The budget for {owner}"


def spent_message(refused: str) -> str:
    return f"{name_of(refused)} has no room for this call. See /budget; it frees up as the last 30 days roll on."
