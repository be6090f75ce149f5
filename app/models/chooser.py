"""Which models a request is asked of, and in what order: the ranking, less what is over budget."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.models import selector
from app.models.budget import Budget, Purse, budget_id
from app.models.call import CallRequest, hold_microusd, likely_tokens
from app.models.catalog import Model
from app.models.room import too_dear
from app.models.run import MOST_MODELS
from app.models.selector import NO_ROOM, SPENT
from app.models.standing import WAITS, Standing
from app.models.wording import spent_message

EXPECTED_OUTPUT_TOKENS = 500
PATIENCE_SECONDS = 8.0  # the longest wait that a provider asked for and that we keep; beyond it another model is asked


@dataclass(frozen=True, kw_only=True)
class Taste:
    """What the settings prefer. ``default_models`` (``provider/name``) come first among those of their provider, where
    a provider is asked for and not a model."""

    tie_order: tuple[str, ...] = ()
    exploration_share: float = 0.0
    default_models: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Choice:
    """``models`` in the order in which they are asked. ``spent`` says which budgets keep back what would have come
    first; ``explored`` is the model that comes first to be known better, though another scores higher."""

    ranking: list[selector.Scored]
    models: list[Model]
    spent: list[str] = field(default_factory=list)
    explored: str | None = None


@dataclass(frozen=True, kw_only=True)
class Preview:
    """``ranking`` in the order in which its models would be asked now, then what would be left out; ``reason`` says why
    the first would be the one."""

    ranking: list[selector.Scored]
    reason: str


class Chooser:
    """Ranks with what is known a second ago, and reads the budgets anew where they are tight."""

    def __init__(
        self, *, standing: Standing, purse: Purse, taste: Taste, clock: Callable[[], datetime],
        randomness: random.Random,
    ) -> None:  # fmt: skip
        self._standing = standing
        self._purse = purse
        self._taste = taste
        self._clock = clock
        self._random = randomness

    async def choose(self, request: CallRequest, models: Sequence[Model], *, free_first: bool = False) -> Choice:
        """The order in which these models are asked; none of them where none can be. What costs nothing comes first
        where a budget has no room for what would."""
        by_merit, ranking = await self._ranked(request, models, self._standing.budgets)
        share = 0.0 if request.providers else self._taste.exploration_share  # who names some wants them in that order
        explored = selector.explore(ranking, share=share, roll=self._random.random(), pick=self._random.random())
        in_merit = self._in_order(request, self._usable(request, models, by_merit), free_first=free_first)
        first = in_merit[0] if in_merit else None
        spent = self._spent([scored for scored in ranking if _is_asked_for(request, scored)])
        over, fits_by_now = _over_budget(ranking), False
        if first is not None and first.id in over:
            why = await self._why_no_room(request, first)
            spent = [why, *spent] if why else spent
            fits_by_now = why is None
        usable = self._usable(request, models, explored)
        models_in_order = self._in_order(request, usable, free_first=free_first or bool(spent))
        if usable or fits_by_now:  # when they are reached, the hold decides: calls that end give room back
            models_in_order += [model for model in in_merit if model.id in over]
        return Choice(
            ranking=explored,
            models=models_in_order,
            spent=spent,
            explored=explored[0].model_id if explored[:1] != ranking[:1] else None,
        )

    async def preview(self, request: CallRequest, models: Sequence[Model]) -> Preview:
        """What ``choose`` would choose, without exploring; nothing is noted."""
        by_merit, ranking = await self._ranked(request, models, await self._purse.budgets(self._clock()))
        over = _over_budget(ranking)
        free_first = bool(self._spent(ranking)) or any(scored.model_id in over for scored in by_merit[:1])
        free = {model.id for model in models if model.is_free}
        ranking.sort(key=lambda one: (one.excluded is not None, free_first and one.model_id not in free))
        return Preview(ranking=ranking, reason=selector.reason(ranking, free_first=free_first))

    def best_of(self, provider: str, ranking: Sequence[selector.Scored]) -> str | None:
        """The model that answers where a provider is asked for: its default one, else the first in the ranking. That a
        budget has no room for it now is no reason: it may have some when it is asked."""
        usable = [
            scored.model_id for scored in ranking
            if scored.provider == provider and scored.excluded in (None, NO_ROOM, SPENT)
        ]  # fmt: skip
        return next(
            (model_id for model_id in usable if model_id in self._taste.default_models), next(iter(usable), None)
        )

    async def _why_no_room(self, request: CallRequest, model: Model) -> str | None:
        """Which budget has no room for a call of this model, in a sentence; that is noted with the budget. None where
        it has some by now."""
        return await self._purse.refuse(
            provider=model.provider, model=model.name, user_id=request.user_id, intent=request.intent,
            allow_burst=request.allow_burst, amount_microusd=hold_microusd(request, model), now=self._clock(),
        )  # fmt: skip

    async def _ranked(
        self, request: CallRequest, models: Sequence[Model], budgets: Sequence[Budget]
    ) -> tuple[list[selector.Scored], list[selector.Scored]]:
        """The ranking without regard to what budgets have room for, and with it. Where nobody can be asked at once, but
        somebody in a moment, that one can."""
        need = selector.Need(
            task=request.task, input_tokens=likely_tokens(request),
            output_tokens=min(EXPECTED_OUTPUT_TOKENS, request.max_output_tokens),
            capabilities=frozenset({"streaming"} if request.stream else ()), prefer=request.prefer,
        )  # fmt: skip
        knowledge = self._standing.knowledge(models, allow_burst=request.allow_burst)
        by_merit = selector.rank(models, need, knowledge, tie_order=self._taste.tie_order)
        usable = {scored.model_id for scored in by_merit if scored.excluded is None}
        candidates = [model for model in models if model.id in usable]
        over = too_dear(request, candidates, budgets)
        if over:  # as they were a second ago
            over = too_dear(request, candidates, await self._purse.budgets(self._clock()))
        if not over:
            return by_merit, self._with_who_waits(request, by_merit)
        knowledge = replace(knowledge, excluded={**knowledge.excluded, **dict.fromkeys(over, NO_ROOM)})
        ranking = selector.rank(models, need, knowledge, tie_order=self._taste.tie_order)
        return by_merit, self._with_who_waits(request, ranking)

    def _usable(self, request: CallRequest, models: Sequence[Model], ranking: Sequence[selector.Scored]) -> list[Model]:
        by_id = {model.id: model for model in models}
        return [by_id[one.model_id] for one in ranking if one.excluded is None and _is_asked_for(request, one)]

    def _with_who_waits(self, request: CallRequest, ranking: list[selector.Scored]) -> list[selector.Scored]:
        """Where nobody is left: the ranking with the models of the provider that can be asked soonest, of those that
        want to be left alone for a moment."""
        asked_for = [scored for scored in ranking if _is_asked_for(request, scored)]
        if any(scored.excluded is None for scored in asked_for):
            return ranking
        soon = self._standing.soonest({scored.provider for scored in asked_for}, within=PATIENCE_SECONDS)
        waiting = [s.provider == soon and WAITS in (s.excluded or "") for s in ranking]
        found = [replace(s, excluded=None) if waits else s for s, waits in zip(ranking, waiting, strict=True)]
        return sorted(found, key=lambda scored: scored.excluded is not None)

    def _in_order(self, request: CallRequest, models: Sequence[Model], *, free_first: bool) -> list[Model]:
        """With the providers as they are asked for."""
        order, defaults = request.providers, self._taste.default_models
        ordered = sorted(models, key=lambda model: free_first and not model.is_free)
        if not order:
            return ordered
        ordered.sort(key=lambda model: (order.index(model.provider), model.id not in defaults))
        return _in_turns(ordered, each=max(1, MOST_MODELS // len(order)))

    def _spent(self, ranking: Sequence[selector.Scored]) -> list[str]:
        """Sentences on spent budgets that keep back a model which would have come first."""
        best = max((scored.score for scored in ranking if scored.excluded is None), default=0.0)
        better = {scored.provider for scored in ranking if scored.excluded == SPENT and scored.score > best}
        rows = {budget.id: vars(budget) for budget in self._standing.budgets}
        ids = [budget_id("provider", name) for name in sorted(better)]
        return [spent_message(one, rows.get(one)) for one in ids]


def _is_asked_for(request: CallRequest, scored: selector.Scored) -> bool:
    return not request.providers or scored.provider in request.providers


def _over_budget(ranking: Sequence[selector.Scored]) -> set[str]:
    return {scored.model_id for scored in ranking if scored.excluded == NO_ROOM}


def _in_turns(models: Sequence[Model], *, each: int) -> list[Model]:
    """Some models of each provider before the rest of any, so that no provider with many keeps the others from being
    asked."""
    before: Counter[str] = Counter()
    turns = []
    for model in models:
        turns.append(before[model.provider] // each)
        before[model.provider] += 1
    return [model for _, model in sorted(zip(turns, models, strict=True), key=lambda pair: pair[0])]
