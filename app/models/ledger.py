"""The purse's statements: locking, holding, booking and rolling off, each within a transaction of the caller's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from app.events import log as event_log
from app.events.schema import NewEvent
from app.storage.tables.models import budgets, charges, holds

WINDOW = timedelta(days=30)
WARNING_SHARE = 0.9
OWN_KINDS = ("user", "intent")  # these apply only where somebody set them


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
UNHOLD = (
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


def lock(connection: sa.Connection, ids: Sequence[str]) -> Rows:
    """The budgets by id, locked in the order of their ids (on SQLite the transaction is the lock)."""
    return {row["id"]: row for row in connection.execute(_LOCK, {"ids": sorted(set(ids))}).mappings()}


def hold_one_way(connection: sa.Connection, ways: Sequence[Sequence[str]], amount: int) -> list[str] | str:
    """Hold on all budgets of the first way that fits and return them; else the id that refused the last way."""
    rows = lock(connection, [wanted for way in ways for wanted in way])
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


def write_holds(
    connection: sa.Connection, call_id: str, held: Sequence[str], amount: int, now: datetime, expires_at: datetime
) -> None:
    """Remember what a call holds on which budgets, with its event."""
    rows = [
        {"call_id": call_id, "budget_id": wanted, "amount_microusd": amount, "created_at": now,
         "expires_at": expires_at}
        for wanted in held
    ]  # fmt: skip
    if rows:
        connection.execute(_NEW_HOLD, rows)
    append(connection, "budget.reserved", call_id, now, {"amountMicrousd": amount, "budgets": list(held)})


def take_holds(connection: sa.Connection, call_id: str) -> list[tuple[str, int]]:
    """Delete a call's holds and return (budget, amount); empty when somebody else took them."""
    taken = connection.execute(_TAKE, {"call": call_id})
    return sorted((row.budget_id, row.amount_microusd) for row in taken)


def settle(connection: sa.Connection, call_id: str, cost_microusd: int | None, now: datetime) -> Settled:
    """Turn a call's holds into charges of what it cost, or of the whole hold, with the event and new alerts."""
    held = take_holds(connection, call_id)
    if not held:
        return Settled(booked=False, cost_microusd=0)
    amount = held[0][1]
    cost = amount if cost_microusd is None else cost_microusd
    alerts = book(connection, call_id, [wanted for wanted, _ in held], cost, now, held=amount)
    return Settled(booked=True, cost_microusd=cost, alerts=alerts)


def book(
    connection: sa.Connection, call_id: str, ids: Sequence[str], cost: int, now: datetime, *, held: int
) -> tuple[Alert, ...]:
    """Charge a call on its budgets and take its hold off them; returns the alerts that this raised."""
    before = lock(connection, ids)
    connection.execute(UNHOLD, {"ids": ids, "held": held, "cost": cost})
    connection.execute(
        _NEW_CHARGE,
        [{"call_id": call_id, "budget_id": wanted, "amount_microusd": cost, "charged_at": now} for wanted in ids],
    )
    append(connection, "budget.settled", call_id, now, {"amountMicrousd": cost})
    near = [
        wanted
        for wanted, row in before.items()
        if row["limit_microusd"] and row["spent_microusd"] + cost >= row["limit_microusd"] * WARNING_SHARE
    ]
    return note(connection, near, "warning", now) if near else ()


def roll_off(connection: sa.Connection, ids: Sequence[str], now: datetime) -> bool:
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


def note(
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
        append(connection, f"budget.{kind}", row["id"], now, payload, user_id=whose)
        alerts.append(alert)
    return tuple(alerts)


def append(
    connection: sa.Connection, event_type: str, key: str, now: datetime, payload: dict[str, Any],
    *, user_id: str | None = None,
) -> None:  # Any: JSON  # fmt: skip
    event = NewEvent(type=event_type, key=key, user_id=user_id, occurred_at=now, payload=payload)
    event_log.append_in(connection, event)
