"""Whose program runs next: learners take turns, and nobody's endless loop holds the others up."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.errors import RateLimited
from app.learning.sandbox.program import Program, Run, Sandbox

MOST_WAITING = 8


class FairQueue:
    """At most ``at_once`` programs run, at most one of each owner; free places go round the owners who wait."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._running: set[str] = set()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, owner: str) -> AsyncIterator[None]:
        """Wait for a place.

        Raises:
            RateLimited: this owner has too many programs waiting already.
        """
        await self._enter(owner)
        try:
            yield
        finally:
            self._leave(owner)

    async def _enter(self, owner: str) -> None:
        line = self._waiting.setdefault(owner, deque())
        if sum(not place.cancelled() for place in line) >= MOST_WAITING:
            raise RateLimited("Too many of your programs are waiting to run. Wait for the first results.")
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(place)
        self._start()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # its turn came at the same moment
                self._leave(owner)
            raise

    def _leave(self, owner: str) -> None:
        self._running.discard(owner)
        self._free += 1
        if owner in self._waiting:
            self._waiting.move_to_end(owner)  # whoever has just run comes last
        self._start()

    def _start(self) -> None:
        """Let in whoever may run. Places of those who left are cancelled already and only taken out."""
        for owner in list(self._waiting):
            line = self._waiting[owner]
            while line and line[0].cancelled():
                line.popleft()
            if line and self._free and owner not in self._running:
                self._free -= 1
                self._running.add(owner)
                line.popleft().set_result(None)
            if not line:
                del self._waiting[owner]


class Queued:
    """A sandbox whose programs wait for their owner's turn."""

    def __init__(self, sandbox: Sandbox, queue: FairQueue, owner: str) -> None:
        self.name = sandbox.name
        self.is_isolated = sandbox.is_isolated
        self.python = sandbox.python
        self.read_only: tuple[Path, ...] = sandbox.read_only
        self._sandbox = sandbox
        self._queue = queue
        self._owner = owner

    async def run(self, program: Program) -> Run:
        async with self._queue.turn(self._owner):
            return await self._sandbox.run(program)
