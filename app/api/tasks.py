"""Typed tasks over REST, their health and their metrics."""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from pydantic import Field, StringConstraints

from app.api.identity import IsAdmin, Reader, Using, Writer
from app.api.wire import Body, while_connected
from app.errors import NotAllowed, Unauthenticated
from app.models.answers import TaskResult
from app.models.budget import MICROUSD
from app.models.gate import Priority
from app.models.tasks import Quality, TaskRequest, TaskType

router = APIRouter(tags=["tasks"])
Json = dict[str, Any]  # Any: JSON


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
ProviderName = Annotated[str, Field(min_length=1, max_length=32)]


class TaskInput(Body):
    content: str = Field(max_length=200_000)
    priority: Priority = "normal"
    labels: list[Name] = Field(default_factory=list, max_length=50)
    fields: list[Name] = Field(default_factory=list, max_length=50)
    language: Name = "English"
    sentences: int = Field(3, ge=1, le=50)


class TaskConfig(Body):
    timeout: float = Field(60, ge=1, le=300, description="Seconds")
    preferred_provider: str | None = Field(None, max_length=32)
    fallback_providers: list[ProviderName] = Field(default_factory=list, max_length=10)
    quality: Quality = "balanced"
    max_tokens: int = Field(1024, ge=1, le=32_000)
    use_burst: bool = Field(False, description="May use the burst budgets (administrators)")


class TaskMetadata(Body):
    source: str = Field("api", max_length=60)
    user_id: str | None = Field(None, max_length=64)


class Submission(Body):
    type: TaskType
    input: TaskInput
    config: TaskConfig = Field(default_factory=TaskConfig)
    metadata: TaskMetadata = Field(default_factory=TaskMetadata)


@router.post("/tasks/submit")
async def submit(body: Submission, request: Request, user: Writer, is_admin: IsAdmin, using: Using) -> Json:
    """Run one typed task. An equal task of the same user within 300 seconds gets the same answer, at no cost."""
    if body.metadata.user_id not in (None, user.id, user.name):
        raise NotAllowed("metadata.userId is not yours. Leave it out: the token says who you are.")
    if body.config.use_burst and not is_admin:
        raise NotAllowed("Only an administrator uses the burst budgets. Leave config.useBurst out.")
    wanted = TaskRequest(
        type=body.type, content=body.input.content, priority=body.input.priority, labels=tuple(body.input.labels),
        fields=tuple(body.input.fields), language=body.input.language, sentences=body.input.sentences,
        timeout_seconds=body.config.timeout, preferred_provider=body.config.preferred_provider,
        fallback_providers=tuple(body.config.fallback_providers), quality=body.config.quality,
        max_tokens=body.config.max_tokens, use_burst=body.config.use_burst, source=body.metadata.source,
    )  # fmt: skip
    tier = await using.accounts.tier_of(user)
    result = await while_connected(request, using.tasks.submit(wanted, user_id=user.id, tier=tier))
    return _answer(result, request.state.request_id)


@router.get("/tasks/health")
async def health(user: Reader, using: Using) -> Json:
    """Whether a task of yours could run now, and on what."""
    ranking = (await using.deps.gateway.preview("chat", user_id=user.id)).ranking
    usable = [scored.model_id for scored in ranking if scored.excluded is None]
    is_ready = bool(usable) and await using.tasks.is_ready()
    return {
        "status": "ok" if is_ready else "degraded", "usableModels": len(usable), "models": len(ranking),
        "next": usable[0] if usable else None,
    }  # fmt: skip


@router.get("/tasks/metrics", response_class=PlainTextResponse)
async def metrics(request: Request, using: Using) -> PlainTextResponse:
    """Counters in Prometheus' text format, for whoever has METRICS_API_KEY (``Authorization: Bearer``)."""
    wanted = using.settings.metrics_api_key
    if wanted is None:
        raise NotAllowed("Metrics are off. Set METRICS_API_KEY to turn them on.")
    scheme, _, given = request.headers.get("authorization", "").strip().partition(" ")
    given = given.strip() if scheme.lower() == "bearer" else ""
    if not secrets.compare_digest(given.encode(), wanted.get_secret_value().encode()):
        raise Unauthenticated("The metrics key is wrong. Send it as: Authorization: Bearer KEY")
    await using.deps.gateway.refresh()
    budgets = await using.deps.purse.budgets(using.deps.clock())
    text = using.deps.gateway.metrics.text(budgets, using.deps.gateway.breaker.circuits())
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _answer(result: TaskResult, request_id: str) -> Json:
    return {
        "success": True,
        "taskId": result.task_id,
        "status": "completed",
        "result": {
            "output": result.output, "provider": result.provider, "model": result.model,
            "finish": result.finish, "executionTime": result.execution_ms, "tokensUsed": result.tokens_used,
            "cost": 0.0 if result.shared else result.cost_microusd / MICROUSD, "shared": result.shared,
        },
        "routing": {
            "selectedProvider": result.provider, "reason": result.reason, "alternatives": list(result.alternatives),
        },
        "audit": {
            "requestId": request_id, "timestamp": result.at.isoformat(), "processingTime": result.processing_ms,
        },
    }  # fmt: skip
