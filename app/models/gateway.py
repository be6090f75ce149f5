"""One call from request to booked cost: choose, reserve, stream, fall back, settle."""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from app.errors import BudgetExceeded, NoModelAvailable, ProviderFailed
from app.events import log as event_log
from app.events.schema import NewEvent
from app.models import log as call_log
from app.models import selector
from app.models.budget import Purse
from app.models.catalog import Catalog, Model, Task
from app.models.providers.openai import ollama_tags
from app.models.providers.wire import Finished, Message, Prompt, TextDelta, Usage, Wire, failed
from app.storage.database import Database

logger = structlog.get_logger()

EXPECTED_OUTPUT_TOKENS = 500
CHARACTERS_PER_TOKEN = 4
FRAMING_TOKENS = 64  # roles and separators around a prompt
OUTCOMES_KEPT = 1000
OLLAMA_LOOK_SECONDS = 60
OLLAMA_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class CallRequest:
    """What a caller wants answered. ``model`` pins one (``provider/name``); None lets the selector choose."""

    task: Task
    user_id: str
    thread_id: str | None
    system: str
    messages: tuple[Message, ...]
    max_output_tokens: int = 2048
    model: str | None = None
    prefer: selector.Preference | None = None


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The end of an answer: what it cost and why this model gave it."""

    call_id: str
    model_id: str
    text: str
    finish: str
    cost_microusd: int
    reason: str
    ranking: tuple[selector.Scored, ...]


@dataclass(frozen=True, kw_only=True)
class TimeLimits:
    first_token_seconds: float
    between_tokens_seconds: float
    total_seconds: float


class Gateway:
    """The only way to a model. Needs a wire for each provider that has a key."""

    def __init__(
        self,
        *,
        database: Database,
        purse: Purse,
        catalog: Catalog,
        wires: Mapping[str, Wire],
        limits: TimeLimits,
        clock: Callable[[], datetime],
        tie_order: Sequence[str],
        fallback: bool,
        ollama_base_url: str | None,
    ) -> None:
        self._database = database
        self._purse = purse
        self.catalog = catalog
        self._wires = wires
        self._limits = limits
        self._clock = clock
        self._tie_order = tie_order
        self._fallback = fallback
        self._ollama_base_url = ollama_base_url
        self._ollama_looked_at = float("-inf")
        self._ollama_look = asyncio.Lock()
        self._outcomes: deque[selector.Outcome] = deque(maxlen=OUTCOMES_KEPT)

    async def open(self) -> None:
        """Remember how the calls of the last day went."""
        since = self._clock() - timedelta(days=1)
        self._outcomes.extend(reversed(await call_log.recent_outcomes(self._database, since)))

    async def models(self) -> list[Model]:
        """The models that can be called: those of providers with a key, and what a local Ollama holds now."""
        await self._look_for_ollama()
        return [model for model in self.catalog.models if self._wire_of(model) is not None]

    async def preview(self, task: Task, *, prefer: selector.Preference | None = None) -> list[selector.Scored]:
        """The ranking that a question of usual length would get now."""
        return await self._rank(
            CallRequest(task=task, user_id="", thread_id=None, system="",
                        messages=(Message(role="user", content="?" * 400),), prefer=prefer)
        )  # fmt: skip

    async def stream(self, request: CallRequest) -> AsyncIterator[TextDelta | Answered]:
        """Stream an answer, at last an Answered.

        Closing the iterator or cancelling the task stops the call and books what it can have cost.

        Raises:
            NoModelAvailable: no candidate is left; the message says why.
            ProviderFailed: the model failed, and so did its fallback or part of the answer was shown already.
        """
        ranking = await self._rank(request)
        chain = [self._model(scored) for scored in ranking if scored.excluded is None]
        if not chain:
            raise NoModelAvailable(_why_none(ranking))
        failures: list[ProviderFailed] = []
        refusals: dict[str, str] = {}
        for place, model in enumerate(chain):
            if len(failures) > int(self._fallback):
                break
            call = _Call(request, model, uuid.uuid4().hex, [*ranking], self._clock(), time.monotonic())
            try:
                await self._reserve(call)
            except BudgetExceeded as error:
                refusals[model.id] = error.user_message
                ranking = [_excluded(s, "over budget") if s.model_id == model.id else s for s in ranking]
                continue
            async for chunk in self._carry(call, failures):
                yield chunk
            if call.finished:
                return
            if failures and place + 1 < len(chain):
                await self._note(call, "provider.fallback", {"from": model.id, "to": chain[place + 1].id})
        if failures:
            raise failures[-1]
        raise NoModelAvailable(next(iter(refusals.values())))

    async def complete(self, request: CallRequest) -> Answered:
        """The whole answer at once.

        Raises:
            NoModelAvailable, ProviderFailed: as ``stream``.
        """
        async for chunk in self.stream(request):
            if isinstance(chunk, Answered):
                return chunk
        raise NoModelAvailable("The model ended without an answer. Try again.")

    async def close(self) -> None:
        for wire in dict.fromkeys(self._wires.values()):
            await wire.close()

    async def _rank(self, request: CallRequest) -> list[selector.Scored]:
        models = await self.models()
        if request.model:
            pinned = self.catalog.find(request.model)
            models = [model for model in models if pinned is not None and model.id == pinned.id]
        now = self._clock()
        off = {
            budget.owner for budget in await self._purse.budgets(now) if budget.kind == "provider" and not budget.active
        }
        return selector.rank(
            models,
            task=request.task,
            input_tokens=_likely_tokens(request),
            output_tokens=EXPECTED_OUTPUT_TOKENS,
            outcomes=list(self._outcomes),
            now=now,
            prefer=request.prefer,
            tie_order=self._tie_order,
            excluded={m.id: "its provider is switched off" for m in models if m.provider in off},
        )

    async def _reserve(self, call: "_Call") -> None:
        await self._purse.reserve(
            call.id, provider=call.model.provider, user_id=call.request.user_id,
            amount_microusd=call.hold_microusd, now=self._clock(),
        )  # fmt: skip
        await self._note(
            call, "provider.selected",
            {"provider": call.model.provider, "model": call.model.name, "reason": selector.reason(call.ranking)},
        )  # fmt: skip

    async def _carry(self, call: "_Call", failures: list[ProviderFailed]) -> AsyncIterator[TextDelta | Answered]:
        """Run one reserved call. A failure before its first word is put on ``failures``, a later one is raised."""
        try:
            async for event in self._timed(call):
                call.take(event)
                if isinstance(event, TextDelta):
                    yield event
            if call.finish is None:
                raise failed(call.model.provider, "network", before_generation=False)
        except ProviderFailed as error:
            await self._end(call, error=error)
            if call.text_parts or error.kind == "content_filter":
                raise
            failures.append(error)
            return
        except (asyncio.CancelledError, GeneratorExit):
            await asyncio.shield(self._end(call, stopped=True))
            raise
        cost = await self._end(call)
        yield Answered(
            call_id=call.id, model_id=call.model.id, text="".join(call.text_parts), finish=call.finish or "stop",
            cost_microusd=cost, reason=selector.reason(call.ranking), ranking=tuple(call.ranking),
        )  # fmt: skip

    async def _timed(self, call: "_Call") -> AsyncIterator[TextDelta | Usage | Finished]:
        """The provider's stream under our time limits."""
        wire = self._wire_of(call.model)
        assert wire is not None
        stream = wire.stream(call.model, call.prompt)
        deadline = call.started + self._limits.total_seconds
        try:
            while True:
                pause = self._limits.between_tokens_seconds if call.text_parts else self._limits.first_token_seconds
                try:
                    async with asyncio.timeout(min(pause, deadline - time.monotonic())):
                        event = await anext(stream)
                except StopAsyncIteration:
                    return
                except TimeoutError as error:
                    raise failed(call.model.provider, "timeout", before_generation=False) from error
                yield event
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()

    async def _end(self, call: "_Call", *, error: ProviderFailed | None = None, stopped: bool = False) -> int:
        """Book the call, once, and log it; returns what was booked in micro-dollars."""
        now = self._clock()
        free_of_charge = error is not None and error.before_generation and not call.text_parts
        if free_of_charge:
            cost = 0
            await self._purse.release(call.id, now=now)
        else:
            cost = call.cost_microusd
            await self._purse.settle(call.id, cost_microusd=cost, now=now)
        call.finished = error is None and not stopped
        kind = error.kind if error else None
        if not stopped:
            self._outcomes.append(selector.Outcome(model_id=call.model.id, error_kind=kind, at=now))
        await self._log(call, status="stopped" if stopped else "failed" if error else "ok", kind=kind, cost=cost)
        return cost

    async def _log(self, call: "_Call", *, status: str, kind: str | None, cost: int) -> None:
        usage = call.usage or Usage(input_tokens=0, output_tokens=0)
        record = call_log.CallRecord(
            id=call.id, user_id=call.request.user_id, thread_id=call.request.thread_id, task=call.request.task,
            provider=call.model.provider, model=call.model.name, status=status, error_kind=kind,
            input_tokens=usage.input_tokens, output_tokens=usage.output_tokens,
            held_microusd=call.hold_microusd, cost_microusd=cost, first_token_ms=call.first_token_ms,
            total_ms=call.elapsed_ms(), created_at=call.created_at,
            selection={"reason": selector.reason(call.ranking), "ranking": [s.to_json() for s in call.ranking]},
        )  # fmt: skip
        event = _ending_event(call, status, kind, cost, self._clock())
        async with self._database.write() as connection:
            await call_log.write(connection, record)
            await event_log.append(connection, event)
        logger.info("model.call", model=call.model.id, status=status, kind=kind, cost_microusd=cost,
                    total_ms=record.total_ms)  # fmt: skip

    async def _note(self, call: "_Call", event_type: str, payload: dict[str, Any]) -> None:  # Any: JSON
        async with self._database.write() as connection:
            await event_log.append(
                connection,
                NewEvent(type=event_type, key=call.id, user_id=call.request.user_id,
                         occurred_at=self._clock(), payload=payload),
            )  # fmt: skip

    def _wire_of(self, model: Model) -> Wire | None:
        return self._wires.get(model.provider) or (self._wires.get("litellm") if model.wire == "litellm" else None)

    def _model(self, scored: selector.Scored) -> Model:
        model = self.catalog.find(scored.model_id)
        assert model is not None
        return model

    async def _look_for_ollama(self) -> None:
        """Ask a local Ollama for its models, at most once a minute."""
        if not self._ollama_base_url or time.monotonic() - self._ollama_looked_at < OLLAMA_LOOK_SECONDS:
            return
        async with self._ollama_look:
            if time.monotonic() - self._ollama_looked_at < OLLAMA_LOOK_SECONDS:
                return
            tags = await ollama_tags(self._ollama_base_url, timeout_seconds=OLLAMA_TIMEOUT_SECONDS)
            self.catalog = self.catalog.with_ollama(tags)
            self._ollama_looked_at = time.monotonic()


class _Call:
    """One attempt at one model, while it runs."""

    def __init__(
        self, request: CallRequest, model: Model, call_id: str, ranking: list[selector.Scored],
        created_at: datetime, started: float,
    ) -> None:  # fmt: skip
        self.request = request
        self.model = model
        self.id = call_id
        self.ranking = ranking
        self.created_at = created_at
        self.started = started
        self.text_parts: list[str] = []
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.finished = False
        self.first_token_ms: int | None = None
        output = min(request.max_output_tokens, model.max_output_tokens)
        self.prompt = Prompt(system=request.system, messages=request.messages, max_output_tokens=output)
        self.hold_microusd = model.cost_microusd(input_tokens=_most_tokens(request), output_tokens=output)

    def take(self, event: TextDelta | Usage | Finished) -> None:
        match event:
            case TextDelta(text=text):
                self.text_parts.append(text)
                if self.first_token_ms is None:
                    self.first_token_ms = self.elapsed_ms()
            case Usage():
                self.usage = event
            case Finished(reason=finish):
                self.finish = finish

    @property
    def cost_microusd(self) -> int:
        """What the provider can have billed: by its usage block, or the whole hold without one."""
        if self.usage is None or self.finish is None:
            return self.hold_microusd
        return self.model.cost_microusd(input_tokens=self.usage.input_tokens, output_tokens=self.usage.output_tokens)

    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self.started) * 1000)


def _most_tokens(request: CallRequest) -> int:
    """No tokenizer makes more tokens than there are bytes."""
    texts = [request.system, *(message.content for message in request.messages)]
    return sum(len(text.encode()) for text in texts) + FRAMING_TOKENS * (len(texts) + 1)


def _likely_tokens(request: CallRequest) -> int:
    return (_most_tokens(request)) // CHARACTERS_PER_TOKEN


def _excluded(scored: selector.Scored, why: str) -> selector.Scored:
    return replace(scored, excluded=why)


def _why_none(ranking: Sequence[selector.Scored]) -> str:
    if not ranking:
        return "No model is connected. Put a key into the environment or start Ollama; see /models."
    reasons = ", ".join(f"{scored.model_id}: {scored.excluded}" for scored in ranking[:5])
    return f"No model can answer this now ({reasons})."


def _ending_event(call: _Call, status: str, kind: str | None, cost: int, now: datetime) -> NewEvent:
    payload: dict[str, Any] = {"provider": call.model.provider, "model": call.model.name}  # Any: JSON
    if status == "ok":
        payload["costMicrousd"] = cost
    else:
        payload["kind"] = kind or status
    event_type = "provider.succeeded" if status == "ok" else "provider.failed"
    return NewEvent(type=event_type, key=call.id, user_id=call.request.user_id, occurred_at=now, payload=payload)
