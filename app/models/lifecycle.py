"""The states of a request for an answer, and the transitions that are legal between them."""

from typing import Literal

RequestState = Literal[
    "Idle", "Validating", "Requesting", "Streaming", "RateLimited", "Retrying", "Completed", "Failed"
]

TRANSITIONS: dict[RequestState, frozenset[RequestState]] = {
    "Idle": frozenset({"Validating"}),
    "Validating": frozenset({"Requesting", "Failed"}),
    "Requesting": frozenset({"Streaming", "Completed", "RateLimited", "Retrying", "Failed"}),
    "Streaming": frozenset({"Completed", "Retrying", "Failed"}),
    "RateLimited": frozenset({"Retrying", "Failed"}),
    "Retrying": frozenset({"Requesting", "Failed"}),
    "Completed": frozenset(),
    "Failed": frozenset(),
}
LONGEST_PATH = 30  # states that are kept of one request; a request tries a few models a few times each


class IllegalTransition(RuntimeError):
    """A mistake of ours: a request went from one state to another that does not follow it."""


class Life:
    """The states that one request has been through."""

    def __init__(self) -> None:
        self.path: list[RequestState] = ["Idle"]

    @property
    def state(self) -> RequestState:
        return self.path[-1]

    @property
    def is_over(self) -> bool:
        return not TRANSITIONS[self.state]

    def to(self, state: RequestState) -> None:
        """Go on to ``state``.

        Raises:
            IllegalTransition: it does not follow the present one.
        """
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(f"{self.state} -> {state}")
        self.path.append(state)
        while len(self.path) > LONGEST_PATH:  # what is left out lies between two requests, so that the rest is legal
            del self.path[2 : 2 + self.path[3:].index("Requesting") + 1]

    def of_failed_call(self, *, rate_limited: bool) -> "Life":
        """The path of a call that failed; the request may go on with another."""
        own = Life()
        own.path = [*self.path]
        if rate_limited and own.state == "Requesting":
            own.to("RateLimited")
        if not own.is_over:
            own.to("Failed")
        return own

    def __str__(self) -> str:
        return " > ".join(self.path)
