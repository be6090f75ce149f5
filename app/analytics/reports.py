"""A learner's report: numbers and charts of what really happened, read from the projections alone."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from app.analytics.facts import ConceptRow, Facts, Slot, facts_of, today
from app.analytics.metrics import Engagement, average_score, engagement_of, minutes_practised, practice_streak
from app.analytics.streaks import Streak
from app.errors import InvalidInput
from app.storage.database import Database
from app.storage.paging import UNKNOWN_CURSOR
from app.storage.tables.events import events

CALENDAR_WEEKS, TREND_WEEKS, TREND_MONTHS = 26, 12, 12
WEEK = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Day:
    """``frozen``: missed, and bridged by a freeze of the current streak."""

    day: str
    submitted: int
    passed: int
    answered: int
    correct: int
    frozen: bool = False


@dataclass(frozen=True, kw_only=True)
class Hour:
    """What was tried and right at one hour of the day (0 to 23), by the learner's clock."""

    hour: int
    tried: int
    right: int


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A week from its Monday on, or a month from its first day on. ``average_score`` is None without submissions."""

    start: date
    tried: int
    right: int
    ended_alone: int
    solved_alone: int
    average_score: int | None


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Challenges that ended, and those of them that were solved."""

    ended: int
    solved: int

    @property
    def percent(self) -> int | None:
        return round(100 * self.solved / self.ended) if self.ended else None


@dataclass(frozen=True, kw_only=True)
class Report:
    """``days`` are those of the last 26 weeks, the first a Monday, oldest first, without gaps; ``weeks`` and ``months``
    are the last twelve. All days and hours are by the learner's own clock, which shows ``timezone`` now."""

    timezone: str
    today: date
    submitted: int
    passed: int
    answered: int
    correct: int
    hints: int
    minutes: int
    average_score: int | None
    streak: Streak
    engagement: Engagement
    days: tuple[Day, ...]
    hours: tuple[Hour, ...]
    weeks: tuple[Stretch, ...]
    months: tuple[Stretch, ...]
    concepts: tuple[ConceptRow, ...]
    alone: Ended
    aided: Ended

    @property
    def is_empty(self) -> bool:
        return self.submitted == 0 and self.answered == 0


@dataclass(frozen=True, kw_only=True)
class MasteryChange:
    """One outcome; ``id`` is its event, ``source`` the started challenge or the training session behind it."""

    id: str
    at: datetime
    before: int
    after: int
    why: str
    source: str | None


class ReportService:
    def __init__(self, *, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def facts(self, user_id: str) -> Facts:
        async with self._database.read() as connection:
            return await facts_of(connection, user_id)

    async def changes(
        self, user_id: str, concept: str, *, before: str | None = None, limit: int
    ) -> tuple[list[MasteryChange], int]:
        """What moved a concept's mastery, or left it as it was, newest first; and how many are older than these.

        Raises:
            InvalidInput: ``before`` is no outcome of this learner and concept.
        """
        own = sa.and_(
            events.c.user_id == user_id, events.c.type == "mastery.changed",
            events.c.payload["concept"].as_string() == concept,
        )  # fmt: skip
        query = sa.select(events.c.id, events.c.occurred_at, events.c.payload).where(own).order_by(events.c.seq.desc())
        count = sa.select(sa.func.count()).select_from(events).where(own)
        async with self._database.read() as connection:
            if before is not None:
                seq = await connection.scalar(sa.select(events.c.seq).where(own, events.c.id == before))
                if seq is None:
                    raise InvalidInput(UNKNOWN_CURSOR)
                query, count = query.where(events.c.seq < seq), count.where(events.c.seq < seq)
            rows = (await connection.execute(query.limit(limit))).all()
            older = int(await connection.scalar(count) or 0) - len(rows)
        return [
            MasteryChange(
                id=row.id, at=row.occurred_at, before=row.payload["before"], after=row.payload["after"],
                why=row.payload.get("why", ""), source=row.payload.get("source"),
            )
            for row in rows
        ], older  # fmt: skip

    async def report(self, user_id: str) -> Report:
        return report_of(await self.facts(user_id), self._clock())


def report_of(facts: Facts, now: datetime) -> Report:
    day, streak = today(facts, now), practice_streak(facts, now)
    submitted = sum(slot.submitted for slot in facts.slots)
    monday = _monday(day)
    return Report(
        timezone=facts.zone.key, today=day, submitted=submitted, passed=sum(slot.passed for slot in facts.slots),
        answered=sum(slot.answered for slot in facts.slots), correct=sum(slot.correct for slot in facts.slots),
        hints=sum(slot.hints for slot in facts.slots), minutes=minutes_practised(facts),
        average_score=round(average_score(facts)) if submitted else None, streak=streak,
        engagement=engagement_of(facts, now),
        days=_days(facts.slots, first=monday - (CALENDAR_WEEKS - 1) * WEEK, last=day, frozen=streak.frozen),
        hours=_hours(facts.slots), weeks=_stretches(facts.slots, _weeks(monday), _monday),
        months=_stretches(facts.slots, _months(day), _first_of_month),
        concepts=tuple(sorted(facts.concepts, key=lambda row: (-row.mastery, row.concept))),
        alone=_ended((row.alone_ended, row.alone_solved) for row in facts.concepts),
        aided=_ended((row.aided_ended, row.aided_solved) for row in facts.concepts),
    )  # fmt: skip


def _days(slots: Iterable[Slot], *, first: date, last: date, frozen: tuple[date, ...]) -> tuple[Day, ...]:
    sums: dict[date, Counter[str]] = {}
    for slot in slots:
        counts = {name: getattr(slot, name) for name in ("submitted", "passed", "answered", "correct")}
        sums.setdefault(slot.day, Counter()).update(counts)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return tuple(
        Day(
            day=day.isoformat(), submitted=counts["submitted"], passed=counts["passed"], answered=counts["answered"],
            correct=counts["correct"], frozen=day in frozen,
        )
        for day in days
        for counts in (sums.get(day, Counter()),)
    )  # fmt: skip


def _hours(slots: Iterable[Slot]) -> tuple[Hour, ...]:
    tried: Counter[int] = Counter()
    right: Counter[int] = Counter()
    for slot in slots:
        tried[slot.at.hour] += slot.submitted + slot.answered
        right[slot.at.hour] += slot.passed + slot.correct
    return tuple(Hour(hour=hour, tried=tried[hour], right=right[hour]) for hour in range(24))


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _first_of_month(day: date) -> date:
    return day.replace(day=1)


def _weeks(last: date) -> list[date]:
    return [last - n * WEEK for n in reversed(range(TREND_WEEKS))]


def _months(last: date) -> list[date]:
    months = [divmod(last.year * 12 + last.month - 1 - n, 12) for n in reversed(range(TREND_MONTHS))]
    return [date(year, month + 1, 1) for year, month in months]


def _stretches(slots: Iterable[Slot], starts: Sequence[date], start_of: Callable[[date], date]) -> tuple[Stretch, ...]:
    slots_from: dict[date, list[Slot]] = {start: [] for start in starts}
    for slot in slots:
        slots_from.get(start_of(slot.day), []).append(slot)
    return tuple(_stretch(start, own) for start, own in slots_from.items())


def _stretch(start: date, slots: list[Slot]) -> Stretch:
    submitted = sum(slot.submitted for slot in slots)
    return Stretch(
        start=start, tried=submitted + sum(slot.answered for slot in slots),
        right=sum(slot.passed + slot.correct for slot in slots), ended_alone=sum(slot.ended_alone for slot in slots),
        solved_alone=sum(slot.solved_alone for slot in slots),
        average_score=round(sum(slot.score_sum for slot in slots) / submitted) if submitted else None,
    )  # fmt: skip


def _ended(rows: Iterable[tuple[int, int]]) -> Ended:
    pairs = list(rows)
    return Ended(ended=sum(ended for ended, _ in pairs), solved=sum(solved for _, solved in pairs))
