"""Budgets in the conversation: what was spent, and changing a limit."""

import re
from typing import Any

from app.errors import NotAllowed
from app.models.budget import Budget, BudgetKind, budget_id, intent_owner, limit_of
from app.models.ledger import OWN_KINDS, WINDOW
from app.models.wording import dollars, exact_dollars
from graph.answering import say_alerts
from graph.deps import Deps
from graph.intents.money import EXAMPLE
from graph.nodes.base import Run, said, speaker
from graph.reply import Speaker
from graph.state import State, Update

_MONEY = re.compile(r"\$\s?\d|\d\s?(?:\$|dollars?|usd|bucks|euros?|€)", re.IGNORECASE)
BURST_IN_USE = " Calls of this chat may use the burst budgets; `/budget burst off` ends that."
OF_EVERYBODY = "What each provider cost is of everybody here together."
_ORDER = re.compile(
    r"\W*(?:please )?(?:set|change|raise|increase|lower|reduce|double|halve|disable|enable|remove|reset|switch|turn|cap|limit)\b",
    re.IGNORECASE,
)
_NAMES = {"provider": "{}", "burst": "{}, burst", "user": "your own cap", "allowance": "your cap by an administrator",
          "intent": "your cap on {}"}  # fmt: skip


async def budget(state: State, runtime: Run) -> Update:
    say = speaker(runtime)
    deps, slots = runtime.context, state.get("parameters", {})
    update = Update()
    if "burst" in slots:
        update["burst"] = _allow_burst(state, say)
    if unclear := slots.get("unclear"):
        say.text(f"I changed nothing, because {unclear}. {EXAMPLE}\n\n")
    elif "amount_usd" in slots:
        await _change(state, deps, say)
    elif "active" in slots:
        await _switch(state, deps, say)
    elif slots.get("lifts"):
        await _lift(state, deps, say)
    elif _MONEY.search(state["text"]) or _ORDER.match(state["text"]):
        say.text(f"I changed nothing: that is no order to set a limit. {EXAMPLE}\n\n")
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
    if not provider:
        changed = await _set_own(state, deps, intent, limit=limit)
        say.text(f"{_own_name(intent)} is now **{exact_dollars(changed.limit_microusd)}** for 30 days.\n\n")
        return
    changed = await _set_providers(state, deps, limit=limit)
    off = "" if changed.active else f" It stays switched off; `/budget {provider} on` changes that."
    say.text(f"The {_provider_name(changed)} is now **{exact_dollars(changed.limit_microusd)}** for 30 days.{off}\n\n")


async def _switch(state: State, deps: Deps, say: Speaker) -> None:
    """Let a provider, or its burst budget, be used no more, or again."""
    changed = await _set_providers(state, deps, active=state["parameters"]["active"])
    owner = changed.owner
    what, used = (f"The {_provider_name(changed)}", "used") if changed.kind == "burst" else (f"**{owner}**", "asked")
    if changed.active:
        say.text(f"{what} is {used} again.\n\n")
        return
    again = f"/budget {owner} burst on" if changed.kind == "burst" else f"/budget {owner} on"
    say.text(f"{what} is not {used} any more; `{again}` changes that.\n\n")


async def _set_providers(state: State, deps: Deps, *, limit: int | None = None, active: bool | None = None) -> Budget:
    """Change the budget of the provider that is named, or switch it."""
    slots = state["parameters"]
    if not state.get("is_admin"):
        raise NotAllowed("Only an administrator changes a provider's budget. You can cap your own: /budget 5")
    kind: BudgetKind = "burst" if slots.get("is_burst") else "provider"
    return await deps.purse.set_limit(
        kind, slots["provider"], limit_microusd=limit, active=active, actor=state["user_id"], now=deps.clock()
    )


def _provider_name(budget: Budget) -> str:
    return f"{'burst ' if budget.kind == 'burst' else ''}budget for **{budget.owner}**"


async def _lift(state: State, deps: Deps, say: Speaker) -> None:
    """Lift a cap of one's own; what an administrator set stays."""
    intent = state["parameters"].get("capped_intent")
    wanted = (
        budget_id("intent", intent_owner(state["user_id"], intent)) if intent else budget_id("user", state["user_id"])
    )
    known = await deps.purse.budgets(deps.clock(), ids=[wanted])
    if not any(one.active for one in known):
        say.text("There was no cap of your own to lift.\n\n")
        return
    await _set_own(state, deps, intent, limit=None)
    say.text(f"{_own_name(intent)} is lifted.\n\n")


async def _set_own(state: State, deps: Deps, intent: str | None, *, limit: int | None) -> Budget:
    """Set a cap of one's own, in all or on one intent; lift it without a limit."""
    user_id = state["user_id"]
    kind: BudgetKind = "intent" if intent else "user"
    return await deps.purse.set_limit(
        kind, intent_owner(user_id, intent) if intent else user_id, limit_microusd=limit, active=limit is not None,
        actor=user_id, now=deps.clock(),
    )  # fmt: skip


def _own_name(intent: str | None) -> str:
    return f"Your cap on **{intent}**" if intent else "Your own cap"


async def _show(state: State, deps: Deps, say: Speaker) -> None:
    now = deps.clock()
    spent = await deps.purse.spent_by(state["user_id"], since=now - WINDOW)
    here = await deps.purse.spent_by(state["user_id"], thread_id=state["thread_id"])
    budgets = await deps.purse.of_user(state["user_id"], now)
    costly = {model.provider for model in deps.gateway.catalog.models if not model.is_free}
    own = [_row(b) for b in budgets if b.kind in OWN_KINDS and b.active]
    uses_burst = state.get("burst", False) and state.get("is_admin", False)
    rows = [
        _row(b, is_free=b.kind == "provider" and b.limit_microusd == 0 and b.owner not in costly)
        for b in budgets
        if b.kind == "provider" or (b.kind == "burst" and (b.spent_microusd or (uses_burst and b.limit_microusd)))
    ]
    props: dict[str, Any] = {  # Any: JSON
        "spent": dollars(spent),
        "spentHere": dollars(here),
        "own": own,
        "providers": rows,
        "usesBurst": uses_burst,
        "isAdmin": state.get("is_admin", False),
    }
    lines = [
        f"- {row['name']}: {'free' if row['limit'] == 'free' else row['spent'] + ' of ' + row['limit']}"
        f"{'' if row['active'] else ' (switched off)'}"
        for row in [*own, *rows]
    ]
    text = f"You spent {props['spent']} in the last 30 days, and {props['spentHere']} in this chat."
    text += BURST_IN_USE if uses_burst else ""
    text += f" {OF_EVERYBODY}\n\n" + "\n".join(lines)
    say.block("BudgetGauge", props, text)


def _row(budget: Budget, *, is_free: bool = False) -> dict[str, Any]:  # Any: JSON
    used = budget.spent_microusd + budget.held_microusd
    share = used / budget.limit_microusd if budget.limit_microusd else float(not is_free)
    return {
        "name": _NAMES[budget.kind].format(budget.owner.rpartition(":")[2]),
        "spent": dollars(budget.spent_microusd),
        "held": dollars(budget.held_microusd) if budget.held_microusd else None,
        "limit": "free" if is_free else exact_dollars(budget.limit_microusd),
        "share": round(min(1.0, share), 4),
        "active": budget.active,
    }
