"""The purse's statements: locking, holding, booking and rolling off, each within a transaction of the caller's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

import sqlalchemy as sa

from app.events import log as event_log
from app.events.schema import NewEvent
from app.storage.prepared import Prepared, Row, Statement
from app.storage.tables.models import budgets, call_costs, charges, holds

WINDOW = timedelta(days=30)
WARNING_SHARE = 0.9
AHEAD = timedelta(days=1)  # beyond it, what is in the future was written by a clock that was wrong
# These apply only where somebody set them: a cap of one's own, one by an administrator, and one for a single intent.
OWN_KINDS = ("user", "allowance", "intent")


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A budget reached 90 % of its limit, or all of it; raised once in 30 days."""

    kind: Literal["warning", "exceeded"]
    budget_id: str
    raised_at: datetime
    spent_microusd: int
    limit_microusd: int


@dataclass(frozen=True, kw_only=True)
class Settled:
    """``booked`` is False when the call was booked or released before; then nothing was changed, and the cost is
    what was booked then."""

    booked: bool
    cost_microusd: int


Rows = Mapping[str, Row]


class _ForBudgets:
    """A statement about some budgets, one at least: it is compiled for each number of them, of which few are kept."""

    def __init__(self, build: Callable[[sa.ColumnElement[bool]], Statement]) -> None:
        self._prepared = lru_cache(maxsize=16)(
            lambda number: Prepared(build(budgets.c.id.in_([sa.bindparam(f"id{n}") for n in range(number)])))
        )

    def run(self, connection: sa.Connection, ids: Sequence[str], **values: int) -> int:
        return self._prepared(len(ids)).run(connection, self._named(ids) | values)

    def rows(self, connection: sa.Connection, ids: Sequence[str], **values: int) -> list[Row]:
        return self._prepared(len(ids)).rows(connection, self._named(ids) | values)

    @staticmethod
    def _named(ids: Sequence[str]) -> dict[str, Any]:  # Any: ids, and whatever else the statement takes
        return {f"id{n}": one for n, one in enumerate(ids)}


_LOCK = _ForBudgets(lambda these: sa.select(budgets).where(these).order_by(budgets.c.id).with_for_update())
_LOCK_PROVIDERS = (
    sa.select(budgets.c.id).where(budgets.c.kind.not_in(OWN_KINDS)).order_by(budgets.c.id).with_for_update()
)
_HELD = Prepared(sa.select(holds.c.budget_id).where(holds.c.call_id == sa.bindparam("call")))
_AMOUNT = sa.bindparam("amount", type_=sa.BigInteger)
_HOLD = _ForBudgets(
    lambda these: (
        budgets.update()
        .where(
            these,
            budgets.c.active,
            sa.or_(
                _AMOUNT == 0,
                budgets.c.spent_microusd + budgets.c.held_microusd + _AMOUNT <= budgets.c.limit_microusd,
            ),
        )
        .values(held_microusd=budgets.c.held_microusd + _AMOUNT)
    )
)
_UNHOLD = _ForBudgets(
    lambda these: (
        budgets.update()
        .where(these)
        .values(
            # a cap that was set while a call ran need not hold it
            held_microusd=sa.case(
                (budgets.c.held_microusd > sa.bindparam("held"), budgets.c.held_microusd - sa.bindparam("held")),
                else_=0,
            ),
            spent_microusd=budgets.c.spent_microusd + sa.bindparam("cost"),
        )
        .returning(budgets)
    )
)
_TAKE = Prepared(
    holds.delete()
    .where(holds.c.call_id == sa.bindparam("call"))
    .returning(holds.c.budget_id, holds.c.amount_microusd)
)  # fmt: skip
_NEW_HOLD = Prepared(holds.insert(), [column.name for column in holds.c])
_NEW_CHARGE = Prepared(charges.insert(), ["call_id", "budget_id", "amount_microusd", "charged_at"])
_NEW_COST = Prepared(call_costs.insert(), [column.name for column in call_costs.c])
_IS_CALL = call_costs.c.call_id == sa.bindparam("call")
_FINAL_COST = Prepared(
    call_costs.update().where(_IS_CALL).values(amount_microusd=sa.bindparam("cost"), is_final=True)
)  # fmt: skip
_REFUSED_COST = Prepared(call_costs.update().where(_IS_CALL).values(amount_microusd=0))
_NO_COST = Prepared(call_costs.delete().where(_IS_CALL))


def lock(connection: sa.Connection, ids: Sequence[str]) -> Rows:
    """The budgets by id, locked: on SQLite by the transaction, on PostgreSQL those of providers in the order of their
    ids, and after them those that people have set.

    They are two statements there, because a cap that is set meanwhile is seen only by one that begins after it; whoever
    sets a cap holds the providers' budgets (``lock_providers``).
    """
    wanted = sorted(set(ids))
    groups = [wanted]
    if connection.dialect.name != "sqlite":
        groups = [[one for one in wanted if _is_own(one) is own] for own in (False, True)]
    rows = [row for group in groups if group for row in _LOCK.rows(connection, group)]
    return {row["id"]: row for row in rows}


def lock_providers(connection: sa.Connection) -> None:
    """Wait until no call is being held or booked, and let none be, until the transaction has ended."""
    connection.execute(_LOCK_PROVIDERS)


def _is_own(budget: str) -> bool:
    return budget.split(":", 1)[0] in OWN_KINDS


def hold_one_way(connection: sa.Connection, ways: Sequence[Sequence[str]], amount: int) -> list[str] | str:
    """Hold on all budgets of the first way that fits and return them; else the id that refused the last way."""
    applying = way_that_fits(connection, ways, amount)
    if applying and not isinstance(applying, str):
        changed = _HOLD.run(connection, applying, amount=amount)
        assert changed == len(applying), "a locked budget changed"
    return applying


def way_that_fits(connection: sa.Connection, ways: Sequence[Sequence[str]], amount: int) -> list[str] | str:
    """Lock the budgets, and find the first way of which all have room; else the id that refused the last way, or that
    of a provider's budget which is switched off: nobody is asked there, whatever else has room."""
    rows = lock(connection, [wanted for way in ways for wanted in way])
    refused = next((way[0] for way in ways[:1] if way[0] in rows and not rows[way[0]]["active"]), "")
    for way in () if refused else ways:
        applying = [wanted for wanted in way if _applies(wanted, rows, amount)]
        refusing = next((wanted for wanted in applying if not _fits(rows.get(wanted), amount)), None)
        if refusing is None:
            return applying
        refused = refusing
    return refused


def _applies(wanted: str, rows: Rows, amount: int) -> bool:
    """A provider's budget must be there, unless the call is free; one's own counts only where it was set."""
    row = rows.get(wanted)
    if not _is_own(wanted):
        return row is not None or amount > 0
    return row is not None and bool(row["active"])


def _fits(row: Row | None, amount: int) -> bool:
    if row is None or not row["active"]:
        return False
    # what costs nothing always fits, also where more is spent than a limit that was set later
    return amount == 0 or bool(row["spent_microusd"] + row["held_microusd"] + amount <= row["limit_microusd"])


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
        _NEW_HOLD.run(connection, *rows)
    append(connection, "budget.reserved", call_id, now, {"amountMicrousd": amount, "budgets": list(held)})


def take_holds(connection: sa.Connection, call_id: str) -> list[tuple[str, int]]:
    """Delete a call's holds and return (budget, amount); empty when somebody else took them.

    The budgets are locked before, so that a cap which is set meanwhile holds the call or has its hold taken here.
    """
    if connection.dialect.name != "sqlite":
        lock(connection, [one for one in _held(connection, call_id) if not _is_own(one)])
        lock(connection, _held(connection, call_id))  # caps cannot be set from here on
    taken = _TAKE.rows(connection, {"call": call_id})
    return sorted((row["budget_id"], row["amount_microusd"]) for row in taken)


def _held(connection: sa.Connection, call_id: str) -> list[str]:
    return [row["budget_id"] for row in _HELD.rows(connection, {"call": call_id})]


def settle(connection: sa.Connection, call_id: str, cost_microusd: int | None, now: datetime) -> Settled:
    """Turn a call's holds into charges of what it cost, or of the whole hold, with the event and new alerts."""
    held = take_holds(connection, call_id)
    if not held:
        return _settled_before(connection, call_id)
    amount = held[0][1]
    cost = amount if cost_microusd is None else cost_microusd
    _FINAL_COST.run(connection, {"call": call_id, "cost": cost})
    book(connection, call_id, [wanted for wanted, _ in held], cost, now, held=amount)
    return Settled(booked=True, cost_microusd=cost)


def release(connection: sa.Connection, call_id: str, now: datetime, *, has_left: bool) -> Settled:
    """Give a call's holds back unbooked. That of one that was refused is remembered, so that it is logged though its
    process dies before it does so."""
    held = take_holds(connection, call_id)
    if not held:
        return _settled_before(connection, call_id)
    amount = held[0][1]
    _UNHOLD.rows(connection, [wanted for wanted, _ in held], held=amount, cost=0)
    (_REFUSED_COST if has_left else _NO_COST).run(connection, {"call": call_id})
    append(connection, "budget.released", call_id, now, {"amountMicrousd": amount})
    return Settled(booked=True, cost_microusd=0)


def _settled_before(connection: sa.Connection, call_id: str) -> Settled:
    """What was booked of a call by whoever swept what has expired."""
    booked = sa.select(call_costs.c.amount_microusd).where(call_costs.c.call_id == call_id, call_costs.c.is_final)
    return Settled(booked=False, cost_microusd=int(connection.scalar(booked) or 0))


def book(connection: sa.Connection, call_id: str, ids: Sequence[str], cost: int, now: datetime, *, held: int) -> None:
    """Charge a call on its budgets, which are locked, take its hold off them, and raise the alerts that this is reason
    for."""
    charged = _UNHOLD.rows(connection, ids, held=held, cost=cost)
    row = {"call_id": call_id, "amount_microusd": cost, "charged_at": now}
    _NEW_CHARGE.run(connection, *({**row, "budget_id": wanted} for wanted in ids))
    append(connection, "budget.settled", call_id, now, {"amountMicrousd": cost})
    near = sorted(row["id"] for row in charged if row["active"] and _share(row) >= WARNING_SHARE)
    if near:
        roll_off(connection, near, now)
        _note_near(connection, lock(connection, near), now)


def _note_near(connection: sa.Connection, rows: Rows, now: datetime) -> None:
    """Raise the alerts of those budgets that are spent, or nearly."""
    note(connection, [wanted for wanted, row in rows.items() if WARNING_SHARE <= _share(row) < 1], "warning", now)
    note(connection, [wanted for wanted, row in rows.items() if _share(row) >= 1], "exceeded", now)


def _share(row: Row) -> float:
    """How much of a budget is spent; of a limit of 0 all is, once anything is spent."""
    spent = row["spent_microusd"]
    return float(spent) / row["limit_microusd"] if row["limit_microusd"] else float(spent > 0)


def open_cost(
    connection: sa.Connection, call_id: str, *, user_id: str, provider: str, amount: int, now: datetime,
    thread_id: str | None = None, intent: str | None = None, model: str | None = None, task: str | None = None,
    is_final: bool = False,
) -> None:  # fmt: skip
    """Remember what a call may cost, and for whom."""
    row = {"call_id": call_id, "user_id": user_id, "thread_id": thread_id, "intent": intent, "provider": provider}
    row |= {"model": model, "task": task}
    _NEW_COST.run(connection, row | {"amount_microusd": amount, "is_final": is_final, "at": now})


def catch_up(connection: sa.Connection, wanted: str, *, user_id: str, intent: str | None, now: datetime) -> None:
    """Count on a cap that was just set what was spent in the window before it, and what is being spent."""
    known = sa.union(
        sa.select(charges.c.call_id).where(charges.c.budget_id == wanted),
        sa.select(holds.c.call_id).where(holds.c.budget_id == wanted),
    )
    missing = sa.select(call_costs).where(
        call_costs.c.user_id == user_id, call_costs.c.at > now - WINDOW, call_costs.c.call_id.not_in(known),
        sa.true() if intent is None else call_costs.c.intent == intent,
    )  # fmt: skip
    rows = connection.execute(missing).mappings().all()
    spent = [row for row in rows if row["is_final"]]
    if spent:
        _NEW_CHARGE.run(connection, *({"call_id": row["call_id"], "budget_id": wanted, "charged_at": row["at"],
                                       "amount_microusd": row["amount_microusd"]} for row in spent))  # fmt: skip
    running = {row["call_id"]: row for row in rows if not row["is_final"]}
    ends = sa.select(holds.c.call_id, sa.func.max(holds.c.expires_at).label("at")).where(holds.c.call_id.in_(running))
    held = connection.execute(ends.group_by(holds.c.call_id)).all()
    if held:
        _NEW_HOLD.run(connection, *({"call_id": row.call_id, "budget_id": wanted, "created_at": now,
                                     "expires_at": row.at,
                                     "amount_microusd": running[row.call_id]["amount_microusd"]}
                                    for row in held))  # fmt: skip
    connection.execute(
        budgets.update().where(budgets.c.id == wanted).values(
            spent_microusd=budgets.c.spent_microusd + sum(row["amount_microusd"] for row in spent),
            held_microusd=budgets.c.held_microusd + sum(running[row.call_id]["amount_microusd"] for row in held),
        )
    )  # fmt: skip


def change_limit(connection: sa.Connection, before: Row, *, limit_microusd: int | None, active: bool | None) -> None:
    """Give a budget another limit, or switch it; None keeps what it has."""
    changes: dict[str, object] = {"active": before["active"] if active is None else active}
    if limit_microusd not in (None, before["limit_microusd"]):  # its alerts were about the old limit
        changes |= {"limit_microusd": limit_microusd, "warned_at": None, "exceeded_at": None}
    connection.execute(budgets.update().where(budgets.c.id == before["id"]).values(changes))


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


def note_shares(connection: sa.Connection, ids: Sequence[str], now: datetime) -> None:
    """Raise the alerts that there is reason for after a limit has changed."""
    _note_near(connection, {wanted: row for wanted, row in lock(connection, ids).items() if row["active"]}, now)


def note_refusal(connection: sa.Connection, wanted: str, now: datetime) -> Row | None:
    """A budget, if it is there, had no room for a call: that is its end only where it is nearly spent, and not just a
    call too dear."""
    row = lock(connection, [wanted]).get(wanted)
    if row is not None and _share(row) >= WARNING_SHARE:
        note(connection, [wanted], "exceeded", now)
    return row


def roll_all(connection: sa.Connection, now: datetime) -> None:
    """Let what is older than the window roll off every budget, and take back what a clock that was ahead let go."""
    early = (
        charges.update()
        .where(charges.c.rolled_off_at.is_not(None), charges.c.charged_at > now - WINDOW)
        .values(rolled_off_at=None)
        .returning(charges.c.budget_id, charges.c.amount_microusd)
    )
    ahead = sa.select(charges.c.budget_id).where(charges.c.rolled_off_at > now)
    old = sa.select(charges.c.budget_id).where(charges.c.rolled_off_at.is_(None), charges.c.charged_at <= now - WINDOW)
    again, ids = set(connection.scalars(ahead.distinct())), set(connection.scalars(old.distinct()))
    if again or ids:
        lock(connection, sorted(again | ids))  # all at once, in the order of everybody else
    if again:
        for row in connection.execute(early.where(charges.c.budget_id.in_(sorted(again)))).all():
            back = budgets.c.spent_microusd + row.amount_microusd
            connection.execute(budgets.update().where(budgets.c.id == row.budget_id).values(spent_microusd=back))
    if ids:
        roll_off(connection, sorted(ids), now)


def note(connection: sa.Connection, ids: Sequence[str], kind: Literal["warning", "exceeded"], now: datetime) -> None:
    """Raise an alert for each budget that raised none of the kind in the last 30 days."""
    if not ids:
        return
    column = budgets.c.warned_at if kind == "warning" else budgets.c.exceeded_at
    query = (
        sa.select(budgets)
        .where(budgets.c.id.in_(ids), sa.or_(column.is_(None), column <= now - WINDOW, column > now + AHEAD))
        .order_by(budgets.c.id)
    )
    for row in connection.execute(query).mappings().all():
        connection.execute(budgets.update().where(budgets.c.id == row["id"]).values({column.name: now}))
        payload = {"spentMicrousd": row["spent_microusd"], "limitMicrousd": row["limit_microusd"]}
        whose = row["owner"].split(":", 1)[0] if row["kind"] in OWN_KINDS else None
        append(connection, f"budget.{kind}", row["id"], now, payload, user_id=whose)


def append(
    connection: sa.Connection, event_type: str, key: str, now: datetime, payload: dict[str, Any],
    *, user_id: str | None = None,
) -> None:  # Any: JSON  # fmt: skip
    event = NewEvent(type=event_type, key=key, user_id=user_id, occurred_at=now, payload=payload)
    event_log.append_in(connection, event)
