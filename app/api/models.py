"""Budgets and model choices over REST."""

import asyncio
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field, SecretStr

from app.api.identity import Admin, IsAdmin, Reader, Using, Writer
from app.api.wire import Body, camel, page
from app.errors import NotFound
from app.events import log as event_log
from app.models import audit
from app.models import log as call_log
from app.models.budget import (
    LARGEST_LIMIT_USD,
    MICROUSD,
    Budget,
    BudgetKind,
    intent_owner,
    limit_of,
    microusd,
)
from app.models.catalog import Task
from app.models.ledger import WINDOW
from app.models.selector import Preference
from app.models.wording import name_of, spent_message

router = APIRouter(tags=["models"])
Json = dict[str, Any]  # Any: JSON
# Money is set by numbers and truth values of JSON, not by what can be read as one.
Dollars = Annotated[float, Field(strict=True)]
Switch = Annotated[bool, Field(strict=True)]
MOST_RANKINGS = 100  # on a page: each is some kilobytes
ALERTS = ("budget.warning", "budget.exceeded")


class Limits(Body):
    monthly_usd: Dollars | None = Field(None, ge=0)
    burst_usd: Dollars | None = Field(None, ge=0)
    active: Switch | None = Field(None, description="Whether the provider is asked at all")
    burst_active: Switch | None = Field(None, description="Whether its burst budget may be used")


class OwnLimit(Body):
    monthly_usd: Dollars = Field(ge=0)
    active: Switch = True


class Choice(Body):
    task: Task = "chat"
    prefer: Preference | None = None


@router.get("/budget/status")
@router.get("/budget/report", deprecated=True)
async def status(user: Reader, using: Using) -> Json:
    budgets = await using.deps.purse.budgets(using.deps.clock())
    own = next((b for b in budgets if b.kind == "user" and b.owner == user.id and b.active), None)
    allowance = next((b for b in budgets if b.kind == "allowance" and b.owner == user.id and b.active), None)
    capped = [b for b in await using.deps.purse.of_user(user.id, using.deps.clock()) if b.kind == "intent"]
    return page([_budget(b, budgets, using) for b in budgets if b.kind == "provider"]) | {
        "own": None if own is None else _cap(own),
        "allowance": None if allowance is None else _cap(allowance),
        "intents": [
            {
                "intent": b.owner.split(":", 1)[1],
                "monthlyUsd": _usd(b.limit_microusd),
                "spentUsd": _usd(b.spent_microusd),
                "active": b.active,
            }
            for b in capped
        ],
    }


class Check(Body):
    provider: str = Field(max_length=32)
    amount_usd: Dollars = Field(ge=0, le=LARGEST_LIMIT_USD)


@router.post("/budget/check")
async def check(body: Check, user: Reader, using: Using) -> Json:
    """Whether an amount would fit now; nothing is held."""
    budgets = await using.deps.purse.of_user(user.id, using.deps.clock())
    applying = [
        b
        for b in budgets
        if (b.kind == "provider" and b.owner == body.provider) or (b.kind in ("user", "allowance") and b.active)
    ]  # fmt: skip
    if not any(b.kind == "provider" for b in applying):
        raise NotFound(f"There is no provider {body.provider!r}. See GET /api/v1/budget/status.")
    wanted = microusd(body.amount_usd)
    refusing = [b for b in applying if not b.active or 0 < wanted > b.remaining_microusd]
    return {
        "fits": not refusing,
        "remainingUsd": _usd(min(b.remaining_microusd if b.active else 0 for b in applying)),
        "reason": spent_message(refusing[0].id, vars(refusing[0]), amount=wanted) if refusing else None,
    }


class Cost(Body):
    provider: str = Field(max_length=32)
    cost_usd: Dollars = Field(ge=0, le=LARGEST_LIMIT_USD)
    call_id: str = Field(min_length=1, max_length=60, pattern=r"^[\w.:-]+$")


@router.post("/budget/record-cost")
@router.post("/budget/track", deprecated=True)
async def record_cost(body: Cost, user: Admin, using: Using) -> Json:
    """Book what was spent with a provider outside of here, once for each callId."""
    settled = await using.deps.purse.record(
        body.call_id, provider=body.provider, user_id=user.id, cost_microusd=microusd(body.cost_usd), actor=user.id,
        now=using.deps.clock(),
    )  # fmt: skip
    return {"booked": settled.booked, "costUsd": _usd(settled.cost_microusd)}


@router.get("/budget/alerts")
async def alerts(user: Reader, using: Using, cursor: str | None = None, limit: int = Query(100, ge=1, le=1000)) -> Json:
    """Warnings at 90 % and budgets without room, newest first; those of providers, and one's own."""
    async with using.database.read() as connection:
        found = await event_log.newest(connection, types=ALERTS, of_user=user.id, before=cursor, limit=limit + 1)
    return page(
        [
            {
                "type": event.type, "budget": event.key, "name": name_of(event.key),
                "spentUsd": _usd(event.payload["spentMicrousd"]), "limitUsd": _usd(event.payload["limitMicrousd"]),
                "at": event.occurred_at.isoformat(),
            }
            for event in found[:limit]
        ],
        found[limit - 1].id if len(found) > limit else None,
    )  # fmt: skip


class IntentLimit(Body):
    intent: str = Field(max_length=48)
    monthly_usd: Dollars = Field(ge=0)
    active: Switch = True


@router.put("/budget/own/intent")
async def set_own_intent(body: IntentLimit, user: Writer, using: Using) -> Json:
    """Cap what one intent may cost you, such as general.chat or task.summarize."""
    changed = await using.deps.purse.set_limit(
        "intent", intent_owner(user.id, body.intent), limit_microusd=limit_of(body.monthly_usd), active=body.active,
        actor=user.id, now=using.deps.clock(),
    )  # fmt: skip
    return {"intent": body.intent, "monthlyUsd": _usd(changed.limit_microusd), "active": changed.active}


@router.put("/budget/own")
async def set_own(body: OwnLimit, user: Writer, using: Using) -> Json:
    changed = await using.deps.purse.set_limit(
        "user", user.id, limit_microusd=limit_of(body.monthly_usd), active=body.active, actor=user.id,
        now=using.deps.clock(),
    )  # fmt: skip
    return {"monthlyUsd": _usd(changed.limit_microusd), "active": changed.active}


@router.put("/budget/users/{name}")
async def set_allowance(name: str, body: OwnLimit, user: Admin, using: Using) -> Json:
    """Cap what somebody may spend, beside whatever cap they set for themselves."""
    theirs = await using.accounts.by_name(name)
    changed = await using.deps.purse.set_limit(
        "allowance", theirs.id, limit_microusd=limit_of(body.monthly_usd), active=body.active, actor=user.id,
        now=using.deps.clock(),
    )  # fmt: skip
    return {"user": theirs.name, "active": changed.active, **_cap(changed)}


@router.put("/budget/{provider}")
async def set_provider(provider: str, body: Limits, user: Admin, using: Using) -> Json:
    now = using.deps.clock()
    changes: dict[BudgetKind, tuple[int | None, bool | None]] = {  # both are looked at before one is set
        "provider": (None if body.monthly_usd is None else limit_of(body.monthly_usd), body.active),
        "burst": (None if body.burst_usd is None else limit_of(body.burst_usd), body.burst_active),
    }
    if not any(b.owner == provider and b.kind == "provider" for b in await using.deps.purse.budgets(now)):
        raise NotFound(f"There is no provider {provider!r}. See GET /api/v1/budget/status.")
    for kind, (limit, active) in changes.items():
        await using.deps.purse.set_limit(kind, provider, limit_microusd=limit, active=active, actor=user.id, now=now)
    budgets = await using.deps.purse.budgets(now)
    return next(_budget(b, budgets, using) for b in budgets if b.kind == "provider" and b.owner == provider)


@router.post("/providers/select")
async def select(body: Choice, user: Reader, using: Using) -> Json:
    preview = await using.deps.gateway.preview(body.task, prefer=body.prefer, user_id=user.id)
    return {"reason": preview.reason, "ranking": [_in_dollars(scored.to_json()) for scored in preview.ranking]}


def _in_dollars(scored: Json) -> Json:
    """A candidate as REST shows it: money is dollars here."""
    shown: Json = dict(camel(scored))
    estimate = _usd(shown.pop("estimateMicrousd"))
    return {**shown, "estimateUsd": estimate}


@router.get("/providers/status")
async def provider_status(_user: Reader, is_admin: IsAdmin, using: Using) -> Json:
    """Each provider: whether a call could go to it now, its circuit, and where its key comes from; how the key ends is
    for administrators."""
    gateway = using.deps.gateway
    await gateway.models()
    await gateway.refresh()
    keys = {status.provider: status for status in await using.keys.status()}
    circuits = gateway.breaker.circuits()
    connected = set(gateway.providers())
    return page(
        [
            {
                "provider": provider, "connected": provider in connected,
                "usable": provider in connected and gateway.why_unusable(provider) is None,
                "reason": gateway.why_unusable(provider) if provider in connected else "no key",
                "circuit": circuits[provider].state if provider in circuits else "closed",
                "key": keys[provider].source if provider in keys else "none",
                "keyEnding": keys[provider].ending if provider in keys and is_admin else None,
            }
            for provider in sorted(connected | keys.keys())
        ]
    )  # fmt: skip


@router.get("/providers/health")
async def provider_health(_user: Reader, using: Using, hours: int = Query(24, ge=1, le=24 * 30)) -> Json:
    """How calls of the last hours went, for each model."""
    await using.deps.gateway.log.flush()
    since = using.deps.clock() - timedelta(hours=hours)
    return page(
        [
            {
                "provider": row.provider, "model": row.model, "calls": row.calls,
                "successRate": row.success_rate and round(row.success_rate, 4), "firstTokenMs": row.first_token_ms,
                "totalMs": row.total_ms, "tokensPerSecond": row.tokens_per_second, "costUsd": _usd(row.cost_microusd),
            }
            for row in await call_log.stats(using.database, since=since)
        ]
    )  # fmt: skip


@router.get("/providers/selections")
async def selections(
    user: Reader, using: Using, cursor: str | None = None, limit: int = Query(50, ge=1, le=MOST_RANKINGS)
) -> JSONResponse:
    """Why models were chosen, or none was: the rankings of your newest requests."""
    await using.deps.gateway.log.flush()
    calls = await call_log.newest(using.database, user_id=user.id, before=cursor, limit=limit + 1)
    shown = page(
        [
            {
                "callId": call["id"], "requestId": call["request_id"], "task": call["task"],
                "provider": call["provider"], "model": call["model"], "status": call["status"],
                "states": call["states"], "createdAt": call["created_at"].isoformat(),
                "reason": call["selection"].get("reason"),
                "ranking": [_in_dollars(scored) for scored in call["selection"].get("ranking", [])],
            }
            for call in calls[:limit]
        ],
        calls[limit - 1]["id"] if len(calls) > limit else None,
    )  # fmt: skip
    return await asyncio.to_thread(JSONResponse, shown)


class Key(Body):
    key: SecretStr = Field(max_length=2000)


@router.put("/providers/{provider}/key")
async def set_key(provider: str, body: Key, user: Admin, using: Using) -> Json:
    """Test a key with its provider, then store it encrypted and use it from now on."""
    models = await using.keys.set(provider, body.key.get_secret_value(), actor=user.id)
    return {"provider": provider, "models": models}


@router.delete("/providers/{provider}/key")
async def remove_key(provider: str, user: Admin, using: Using) -> Json:
    """Forget a stored key; one of the environment is used again."""
    await using.keys.remove(provider, actor=user.id)
    return {"provider": provider, "removed": True}


@router.post("/providers/{provider}/circuit/reset")
async def reset_circuit(provider: str, user: Admin, using: Using) -> Json:
    """Let calls go to a provider again at once."""
    await using.deps.gateway.refresh()
    if provider not in {*using.deps.gateway.providers(), *using.deps.gateway.breaker.circuits()}:
        raise NotFound(f"There is no provider {provider!r}. See GET /api/v1/providers/status.")
    await using.deps.gateway.breaker.reset(provider, actor=user.id)
    return {"provider": provider, "circuit": "closed"}


@router.get("/audit")
async def audit_trail(
    _user: Admin, using: Using, cursor: str | None = None, limit: int = Query(100, ge=1, le=1000)
) -> Json:
    """Who changed what, and every task, newest first."""
    entries = await audit.newest(using.database, before=cursor, limit=limit + 1)
    return page(
        [
            {
                "at": entry.at.isoformat(), "actor": entry.actor, "action": entry.action, "subject": entry.subject,
                "detail": entry.detail, "requestId": entry.request_id,
            }
            for entry in entries[:limit]
        ],
        entries[limit - 1].id if len(entries) > limit else None,
    )  # fmt: skip


@router.get("/providers/costs")
async def costs(
    user: Reader, is_admin: IsAdmin, using: Using, cursor: str | None = None, limit: int = Query(100, ge=1, le=1000)
) -> Json:
    """Your newest calls and what they cost, and the last 30 days by provider (an administrator's: of everybody)."""
    await using.deps.gateway.log.flush()
    since = using.deps.clock() - WINDOW
    spent = await using.deps.purse.spent_by(user.id, since=since)
    calls = await call_log.newest(
        using.database, user_id=user.id, asked=True, before=cursor, limit=limit + 1, rankings=False
    )
    items = [
        {
            "callId": call["id"], "provider": call["provider"], "model": call["model"], "status": call["status"],
            "costUsd": _usd(call["cost_microusd"]), "inputTokens": call["input_tokens"],
            "outputTokens": call["output_tokens"], "createdAt": call["created_at"].isoformat(),
        }
        for call in calls[:limit]
    ]  # fmt: skip
    history = await using.deps.purse.history(None if is_admin else user.id, since=since)
    days = [
        {"day": row.day, "provider": row.provider, "calls": row.calls, "costUsd": _usd(row.spent_microusd)}
        for row in history
    ]
    following = calls[limit - 1]["id"] if len(calls) > limit else None
    return page(items, following) | {"costUsd": _usd(spent), "history": days}


def _budget(budget: Budget, budgets: list[Budget], using: Using) -> Json:
    burst = next((b for b in budgets if b.kind == "burst" and b.owner == budget.owner), None)
    return {
        "provider": budget.owner,
        "monthlyUsd": _usd(budget.limit_microusd),
        "burstUsd": _usd(burst.limit_microusd) if burst else 0,
        "burstActive": burst is not None and burst.active,
        "spentUsd": _usd(budget.spent_microusd),
        "heldUsd": _usd(budget.held_microusd),
        "remainingUsd": _usd(budget.remaining_microusd),
        "active": budget.active,
        "periodStart": (using.deps.clock() - WINDOW).isoformat(),
    }


def _cap(budget: Budget) -> Json:
    return {"monthlyUsd": _usd(budget.limit_microusd), "spentUsd": _usd(budget.spent_microusd)}


def _usd(microusd: int) -> float:
    return round(microusd / MICROUSD, 6)
