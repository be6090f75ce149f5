"""Work that a learner waits for, and may stop: a program that runs, a coach that thinks."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from app.errors import Stopped

T = TypeVar("T")
Key = tuple[str, str]  # whose, and for which started challenge


class Stoppable:
    def __init__(self) -> None:
        self._running: dict[Key, set[asyncio.Task[Any]]] = {}  # Any: whatever the work gives

    async def run(self, key: Key, work: Coroutine[Any, Any, T]) -> T:
        """What the work gives.

        Raises:
            Stopped: ``stop`` was called before it had ended.
        """
        task = asyncio.ensure_future(work)
        self._running.setdefault(key, set()).add(task)
        try:
            return await task
        except asyncio.CancelledError:
            waiting = asyncio.current_task()
            if waiting is not None and waiting.cancelling():  # who waits was cancelled, and the work with it
                raise
            raise Stopped("Stopped. Nothing was counted.") from None
        finally:
            self._running[key].discard(task)
            if not self._running[key]:
                del self._running[key]

    def stop(self, key: Key) -> None:
        """Stop all that runs under a key; nothing, where it has ended already."""
        for task in self._running.get(key, ()):
            task.cancel()
