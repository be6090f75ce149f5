"""The only way to a model: choose, reserve, call, retry, fall back, settle, and remember how it went."""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import structlog

from app.errors import BudgetExceeded, NoModelAvailable, ProviderFailed
from app.models import selector
from app.models.breaker import Breaker
from app.models.budget import Purse
from app.models.call import Call, CallRequest, TimeLimits, check_request, likely_tokens
from app.models.catalog import Catalog, Model, Task
from app.models.ledger import Alert
from app.models.log import CallLog
from app.models.metrics import Metrics
from app.models.providers.null import NULL_MODEL
from app.models.providers.openai import ollama_tags
from app.models.providers.wire import Message, StreamEvent, TextDelta, Wire, failed
from app.models.run import Answer, Answered, Run, Switched
from app.models.standing import Standing
from app.storage.database import Database

logger = structlog.get_logger()

EXPECTED_OUTPUT_TOKENS = 500
OLLAMA_LOOK_SECONDS = 60
OLLAMA_TIMEOUT_SECONDS = 1.0
MOST_MODELS = 4
MOST_RETRIES = 2  # of one model, beside the first try
RETRY_BASE_SECONDS, RETRY_CAP_SECONDS = 0.25, 4.0
PATIENCE_SECONDS = 8.0  # the longest Retry-After that we wait for; beyond it another model is asked
HOLD_MARGIN = timedelta(minutes=5)
PROVIDER_WIDE_KINDS = frozenset({"auth", "quota"})
MOST_RETIRED = 8  # wires of keys that were replaced; calls may still run on them


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How the gateway behaves; all of it comes from the settings."""

    limits: TimeLimits
    tie_order: tuple[str, ...] = ()
    fallback: bool = True
    hedging: bool = False
    exploration_share: float = 0.0
    ollama_base_url: str | None = None


class Gateway:
    """Needs a wire for each provider that has a key. Budgets, circuits and what was learned are shared by processes."""

    def __init__(
        self, *, database: Database, purse: Purse, catalog: Catalog, wires: Mapping[str, Wire], breaker: Breaker,
        log: CallLog, rules: Rules, clock: Callable[[], datetime], randomness: random.Random | None = None,
    ) -> None:  # fmt: skip
        self._database = database
        self._purse = purse
        self.catalog = catalog
        self.breaker = breaker
        self.log = log
        self.metrics = Metrics()
        self._wires = dict(wires)
        self._retired: deque[Wire] = deque()
        self._rules = rules
        self._clock = clock
        self._random = randomness or random.Random()  # for pauses and exploration, not for secrets
        self._standing = Standing(database=database, purse=purse, breaker=breaker, clock=clock)
        self._ollama_looked_at = float("-inf")
        self._ollama_look = asyncio.Lock()

    # -- what there is -----------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Remember how the calls of the last day went."""
        await self._standing.open()

    async def models(self) -> list[Model]:
        """The models that can be called: those of providers with a key, and what a local Ollama holds now."""
        await self._look_for_ollama()
        return [model for model in self.catalog.models if self.wire_of(model) is not None]

    def providers(self) -> list[str]:
        """Providers that can be called, whether or not they work now."""
        return sorted({model.provider for model in self.catalog.models if self.wire_of(model) is not None})

    async def use_wire(self, provider: str, wire: Wire | None) -> None:
        """Take another key into use, or none. Calls that run go on with the old one, which is closed after them."""
        old = self._wires.pop(provider, None)
        if wire is not None:
            self._wires[provider] = wire
        if old is not None:
            self._retired.append(old)
        while len(self._retired) > MOST_RETIRED:
            await self._retired.popleft().close()

    def wire_of(self, model: Model) -> Wire | None:
        return self._wires.get(model.provider) or (self._wires.get("litellm") if model.wire == "litellm" else None)

    async def preview(self, task: Task, *, prefer: selector.Preference | None = None) -> list[selector.Scored]:
        """The ranking that a question of usual length would get now."""
        question = Message(role="user", content="?" * 400)
        await self.refresh()
        return await self._rank(
            CallRequest(task=task, user_id="", thread_id=None, system="", messages=(question,), prefer=prefer)
        )

    def why_unusable(self, provider: str) -> str | None:
        """Why no call goes to a provider now; None when one does."""
        return self._standing.why_unusable(provider)

    async def refresh(self, *, force: bool = False) -> None:
        """Read what other processes have written, at most once a second."""
        await self._standing.refresh(force=force)

    async def close(self) -> None:
        await self.log.close()
        for wire in dict.fromkeys([*self._wires.values(), *self._retired]):
            await wire.close()

    # -- answering ---------------------------------------------------------------------------------------------

    async def complete(self, request: CallRequest) -> Answered:
        """The whole answer at once.

        Raises:
            InvalidInput, NoModelAvailable, ProviderFailed: as ``stream``.
        """
        async for chunk in self.stream(request):
            if isinstance(chunk, Answered):
                return chunk
        raise NoModelAvailable("The model ended without an answer. Try again.")

    async def stream(self, request: CallRequest) -> AsyncGenerator[Answer]:
        """Stream an answer, at last an Answered.

        Closing the iterator or cancelling the task stops the call and books what it can have cost.

        Raises:
            InvalidInput: there is nothing to answer.
            NoModelAvailable: no candidate is left; the message says why.
            ProviderFailed: the model failed, and so did those that were asked in its place.
        """
        run = Run(request=request)
        run.life.to("Validating")
        try:
            check_request(request)
            await self.refresh()
            chain = await self._chain(run)
            async with aclosing(self._through(run, chain)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            if not run.life.is_over:
                run.life.to("Failed")

    async def _through(self, run: Run, chain: deque[Model]) -> AsyncGenerator[Answer]:
        """Ask one model after the other until one has answered to its end."""
        while chain and run.models_tried < MOST_MODELS:
            model = chain.popleft()
            retries = 0
            while (call := await self._reserved(run, model, chain)) is not None:
                run.life.to("Requesting")
                run.models_tried += retries == 0
                try:
                    async with aclosing(self._carried(run, call, chain)) as chunks:
                        async for chunk in chunks:
                            yield chunk
                    return
                except ProviderFailed as error:
                    run.failure, run.failed_model_id = error, model.id
                    wait = self._pause(run, error, retries)
                if wait is None:
                    break
                retries += 1
                await asyncio.sleep(wait)
            if run.failure is not None and not self._goes_on(run, run.failure, chain):
                raise run.failure
        if run.failure is not None:
            raise run.failure
        raise NoModelAvailable(run.why_none())

    async def _chain(self, run: Run) -> deque[Model]:
        run.ranking = selector.explore(
            await self._rank(run.request), share=self._rules.exploration_share,
            roll=self._random.random(), pick=self._random.random(),
        )  # fmt: skip
        models = [self._model(scored) for scored in run.ranking if scored.excluded is None]
        if order := run.request.providers:
            models = sorted((m for m in models if m.provider in order), key=lambda m: order.index(m.provider))
        if not models:
            raise NoModelAvailable(run.why_none())
        return deque(models)

    async def _rank(self, request: CallRequest) -> list[selector.Scored]:
        if request.model == NULL_MODEL.id:
            models = [NULL_MODEL] if self.wire_of(NULL_MODEL) else []
        else:
            models = await self.models()
        if request.model and request.model != NULL_MODEL.id:
            pinned = self.catalog.find(request.model)
            models = [model for model in models if pinned is not None and model.id == pinned.id]
        need = selector.Need(
            task=request.task, input_tokens=likely_tokens(request),
            output_tokens=min(EXPECTED_OUTPUT_TOKENS, request.max_output_tokens),
            capabilities=frozenset({"streaming"} if request.stream else ()), prefer=request.prefer,
        )  # fmt: skip
        return selector.rank(models, need, self._standing.knowledge(models), tie_order=self._rules.tie_order)

    async def _reserved(self, run: Run, model: Model, chain: deque[Model]) -> Call | None:
        """A call that may leave; None when the circuit or a budget keeps it back."""
        if not await self.breaker.admit(model.provider):
            run.exclude(model, "its circuit is open")
            return None
        call = Call(run.request, model, now=self._clock(), shown="".join(run.shown))
        try:
            await self._purse.reserve(
                call.id, provider=model.provider, user_id=run.request.user_id, intent=run.request.intent,
                amount_microusd=call.hold_microusd, now=call.created_at, allow_burst=run.request.allow_burst,
                lifetime=timedelta(seconds=self._rules.limits.total_seconds) + HOLD_MARGIN,
            )  # fmt: skip
        except BudgetExceeded as error:
            await self.breaker.abandon(model.provider)
            run.exclude(model, "over budget")
            run.alerts += cast(tuple[Alert, ...], error.alerts)
            run.spent.append(error.user_message)
            free_first = sorted(chain, key=lambda other: not other.is_free)
            chain.clear()
            chain.extend(free_first)
            return None
        except BaseException:  # stopped while it was reserved: the call never left
            await asyncio.shield(self._purse.release(call.id, now=self._clock()))
            await self.breaker.abandon(model.provider)
            raise
        payload = {"provider": model.provider, "model": model.name, "reason": selector.reason(run.ranking, model.id)}
        await self.log.put(None, run.event(call, "provider.selected", payload, self._clock()))
        if run.failed_model_id not in (None, model.id):
            fallback = {"from": run.failed_model_id, "to": model.id}
            await self.log.put(None, run.event(call, "provider.fallback", fallback, self._clock()))
        return call

    async def _carried(self, run: Run, call: Call, chain: deque[Model]) -> AsyncGenerator[Answer]:
        """Run one reserved call to its end, or book it and raise what broke it."""
        stream = self._events(call)
        switched = run.broke_off
        try:
            first: StreamEvent | None = None
            if self._rules.hedging and call.request.stream and not run.shown:
                call, stream, first = await self._hedged(run, call, stream, chain)
            while True:
                event = first if first is not None else await anext(stream, None)
                first = None
                if event is None:
                    break
                if not isinstance(event, TextDelta):
                    continue
                if run.life.state == "Requesting" and run.request.stream:
                    run.life.to("Streaming")
                if switched is not None:
                    yield Switched(from_model_id=switched, to_model_id=call.model.id)
                    switched = run.broke_off = None
                run.shown.append(event.text)
                yield event
            if call.finish == "content_filter" and not run.shown:
                raise failed(call.model.provider, "content_filter", before_generation=False)
        except ProviderFailed as error:
            if run.shown:
                run.broke_off = call.model.id
            await asyncio.shield(self._end(run, call, error=error))
            raise
        except (asyncio.CancelledError, GeneratorExit):
            run.life.to("Failed")
            await stream.aclose()
            await asyncio.shield(self._end(run, call, stopped=True))
            raise
        run.life.to("Completed")
        await self._end(run, call)
        yield run.answered(call)

    def _events(self, call: Call) -> AsyncGenerator[StreamEvent]:
        wire = self.wire_of(call.model)
        assert wire is not None
        return call.events(wire, self._rules.limits)

    async def _hedged(
        self, run: Run, call: Call, stream: AsyncGenerator[StreamEvent], chain: deque[Model]
    ) -> tuple[Call, AsyncGenerator[StreamEvent], StreamEvent | None]:
        """Ask a second model when the first is slower to begin than 95 of 100 times; the slower of the two is stopped.

        Both are booked: the one that is stopped in full, since it may have begun.
        """
        patience = self._standing.usual_first_token_seconds(call.model.id)
        runner = asyncio.ensure_future(anext(stream, None))
        runners = {runner: (call, stream)}
        try:
            if patience is None or not chain:
                return call, stream, await runner
            await asyncio.wait({runner}, timeout=patience)
            if not runner.done() and (second := await self._reserved(run, chain.popleft(), chain)) is not None:
                other = self._events(second)
                runners[asyncio.ensure_future(anext(other, None))] = (second, other)
            done, _ = await asyncio.wait(runners, return_when=asyncio.FIRST_COMPLETED)
            winner = next((task for task in runners if task in done and task.exception() is None), None)
            if winner is None and len(done) < len(runners):
                winner = next(task for task in runners if task not in done)
                await asyncio.wait({winner})
            winner = winner or runner
        except asyncio.CancelledError:
            for task, (loser, losing) in runners.items():
                await self._stop(run, task, loser, losing, book=loser is not call)
            raise
        for task, (loser, losing) in runners.items():
            if task is not winner:
                await self._stop(run, task, loser, losing, book=True)
        won, winning = runners[winner]
        try:
            return won, winning, winner.result()
        except ProviderFailed as error:
            if won is not call:
                await self._end(run, won, error=error)
            raise

    async def _stop(
        self, run: Run, task: "asyncio.Future[StreamEvent | None]", loser: Call,
        stream: AsyncGenerator[StreamEvent], *, book: bool,
    ) -> None:  # fmt: skip
        error = task.exception() if task.done() and not task.cancelled() else None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stream.aclose()
        if book:
            failure = error if isinstance(error, ProviderFailed) else None
            await asyncio.shield(self._end(run, loser, error=failure, stopped=failure is None))

    # -- after a call ------------------------------------------------------------------------------------------

    async def _end(self, run: Run, call: Call, *, error: ProviderFailed | None = None, stopped: bool = False) -> None:
        """Book the call, once, remember how it went, and log it."""
        if call.has_ended:
            return
        call.has_ended = True
        now = self._clock()
        provider = call.model.provider
        if call.owes_nothing(error):
            await self._purse.release(call.id, now=now)
        else:
            settled = await self._purse.settle(call.id, cost_microusd=await call.cost(), now=now)
            call.cost_microusd = settled.cost_microusd
            run.cost_microusd += settled.cost_microusd
            run.alerts += settled.alerts
        if call.cost_microusd > call.hold_microusd:
            logger.warning("model.cost_above_hold", model=call.model.id, cost_microusd=call.cost_microusd,
                           held_microusd=call.hold_microusd)  # fmt: skip
        if stopped:
            await self.breaker.abandon(provider)
        elif error is None:
            await self.breaker.succeeded(provider)
        else:
            await self.breaker.failed(provider, error.kind)
            if error.kind == "rate_limit":
                await self._standing.note_rate_limit(provider, error.retry_after_seconds)
                limited = {"provider": provider, "retryAfterSeconds": error.retry_after_seconds}
                await self.log.put(None, run.event(call, "provider.rate-limited", limited, self._clock()))
        record = run.record(call, "stopped" if stopped else "failed" if error else "ok", error)
        if not stopped:
            self._standing.remember(
                selector.Outcome(
                    model_id=call.model.id, error_kind=record.error_kind, at=now,
                    tokens_per_second=record.tokens_per_second,
                ),
                first_token_ms=call.first_token_ms,
            )  # fmt: skip
        self.metrics.call(record)
        await self.log.put(record, run.ending(call, record, now))
        logger.info("model.call", model=call.model.id, status=record.status, kind=record.error_kind,
                    cost_microusd=record.cost_microusd, total_ms=record.total_ms)  # fmt: skip

    # -- what comes after a failure ----------------------------------------------------------------------------

    def _pause(self, run: Run, error: ProviderFailed, retries: int) -> float | None:
        """Seconds until the same model is tried again; None when it is not.

        Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015), never less than
        what the provider asked for. What may have been billed is not asked of the same model again.
        """
        if error.kind == "rate_limit" and run.life.state == "Requesting":
            run.life.to("RateLimited")
        if not (error.retryable and error.before_generation) or run.shown or retries >= MOST_RETRIES:
            return None
        asked_for = error.retry_after_seconds or 0.0
        if asked_for > PATIENCE_SECONDS:
            return None
        run.life.to("Retrying")
        jitter = self._random.uniform(0, min(RETRY_CAP_SECONDS, RETRY_BASE_SECONDS * 2**retries))
        return asked_for + jitter

    def _goes_on(self, run: Run, error: ProviderFailed, chain: deque[Model]) -> bool:
        """Whether another model is asked in place of the one that failed; what is wrong with the provider as a whole
        rules out its other models."""
        is_unreachable = error.kind == "network" and error.before_generation
        if error.kind in PROVIDER_WIDE_KINDS or is_unreachable:
            failed_provider = (run.failed_model_id or "").partition("/")[0]
            others = [model for model in chain if model.provider != failed_provider]
            chain.clear()
            chain.extend(others)
        if not self._rules.fallback or error.kind == "content_filter" or not chain:
            return False
        if run.life.state != "Retrying":
            run.life.to("Retrying")
        return True

    def _model(self, scored: selector.Scored) -> Model:
        model = NULL_MODEL if scored.model_id == NULL_MODEL.id else self.catalog.find(scored.model_id)
        assert model is not None
        return model

    async def _look_for_ollama(self) -> None:
        """Ask a local Ollama for its models, at most once a minute."""
        base_url = self._rules.ollama_base_url
        if not base_url or time.monotonic() - self._ollama_looked_at < OLLAMA_LOOK_SECONDS:
            return
        async with self._ollama_look:
            if time.monotonic() - self._ollama_looked_at < OLLAMA_LOOK_SECONDS:
                return
            tags = await ollama_tags(base_url, timeout_seconds=OLLAMA_TIMEOUT_SECONDS)
            self.catalog = self.catalog.with_ollama(tags)
            self._ollama_looked_at = time.monotonic()
