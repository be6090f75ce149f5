"""Days in a row, by the learner's own calendar, with two days a month that may be missed. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

FREEZES_A_MONTH = 2
DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Streak:
    """``current`` and ``longest`` count days with practice; ``frozen`` are the missed days that did not end the current
    one, ``freezes_left`` those that this month still has."""

    current: int
    longest: int
    frozen: tuple[date, ...]
    freezes_left: int


def streak_of(days: Iterable[date], today: date) -> Streak:
    """The streak up to ``today``, which may still be without practice.

    A missed day is bridged while its calendar month has a freeze left; where one of several missed days in a row cannot
    be bridged, the streak ends and none of them is spent. Days after ``today`` (a clock that jumped) do not count.
    """
    spent: Counter[tuple[int, int]] = Counter()
    frozen: list[date] = []
    length = longest = 0
    last: date | None = None
    for day in sorted({day for day in days if day <= today}):
        missed = _between(last, day) if last else []
        if last and _freeze(missed, spent):
            frozen += missed
            length += 1
        else:
            frozen, length = [], 1
        longest, last = max(longest, length), day
    waiting = _between(last, today) if last else []
    if last is None or not _freeze(waiting, spent):
        frozen, length = [], 0
    else:
        frozen += waiting
    return Streak(
        current=length, longest=longest, frozen=tuple(frozen),
        freezes_left=FREEZES_A_MONTH - spent[today.year, today.month],
    )  # fmt: skip


def _between(first: date, last: date) -> list[date]:
    return [first + DAY * n for n in range(1, (last - first).days)]


def _freeze(missed: list[date], spent: Counter[tuple[int, int]]) -> bool:
    """Spend a freeze on each missed day, or on none of them."""
    needed = Counter((day.year, day.month) for day in missed)
    if any(spent[month] + count > FREEZES_A_MONTH for month, count in needed.items()):
        return False
    spent.update(needed)
    return True
