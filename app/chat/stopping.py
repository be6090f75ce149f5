"""A turn that is stopped ends in order, and once, however often Stop is pressed."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any


async def stopped_once(turn: Coroutine[Any, Any, None]) -> None:  # Any: what a coroutine is sent
    """Run ``turn``, pass the first Stop on to it, and wait for its end: what a call cost is booked until then.

    A second cancellation would reach what ends the turn, and leave the call behind that was to be stopped.
    """
    running = asyncio.create_task(turn)
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        running.cancel()
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({running})
        raise
