"""The only way to a model: rank them, ask one after the other, retry, and fall back."""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from app.errors import BudgetSpent, NoModelAvailable, ProviderFailed, StorageFailed, TooLooError
from app.models import quality, selector
from app.models.breaker import Breaker
from app.models.budget import Purse
from app.models.call import LEAST_SECONDS, Call, CallRequest, TimeLimits, check_request
from app.models.carrier import Carrier
from app.models.catalog import Catalog, Model, Task
from app.models.chooser import PATIENCE_SECONDS, Chooser, Preview, Taste
from app.models.log import CallLog
from app.models.metrics import Metrics
from app.models.ollama import LocalOllama
from app.models.providers.null import NULL_MODEL
from app.models.providers.wire import Message, Wire
from app.models.run import MOST_MODELS, Answer, Answered, Run
from app.models.standing import Standing
from app.storage.database import Database

logger = structlog.get_logger()

PREVIEWED_INTENT = "general.chat"
MOST_RETRIES = 2  # of one model, beside the first try
RETRY_BASE_SECONDS, RETRY_CAP_SECONDS = 0.25, 4.0
PATIENCE_BESIDE_OTHERS_SECONDS = 2.0  # the longest Retry-After that is waited for while another provider can be asked
MOST_OF_ONE = 2  # models of one provider that fail before others are asked
PROVIDER_WIDE_KINDS = frozenset({"auth", "quota"})
MOST_RETIRED = 8  # wires of keys that were replaced; calls may still run on them


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How the gateway behaves; all of it comes from the settings."""

    limits: TimeLimits
    taste: Taste = field(default_factory=Taste)
    fallback: bool = True
    hedging: bool = False


class Gateway:
    """Needs a wire for each provider that has a key. Budgets, circuits and what was learned are shared by processes."""

    def __init__(
        self, *, database: Database, purse: Purse, catalog: Catalog, wires: Mapping[str, Wire], breaker: Breaker,
        log: CallLog, rules: Rules, clock: Callable[[], datetime], ollama: LocalOllama | None = None,
        randomness: random.Random | None = None,
    ) -> None:  # fmt: skip
        self.catalog = self._written_catalog = catalog
        self.breaker = breaker
        self.log = log
        self.metrics = Metrics()
        self._wires = dict(wires)
        self._retired: deque[Wire] = deque()
        self._rules = rules
        self._random = randomness or random.Random()  # for pauses and exploration, not for secrets
        self._clock = clock
        self._standing = Standing(database=database, purse=purse, breaker=breaker, clock=clock)
        self.chooser = Chooser(
            standing=self._standing, purse=purse, taste=rules.taste, clock=clock, randomness=self._random
        )
        self._database = database
        self._noting: set[asyncio.Task[None]] = set()
        self._ollama = ollama
        self._carrier = Carrier(
            purse=purse, breaker=breaker, log=log, metrics=self.metrics, standing=self._standing, limits=rules.limits,
            hedging=rules.hedging, clock=clock, wire_of=self.wire_of,
        )  # fmt: skip

    # -- what there is -----------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Remember how the calls of the last days went."""
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

    def forgive(self, provider: str) -> None:
        """Forget its recent failures: it has another key."""
        self._standing.forgive(provider)

    def wire_of(self, model: Model) -> Wire | None:
        return self._wires.get(model.provider)

    async def preview(
        self, task: Task, *, prefer: selector.Preference | None = None, user_id: str | None = None,
        allow_burst: bool = False, model: str | None = None,
    ) -> Preview:  # fmt: skip
        """What a question of usual length would be asked of now, with ``model`` of that one alone. What no budget has
        room for, of the provider's and the user's, is left out."""
        question = Message(role="user", content="?" * 400)
        await self.refresh()
        request = CallRequest(
            task=task, user_id=user_id or "", thread_id=None, system="", messages=(question,), prefer=prefer,
            allow_burst=allow_burst, intent=PREVIEWED_INTENT, model=model,
        )  # fmt: skip
        return await self.chooser.preview(request, await self._candidates(request))

    def why_unusable(self, provider: str) -> str | None:
        """Why no call goes to a provider now; None when one does."""
        is_free = any(model.is_free for model in self.catalog.models if model.provider == provider)
        return self._standing.why_unusable(provider, is_free=is_free)

    async def refresh(self, *, force: bool = False) -> None:
        """Read what other processes have written, at most once a second."""
        await self._standing.refresh(force=force)

    def note_form(self, answer: Answered, *, fits: bool) -> None:
        """An answer of the form that was asked for speaks for its model, one of another form against it. Nobody waits
        until that is written."""
        if answer.model_id == NULL_MODEL.id:
            return
        noting = asyncio.create_task(self._note_form(answer.call_id, fits))
        self._noting.add(noting)
        noting.add_done_callback(self._noting.discard)

    async def settled(self) -> None:
        """Wait until what is said of the calls that have ended is written."""
        await self._carrier.settled()
        if self._noting:
            await asyncio.wait(self._noting)

    async def _note_form(self, call_id: str, fits: bool) -> None:
        try:
            await self.log.flush()
            await quality.observe(self._database, call_id, "schema", float(fits), now=self._clock())
        except StorageFailed as error:  # an answer is worth more than what it says of its model
            logger.warning("model.form_not_noted", reason=error.user_message)

    async def close(self) -> None:
        await self.settled()
        await self._carrier.close()
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
        seconds = self._rules.limits.total_seconds
        if request.total_seconds is not None:
            seconds = min(seconds, request.total_seconds)
        run = Run(request=request, deadline=time.monotonic() + seconds)
        run.life.to("Validating")
        try:
            check_request(request)
            await self.refresh()
            async with aclosing(self._answers(run)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except BaseException as error:  # also of who stops it, or leaves
            if not run.life.is_over:
                run.life.to("Failed")
            if run.models_tried == 0:
                await asyncio.shield(self.log.put(run.refusal(_why_none_was_asked(error), self._clock())))
            raise

    async def _answers(self, run: Run) -> AsyncGenerator[Answer]:
        try:
            async with aclosing(self._through(run, await self._chain(run))) as chunks:
                async for chunk in chunks:
                    yield chunk
        except BudgetSpent:
            if run.request.model is None or not run.request.others_when_spent:
                raise
            run.request = replace(run.request, model=None)
            async with aclosing(self._through(run, await self._chain(run))) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _chain(self, run: Run) -> deque[Model]:
        candidates = await self._candidates(run.request)
        choice = await self.chooser.choose(run.request, candidates, free_first=bool(run.spent))
        run.ranking, run.explored = choice.ranking, choice.explored
        run.spent += choice.spent
        if not choice.models:
            raise run.nothing_left()
        return deque(choice.models)

    async def _candidates(self, request: CallRequest) -> list[Model]:
        if request.model == NULL_MODEL.id:
            return [NULL_MODEL] if self.wire_of(NULL_MODEL) else []
        models = await self.models()
        if request.model is None:
            return models
        pinned = self.catalog.find(request.model)
        return [model for model in models if pinned is not None and model.id == pinned.id]

    async def _through(self, run: Run, chain: deque[Model]) -> AsyncGenerator[Answer]:
        """Ask one model after the other until one has answered to its end."""
        while chain and run.models_tried < MOST_MODELS and (run.failure is None or run.seconds_left() > LEAST_SECONDS):
            model = chain.popleft()
            retries = 0
            others = self._rules.fallback and run.models_tried + 1 < MOST_MODELS
            run.shares_time = others and run.has_others(model.provider, chain)
            while (call := await self._reserved(run, model, chain)) is not None:
                run.life.to("Requesting")
                run.models_tried += retries == 0
                try:
                    async with aclosing(self._carrier.carried(run, call, chain)) as chunks:
                        async for chunk in chunks:
                            yield chunk
                    return
                except ProviderFailed as error:
                    run.failure = error
                    wait = self._pause(run, error, retries, chain)
                if wait is None:
                    break
                retries += 1
                await asyncio.sleep(wait)
            if run.failure is not None and not self._goes_on(run, run.failure, chain):
                break
        if run.failure is not None:
            run.failure.cost_microusd = run.cost_microusd
            if run.spent:  # others might have answered
                run.failure.user_message += f" {run.spent[0]}"
            raise run.failure
        raise run.nothing_left()

    async def _reserved(self, run: Run, model: Model, chain: deque[Model]) -> Call | None:
        """A call that may leave. Where nobody else is left, a provider that asks for a moment is given it."""
        wait = self._standing.wait_seconds(model.provider)
        is_last = not run.has_others(model.provider, chain)
        if is_last and 0 < wait <= PATIENCE_SECONDS and wait + LEAST_SECONDS < run.seconds_left():
            await asyncio.sleep(wait + self._random.uniform(0, RETRY_BASE_SECONDS))
        return await self._carrier.reserved(run, model, chain)

    # -- what comes after a failure ----------------------------------------------------------------------------

    def _pause(self, run: Run, error: ProviderFailed, retries: int, chain: deque[Model]) -> float | None:
        """Seconds until the same model is tried again; None when it is not.

        Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015), never less than
        what the provider asked for. What may have been billed is not asked of the same model again.
        """
        if error.kind == "rate_limit" and run.life.state == "Requesting":
            run.life.to("RateLimited")
        if not (error.retryable and error.before_generation) or run.shown or retries >= MOST_RETRIES:
            return None
        goes_on = self._rules.fallback and run.models_tried < MOST_MODELS
        goes_on = goes_on and run.has_others(self._failed_provider(run), chain)
        if goes_on and _is_unreachable(error):
            return None
        asked_for = error.retry_after_seconds or 0.0
        if goes_on and asked_for > PATIENCE_BESIDE_OTHERS_SECONDS:
            return None
        wait = asked_for + self._random.uniform(0, min(RETRY_CAP_SECONDS, RETRY_BASE_SECONDS * 2**retries))
        if asked_for > PATIENCE_SECONDS or wait + LEAST_SECONDS > run.seconds_left():
            return None
        run.life.to("Retrying")
        return wait

    def _goes_on(self, run: Run, error: ProviderFailed, chain: deque[Model]) -> bool:
        """Whether another model is asked in place of the one that failed; what is wrong with the provider as a whole
        rules out its other models."""
        provider = self._failed_provider(run)
        same = [model for model in chain if model.provider == provider]
        others = [model for model in chain if model.provider != provider]
        run.failures[provider] += 1
        if error.kind in PROVIDER_WIDE_KINDS or _is_unreachable(error):
            same = []
        if not same or run.failures[provider] >= MOST_OF_ONE:
            chain.clear()
            chain.extend(others + same)
        if not self._rules.fallback or error.kind == "content_filter" or not chain:
            return False
        if run.life.state != "Retrying":
            run.life.to("Retrying")
        return True

    def _failed_provider(self, run: Run) -> str:
        return (run.failed_model_id or "").partition("/")[0]

    async def _look_for_ollama(self) -> None:
        if self._ollama is None or not await self._ollama.look():
            return
        self.catalog = self._written_catalog.with_ollama(self._ollama.models)
        if self._ollama.wire is not None:
            self._wires["ollama"] = self._ollama.wire


def _why_none_was_asked(error: BaseException) -> str:
    if isinstance(error, TooLooError):
        return error.user_message
    is_stopped = isinstance(error, asyncio.CancelledError | GeneratorExit)
    return "stopped before a model was asked" if is_stopped else "something went wrong on our side"


def _is_unreachable(error: ProviderFailed) -> bool:
    """Whether no connection was made, so that no other model of the provider can be reached either."""
    return error.kind in ("network", "timeout") and error.before_generation
