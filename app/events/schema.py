"""Every event type, what its key means, and which fields its payload must hold."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

# type -> (what the key is, fields of the payload). Order is kept for each key.
EVENT_TYPES: dict[str, tuple[str, frozenset[str]]] = {
    "user.created": ("user id", frozenset({"name", "role"})),
    "user.signed-in": ("user id", frozenset()),
    "user.changed": ("user id", frozenset({"timezone", "ranked"})),
    "training.started": ("session id", frozenset({"concepts", "questions"})),
    "training.answered": ("session id", frozenset({"concept", "questionId", "correct"})),
    "training.completed": ("session id", frozenset({"correct", "questions"})),
    "challenge.started": ("started id", frozenset({"challengeId", "language"})),
    "challenge.submitted": ("started id", frozenset({"challengeId", "language", "verdict", "score"})),
    "challenge.passed": ("started id", frozenset({"challengeId", "concept", "score"})),
    "challenge.failed": ("started id", frozenset({"challengeId", "concept", "verdict"})),
    "challenge.hinted": ("started id", frozenset({"challengeId", "level"})),
    "challenge.finished": (
        "started id",
        frozenset(
            {"challengeId", "concept", "solved", "aided", "known", "check", "ending", "attempts", "score", "language"}
        ),
    ),
    "challenge.skipped": ("started id", frozenset({"challengeId"})),
    "mastery.changed": ("user id", frozenset({"concept", "before", "after", "dueAt"})),
    "coach.feedback-given": ("started id", frozenset({"challengeId", "kind"})),
    "provider.selected": ("call id", frozenset({"provider", "model", "reason"})),
    "provider.succeeded": ("call id", frozenset({"provider", "model", "costMicrousd"})),
    "provider.failed": ("call id", frozenset({"provider", "model", "kind"})),
    "provider.fallback": ("call id", frozenset({"from", "to"})),
    "provider.rate-limited": ("call id", frozenset({"provider", "retryAfterSeconds"})),
    "provider.circuit-opened": ("provider", frozenset({"failures"})),
    "provider.circuit-half-opened": ("provider", frozenset({"failures"})),
    "provider.circuit-closed": ("provider", frozenset({"failures"})),
    "budget.reserved": ("call id", frozenset({"amountMicrousd", "budgets"})),
    "budget.settled": ("call id", frozenset({"amountMicrousd"})),
    "budget.released": ("call id", frozenset({"amountMicrousd"})),
    "budget.warning": ("budget", frozenset({"spentMicrousd", "limitMicrousd"})),
    "budget.exceeded": ("budget", frozenset({"spentMicrousd", "limitMicrousd"})),
    "budget.changed": ("budget", frozenset({"limitMicrousd", "active"})),
    "intent.routed": ("thread id", frozenset({"intent", "confidence"})),
    "context.repo-loaded": ("repository id", frozenset({"name"})),
    "context.indexed": ("repository id", frozenset({"files", "symbols"})),
    "context.searched": ("repository id", frozenset({"results"})),
    "workflow.created": ("workflow id", frozenset({"name"})),
    "workflow.started": ("execution id", frozenset({"workflowId"})),
    "workflow.step-completed": ("execution id", frozenset({"stepId"})),
    "workflow.completed": ("execution id", frozenset({"workflowId"})),
    "workflow.failed": ("execution id", frozenset({"workflowId", "error"})),
    "workflow.deleted": ("workflow id", frozenset()),
    "task.scheduled": ("schedule id", frozenset({"kind", "localTime"})),
    "task.fired": ("schedule id", frozenset({"slot"})),
    "task.cancelled": ("schedule id", frozenset()),
    "analytics.engagement-tracked": ("user id", frozenset({"activity", "minutes"})),
    "analytics.badge-awarded": ("user id", frozenset({"badgeId", "title", "evidence"})),
    "analytics.badge-revoked": ("user id", frozenset({"badgeId", "why", "by"})),
    "thread.shared": ("thread id", frozenset({"audience"})),
    "thread.unshared": ("thread id", frozenset()),
}


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """What happened, before it is in the log. ``dedupe_key`` makes a second append of the same fact a no-op."""

    type: str
    key: str
    user_id: str | None
    occurred_at: datetime
    payload: dict[str, Any] = field(default_factory=dict)  # Any: JSON
    dedupe_key: str | None = None

    def __post_init__(self) -> None:
        _, required = EVENT_TYPES[self.type]
        missing = required - self.payload.keys()
        if missing:
            raise ValueError(f"{self.type} lacks {sorted(missing)!r} in its payload")


@dataclass(frozen=True, kw_only=True)
class Event:
    """A fact of the log. ``position`` is gapless and grows in commit order; None until the sequencer came by."""

    id: str
    position: int | None
    type: str
    key: str
    user_id: str | None
    occurred_at: datetime
    payload: dict[str, Any]  # Any: JSON
