"""Typed tasks for programs: one prompt and one form of answer for each type, shared answers, limits by tier."""

import asyncio
import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
import structlog
from limits.aio.storage import Storage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError

from app.errors import InvalidInput, ProviderFailed, RateLimited, StorageFailed, TooLooError
from app.models import audit
from app.models.answers import Answers, TaskResult
from app.models.call import LEAST_SECONDS, CallRequest
from app.models.catalog import Task
from app.models.gate import Gate, Priority
from app.models.gateway import Gateway
from app.models.metrics import Metrics
from app.models.providers.null import NULL_MODEL
from app.models.providers.wire import Message
from app.models.run import Answered
from app.models.selector import Preference
from app.models.tiers import LIMITS, Tier
from app.storage.database import Database

TaskType = Literal["sentiment_analysis", "summarize", "classify", "extract", "translate", "code_review", "generate"]
Quality = Literal["fast", "balanced", "best"]

KIND_OF: dict[TaskType, Task] = {
    "sentiment_analysis": "classify",
    "summarize": "summarize",
    "classify": "classify",
    "extract": "extract",
    "translate": "translate",
    "code_review": "code",
    "generate": "chat",
}
STRUCTURED: frozenset[TaskType] = frozenset({"sentiment_analysis", "classify", "extract"})
PREFERENCES: dict[Quality, Preference | None] = {"fast": "fast", "balanced": None, "best": "quality"}

LONGEST_CONTENT = 100_000
TRIES_FOR_FORM = 2

logger = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class TaskRequest:
    """``labels`` are for classify, ``fields`` for extract, ``language`` for translate, ``sentences`` for summarize."""

    type: TaskType
    content: str
    priority: Priority = "normal"
    labels: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    language: str = "English"
    sentences: int = 3
    timeout_seconds: float = 60.0
    preferred_provider: str | None = None
    fallback_providers: tuple[str, ...] = ()
    quality: Quality = "balanced"
    max_tokens: int = 1024
    use_burst: bool = False
    source: str = "api"


class TaskService:
    def __init__(
        self, *, database: Database, gateway: Gateway, storage: Storage, metrics: Metrics,
        prompt: Callable[..., str], clock: Callable[[], datetime], answers: Answers,
    ) -> None:  # fmt: skip
        self._database = database
        self._gateway = gateway
        self._limiter = MovingWindowRateLimiter(storage)
        self._metrics = metrics
        self._prompt = prompt
        self._clock = clock
        self._answers = answers
        self._in_flight: dict[str, _Shared] = {}
        self._gate = Gate()

    async def submit(self, request: TaskRequest, *, user_id: str, tier: Tier) -> TaskResult:
        """Run a task, or share the answer of an equal one of the same user.

        Raises:
            InvalidInput: the task does not fit, or names a provider that is not there.
            StorageFailed: the limits cannot be counted.
            RateLimited: the tier's limit is reached, or too many tasks wait.
            NoModelAvailable, ProviderFailed: as the gateway; or no model answered in the form asked for.
        """
        began = time.monotonic()
        with self._metrics.tasks_running.track_inprogress():
            try:
                _check(request)
                self._check_providers(request)
                await self._count(user_id, tier)
                key = _key(request, user_id)
                result = await self._answers.get(key) or await self._shared(key, request, user_id)
            except TooLooError as error:
                self._metrics.task(request.type, "failed")
                has_cost = error.cost_microusd or isinstance(error, ProviderFailed)
                cost = {"costMicrousd": error.cost_microusd} if has_cost else {}
                await self._audit(request, user_id, {"status": "failed", "error": type(error).__name__, **cost})
                raise
            except Exception as error:  # a mistake of ours leaves its trail, too
                self._metrics.task(request.type, "failed")
                await self._audit(request, user_id, {"status": "failed", "error": type(error).__name__})
                raise
            except asyncio.CancelledError:
                self._metrics.task(request.type, "stopped")
                await asyncio.shield(self._audit(request, user_id, {"status": "stopped"}))
                raise
        result = replace(result, processing_ms=round((time.monotonic() - began) * 1000), at=self._clock())
        self._metrics.task(request.type, "shared" if result.shared else "completed")
        await self._audit(
            request, user_id,
            {"status": "completed", "taskId": result.task_id, "model": f"{result.provider}/{result.model}",
             "costMicrousd": 0 if result.shared else result.cost_microusd, "shared": result.shared},
        )  # fmt: skip
        return result

    async def is_ready(self) -> bool:
        """Whether the limits can be counted, without which no task runs."""
        return bool(await self._limiter.storage.check())

    def _check_providers(self, request: TaskRequest) -> None:
        known = {model.provider for model in (*self._gateway.catalog.models, NULL_MODEL)} | {"ollama"}
        named = [name for name in (request.preferred_provider, *request.fallback_providers) if name is not None]
        if NULL_MODEL.provider in request.fallback_providers:
            raise InvalidInput("The provider 'null' is for tests, and asked alone, as config.preferredProvider.")
        unknown = next((name for name in named if name not in known), None)
        if unknown is not None:
            raise InvalidInput(f"There is no provider {unknown!r}. There are: {', '.join(sorted(known))}.")

    async def _count(self, user_id: str, tier: Tier) -> None:
        for limit in LIMITS[tier]:
            try:
                fits = await self._limiter.hit(limit, "task", user_id)
                reset = 0.0 if fits else (await self._limiter.get_window_stats(limit, "task", user_id)).reset_time
            except StorageError as error:
                raise StorageFailed(
                    "The limits of tasks cannot be counted: Redis (REDIS_URL) does not answer."
                ) from error
            if not fits:
                wait = max(1.0, reset - time.time())
                raise RateLimited(
                    f"The limit of the {tier} tier is reached ({limit}). Try again in {wait:.0f} s.",
                    retry_after_seconds=wait,
                )

    async def _shared(self, key: str, request: TaskRequest, user_id: str) -> TaskResult:
        """One call for all equal requests, each waiting as long as it wants; it is stopped with the last of them.

        Whoever has time left where the call of one with less of it was too slow goes on with one of their own.
        """
        deadline = time.monotonic() + request.timeout_seconds
        while True:
            shared = self._in_flight.get(key)
            is_first = shared is None or shared.work.done()
            left = deadline - time.monotonic()
            if shared is None or shared.work.done():
                work = asyncio.create_task(self._run(key, request, user_id, deadline=deadline))
                shared = self._in_flight[key] = _Shared(work)
            try:
                result = await self._joined(key, shared, seconds=None if is_first else left)
            except TimeoutError as error:
                raise _too_slow(request) from error
            except TooLooError as error:
                is_too_slow = isinstance(error, ProviderFailed) and error.kind == "timeout"
                ran_out = is_too_slow or isinstance(error, RateLimited)
                if is_first or not ran_out or deadline - time.monotonic() < LEAST_SECONDS:
                    was_told, shared.is_told = shared.is_told, True
                    raise (_told_already(error) if was_told else error) from None
                continue
            if shared.is_told:
                return replace(result, shared=True)
            shared.is_told = True  # its cost, to one of them: whoever came first may have left
            return result

    async def _joined(self, key: str, shared: "_Shared", *, seconds: float | None) -> TaskResult:
        shared.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(shared.work)
        finally:
            shared.waiting -= 1
            if shared.waiting == 0:
                shared.work.cancel()
                if self._in_flight.get(key) is shared:
                    del self._in_flight[key]

    async def _run(self, key: str, request: TaskRequest, user_id: str, *, deadline: float) -> TaskResult:
        # a little later than the call's own end, so that a provider that hangs is known to have hung
        seconds, is_queued = deadline - time.monotonic() + 1, False
        try:
            async with asyncio.timeout(seconds), self._answers.turn(key, seconds=seconds):
                if (elsewhere := await self._answers.get(key)) is not None:
                    return elsewhere
                is_queued = True
                async with self._gate.through(request.priority, user_id):
                    if deadline - time.monotonic() <= LEAST_SECONDS < request.timeout_seconds:
                        raise _busy()
                    is_queued = False
                    result = await self._answered(request, user_id, deadline=deadline)
                if result.finish == "stop":
                    await self._answers.put(key, result)
                return result
        except TimeoutError as error:
            raise (_busy() if is_queued else _too_slow(request)) from error

    async def _answered(self, request: TaskRequest, user_id: str, *, deadline: float) -> TaskResult:
        call = self._call(request, user_id)
        cost = tokens = 0
        for tries_left in range(TRIES_FOR_FORM - 1, -1, -1):
            left = deadline - time.monotonic()
            try:
                if left <= LEAST_SECONDS:
                    raise _too_slow(request)
                answer = await self._gateway.complete(replace(call, total_seconds=left))
            except TooLooError as error:
                error.cost_microusd += cost
                raise
            cost += answer.cost_microusd
            tokens += answer.usage.input_tokens + answer.usage.output_tokens
            try:
                output = answer.text if request.type not in STRUCTURED else _parsed(answer.text, request)
                fits = bool(answer.text.strip())
            except (ValueError, OverflowError, RecursionError):
                fits = False
            if request.type in STRUCTURED:
                self._gateway.note_form(answer, fits=fits)
            if fits:
                return _result(answer, output, cost, tokens, self._clock(), asked=call.providers)
            if not tries_left:
                failure = ProviderFailed(
                    "The model did not answer in the form that this task needs. Try again, or with quality best.",
                    kind="server", before_generation=False,
                )  # fmt: skip
                failure.cost_microusd = cost
                raise failure
        raise AssertionError("unreachable")

    def _call(self, request: TaskRequest, user_id: str) -> CallRequest:
        preferred = request.preferred_provider
        order = (preferred, *request.fallback_providers) if preferred else request.fallback_providers
        return CallRequest(
            task=KIND_OF[request.type], intent=f"task.{request.type}", user_id=user_id, thread_id=None,
            system=self._instruction(request), messages=(Message(role="user", content=request.content),),
            max_output_tokens=request.max_tokens, model=NULL_MODEL.id if preferred == "null" else None,
            providers=() if preferred == "null" else order, prefer=PREFERENCES[request.quality],
            allow_burst=request.use_burst, stream=False, total_seconds=request.timeout_seconds,
            request_id=uuid.uuid4().hex,
        )  # fmt: skip

    def _instruction(self, request: TaskRequest) -> str:
        match request.type:
            case "classify":
                return self._prompt("task_classify", labels=", ".join(request.labels))
            case "extract":
                return self._prompt("task_extract", fields=", ".join(request.fields))
            case "translate":
                return self._prompt("task_translate", language=request.language)
            case "summarize":
                return self._prompt("task_summarize", sentences=str(request.sentences))
            case "sentiment_analysis":
                return self._prompt("task_sentiment_analysis")
            case "code_review":
                return self._prompt("task_code_review")
            case "generate":
                return self._prompt("task_generate")

    async def _audit(self, request: TaskRequest, user_id: str, detail: dict[str, Any]) -> None:  # Any: JSON
        now = self._clock()

        def write(connection: sa.Connection) -> None:
            audit.record(connection, user_id, "task.submit", request.type, {**detail, "source": request.source}, at=now)

        try:
            await self._database.run(write)
        except StorageFailed:  # what was answered, and paid, is not thrown away for it
            logger.exception("task.audit_failed", task=request.type, **detail)


def _busy() -> RateLimited:
    return RateLimited(
        "Too many tasks run already. Try again in a moment, or with a longer config.timeout.", retry_after_seconds=5
    )


def _too_slow(request: TaskRequest) -> ProviderFailed:
    return ProviderFailed(
        f"The task took longer than its {request.timeout_seconds:g} s. Try again with a longer config.timeout.",
        kind="timeout", before_generation=False,
    )  # fmt: skip


def _told_already(error: TooLooError) -> TooLooError:
    """The same for one of those who shared a call, of which another was told what it cost."""
    same: TooLooError = type(error).__new__(type(error), *error.args)
    vars(same).update(vars(error), cost_microusd=0)
    return same


class _Shared:
    def __init__(self, work: "asyncio.Task[TaskResult]") -> None:
        self.work = work
        self.waiting = 0
        self.is_told = False


def _check(request: TaskRequest) -> None:
    if not request.content.strip():
        raise InvalidInput("The task has no content. Put the text into input.content.")
    if len(request.content) > LONGEST_CONTENT:
        raise InvalidInput(
            f"input.content is too long ({len(request.content):,} characters, at most {LONGEST_CONTENT:,})."
        )
    if request.type == "classify" and len(set(request.labels)) < 2:
        raise InvalidInput("A classify task needs at least two different labels in input.labels.")
    if request.type == "extract" and not request.fields:
        raise InvalidInput("An extract task needs the names of what to take out in input.fields.")


def _key(request: TaskRequest, user_id: str) -> str:
    """Equal requests of one user; how urgent one is and where it came from makes no other request of it."""
    same = replace(request, priority="normal", source="", timeout_seconds=0.0)
    return hashlib.sha256(json.dumps([user_id, vars(same)], sort_keys=True).encode()).hexdigest()


def _parsed(text: str, request: TaskRequest) -> dict[str, Any]:  # Any: JSON
    """The object in an answer.

    Raises:
        ValueError: there is none, or it has not the form that the type asks for.
    """
    fenced = re.search(r"\{.*\}", text, re.DOTALL)
    document = json.loads(fenced[0] if fenced else text, parse_constant=_refuse)
    json.dumps(document, ensure_ascii=False, allow_nan=False).encode()  # it has neither 1e999 nor halves of characters
    if not isinstance(document, dict):
        raise ValueError("no object")
    match request.type:
        case "extract":
            if document.keys() != set(request.fields):
                raise ValueError("other fields")
        case "classify":
            _check_choice(document, "label", request.labels)
        case _:
            _check_choice(document, "sentiment", ("positive", "neutral", "negative"))
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _check_choice(document: dict[str, Any], name: str, choices: tuple[str, ...]) -> None:  # Any: JSON
    confidence = document.get("confidence")
    is_number = isinstance(confidence, int | float) and not isinstance(confidence, bool)
    if document.keys() != {name, "confidence"} or document[name] not in choices or not is_number:
        raise ValueError("another form")
    if not 0 <= float(confidence) <= 1:  # type: ignore[arg-type]  # it is a number
        raise ValueError("no confidence")


def _result(
    answer: Answered, output: Any, cost: int, tokens: int, now: datetime, *, asked: Sequence[str]
) -> TaskResult:  # Any: text or JSON
    provider, _, model = answer.model_id.partition("/")
    others = [
        s.model_id for s in answer.ranking
        if s.excluded is None and s.model_id != answer.model_id and (not asked or s.provider in asked)
    ]  # fmt: skip
    return TaskResult(
        task_id=uuid.uuid4().hex, output=output, provider=provider, model=model, execution_ms=answer.total_ms,
        tokens_used=tokens, cost_microusd=cost, finish=answer.finish, reason=answer.reason,
        alternatives=tuple(others[:5]), at=now, processing_ms=0,
    )  # fmt: skip
