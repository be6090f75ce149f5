"""When a schedule is due: pure arithmetic of local times. A slot is a local date, so that it fires once a day."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from app.errors import InvalidInput


def parse_time(text: str) -> time:
    """A time of day such as "9:30", "09:30", "9am" or "21".

    Raises:
        InvalidInput: it is none.
    """
    said = text.strip().lower().replace(" ", "").replace(".", ":")
    offset = 12 if said.endswith("pm") else 0
    half = said.endswith(("am", "pm"))
    hours, _, minutes = said.removesuffix("am").removesuffix("pm").partition(":")
    try:
        hour, minute = int(hours), int(minutes or 0)
        if half:
            if not 1 <= hour <= 12:
                raise ValueError(hour)
            hour = hour % 12 + offset
        return time(hour, minute)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is not a time of day. Say for example 09:00 or 9am.") from error


def next_daily(local_time: time, zone: ZoneInfo, *, after: datetime, last_slot: str | None = None) -> datetime:
    """The next moment (UTC) strictly after ``after`` at which it is ``local_time`` on a day that is not ``last_slot``.

    Where summer time skips that time, it is the moment after the gap; where it comes twice, the first one.
    """
    day = after.astimezone(zone).date() - timedelta(days=1)
    while True:
        moment = _moment(day, local_time, zone)
        if moment > after and day.isoformat() != last_slot:
            return moment
        day += timedelta(days=1)


def slot_of(moment: datetime, zone: ZoneInfo) -> str:
    """The local date of a firing, by which it is known."""
    return moment.astimezone(zone).date().isoformat()


def _moment(day: date, local_time: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, local_time, zone).astimezone(UTC)
