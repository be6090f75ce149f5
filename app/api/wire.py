"""The JSON that goes in: camelCase names, nothing unknown, nothing endless."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from app.errors import Stopped
from app.waiting import stop_once

LOOK_SECONDS = 0.5  # between two looks whether a client is still there
T = TypeVar("T")


class Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, value: Any) -> Any:  # Any: JSON
        if not _is_whole(value):
            raise ValueError("a text holds a NUL or half of a character; send it as whole text")
        return value


def _is_whole(value: Any) -> bool:  # Any: JSON
    """Whether all texts can be stored, however deep they lie."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
                    return False
            case dict() as inner:
                waiting += inner.values()
            case list() as inner:
                waiting += inner
    return True


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:  # Any: what a coroutine is sent
    """What ``work`` gives; it is stopped, and booked, when its client leaves.

    Raises:
        Stopped: the client left.
    """
    running = asyncio.ensure_future(work)
    try:
        while not running.done():
            await asyncio.wait({running}, timeout=LOOK_SECONDS)
            if not running.done() and await request.is_disconnected():
                break
    finally:
        if not running.done():  # its client left, or we are stopped ourselves
            await stop_once(running)
    if running.cancelled():
        raise Stopped("The client left.")
    return running.result()


def page(items: list[dict[str, object]], next_cursor: str | None = None) -> dict[str, object]:
    return {"items": items, "nextCursor": next_cursor}


def camel(document: Mapping[str, object]) -> dict[str, object]:
    """The same with its names in camelCase."""
    return {to_camel(name): value for name, value in document.items()}
