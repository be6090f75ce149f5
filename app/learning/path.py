"""What to do next: every concept in the order in which practising it is worth most. Pure but for reading."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from app.learning.curriculum import Concept
from app.learning.progress import ConceptProgress

Why = Literal["check", "due", "weak", "new", "locked", "kept"]
WEAK_MASTERY = 50
FORECAST_DAYS = 14
READY_MASTERY = 15  # of what a concept requires, before it is offered as new
ORDER: dict[Why, int] = {"check": 0, "due": 1, "weak": 2, "new": 3, "kept": 4, "locked": 5}


@dataclass(frozen=True, kw_only=True)
class Step:
    """A concept and why it stands here; ``missing`` are those it requires that were not practised yet."""

    concept: Concept
    why: Why
    mastery: int
    due_at: datetime | None
    missing: tuple[str, ...] = ()


def path_of(concepts: Sequence[Concept], tried: Sequence[ConceptProgress], now: datetime) -> list[Step]:
    """What is to be shown without help first, then due concepts (weakest first), then weak ones, new ones that are
    within reach in the order of the graph, those that are kept well, and last those that require what was not
    practised."""
    known = {row.concept: row for row in tried}
    steps = [_step(concept, known, now) for concept in concepts]
    places = {concept.id: place for place, concept in enumerate(concepts)}
    return sorted(
        steps,
        key=lambda step: (
            ORDER[step.why], 0 if step.why in ("new", "locked") else step.mastery, places[step.concept.id]
        ),
    )  # fmt: skip


def _step(concept: Concept, known: dict[str, ConceptProgress], now: datetime) -> Step:
    own = known.get(concept.id)
    if own is None:
        missing = tuple(name for name in concept.requires if name not in known or known[name].mastery < READY_MASTERY)
        return Step(concept=concept, why="locked" if missing else "new", mastery=0, due_at=None, missing=missing)
    is_due = own.due_at is not None and own.due_at <= now
    why: Why = "due" if is_due else "weak" if own.mastery < WEAK_MASTERY else "kept"
    if own.check_at is not None and own.check_at <= now:
        why = "check"
    return Step(concept=concept, why=why, mastery=own.mastery, due_at=own.due_at)


def forecast(tried: Sequence[ConceptProgress], *, today: date, zone: ZoneInfo) -> dict[str, int]:
    """How many concepts are due on each of the next 14 local days; what is overdue counts today."""
    counts = {(today + timedelta(days=n)).isoformat(): 0 for n in range(FORECAST_DAYS)}
    for row in tried:
        if row.due_at is not None:
            day = max(row.due_at.astimezone(zone).date(), today).isoformat()
            if day in counts:
                counts[day] += 1
    return counts
