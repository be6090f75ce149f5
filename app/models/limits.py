"""How a budget is changed or made, and what may be capped."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from app.errors import InvalidInput, NotFound
from app.models import audit, ledger
from app.models.ledger import OWN_KINDS
from app.storage.tables.models import budgets

# What calls are made for, and may be capped by itself: each is some call's ``intent``.
CAPPED_INTENTS = (
    "general.chat", "learn.review-topic", "learn.start-challenge", "task.sentiment_analysis", "task.summarize",
    "task.classify", "task.extract", "task.translate", "task.code_review", "task.generate",
)  # fmt: skip


def change(
    connection: sa.Connection, wanted: str, *, limit_microusd: int | None, active: bool | None, actor: str,
    now: datetime,
) -> None:  # fmt: skip
    """Change or create the budget of an id, with its event and its entry in the audit trail.

    Raises:
        NotFound, InvalidInput: as ``Purse.set_limit``.
    """
    kind, _, owner = wanted.partition(":")
    if kind in OWN_KINDS:
        ledger.lock_providers(connection)
    before = ledger.lock(connection, [wanted]).get(wanted)
    _check(before, kind, owner, is_empty=limit_microusd is None, active=active)
    if before is not None and limit_microusd in (None, before["limit_microusd"]) and active in (
        None, before["active"],
    ):  # fmt: skip
        return
    if before is None:
        row = {"id": wanted, "kind": kind, "owner": owner, "limit_microusd": limit_microusd or 0}
        connection.execute(budgets.insert().values(**row, active=active is not False))
    else:
        ledger.change_limit(connection, before, limit_microusd=limit_microusd, active=active)
    if kind in OWN_KINDS:
        user_id, _, intent = owner.partition(":")
        ledger.catch_up(connection, wanted, user_id=user_id, intent=intent or None, now=now)
    ledger.roll_off(connection, [wanted], now)
    ledger.note_shares(connection, [wanted], now)
    old = None if before is None else _limit_detail(before)
    new = _limit_detail(ledger.lock(connection, [wanted])[wanted])
    ledger.append(connection, "budget.changed", wanted, now, new, user_id=actor)
    audit.record(connection, actor, "budget.change", wanted, {"before": old, "after": new}, at=now)


def _check(before: Mapping[str, object] | None, kind: str, owner: str, *, is_empty: bool, active: bool | None) -> None:
    if before is None and kind not in OWN_KINDS:
        raise NotFound(f"There is no provider {owner!r}. See /budget for those there are.")
    if kind == "intent" and (before is None or active is not False):  # what was set before may be lifted
        _check_capped(owner.partition(":")[2])
    if before is None and active is False and is_empty:
        raise NotFound("There is no such cap to lift. See /budget for those there are.")


def _limit_detail(row: Mapping[str, object]) -> dict[str, object]:
    return {"limitMicrousd": row["limit_microusd"], "active": bool(row["active"])}


def _check_capped(intent: str) -> None:
    if intent not in CAPPED_INTENTS:
        raise InvalidInput(f"{intent!r} cannot be capped. What can be: {', '.join(CAPPED_INTENTS)}.")
