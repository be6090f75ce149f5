"""A limit for what a provider may send in one answer, packed or unpacked: an endless one would fill memory."""

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

MOST_BYTES = 32 * 1024 * 1024
UNPACKED_AT_ONCE = 1024 * 1024
ACCEPTED = {"Accept-Encoding": "gzip, deflate"}
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


def bounded(http: Any) -> Callable[[Any], Awaitable[None]]:  # Any: httpx, or the copy of it that an SDK brings
    """An event hook for responses of this HTTP library: beyond the limit it is as if the connection had broken, and so
    it is with packed bodies of a kind that was not asked for (``ACCEPTED``)."""

    class Bounded(http.AsyncByteStream):  # type: ignore[misc]  # of whichever library
        def __init__(self, stream: Any, *, is_packed: bool) -> None:  # Any: as above
            self._stream = stream
            self._unpacker = zlib.decompressobj(_GZIP_OR_ZLIB) if is_packed else None

        async def __aiter__(self) -> AsyncIterator[bytes]:
            seen = 0
            async for chunk in self._stream:
                for size in (len(chunk),) if self._unpacker is None else self._unpacked(chunk):
                    seen += size
                    if seen > MOST_BYTES:
                        await self.aclose()
                        raise http.ReadError(f"more than {MOST_BYTES} bytes in one answer")
                yield chunk

        def _unpacked(self, chunk: bytes) -> Iterator[int]:
            assert self._unpacker is not None
            try:
                while chunk:
                    yield len(self._unpacker.decompress(chunk, UNPACKED_AT_ONCE))
                    chunk = self._unpacker.unconsumed_tail
            except zlib.error as error:
                raise http.ReadError("a packed body that cannot be unpacked") from error

        async def aclose(self) -> None:
            await self._stream.aclose()

    async def limit(response: Any) -> None:  # Any: as above
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity", "gzip", "deflate"):
            await response.aclose()
            raise http.ReadError(f"a body packed as {encoding}, which was not asked for")
        response.stream = Bounded(response.stream, is_packed=encoding in ("gzip", "deflate"))

    return limit
