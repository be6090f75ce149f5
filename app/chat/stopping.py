"""A turn is stopped in order, and once, however often Stop is pressed; and where its page is gone for good."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from chainlit.server import sio
from chainlit.session import BaseSession, WebsocketSession, ws_sessions_id

GONE_SECONDS = 30.0  # after which a page whose connection dropped is taken to be closed
_waiting: set[asyncio.Task[None]] = set()


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


async def stop(connection_id: str) -> None:
    """In place of the chat library's own, which sends a message of its own beside what our answer says of a stop."""
    session = WebsocketSession.get(connection_id)
    if session is not None and session.current_task is not None:
        session.current_task.cancel()


def stop_unless_back(session: BaseSession) -> None:
    """Stop what runs for a page whose connection dropped, unless it, or another page of its user, is there in half a
    minute: nobody waits for the answer any more, and it is paid for."""
    running = session.current_task
    if running is not None and not running.done():
        waiting = asyncio.create_task(_stop_unless_back(_user_of(session), running))
        _waiting.add(waiting)
        waiting.add_done_callback(_waiting.discard)


async def _stop_unless_back(user: str, running: "asyncio.Task[Any]") -> None:  # Any: whatever it gives
    await asyncio.wait({running}, timeout=GONE_SECONDS)
    pages = [session for session in ws_sessions_id.values() if _user_of(session) == user]
    if not any(sio.manager.is_connected(session.socket_id, "/") for session in pages):
        running.cancel()


def _user_of(session: BaseSession) -> str:
    return session.user.identifier if session.user else ""
