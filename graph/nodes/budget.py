"""Budgets in the conversation: what was spent, and changing a limit."""

from typing import Any

from app.errors import NotAllowed
from app.models.budget import Budget, BudgetKind, intent_owner, limit_of
from app.models.ledger import OWN_KINDS, WINDOW
from graph.answering import say_alerts
from graph.deps import Deps
from graph.nodes.base import Run, said, speaker
from graph.reply import Speaker
from graph.state import State, Update
from graph.wording import dollars

_NAMES = {"provider": "{}", "user": "your own cap", "allowance": "your cap by an administrator",
          "intent": "your cap on {}"}  # fmt: skip


async def budget(state: State, runtime: Run) -> Update:
    say = speaker(runtime)
    deps, slots = runtime.context, state.get("parameters", {})
    update = Update()
    if "burst" in slots:
        update["burst"] = _allow_burst(state, say)
    if "amount_usd" in slots:
        await _change(state, deps, say)
    await _show(state, deps, say)
    await say_alerts(state, deps, say)
    update["messages"] = said(state, say)["messages"]
    return update


def _allow_burst(state: State, say: Speaker) -> bool:
    """Whether calls of this chat may use the burst budgets where the monthly ones have no room."""
    allow = bool(state["parameters"]["burst"])
    if allow and not state.get("is_admin"):
        raise NotAllowed("Only an administrator lets a chat use the burst budgets.")
    say.text(
        "Calls of this chat may use the burst budgets from now on; `/budget burst off` ends that.\n\n"
        if allow
        else "Calls of this chat keep to the monthly budgets.\n\n"
    )
    return allow


async def _change(state: State, deps: Deps, say: Speaker) -> None:
    """A provider's limit is an administrator's to set; without a provider the limit is the user's own."""
    slots = state["parameters"]
    limit = limit_of(slots["amount_usd"])
    provider, intent = slots.get("provider"), slots.get("capped_intent")
    if provider and not state.get("is_admin"):
        raise NotAllowed("Only an administrator changes a provider's budget. You can cap your own: /budget 5")
    kind: BudgetKind = "provider" if provider else "intent" if intent else "user"
    owner = provider or (intent_owner(state["user_id"], intent) if intent else state["user_id"])
    changed = await deps.purse.set_limit(
        kind, owner, limit_microusd=limit, active=True, actor=state["user_id"], now=deps.clock()
    )
    whose = f"The budget for **{provider}**" if provider else f"Your cap on **{intent}**" if intent else "Your own cap"
    say.text(f"{whose} is now **{dollars(changed.limit_microusd)}** for 30 days.\n\n")


async def _show(state: State, deps: Deps, say: Speaker) -> None:
    now = deps.clock()
    spent = await deps.purse.spent_by(state["user_id"], since=now - WINDOW)
    here = await deps.purse.spent_by(state["user_id"], thread_id=state["thread_id"])
    budgets = await deps.purse.of_user(state["user_id"], now)
    own = [_row(b) for b in budgets if b.kind in OWN_KINDS and b.active]
    rows = [_row(b) for b in budgets if b.kind == "provider"]
    props: dict[str, Any] = {  # Any: JSON
        "spent": dollars(spent),
        "spentHere": dollars(here),
        "own": own,
        "providers": rows,
    }
    lines = [
        f"- {row['name']}: {'free' if row['limit'] == 'free' else row['spent'] + ' of ' + row['limit']}"
        for row in [*own, *rows]
    ]
    text = f"You spent {props['spent']} in the last 30 days, and {props['spentHere']} in this chat.\n\n" + "\n".join(
        lines
    )
    say.block("BudgetGauge", props, text)


def _row(budget: Budget) -> dict[str, Any]:  # Any: JSON
    used = budget.spent_microusd + budget.held_microusd
    share = used / budget.limit_microusd if budget.limit_microusd else float(budget.kind in OWN_KINDS)
    return {
        "name": _NAMES[budget.kind].format(budget.owner.rpartition(":")[2]),
        "spent": dollars(budget.spent_microusd),
        "held": dollars(budget.held_microusd) if budget.held_microusd else None,
        "limit": "free" if budget.limit_microusd == 0 and budget.kind == "provider" else dollars(budget.limit_microusd),
        "share": round(min(1.0, share), 4),
        "active": budget.active,
    }
