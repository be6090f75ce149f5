"""Work that somebody waits for, and that is stopped when they leave."""

import asyncio
import contextlib
import weakref
from typing import Any

_stopping: "weakref.WeakSet[asyncio.Future[Any]]" = weakref.WeakSet()  # Any: as below


async def stop_once(running: "asyncio.Future[Any]") -> None:  # Any: whatever it gives
    """Cancel it, once, and wait for its end, however often whoever waits is cancelled meanwhile, and whoever else stops
    it: until then it books what a call cost, and a second cancellation would reach what books."""
    if running not in _stopping:
        _stopping.add(running)
        running.cancel()
    while not running.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({running})
    if not running.cancelled():
        running.exception()  # is known now, and needs no word of the event loop's
