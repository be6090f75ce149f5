"""Whether a request has begun to leave: what is stopped while its connection is still being made cannot be billed."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass
class Departure:
    """Of one call. Where its HTTP library tells nothing, nothing is known, and it may have left. ``was_held_up`` by
    what had to be loaded here first: its times say nothing of its model."""

    is_watched: bool = False
    has_begun: bool = False
    was_held_up: bool = False

    @property
    def never_left(self) -> bool:
        return self.is_watched and not self.has_begun


departing: ContextVar[Departure | None] = ContextVar("departing", default=None)


async def watch(request: Any) -> None:  # Any: of httpx, or of the copy of it that an SDK brings
    """An event hook for requests, which lets httpcore tell ("trace" of its request extensions) when it begins to write
    one: to the provider, and not to a proxy that is asked for a way there."""
    departure = departing.get()
    if departure is None:
        return

    async def trace(event: str, details: dict[str, Any]) -> None:  # Any: as httpcore's
        if event.endswith(".send_request_headers.started") and details["request"].method != b"CONNECT":
            departure.has_begun = True

    departure.is_watched = True
    request.extensions["trace"] = trace
