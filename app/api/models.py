"""Budgets and model choices over REST."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from app.api.identity import Admin, Reader, Using, Writer
from app.api.wire import Body, page
from app.errors import NotFound
from app.models import log as call_log
from app.models.budget import MICROUSD, WINDOW, Budget, limit_of
from app.models.catalog import Task
from app.models.selector import Preference, reason

router = APIRouter(tags=["models"])
Json = dict[str, Any]  # Any: JSON


class Limits(Body):
    monthly_usd: float | None = Field(None, ge=0)
    burst_usd: float | None = Field(None, ge=0)
    active: bool = True


class OwnLimit(Body):
    monthly_usd: float = Field(ge=0)
    active: bool = True


class Choice(Body):
    task: Task = "chat"
    prefer: Preference | None = None


@router.get("/budget/status")
@router.get("/budget/report", deprecated=True)
async def status(user: Reader, using: Using) -> Json:
    budgets = await using.deps.purse.budgets(using.deps.clock())
    own = next((b for b in budgets if b.kind == "user" and b.owner == user.id), None)
    return page([_budget(b, budgets, using) for b in budgets if b.kind == "provider"]) | {
        "own": None if own is None else {"monthlyUsd": _usd(own.limit_microusd), "spentUsd": _usd(own.spent_microusd)}
    }


@router.put("/budget/own")
async def set_own(body: OwnLimit, user: Writer, using: Using) -> Json:
    changed = await using.deps.purse.set_limit(
        "user", user.id, limit_microusd=limit_of(body.monthly_usd), active=body.active, actor=user.id,
        now=using.deps.clock(),
    )  # fmt: skip
    return {"monthlyUsd": _usd(changed.limit_microusd), "active": changed.active}


@router.put("/budget/{provider}")
async def set_provider(provider: str, body: Limits, user: Admin, using: Using) -> Json:
    now = using.deps.clock()
    kinds = (("provider", body.monthly_usd), ("burst", body.burst_usd))
    if not any(b.owner == provider and b.kind == "provider" for b in await using.deps.purse.budgets(now)):
        raise NotFound(f"There is no provider {provider!r}. See GET /api/v1/budget/status.")
    for kind, dollars in kinds:
        await using.deps.purse.set_limit(
            "provider" if kind == "provider" else "burst", provider,
            limit_microusd=None if dollars is None else limit_of(dollars), active=body.active, actor=user.id, now=now,
        )  # fmt: skip
    budgets = await using.deps.purse.budgets(now)
    return next(_budget(b, budgets, using) for b in budgets if b.kind == "provider" and b.owner == provider)


@router.post("/providers/select")
async def select(body: Choice, _user: Reader, using: Using) -> Json:
    ranking = await using.deps.gateway.preview(body.task, prefer=body.prefer)
    return {"reason": reason(ranking), "ranking": [scored.to_json() for scored in ranking]}


@router.get("/providers/costs")
async def costs(user: Reader, using: Using) -> Json:
    since = using.deps.clock() - WINDOW
    spent = await call_log.spent_by(using.database, user_id=user.id, since=since)
    calls = await call_log.newest(using.database, user_id=user.id, limit=100)
    items = [
        {
            "callId": call["id"], "provider": call["provider"], "model": call["model"], "status": call["status"],
            "costUsd": _usd(call["cost_microusd"]), "inputTokens": call["input_tokens"],
            "outputTokens": call["output_tokens"], "createdAt": call["created_at"].isoformat(),
        }
        for call in calls
    ]  # fmt: skip
    return page(items) | {"costUsd": _usd(spent)}


def _budget(budget: Budget, budgets: list[Budget], using: Using) -> Json:
    burst = next((b for b in budgets if b.kind == "burst" and b.owner == budget.owner), None)
    return {
        "provider": budget.owner,
        "monthlyUsd": _usd(budget.limit_microusd),
        "burstUsd": _usd(burst.limit_microusd) if burst else 0,
        "spentUsd": _usd(budget.spent_microusd),
        "heldUsd": _usd(budget.held_microusd),
        "remainingUsd": _usd(budget.remaining_microusd),
        "active": budget.active,
        "periodStart": (using.deps.clock() - WINDOW).isoformat(),
    }


def _usd(microusd: int) -> float:
    return round(microusd / MICROUSD, 6)
