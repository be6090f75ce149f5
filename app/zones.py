"""Time zones by their IANA names, read from this machine's database once each."""

import asyncio
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.errors import InvalidInput

_loaded: dict[str, ZoneInfo] = {}


async def zone_named(name: str) -> ZoneInfo:
    """A time zone of the IANA database.

    Raises:
        InvalidInput: there is none of that name.
    """
    if name not in _loaded:
        try:
            _loaded[name] = await asyncio.to_thread(ZoneInfo, name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise InvalidInput(f"{name[:80]!r} is not a time zone. Say for example Europe/Berlin or UTC.") from error
    return _loaded[name]
