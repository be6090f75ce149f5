"""Whoever opens a chat anew in the middle of an answer, as by a reload, sees it go on, and can stop it."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import chainlit as cl

from app.chat.history import History
from app.chat.render import Answer
from app.errors import StorageFailed
from app.waiting import stop_once

FOLLOW_SECONDS = 0.3  # how often a page that came later is told how far an answer is


@dataclass(frozen=True, kw_only=True)
class _Running:
    turn: "asyncio.Task[Any]"  # Any: nobody asks what it gives
    answer: Answer


class Following:
    """The answers that run on this server, by their threads."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._running: dict[str, _Running] = {}

    @contextlib.contextmanager
    def running(self, thread_id: str, answer: Answer) -> Iterator[None]:
        """The task that this is called in answers in a thread until the block ends."""
        turn = asyncio.current_task()
        assert turn is not None
        one = self._running[thread_id] = _Running(turn=turn, answer=answer)
        try:
            yield
        finally:
            if self._running.get(thread_id) is one:
                del self._running[thread_id]

    async def resume(self) -> None:
        """The page has opened a chat: where an answer runs in it, it is shown as it grows."""
        session = cl.context.session
        if session.current_task is not None and not session.current_task.done():
            await cl.context.emitter.task_start()  # its connection dropped in the middle of an answer
        elif (one := self._running.get(session.thread_id)) is not None:
            session.current_task = asyncio.create_task(self._follow(session.thread_id, one))

    async def _follow(self, thread_id: str, one: _Running) -> None:
        emitter = cl.context.emitter
        try:
            while not one.turn.done():
                await emitter.task_start()  # again and again: a page that has only just opened forgets it
                await emitter.update_step(one.answer.document())
                await asyncio.wait({one.turn}, timeout=FOLLOW_SECONDS)
        except asyncio.CancelledError:  # Stop, here too
            await stop_once(one.turn)
            raise
        finally:
            try:
                await asyncio.shield(self._show_whole(thread_id, one.answer))
            finally:
                await emitter.task_end()

    async def _show_whole(self, thread_id: str, answer: Answer) -> None:
        """With its cards, and the thumbs, which the library gives a page only with the whole thread."""
        emitter = cl.context.emitter
        with contextlib.suppress(StorageFailed):  # then the next reload shows them
            thread = await self._history.get_thread(thread_id)
            if thread is not None:
                await emitter.resume_thread(thread)
        await emitter.update_step(answer.document())  # what was stored may be a moment older
        for card in answer.shown_cards:
            await emitter.send_element(card.to_dict())
