"""What one more call may cost, by budgets that were read; the hold decides when it leaves."""

from collections.abc import Iterable, Sequence
from typing import Literal

from app.models.budget import Budget, budget_id, intent_owner
from app.models.call import CallRequest, hold_microusd, most_tokens
from app.models.catalog import Model


def closed(budgets: Iterable[Budget]) -> dict[str, Literal["off", "spent"]]:
    """Providers whose budget is switched off, or spent."""
    known = [budget for budget in budgets if budget.kind == "provider"]
    spent = {budget.owner for budget in known if budget.spent_microusd >= budget.limit_microusd}
    return {b.owner: "spent" if b.active else "off" for b in known if b.owner in spent or not b.active}


def room(
    budgets: Sequence[Budget], user_id: str | None, intent: str | None, *, allow_burst: bool = False
) -> dict[str, int]:
    """How much one more call may cost at each provider, in micro-dollars; where a user is named, by their own caps,
    too."""
    own = {budget_id("user", user_id), budget_id("allowance", user_id)} if user_id else set()
    own |= {budget_id("intent", intent_owner(user_id, intent))} if user_id and intent else set()
    caps = [budget.remaining_microusd for budget in budgets if budget.id in own and budget.active]
    kinds = ("provider", "burst") if allow_burst else ("provider",)
    left: dict[str, int] = {}
    for budget in budgets:
        if budget.kind in kinds and budget.active:
            left[budget.owner] = max(left.get(budget.owner, 0), min([budget.remaining_microusd, *caps]))
    return left


def too_dear(request: CallRequest, models: Iterable[Model], budgets: Sequence[Budget]) -> set[str]:
    """Ids of the models that no budget has room for."""
    left = room(budgets, request.user_id, request.intent, allow_burst=request.allow_burst)
    tokens = most_tokens(request)
    return {
        model.id
        for model in models
        if not model.is_free
        and _at_most(model, tokens, request.max_output_tokens) > left.get(model.provider, 0)
        and hold_microusd(request, model) > left.get(model.provider, 0)
    }


def _at_most(model: Model, input_tokens: int, output_tokens: int) -> float:
    """No less than what is held for a call, quickly: nearly always there is room for it."""
    per_request, per_input, per_output = model.ceilings
    return per_request + per_input * input_tokens + per_output * output_tokens + 1
