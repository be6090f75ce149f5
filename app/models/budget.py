"""The purse: a call reserves its worst case on every budget that applies, and is booked once.

All budgets of a call are locked in the order of their ids, checked, and held in one conditional UPDATE
(``spent + held + amount <= limit``) of one transaction, so that the sum of calls can never pass a budget and two
reservations never deadlock, in however many processes they run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from app.errors import BudgetExceeded, InvalidInput, NotFound
from app.models import audit, ledger
from app.models.ledger import OWN_KINDS, WINDOW, Alert, Settled
from app.storage.database import Database
from app.storage.tables.models import budgets, charges, holds

BudgetKind = Literal["provider", "burst", "user", "intent"]

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
            held = ledger.hold_one_way(connection, ways, amount_microusd)
            if isinstance(held, str) and ledger.roll_off(connection, [wanted for way in ways for wanted in way], now):
                held = ledger.hold_one_way(connection, ways, amount_microusd)
            if isinstance(held, str):
                return held, ledger.note(connection, [held], "exceeded", now)
            ledger.write_holds(connection, call_id, held, amount_microusd, now, now + lifetime)
            return None

        outcome = await self._database.run(hold)
        if outcome is not None:
            refused, alerts = outcome
            raise BudgetExceeded(spent_message(refused), alerts=alerts)

    async def settle(self, call_id: str, *, cost_microusd: int | None, now: datetime) -> Settled:
        """Book what a call cost, once; None books the whole hold."""
        return await self._database.run(lambda connection: ledger.settle(connection, call_id, cost_microusd, now))

    async def release(self, call_id: str, *, now: datetime) -> bool:
        """Give a hold back unbooked: the provider refused before it generated anything."""

        def give_back(connection: sa.Connection) -> bool:
            held = ledger.take_holds(connection, call_id)
            if not held:
                return False
            amount = held[0][1]
            ids = [wanted for wanted, _ in held]
            ledger.lock(connection, ids)
            connection.execute(ledger.UNHOLD, {"ids": ids, "held": amount, "cost": 0})
            ledger.append(connection, "budget.released", call_id, now, {"amountMicrousd": amount})
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
            rows = ledger.lock(connection, [budget_id("provider", provider), budget_id("user", user_id)])
            if budget_id("provider", provider) not in rows:
                raise NotFound(f"There is no provider {provider!r}. See /budget for those there are.")
            alerts = ledger.book(connection, call_id, sorted(rows), cost_microusd, now, held=0)
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
            before = ledger.lock(connection, [wanted]).get(wanted)
            if before is None and kind not in OWN_KINDS:
                raise NotFound(f"There is no provider {owner!r}. See /budget for those there are.")
            if before is None:
                row = {"id": wanted, "kind": kind, "owner": owner, "limit_microusd": limit_microusd or 0}
                connection.execute(budgets.insert().values(**row, active=active))
            else:
                connection.execute(budgets.update().where(budgets.c.id == wanted).values(**changes))
            detail = {"limitMicrousd": limit_microusd, "active": active}
            ledger.append(connection, "budget.changed", wanted, now, detail, user_id=actor)
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
