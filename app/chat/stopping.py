"""A turn is stopped in order, and once, however often Stop is pressed; and where its page is gone for good."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from chainlit.server import sio
from chainlit.session import BaseSession, WebsocketSession, ws_sessions_id

from app.waiting import stop_once

GONE_SECONDS = 30.0  # after which a page whose connection dropped is taken to be closed
_watching: set[asyncio.Task[None]] = set()
_beside: dict[str, list[Callable[[], None]]] = {}  # by session: what stops that which runs beside its answer


async def stopped_once(turn: Coroutine[Any, Any, None]) -> None:  # Any: what a coroutine is sent
    """Run ``turn``, pass the first Stop on to it, and wait for its end."""
    running = asyncio.create_task(turn)
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await stop_once(running)
        raise


async def stop(connection_id: str) -> None:
    """In place of the chat library's own, which sends a message of its own beside what our answer says of a stop."""
    session = WebsocketSession.get(connection_id)
    if session is not None and session.current_task is not None:
        session.current_task.cancel()


def stop_unless_back(session: BaseSession) -> None:
    """Stop what runs for a page whose connection dropped, unless it, or another page of its user, is there in half a
    minute: nobody waits for the answer any more, and it is paid for."""
    if _is_at_work(session):
        watching = asyncio.create_task(_stop_unless_back(session))
        _watching.add(watching)
        watching.add_done_callback(_watching.discard)


@contextmanager
def stopped_by(session: BaseSession, stop_it: Callable[[], None]) -> Iterator[None]:
    """What runs within is stopped by ``stop_it`` where its page is gone: a card's work, which is no answer."""
    _beside.setdefault(session.id, []).append(stop_it)
    try:
        yield
    finally:
        _beside[session.id].remove(stop_it)
        if not _beside[session.id]:
            del _beside[session.id]


def _is_at_work(session: BaseSession) -> bool:
    return session.id in _beside or (session.current_task is not None and not session.current_task.done())


async def _stop_unless_back(session: BaseSession) -> None:
    """Look again as long as it runs: the page that was there may be closed later."""
    while True:
        await asyncio.sleep(GONE_SECONDS)
        if not _is_at_work(session):
            return
        pages = [page for page in ws_sessions_id.values() if _user_of(page) == _user_of(session)]
        if any(sio.manager.is_connected(page.socket_id, "/") for page in pages):
            continue
        for stop_it in _beside.get(session.id, []):
            stop_it()
        if session.current_task is not None:
            session.current_task.cancel()
        return


def _user_of(session: BaseSession) -> str:
    return session.user.identifier if session.user else ""
