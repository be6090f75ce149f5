"""Answers that equal tasks share: kept in this process, or in Redis for several servers (``redis_answers``)."""

import time
from collections import OrderedDict
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from app.models.providers.wire import FinishReason

MOST_KEPT = 1000


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """``output`` is text, or an object for the types that answer in one. ``shared`` says that no new call was made."""

    task_id: str
    output: Any  # Any: text or JSON
    provider: str
    model: str
    execution_ms: int
    tokens_used: int
    cost_microusd: int
    finish: FinishReason
    reason: str
    alternatives: tuple[str, ...]
    at: datetime
    processing_ms: int
    shared: bool = False


class Answers(Protocol):
    """A key stands for equal tasks of one user. None of the methods fails: without an answer, a call is made."""

    async def get(self, key: str) -> TaskResult | None:
        """The answer that was put there, marked as shared; None when there is none, or its time is over."""

    async def put(self, key: str, result: TaskResult) -> None: ...

    def turn(self, key: str, *, seconds: float) -> AbstractAsyncContextManager[None]:
        """Of all servers, only one is in here at a time, the others wait; after ``seconds`` it is not kept for who is
        in, and whoever waited that long comes in."""


class OwnAnswers:
    """Answers of this process; the newest thousand, for so many seconds, of which 0 keeps none."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: OrderedDict[str, tuple[float, TaskResult]] = OrderedDict()

    async def get(self, key: str) -> TaskResult | None:
        if key not in self._kept:
            return None
        stored_at, result = self._kept[key]
        if time.monotonic() - stored_at > self._seconds:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return replace(result, shared=True)

    async def put(self, key: str, result: TaskResult) -> None:
        if not self._seconds:
            return
        self._kept[key] = (time.monotonic(), result)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def turn(self, key: str, *, seconds: float) -> AbstractAsyncContextManager[None]:  # noqa: ARG002  # as all
        return nullcontext()  # who asks the same in this process waits for the same call already
