"""Answers in Redis: equal tasks of one user make one call, whichever of several servers they come to."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog
from pydantic import TypeAdapter
from redis.asyncio import Redis
from redis.exceptions import LockError, RedisError

from app.models.answers import TaskResult

logger = structlog.get_logger()

PREFIX = "tooloo:task:1:"  # another number for another form
POLL_SECONDS = 0.1
_FORM = TypeAdapter(TaskResult)


class RedisAnswers:
    """Redis drops them after ``seconds``. When it cannot be used, each server makes its own calls."""

    def __init__(self, redis: Redis, seconds: float) -> None:
        self._redis = redis
        self._milliseconds = max(1, round(seconds * 1000))

    async def get(self, key: str) -> TaskResult | None:
        try:
            kept = await self._redis.get(f"{PREFIX}{key}")
            return None if kept is None else replace(_FORM.validate_json(kept), shared=True)
        except (RedisError, OSError, ValueError) as error:
            _warn(error)
            return None

    async def put(self, key: str, result: TaskResult) -> None:
        try:
            await self._redis.set(f"{PREFIX}{key}", _FORM.dump_json(result), px=self._milliseconds)
        except (RedisError, OSError, ValueError) as error:  # such as for an answer of a depth that has no JSON
            _warn(error)

    @asynccontextmanager
    async def turn(self, key: str, *, seconds: float) -> AsyncIterator[None]:
        """The lock of a server that died opens by itself after ``seconds``."""
        lock = self._redis.lock(f"{PREFIX}{key}:turn", timeout=seconds, sleep=POLL_SECONDS, blocking_timeout=seconds)
        is_ours = False
        try:
            is_ours = await lock.acquire()
        except (RedisError, OSError) as error:
            _warn(error)
        try:
            yield
        finally:
            if is_ours:
                with contextlib.suppress(LockError, RedisError, OSError):  # it opens by itself
                    await lock.release()


def _warn(error: Exception) -> None:
    logger.warning("task.not_shared", reason=type(error).__name__)
