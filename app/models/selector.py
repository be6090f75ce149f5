"""Which model answers: a pure score over candidates, with every number kept so that it can be shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from app.models.catalog import Capability, Model, Task

Preference = Literal["free", "quality", "fast"]

COST_WEIGHT, QUALITY_WEIGHT, SPEED_WEIGHT, UPTIME_WEIGHT = 0.30, 0.40, 0.20, 0.10
PREFERRED_PRIORITY = 1.5
HIGH_QUALITY = 0.85
HIGH_SPEED = 0.80

# Why budgets keep a model back.
NO_ROOM, SPENT = "over budget", "its budget is spent"

# Below these a model is not asked for such a task, however free it is; and one that turns out to be no better is not
# preferred for being free.
QUALITY_FLOORS: dict[Task, float] = {
    "chat": 0.30,
    "code": 0.45,
    "explain": 0.40,
    "grade": 0.60,
    "summarize": 0.35,
    "classify": 0.30,
    "extract": 0.40,
    "translate": 0.35,
}

SUCCESS_HALF_LIFE_SECONDS = 15 * 60
UPTIME_HALF_LIFE_SECONDS = 24 * 3600
PRIOR_SUCCESSES = 2.0
PRIOR_CALLS_UP = 20.0  # calls that a new model is taken to have been there for: one failure is no outage
DOWNTIME_KINDS = frozenset({"server", "network", "timeout"})
NOT_ITS_FAULT = frozenset({"content_filter", "context_length"})

# How many observations the catalog's figure counts for; the estimate is the mean of a Beta distribution with the prior
# as pseudo-counts (Gelman et al., Bayesian Data Analysis, 3rd edition, section 2.4).
QUALITY_PSEUDO_COUNT = 20.0
SPEED_PSEUDO_COUNT = 10.0
MIDDLING_TOKENS_PER_SECOND = 60.0  # a model as fast as this has speed 0.5


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one call ended: ``error_kind`` is None for a success, ``tokens_per_second`` None where it says nothing."""

    model_id: str
    error_kind: str | None
    at: datetime
    tokens_per_second: float | None = None


@dataclass(frozen=True, kw_only=True)
class Track:
    """What is remembered of a model's calls: sums whose parts weigh less the older they are.

    Kept as sums so that a decision costs the same after ten calls and after ten thousand.
    """

    at: datetime
    recent_good: float = 0.0
    recent_total: float = 0.0
    day_up: float = 0.0
    day_total: float = 0.0
    speed_sum: float = 0.0
    speed_count: float = 0.0

    def after(self, outcome: Outcome) -> "Track":
        """The track with one more call."""
        if outcome.error_kind in NOT_ITS_FAULT:
            return self
        age = max(0.0, (outcome.at - self.at).total_seconds())
        recent, day = 0.5 ** (age / SUCCESS_HALF_LIFE_SECONDS), 0.5 ** (age / UPTIME_HALF_LIFE_SECONDS)
        good, up = outcome.error_kind is None, outcome.error_kind not in DOWNTIME_KINDS
        speed = None if outcome.tokens_per_second is None else speed_of(outcome.tokens_per_second)
        return Track(
            at=max(self.at, outcome.at),
            recent_good=self.recent_good * recent + good, recent_total=self.recent_total * recent + 1,
            day_up=self.day_up * day + up, day_total=self.day_total * day + 1,
            speed_sum=self.speed_sum * day + (speed or 0.0), speed_count=self.speed_count * day + (speed is not None),
        )  # fmt: skip

    def success_rate(self, now: datetime) -> float:
        """Share of recent calls that succeeded, with two successes as prior.

        An old failure weighs less and less, so that a provider that recovered is found again.
        """
        return _share(self.recent_good, self.recent_total, self._faded(now, SUCCESS_HALF_LIFE_SECONDS), PRIOR_SUCCESSES)

    def uptime(self, now: datetime) -> float:
        """The same over days, counting as failures only that the provider was not there."""
        return _share(self.day_up, self.day_total, self._faded(now, UPTIME_HALF_LIFE_SECONDS), PRIOR_CALLS_UP)

    def forgiven(self) -> "Track":
        """The track without its recent failures: what they were due to is no more."""
        return replace(self, recent_good=0.0, recent_total=0.0)

    def speed(self, prior: float, now: datetime) -> float:
        """The mean of what was observed and the prior, which counts for ten observations: what is older than a few days
        says next to nothing of how fast a model is now."""
        weight = self._faded(now, UPTIME_HALF_LIFE_SECONDS)
        return (prior * SPEED_PSEUDO_COUNT + self.speed_sum * weight) / (SPEED_PSEUDO_COUNT + self.speed_count * weight)

    def _faded(self, now: datetime, half_life_seconds: float) -> float:
        return float(0.5 ** (max(0.0, (now - self.at).total_seconds()) / half_life_seconds))


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What was observed of a model at one kind of task: the sum of outcomes (each 0 to 1) and of their weights."""

    good: float
    total: float

    def estimate(self, prior: float) -> float:
        return (prior * QUALITY_PSEUDO_COUNT + self.good) / (QUALITY_PSEUDO_COUNT + self.total)


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """What is known beside the catalog, for one decision at ``now``."""

    now: datetime
    tracks: Mapping[str, Track] = field(default_factory=dict)
    learned: Mapping[tuple[str, str], Learned] = field(default_factory=dict)
    excluded: Mapping[str, str] = field(default_factory=dict)
    """Model ids with the reason why they fall out (no key, switched off, circuit open, over budget)."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a call needs of a model."""

    task: Task
    input_tokens: int
    output_tokens: int
    capabilities: frozenset[Capability] = frozenset()
    prefer: Preference | None = None


@dataclass(kw_only=True)  # frozen it would take twice as long to make, fifty times a decision
class Scored:
    """One candidate with the four terms (0 to 1), the two multipliers, and the score; or why it fell out."""

    model_id: str
    provider: str
    estimate_microusd: int
    cost: float
    quality: float
    quality_prior: float
    observations: float
    speed: float
    uptime: float
    success_rate: float
    priority: float
    score: float
    excluded: str | None = None

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        return dict(vars(self))


def rank(models: Sequence[Model], need: Need, knowledge: Knowledge, *, tie_order: Sequence[str] = ()) -> list[Scored]:
    """Candidates by falling score, then those that fell out, each with its reason.

    ``(0.30 cost + 0.40 quality + 0.20 speed + 0.10 uptime) x success rate x priority`` with cost = 1 - estimate /
    dearest candidate. Equal scores are ordered by ``tie_order`` of providers, then by id, so that the order of
    ``models`` never matters.
    """
    estimates = [
        model.cost_microusd(input_tokens=need.input_tokens, output_tokens=need.output_tokens) for model in models
    ]
    qualities = [_quality(model, need, knowledge) for model in models]
    excluded = [knowledge.excluded.get(model.id) or _unfit(model, need) for model in models]
    staying = [cost for cost, why in zip(estimates, excluded, strict=True) if why is None]
    dearest = max(staying or estimates, default=0)  # where none stays, they are shown as they would compare
    scored = [
        _scored(model, need, knowledge, estimate=estimate, dearest=dearest, quality=quality, excluded=why)
        for model, estimate, quality, why in zip(models, estimates, qualities, excluded, strict=True)
    ]
    order = {provider: place for place, provider in enumerate(tie_order)}
    return sorted(
        scored,
        key=lambda s: (s.excluded is not None, -s.score, order.get(s.provider, len(order)), s.model_id),
    )


def explore(ranking: Sequence[Scored], *, share: float, roll: float, pick: float) -> list[Scored]:
    """Now and then another candidate first, so that what is never chosen is still known; where some are preferred
    (what is free, for who wants that), one of them.

    ``roll`` and ``pick`` are random numbers of [0, 1); nothing changes when ``roll`` is not below ``share``.
    """
    others = [
        place for place, scored in enumerate(ranking)
        if place > 0 and scored.excluded is None and scored.priority >= ranking[0].priority
    ]  # fmt: skip
    if roll >= share or not others:
        return list(ranking)
    chosen = others[int(pick * len(others))]
    return [ranking[chosen], *ranking[:chosen], *ranking[chosen + 1 :]]


def reason(
    ranking: Sequence[Scored], model_id: str | None = None, *, explored: bool = False, free_first: bool = False
) -> str:
    """One sentence for people: why the first of the ranking, or ``model_id``, was chosen.

    With ``explored`` it was chosen to be known better, though it has not the best score; with ``free_first`` what is
    free came before what scores higher, because a budget is spent.
    """
    staying = [candidate for candidate in ranking if candidate.excluded is None]
    if not staying:
        return "no model could be used"
    best = next((candidate for candidate in staying if candidate.model_id == model_id), staying[0])
    if len(staying) == 1:
        return "the only model that can be used now"
    top = max(candidate.score for candidate in staying)
    if explored and best.score < top:
        return f"tried for once, to learn how good it is (score {best.score:.2f}, best {top:.2f})"
    if best.score < top and free_first and best.estimate_microusd == 0:
        return f"what is free comes first while a budget is spent (score {best.score:.2f}, best {top:.2f})"
    if best.score < top:
        return f"the next one that could be asked (score {best.score:.2f}, best {top:.2f})"
    others = [candidate for candidate in staying if candidate is not best]
    terms = {
        "cheapest": (best.cost, max(c.cost for c in others)),
        "best for this task": (best.quality, max(c.quality for c in others)),
        "fastest": (best.speed, max(c.speed for c in others)),
    }
    leading = [name for name, (own, of_others) in terms.items() if own > of_others]
    words = " and ".join(leading) if leading else "best balance of cost, quality and speed"
    next_best = max(c.score for c in others)
    fitting = " that a budget has room for" if any(c.excluded in (NO_ROOM, SPENT) for c in ranking) else ""
    return f"{words} of {len(staying)} candidates{fitting} (score {best.score:.2f}, next {next_best:.2f})"


def speed_of(tokens_per_second: float) -> float:
    """Tokens a second on a scale from 0 to 1 that flattens out: twice as fast as fast is hardly noticed."""
    return tokens_per_second / (tokens_per_second + MIDDLING_TOKENS_PER_SECOND)


def _quality(model: Model, need: Need, knowledge: Knowledge) -> tuple[float, float]:
    """A model's quality for the task, and how many observations it is learned from."""
    prior = model.quality[need.task]
    learned = knowledge.learned.get((model.id, need.task))
    return (prior, 0.0) if learned is None else (learned.estimate(prior), learned.total)


def _scored(
    model: Model, need: Need, knowledge: Knowledge, *, estimate: int, dearest: int, quality: tuple[float, float],
    excluded: str | None,
) -> Scored:  # fmt: skip
    track = knowledge.tracks.get(model.id)
    speed = model.speed if track is None else track.speed(model.speed, knowledge.now)
    uptime = 1.0 if track is None else track.uptime(knowledge.now)
    success_rate = 1.0 if track is None else track.success_rate(knowledge.now)
    can_do_it = quality[0] >= QUALITY_FLOORS[need.task]  # by what was seen of it here; else nothing speaks for it
    priority = PREFERRED_PRIORITY if can_do_it and _is_preferred(model, quality[0], speed, need.prefer) else 1.0
    cost = float(estimate == 0) if dearest == 0 else max(0.0, 1 - estimate / dearest)
    weighted = COST_WEIGHT * cost + QUALITY_WEIGHT * quality[0] + SPEED_WEIGHT * speed + UPTIME_WEIGHT * uptime
    return Scored(
        model_id=model.id, provider=model.provider, estimate_microusd=estimate, cost=cost, quality=quality[0],
        quality_prior=model.quality[need.task], observations=quality[1], speed=speed, uptime=uptime,
        success_rate=success_rate, priority=priority, score=weighted * success_rate * priority, excluded=excluded,
    )  # fmt: skip


def _unfit(model: Model, need: Need) -> str | None:
    # By what is published of it: what people here thought of its answers moves it up and down, and shuts nobody out.
    quality = model.quality[need.task]
    if quality < QUALITY_FLOORS[need.task]:
        return f"not good enough for {need.task} ({quality:.2f} of {QUALITY_FLOORS[need.task]:.2f})"
    if need.input_tokens > model.context_tokens:
        return f"the question is too long for it ({need.input_tokens} of {model.context_tokens} tokens)"
    if missing := need.capabilities - model.capabilities:
        return f"it cannot do {', '.join(sorted(missing))}"
    return None


def _share(good: float, total: float, weight: float, prior: float) -> float:
    return (prior + good * weight) / (prior + total * weight)


def _is_preferred(model: Model, quality: float, speed: float, prefer: Preference | None) -> bool:
    match prefer:
        case "free":
            return model.is_free
        case "quality":
            return quality >= HIGH_QUALITY
        case "fast":
            return speed >= HIGH_SPEED
        case None:
            return False
