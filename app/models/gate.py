"""How many tasks run at once, and who goes first when more of them wait."""

import asyncio
import heapq
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from app.errors import RateLimited

Priority = Literal["high", "normal", "low"]

RUNNING_AT_ONCE = 16
EACH_AT_ONCE = 8  # of one user
MOST_WAITING = 500


class Gate:
    """Lets a bounded number of tasks run at once, and half as many of one user; who waits goes by priority, then in
    order of arrival."""

    _ORDER: dict[Priority, int] = {"high": 0, "normal": 1, "low": 2}

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()
        self._waiting: list[tuple[int, int, str, asyncio.Future[None]]] = []
        self._arrivals = itertools.count()

    @asynccontextmanager
    async def through(self, priority: Priority, user_id: str) -> AsyncIterator[None]:
        """Hold a place for the length of the block.

        Raises:
            RateLimited: too many wait already.
        """
        if self._has_place(user_id):
            self._running[user_id] += 1
        else:
            await self._wait(priority, user_id)
        try:
            yield
        finally:
            self._leave(user_id)

    def _has_place(self, user_id: str) -> bool:
        return self._running.total() < RUNNING_AT_ONCE and self._running[user_id] < EACH_AT_ONCE

    async def _wait(self, priority: Priority, user_id: str) -> None:
        self._waiting = [entry for entry in self._waiting if not entry[3].done()]
        heapq.heapify(self._waiting)
        of_user = sum(entry[2] == user_id for entry in self._waiting)
        if of_user >= MOST_WAITING // 2 or len(self._waiting) >= MOST_WAITING:
            raise RateLimited("Too many tasks wait already. Try again in a moment.", retry_after_seconds=5)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self._ORDER[priority], next(self._arrivals), user_id, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(user_id)  # it was let in at the moment it gave up
            raise

    def _leave(self, user_id: str) -> None:
        """Hand the place to the next one that still waits and may have it."""
        self._running[user_id] -= 1
        if not self._running[user_id]:
            del self._running[user_id]
        kept = []
        while self._waiting and self._running.total() < RUNNING_AT_ONCE:
            waiting = heapq.heappop(self._waiting)
            _, _, of, turn = waiting
            if turn.done():
                continue
            if self._running[of] >= EACH_AT_ONCE:
                kept.append(waiting)
                continue
            self._running[of] += 1
            turn.set_result(None)
        for waiting in kept:
            heapq.heappush(self._waiting, waiting)
