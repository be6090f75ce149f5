"""Money and budgets, said to people."""

import math
from collections.abc import Mapping
from typing import Any

from app.models.ledger import Alert


def dollars(microusd: int) -> str:
    """Money for people: whole cents where that says enough, else all six decimals."""
    if microusd == 0:
        return "$0"
    if microusd % 10_000 == 0 or microusd >= 1_000_000:
        return f"${microusd / 1_000_000:.2f}"
    return f"${microusd / 1_000_000:.6f}"


def exact_dollars(microusd: int) -> str:
    """A limit, or what is left of one: to the cent, or as exactly as it is kept."""
    if microusd == 0:
        return "$0"
    whole, _, rest = f"{microusd / 1_000_000:.6f}".partition(".")
    return f"${whole}.{rest.rstrip('0').ljust(2, '0')}"


def name_of(wanted: str) -> str:
    """Whose budget it is."""
    kind, owner = wanted.split(":", 1)
    match kind:
        case "user":
            return "Your budget"
        case "allowance":
            return "The budget that an administrator set for you"
        case "intent":
            return f"Your budget for {owner.split(':', 1)[1]}"
        case "burst":
            return f"The burst budget for {owner}"
        case _:
            return f"The budget for {owner}"


def spent_message(
    refused: str, row: Mapping[str, Any] | None, *, amount: int = 0, model: str = ""
) -> str:  # Any: a row
    """That a budget has no room for a call of ``model``; with what is left of it, and what the call may cost."""
    if row is None:
        return f"{name_of(refused)} is not there. See /budget."
    if not row["active"]:
        return f"{name_of(refused)} is switched off. See /budget."
    limit, left = row["limit_microusd"], max(0, row["limit_microusd"] - row["spent_microusd"] - row["held_microusd"])
    said = f"{name_of(refused)} has no room for {f'a call of {model}' if model else 'this call'}"
    if amount:
        said += f", which may cost up to {dollars(amount)}"
    said += f": {exact_dollars(left)} of {exact_dollars(limit)} is left"
    will_free = row["spent_microusd"] and limit and amount <= limit
    return f"{said}. See /budget{'; it frees up as the last 30 days roll on' if will_free else ''}."


def alert_text(alert: Alert) -> str:
    """A budget's alert, as it is said in the chat."""
    spent = f"{exact_dollars(alert.spent_microusd)} of {exact_dollars(alert.limit_microusd)} in 30 days"
    if alert.kind == "warning":
        share = math.floor(100 * alert.spent_microusd / alert.limit_microusd)
        return f"**{name_of(alert.budget_id)} is at {share}%** ({spent}). See /budget."
    is_whole = alert.spent_microusd >= alert.limit_microusd
    state = "is spent" if is_whole else "had no room for a call"
    return f"**{name_of(alert.budget_id)} {state}** ({spent}). What still fits answers from now on. See /budget."
