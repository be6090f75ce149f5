"""How many tasks run at once, and who goes first when more of them wait."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from app.errors import RateLimited

Priority = Literal["high", "normal", "low"]

RUNNING_AT_ONCE = 16
MOST_WAITING = 500


class Gate:
    """Lets a bounded number of tasks run at once; who waits goes by priority, then in order of arrival."""

    _ORDER: dict[Priority, int] = {"high": 0, "normal": 1, "low": 2}

    def __init__(self) -> None:
        self._running = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = itertools.count()

    @asynccontextmanager
    async def through(self, priority: Priority) -> AsyncIterator[None]:
        """Hold a place for the length of the block.

        Raises:
            RateLimited: too many wait already.
        """
        if self._running >= RUNNING_AT_ONCE:
            await self._wait(priority)
        else:
            self._running += 1
        try:
            yield
        finally:
            self._leave()

    async def _wait(self, priority: Priority) -> None:
        if len(self._waiting) >= MOST_WAITING:
            raise RateLimited("Too many tasks wait already. Try again in a moment.", retry_after_seconds=5)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self._ORDER[priority], next(self._arrivals), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()  # it was let in at the moment it gave up
            raise

    def _leave(self) -> None:
        """Hand the place to the next one that still waits."""
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._running -= 1
