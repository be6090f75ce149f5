"""One request on its way through the models: what happened so far, and what the log and the events say of it."""

import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from app.errors import BudgetSpent, NoModelAvailable, ProviderFailed
from app.events.schema import NewEvent
from app.models import selector
from app.models.call import Call, CallRequest
from app.models.catalog import Model
from app.models.lifecycle import Life
from app.models.log import NO_PROVIDER, CallRecord
from app.models.providers.wire import FinishReason, TextDelta, Usage
from app.models.selector import NO_ROOM

MOST_MODELS = 4  # that are asked for one answer


@dataclass(frozen=True, kw_only=True)
class Switched:
    """A model broke off in its answer; what follows comes from another one, which goes on from there."""

    from_model_id: str
    to_model_id: str


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The end of an answer: what it cost in all its calls, and why this model gave it.

    ``last_microusd`` is what the call cost that brought it to its end. ``spent`` says which budgets had no room, so
    that another model than the best was asked.
    """

    call_id: str
    model_id: str
    text: str
    finish: FinishReason
    cost_microusd: int
    last_microusd: int
    tokens_counted: bool
    usage: Usage
    total_ms: int
    reason: str
    ranking: tuple[selector.Scored, ...]
    spent: tuple[str, ...] = ()


Answer = TextDelta | Switched | Answered


@dataclass(kw_only=True)
class Run:
    """``deadline`` is a time of the monotonic clock. ``shown`` is what the learner has read; ``spent`` the sentences of
    budgets that had no room; ``explored`` the model that comes first to be known better, though another scores higher;
    ``shares_time`` says that another provider could be asked after the one that is; ``blamed`` are the models whose
    failure is remembered, once for a request, however often it was tried.
    """

    request: CallRequest
    deadline: float
    id: str = field(init=False)
    life: Life = field(default_factory=Life)
    ranking: list[selector.Scored] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    cost_microusd: int = 0
    spent: list[str] = field(default_factory=list)
    failure: ProviderFailed | None = None
    failed_model_id: str | None = None
    broke_off: str | None = None
    explored: str | None = None
    models_tried: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    blamed: set[str] = field(default_factory=set)
    shares_time: bool = False
    _reasons: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.id = self.request.request_id or uuid.uuid4().hex

    def seconds_left(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    def exclude(self, model: Model, why: str) -> None:
        """Say in the ranking why a model was not asked after all."""
        self.ranking = [replace(s, excluded=why) if s.model_id == model.id else s for s in self.ranking]

    def has_others(self, provider: str, chain: Iterable[Model]) -> bool:
        """Whether another provider can be asked: with a model for which a budget had room."""
        over = {scored.model_id for scored in self.ranking if scored.excluded == NO_ROOM}
        return any(model.provider != provider and model.id not in over for model in chain)

    def include(self, model: Model) -> None:
        """Say in the ranking that a model is asked after all: a budget has room for it by now."""
        self.ranking = [replace(s, excluded=None) if s.model_id == model.id else s for s in self.ranking]

    def nothing_left(self) -> NoModelAvailable:
        """Why no model could be asked: budgets without room, or whatever else is in the way."""
        if self.spent:
            return BudgetSpent(self.spent[0])
        return NoModelAvailable(self._why_none())

    def _why_none(self) -> str:
        if not self.ranking and self.request.model:
            return f"{self.request.model} cannot be called here now. See /models; /model auto lets the selector choose."
        if not self.ranking:
            return "No model is connected. Give a key with /keys or in the environment, or start Ollama; see /models."
        asked = self.request.providers
        ranked = [scored for scored in self.ranking if not asked or scored.provider in asked]
        reasons = [f"{scored.model_id}: {scored.excluded}" for scored in ranked[:5] if scored.excluded]
        reasons += [f"{name}: not connected" for name in asked if name not in {scored.provider for scored in ranked}]
        return f"No model can answer this now ({', '.join(reasons) or 'none of those asked for'})."

    def reason(self, model_id: str) -> str:
        """Why this model was asked, for people; as it was when it was asked, whatever became of it."""
        return self._reasons.setdefault(model_id, self._reason(model_id))

    def _reason(self, model_id: str) -> str:
        if self.request.model:
            return "chosen for this chat" if self.request.thread_id else "asked for by name"
        if self.request.providers:
            return "the first of the providers asked for that could answer"
        return selector.reason(self.ranking, model_id, explored=self.explored == model_id, free_first=bool(self.spent))

    def beginning(self, call: Call, now: datetime) -> list[NewEvent]:
        """The events of a call that leaves."""
        model = call.model
        selected = {"provider": model.provider, "model": model.name, "reason": self.reason(model.id)}
        events = [self.event(call, "provider.selected", selected, now)]
        if self.failed_model_id not in (None, model.id):
            fallback = {"from": self.failed_model_id, "to": model.id}
            events.append(self.event(call, "provider.fallback", fallback, now))
        return events

    def answered(self, call: Call) -> Answered:
        """The end of the answer that ``call`` brought to its end."""
        return Answered(
            call_id=call.id, model_id=call.model.id, text="".join(self.shown), finish=call.finish or "stop",
            cost_microusd=self.cost_microusd, last_microusd=call.cost_microusd, tokens_counted=call.tokens_counted,
            usage=call.usage or Usage(input_tokens=0, output_tokens=0), total_ms=call.elapsed_ms(),
            reason=self.reason(call.model.id), ranking=tuple(self.ranking), spent=tuple(dict.fromkeys(self.spent)),
        )  # fmt: skip

    def record(self, call: Call, status: str, error: ProviderFailed | None) -> CallRecord:
        """What the log keeps of a call."""
        usage = call.usage or Usage(input_tokens=0, output_tokens=0)
        request = self.request
        life = self.life
        if error or status == "stopped":  # the request may go on with another call
            life = life.of_failed_call(rate_limited=error is not None and error.kind == "rate_limit")
        selection = {
            "reason": self.reason(call.model.id),
            "ranking": [scored.to_json() for scored in self.ranking],
        }
        return CallRecord(
            id=call.id, request_id=self.id, user_id=request.user_id, thread_id=request.thread_id, task=request.task,
            intent=request.intent, provider=call.model.provider, model=call.model.name, status=status,
            states=str(life), error_kind=error.kind if error else None, input_tokens=usage.input_tokens,
            cached_tokens=usage.cached_tokens, output_tokens=usage.output_tokens, tokens_counted=call.tokens_counted,
            held_microusd=call.hold_microusd, cost_microusd=call.cost_microusd, first_token_ms=call.first_token_ms,
            total_ms=call.elapsed_ms(), selection=selection, created_at=call.created_at,
            tokens_per_second=call.tokens_per_second(),
        )  # fmt: skip

    def refusal(self, why: str, now: datetime) -> CallRecord:
        """What the log keeps of a request that no model was asked for."""
        request = self.request
        return CallRecord(
            id=uuid.uuid4().hex, request_id=self.id, user_id=request.user_id, thread_id=request.thread_id,
            task=request.task, intent=request.intent, provider=NO_PROVIDER, model="none", status="refused",
            states=str(self.life), error_kind=None, input_tokens=0, cached_tokens=0, output_tokens=0,
            tokens_counted=False, held_microusd=0, cost_microusd=0, first_token_ms=None, total_ms=0,
            selection={"reason": why, "ranking": [scored.to_json() for scored in self.ranking]}, created_at=now,
        )  # fmt: skip

    def ending(self, call: Call, record: CallRecord, now: datetime) -> NewEvent:
        """The event of a call's end."""
        payload: dict[str, Any] = {"provider": record.provider, "model": record.model}  # Any: JSON
        if record.status == "ok":
            return self.event(call, "provider.succeeded", payload | {"costMicrousd": record.cost_microusd}, now)
        return self.event(call, "provider.failed", payload | {"kind": record.error_kind or record.status}, now)

    def event(self, call: Call, event_type: str, payload: dict[str, Any], now: datetime) -> NewEvent:  # Any: JSON
        return NewEvent(type=event_type, key=call.id, user_id=self.request.user_id, occurred_at=now, payload=payload)
