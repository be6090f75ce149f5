"""One turn of a conversation from message to answer: one at a time in a thread, with bounds."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from langchain_core.runnables import RunnableConfig

from app.errors import InvalidInput, RateLimited
from app.redaction import KEYS
from graph.build import build_graph
from graph.checkpoints import Checkpoints, translated
from graph.deps import Deps
from graph.reply import Chunk, Reply, Text
from graph.state import ChatMessage, State

logger = structlog.get_logger()

LONGEST_MESSAGE = 100_000
MOST_WAITING = 8
KEY_TAKEN_OUT = (
    "\n\n*(What looks like a key was taken out of your message before anything read it. Keys of providers are given "
    "under `/keys`.)*"
)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One message of a user. ``intent`` and ``parameters`` come from a slash command. ``earlier`` reads what was said
    in the thread before, where nothing is remembered of it: after a copy, or when the checkpoints were lost."""

    user_id: str
    thread_id: str
    text: str
    is_admin: bool = False
    intent: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)  # Any: slots
    earlier: Callable[[], Awaitable[Sequence[Mapping[str, str]]]] | None = None


class Conversation:
    def __init__(self, checkpoints: Checkpoints, deps: Deps) -> None:
        self._checkpoints = checkpoints
        self._deps = deps
        self._graph = build_graph(checkpoints.saver)
        self._locks: dict[str, _ThreadLock] = {}

    async def stream(self, turn: Turn) -> AsyncIterator[Chunk]:
        """The chunks of an answer. Closing the iterator stops the turn and leaves the thread usable.

        Raises:
            InvalidInput: the message is empty, too long, or not text.
            RateLimited: too many messages of this thread wait already.
            TooLooError: what a service raised.
        """
        check_message(turn.text)
        key = _key(turn.user_id, turn.thread_id)
        async with self._one_at_a_time(key):
            config: RunnableConfig = {"configurable": {"thread_id": key}}
            state = State(
                user_id=turn.user_id, is_admin=turn.is_admin, thread_id=turn.thread_id,
                text=KEYS.sub("[key]", turn.text), intent=turn.intent or "", options=[],
                parameters={name: _without_keys(value) for name, value in turn.parameters.items()},
            )  # fmt: skip
            with translated():
                if turn.earlier is not None and await self._checkpoints.saver.aget_tuple(config) is None:
                    told = await turn.earlier()
                    state["messages"] = [ChatMessage(role=m["role"], content=m["content"]) for m in told]
                try:
                    async for chunk in self._graph.astream(
                        state, config, context=self._deps, stream_mode="custom", durability="exit"
                    ):
                        yield chunk  # type: ignore[misc]  # in mode "custom" it is what nodes write: chunks
                    if KEYS.search(turn.text):
                        yield Text(text=KEY_TAKEN_OUT)
                finally:
                    await asyncio.shield(self._checkpoints.prune(key))

    async def reply(self, turn: Turn) -> Reply:
        """The whole answer at once.

        Raises:
            TooLooError: as ``stream``.
        """
        reply = Reply()
        async for chunk in self.stream(turn):
            reply.add(chunk)
        return reply

    async def forget(self, user_id: str, thread_id: str) -> None:
        """Drop what is remembered of a thread that was deleted."""
        await self._checkpoints.forget(_key(user_id, thread_id))

    def _one_at_a_time(self, key: str) -> "_ThreadLock":
        lock = self._locks.setdefault(key, _ThreadLock(self._locks, key))
        if lock.waiting >= MOST_WAITING:
            raise RateLimited(
                "I am still working on your earlier messages. This one was not answered: send it again in a moment."
            )
        return lock


def _key(user_id: str, thread_id: str) -> str:
    """The name of what is remembered: nobody's words can come from a thread of somebody else."""
    return f"{user_id}:{thread_id}"


class _ThreadLock:
    """A lock that counts who waits and leaves the table when nobody does."""

    def __init__(self, table: dict[str, "_ThreadLock"], key: str) -> None:
        self._table = table
        self._key = key
        self._lock = asyncio.Lock()
        self.waiting = 0

    async def __aenter__(self) -> None:
        self.waiting += 1
        try:
            await self._lock.acquire()
        except asyncio.CancelledError:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()
        self._leave()

    def _leave(self) -> None:
        self.waiting -= 1
        if self.waiting == 0:
            self._table.pop(self._key, None)


def _without_keys(value: Any) -> Any:  # Any: a slot
    return KEYS.sub("[key]", value) if isinstance(value, str) else value


def check_message(text: str) -> None:
    """Refuse what is no message.

    Raises:
        InvalidInput: empty, too long, or binary.
    """
    if not text.strip():
        raise InvalidInput("The message is empty. Write what you want, or /help.")
    if len(text) > LONGEST_MESSAGE:
        raise InvalidInput(
            f"The message is too long ({len(text):,} characters; at most {LONGEST_MESSAGE:,}). "
            "Put code into a folder and load it with /repo, or send a part."
        )
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        raise InvalidInput("The message holds half of a character. Copy it again, whole, or type it.")
    if "\0" in text or sum(text.count(sign) for sign in "\ufffd\x01\x02\x03\x04") > 20:
        raise InvalidInput("This looks like a binary file, not text. Send the source as text.")
