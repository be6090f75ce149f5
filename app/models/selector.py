"""Which model answers: a pure score over candidates, with every number kept so that it can be shown."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from app.models.catalog import Model, Task

Preference = Literal["free", "quality"]

COST_WEIGHT, QUALITY_WEIGHT, SPEED_WEIGHT, UPTIME_WEIGHT = 0.30, 0.40, 0.20, 0.10
PREFERRED_PRIORITY = 1.5
HIGH_QUALITY = 0.85

# Below these a model is not asked for such a task, however free it is.
QUALITY_FLOORS: dict[Task, float] = {
    "chat": 0.30,
    "code": 0.45,
    "explain": 0.40,
    "grade": 0.60,
    "summarize": 0.35,
    "classify": 0.30,
}

SUCCESS_HALF_LIFE_SECONDS = 15 * 60
UPTIME_HALF_LIFE_SECONDS = 24 * 3600
PRIOR_SUCCESSES = 2.0
DOWNTIME_KINDS = frozenset({"server", "network", "timeout"})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one call ended: ``error_kind`` is None for a success."""

    model_id: str
    error_kind: str | None
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One candidate with the four terms (0 to 1), the two multipliers, and the score; or why it fell out."""

    model_id: str
    provider: str
    estimate_microusd: int
    cost: float
    quality: float
    speed: float
    uptime: float
    success_rate: float
    priority: float
    score: float
    excluded: str | None = None

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        return asdict(self)


def success_rate(outcomes: Iterable[Outcome], now: datetime, *, half_life_seconds: float) -> float:
    """Share of calls that succeeded, each weighted by its age, with two successes as prior.

    An old failure weighs less and less, so that a provider that recovered is found again.
    """
    good, total = PRIOR_SUCCESSES, PRIOR_SUCCESSES
    for outcome in outcomes:
        weight = 0.5 ** (max(0.0, (now - outcome.at).total_seconds()) / half_life_seconds)
        total += weight
        good += weight if outcome.error_kind is None else 0.0
    return good / total


def rank(
    models: Sequence[Model],
    *,
    task: Task,
    input_tokens: int,
    output_tokens: int,
    outcomes: Sequence[Outcome],
    now: datetime,
    prefer: Preference | None = None,
    tie_order: Sequence[str] = (),
    excluded: dict[str, str] | None = None,
) -> list[Scored]:
    """Candidates by falling score, then those that fell out, each with its reason.

    ``(0.30 cost + 0.40 quality + 0.20 speed + 0.10 uptime) x success rate x priority`` with cost = 1 - estimate /
    dearest candidate. ``excluded`` maps model ids to reasons known to the caller (no key, switched off, over budget).
    Equal scores are ordered by ``tie_order`` of providers, then by id, so that the order of ``models`` never matters.
    """
    reasons = {
        model.id: reason
        for model in models
        if (reason := _exclusion(model, task, input_tokens, excluded or {})) is not None
    }
    staying = [model for model in models if model.id not in reasons]
    estimates = {
        model.id: model.cost_microusd(input_tokens=input_tokens, output_tokens=output_tokens) for model in models
    }
    dearest = max((estimates[model.id] for model in staying), default=0)
    scored = [
        _score(
            model, task=task, estimate=estimates[model.id], dearest=dearest,
            outcomes=[o for o in outcomes if o.model_id == model.id], now=now, prefer=prefer,
            excluded=reasons.get(model.id),
        )
        for model in models
    ]  # fmt: skip
    order = {provider: place for place, provider in enumerate(tie_order)}
    return sorted(
        scored,
        key=lambda s: (s.excluded is not None, -s.score, order.get(s.provider, len(order)), s.model_id),
    )


def reason(ranking: Sequence[Scored]) -> str:
    """One sentence for people: why the first of the ranking was chosen."""
    staying = [candidate for candidate in ranking if candidate.excluded is None]
    if not staying:
        return "no model could be used"
    best = staying[0]
    if len(staying) == 1:
        return "the only model that can be used now"
    terms = {
        "cheapest": (best.cost, max(c.cost for c in staying)),
        "best for this task": (best.quality, max(c.quality for c in staying)),
        "fastest": (best.speed, max(c.speed for c in staying)),
    }
    leading = [name for name, (own, top) in terms.items() if own >= top]
    words = " and ".join(leading) if leading else "best balance of cost, quality and speed"
    return f"{words} of {len(staying)} candidates (score {best.score:.2f}, next {staying[1].score:.2f})"


def _exclusion(model: Model, task: Task, input_tokens: int, excluded: dict[str, str]) -> str | None:
    if model.id in excluded:
        return excluded[model.id]
    if model.quality[task] < QUALITY_FLOORS[task]:
        return f"not good enough for {task} ({model.quality[task]:.2f} of {QUALITY_FLOORS[task]:.2f})"
    if input_tokens > model.context_tokens:
        return f"the question is too long for it ({input_tokens} of {model.context_tokens} tokens)"
    return None


def _score(
    model: Model,
    *,
    task: Task,
    estimate: int,
    dearest: int,
    outcomes: Sequence[Outcome],
    now: datetime,
    prefer: Preference | None,
    excluded: str | None,
) -> Scored:
    cost = 1.0 if dearest == 0 else max(0.0, 1 - estimate / dearest)
    quality = model.quality[task]
    downtime = [
        Outcome(model_id=o.model_id, error_kind=o.error_kind if o.error_kind in DOWNTIME_KINDS else None, at=o.at)
        for o in outcomes
    ]
    uptime = success_rate(downtime, now, half_life_seconds=UPTIME_HALF_LIFE_SECONDS)
    recent = success_rate(outcomes, now, half_life_seconds=SUCCESS_HALF_LIFE_SECONDS)
    priority = PREFERRED_PRIORITY if _is_preferred(model, quality, prefer) else 1.0
    weighted = COST_WEIGHT * cost + QUALITY_WEIGHT * quality + SPEED_WEIGHT * model.speed + UPTIME_WEIGHT * uptime
    return Scored(
        model_id=model.id, provider=model.provider, estimate_microusd=estimate,
        cost=cost, quality=quality, speed=model.speed, uptime=uptime,
        success_rate=recent, priority=priority, score=weighted * recent * priority, excluded=excluded,
    )  # fmt: skip


def _is_preferred(model: Model, quality: float, prefer: Preference | None) -> bool:
    return (prefer == "free" and model.is_free) or (prefer == "quality" and quality >= HIGH_QUALITY)
