"""A learner's own clock: the zone that is theirs, and how far it was from UTC when something happened. Days and hours
of the past stay as they were lived when somebody moves to another zone."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from app.errors import InvalidInput
from app.zones import zone_named

MINUTE = timedelta(minutes=1)


async def known_zone(name: str) -> ZoneInfo:
    """A stored zone; UTC where this machine's database does not know it any more."""
    try:
        return await zone_named(name)
    except InvalidInput:
        return await zone_named("UTC")


def offset_minutes(moment: datetime, zone: ZoneInfo) -> int:
    """How many minutes a zone was ahead of UTC at a moment."""
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return offset // MINUTE


def as_lived(moment: datetime, minutes: int | None, zone: ZoneInfo) -> datetime:
    """A moment by the clock of then; by ``zone`` where none was known yet."""
    return moment.astimezone(zone if minutes is None else timezone(MINUTE * minutes))
