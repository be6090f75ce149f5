"""A local Ollama, which is found by itself: the models that it holds now, and the wire to it once there is one."""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

import httpx

from app.models.providers.bounded import ACCEPTED, bounded
from app.models.providers.wire import BROKEN_ANSWER, Wire

LOOK_SECONDS = 60
TIMEOUT_SECONDS = 1.0  # for all of its answer
NAME = re.compile(r"[\w.:/@+-]{1,120}", re.ASCII)  # what Ollama lets a model be called, and no mark of a table
MOST_NAMES = 200


class LocalOllama:
    """``make_wire`` is called once, in a thread, when an Ollama is first found: the SDK takes a second to import."""

    def __init__(self, base_url: str, make_wire: Callable[[], Wire]) -> None:
        self._tags_url = f"{root_of(base_url)}/api/tags"
        self._make_wire = make_wire
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()
        self.wire: Wire | None = None
        self.models: list[str] = []

    async def look(self) -> bool:
        """Ask for its models, at most once a minute; whether it was asked now."""
        if self._looked_lately():
            return False
        async with self._looking:
            if self._looked_lately():
                return False
            self.models = await self._tags()
            if self.models and self.wire is None:
                self.wire = await asyncio.to_thread(self._make_wire)
            self._looked_at = time.monotonic()
        return True

    def _looked_lately(self) -> bool:
        return time.monotonic() - self._looked_at < LOOK_SECONDS

    async def _tags(self) -> list[str]:
        """Names of the models; empty when none listens there."""
        try:
            async with (
                asyncio.timeout(TIMEOUT_SECONDS),
                httpx.AsyncClient(
                    timeout=TIMEOUT_SECONDS, headers=ACCEPTED, event_hooks={"response": [bounded(httpx)]}
                ) as client,
            ):
                answer = await client.get(self._tags_url)
                answer.raise_for_status()
                names = [str(one["name"]) for one in answer.json().get("models", []) if not _only_embeds(one)]
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, *BROKEN_ANSWER):
            return []
        return [name for name in names if NAME.fullmatch(name)][:MOST_NAMES]


def root_of(base_url: str) -> str:
    """The address of an Ollama, which people write with the ``/v1`` of its interface and without."""
    return base_url.rstrip("/").removesuffix("/v1")


def _only_embeds(model: dict[str, Any]) -> bool:  # Any: JSON of Ollama's
    """Whether a model makes vectors and no answers: all that do are of BERT's family, or say so in their name."""
    details = model.get("details") or {}
    families = " ".join(str(one) for one in (details.get("family"), *(details.get("families") or ())))
    return "bert" in families or "embed" in str(model["name"])
