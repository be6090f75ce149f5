"""Replies as chat messages: text streams, blocks become cards, actions become buttons."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import chainlit as cl
from chainlit.step import StepDict

from app.chat.elements import CARDS
from app.chat.history import History
from app.chat.snapshots import as_markdown
from app.errors import StorageFailed
from graph.reply import Action, Block, Chunk, Progress, Text

AUTHOR = "TooLoo"
PROGRESS_SECONDS = 0.25
PATIENCE_SECONDS = 0.4  # without a word, before it is said that one is waited for
KEPT_SECONDS = 1.0  # of an answer, at most so much is lost with its process


class Answer:
    """One answer of ours while it grows. It is sent before its first word: an unsent one would sort first."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._message = cl.Message(content="", author=AUTHOR)
        self._kept_at = time.monotonic()
        self._cards: dict[str, cl.CustomElement] = {}
        self.shown_cards: list[cl.CustomElement] = []
        self._said = False
        self._progress_at = 0.0
        self._waiting: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        await self._message.send()
        self._waiting = asyncio.create_task(self._show_waiting())

    def document(self) -> StepDict:
        """How far it has come."""
        return self._message.to_dict()

    async def show(self, chunks: AsyncIterator[Chunk]) -> None:
        """Show chunks as they come; ``end`` stores what was shown, also after a stop."""
        async for chunk in chunks:
            match chunk:
                case Text(text=text):
                    await self._text(text)
                case Block():
                    await self._block(chunk)
                case Action(label=label, says=says):
                    self._message.actions.append(cl.Action(name="say", payload={"text": says}, label=label))
                case Progress(label=label):
                    await self._progress(label)

    async def fail(self, message: str) -> None:
        """What went wrong, behind what was said already."""
        self._message.is_error = not self._said
        await self.stop(message)

    async def stop(self, message: str) -> None:
        """That it was stopped, behind what was said already."""
        await self._text(f"\n\n{message}" if self._said else message)

    async def end(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        if not self._said:
            self._message.content = ""
        self._history.has_grown(self._message.id)
        await self._message.update()

    async def card(self, kind: str, props: dict[str, Any], text: str) -> None:  # Any: JSON
        """A card of the chat's own, outside the graph."""
        await self._block(Block(kind=kind, props=props, text=text))

    async def file(self, title: str, messages: list[dict[str, str]], wanted: str) -> None:
        """A conversation to download."""
        content = as_markdown(title, messages) if wanted == "markdown" else json.dumps(messages, indent=2)
        suffix, mime = (".md", "text/markdown") if wanted == "markdown" else (".json", "application/json")
        await self._text(f"Here is this chat: {len(messages)} messages.")
        file = cl.File(name=f"chat{suffix}", content=content.encode(), mime=mime, display="inline")
        await file.send(for_id=self._message.id)

    async def _text(self, text: str) -> None:
        if not self._said:
            self._said = True
            await self._message.stream_token(text.lstrip("\n"), is_sequence=True)
            return
        await self._message.stream_token(text)
        if time.monotonic() - self._kept_at > KEPT_SECONDS:
            self._kept_at = time.monotonic()
            await self._history.keep_growing(self._message.to_dict())

    async def _block(self, block: Block) -> None:
        assert block.kind in CARDS, f"no card for {block.kind}"
        metadata = self._message.metadata = self._message.metadata or {}
        metadata.setdefault("blocks", []).append({"kind": block.kind, "text": block.text})
        if "callId" in block.props:
            metadata["callId"] = block.props["callId"]  # whose answer a thumb judges
        card = self._cards.get(block.key or "")
        if card is not None:
            card.props = dict(block.props)
            await card.update()
            return
        card = cl.CustomElement(name=block.kind, props=dict(block.props), display="inline")
        if block.key:
            self._cards[block.key] = card
        self.shown_cards.append(card)
        await card.send(for_id=self._message.id)

    async def _show_waiting(self) -> None:
        """Something is shown within half a second, and what waits so long for a word is kept as one that runs."""
        await asyncio.sleep(PATIENCE_SECONDS)
        if self._said:
            return
        if not self._progress_at:
            await self._progress("Thinking")
        with contextlib.suppress(StorageFailed):  # whoever stores its first words says so
            await self._history.keep_growing({**self._message.to_dict(), "output": ""})

    async def _progress(self, label: str) -> None:
        """A line that the first word takes the place of; at most four a second."""
        now = time.monotonic()
        if self._said or now - self._progress_at < PROGRESS_SECONDS:
            return
        self._progress_at = now
        await self._message.stream_token(f"{label} …", is_sequence=True)
