"""A limit for what a provider may send in one answer, by its size on the way: an endless one would fill memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

MOST_BYTES = 32 * 1024 * 1024


def bounded(http: Any) -> Callable[[Any], Awaitable[None]]:  # Any: httpx, or the copy of it that an SDK brings
    """An event hook for responses of this HTTP library: beyond the limit it is as if the connection had broken."""

    class Bounded(http.AsyncByteStream):  # type: ignore[misc]  # of whichever library
        def __init__(self, stream: Any) -> None:  # Any: as above
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            seen = 0
            async for chunk in self._stream:
                seen += len(chunk)
                if seen > MOST_BYTES:
                    raise http.ReadError(f"more than {MOST_BYTES} bytes in one answer")
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    async def limit(response: Any) -> None:  # Any: as above
        response.stream = Bounded(response.stream)

    return limit
