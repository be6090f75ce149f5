"""Every error the product raises on purpose, in one tree.

TooLooError
├── SettingsError            the environment or .env does not fit
├── InvalidInput             what was sent does not fit; nothing was changed
├── Unauthenticated          nobody is signed in
├── NotAllowed               signed in, but not for this
├── NotFound                 not there, or not yours
├── Conflict                 true a moment ago, not now
├── Stopped                  whoever waited for it stopped it
├── RateLimited              too many at once
├── BudgetExceeded           the call would pass a budget
├── NoModelAvailable         no candidate is left after exclusions
│   └── BudgetSpent          ... because budgets keep them back
├── ProviderFailed           a model provider refused or broke, see ``kind``
├── SandboxUnavailable       nothing here isolates code
├── SandboxFailed            our own launcher broke; never the learner's fault
└── StorageFailed            the database is locked, full, read-only or newer than the code
"""

from typing import ClassVar, Literal

ProviderErrorKind = Literal[
    "auth",
    "rate_limit",
    "quota",
    "context_length",
    "content_filter",
    "timeout",
    "network",
    "server",
    "invalid_request",
]

RETRYABLE_KINDS: frozenset[ProviderErrorKind] = frozenset({"rate_limit", "timeout", "network", "server"})


class TooLooError(Exception):
    """Base of the tree.

    ``user_message`` is shown to people as it stands: it says what is wrong and what to do next, and holds no secret.
    ``cost_microusd`` is what was booked for the request all the same, all its calls together, once it has ended.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"
    retryable: bool = False

    def __init__(self, user_message: str) -> None:
        super().__init__(user_message)
        self.user_message = user_message
        self.cost_microusd = 0


class SettingsError(TooLooError):
    title = "The settings do not fit"


class InvalidInput(TooLooError):
    status = 422
    title = "The input does not fit"


class Unauthenticated(TooLooError):
    status = 401
    title = "Nobody is signed in"


class NotAllowed(TooLooError):
    status = 403
    title = "Not allowed"


class NotFound(TooLooError):
    status = 404
    title = "Not found"


class Conflict(TooLooError):
    status = 409
    title = "It has changed in the meantime"


class Stopped(TooLooError):
    status = 409
    title = "It was stopped"


class RateLimited(TooLooError):
    status = 429
    title = "Too many at once"
    retryable = True

    def __init__(self, user_message: str, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(user_message)
        self.retry_after_seconds = retry_after_seconds


class BudgetExceeded(TooLooError):
    status = 402
    title = "The budget is spent"


class NoModelAvailable(TooLooError):
    status = 503
    title = "No model is available"


class BudgetSpent(NoModelAvailable):
    """Every model that could answer is kept back by a budget."""

    status = 402
    title = "The budget is spent"


class ProviderFailed(TooLooError):
    """A provider refused or broke. ``before_generation`` says that it cannot have billed anything.

    ``retry_after_seconds`` is what the provider asked for, where it did.
    """

    status = 502
    title = "The model provider failed"

    def __init__(
        self, user_message: str, *, kind: ProviderErrorKind, before_generation: bool,
        retry_after_seconds: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(user_message)
        self.kind = kind
        self.before_generation = before_generation
        self.retry_after_seconds = retry_after_seconds
        self.retryable = kind in RETRYABLE_KINDS


class SandboxUnavailable(TooLooError):
    status = 503
    title = "Code cannot run safely here"


class SandboxFailed(TooLooError):
    status = 503
    title = "The sandbox could not be started"
    retryable = True


class StorageFailed(TooLooError):
    status = 503
    title = "The database cannot be used"
    retryable = True
