"""A learner's report: numbers and charts of what really happened, read from the projections alone."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from app.analytics.facts import ConceptRow, Facts, Slot, facts_of, today
from app.analytics.metrics import Engagement, average_score, engagement_of, minutes_practised, practice_streak
from app.analytics.streaks import Streak
from app.storage.database import Database
from app.storage.tables.events import events

CALENDAR_WEEKS, TREND_WEEKS = 26, 12
MOST_OUTCOMES = 1000
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
class Week:
    """One week from its Monday on. ``average_score`` is None without submissions."""

    monday: str
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
    """``days`` are those of the last 26 weeks, the first a Monday, oldest first, without gaps; ``weeks`` are the last
    twelve. All days and hours are those of ``timezone``."""

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
    weeks: tuple[Week, ...]
    concepts: tuple[ConceptRow, ...]
    alone: Ended
    aided: Ended

    @property
    def is_empty(self) -> bool:
        return self.submitted == 0 and self.answered == 0


@dataclass(frozen=True, kw_only=True)
class MasteryChange:
    """One outcome; ``source`` is the started challenge or the training session behind it."""

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

    async def changes(self, user_id: str, concept: str) -> list[MasteryChange]:
        """What moved a concept's mastery, or left it as it was: the newest 1000 outcomes, newest first."""
        query = (
            sa.select(events.c.occurred_at, events.c.payload)
            .where(events.c.user_id == user_id, events.c.type == "mastery.changed")
            .where(events.c.payload["concept"].as_string() == concept)
            .order_by(events.c.seq.desc())
            .limit(MOST_OUTCOMES)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [
            MasteryChange(
                at=row.occurred_at, before=row.payload["before"], after=row.payload["after"],
                why=row.payload.get("why", ""), source=row.payload.get("source"),
            )
            for row in rows
        ]  # fmt: skip

    async def report(self, user_id: str) -> Report:
        return report_of(await self.facts(user_id), self._clock())


def report_of(facts: Facts, now: datetime) -> Report:
    day, streak = today(facts, now), practice_streak(facts, now)
    submitted = sum(slot.submitted for slot in facts.slots)
    monday = day - timedelta(days=day.weekday())
    return Report(
        timezone=facts.zone.key, today=day, submitted=submitted, passed=sum(slot.passed for slot in facts.slots),
        answered=sum(slot.answered for slot in facts.slots), correct=sum(slot.correct for slot in facts.slots),
        hints=sum(slot.hints for slot in facts.slots), minutes=minutes_practised(facts),
        average_score=round(average_score(facts)) if submitted else None, streak=streak,
        engagement=engagement_of(facts, now),
        days=_days(facts.slots, first=monday - (CALENDAR_WEEKS - 1) * WEEK, last=day, frozen=streak.frozen),
        hours=_hours(facts.slots), weeks=_weeks(facts.slots, last=monday),
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


def _weeks(slots: Iterable[Slot], *, last: date) -> tuple[Week, ...]:
    by_monday: dict[date, list[Slot]] = {last - n * WEEK: [] for n in reversed(range(TREND_WEEKS))}
    for slot in slots:
        by_monday.get(slot.day - timedelta(days=slot.day.weekday()), []).append(slot)
    return tuple(_week(monday, own) for monday, own in by_monday.items())


def _week(monday: date, slots: list[Slot]) -> Week:
    submitted = sum(slot.submitted for slot in slots)
    return Week(
        monday=monday.isoformat(), tried=submitted + sum(slot.answered for slot in slots),
        right=sum(slot.passed + slot.correct for slot in slots), ended_alone=sum(slot.ended_alone for slot in slots),
        solved_alone=sum(slot.solved_alone for slot in slots),
        average_score=round(sum(slot.score_sum for slot in slots) / submitted) if submitted else None,
    )  # fmt: skip


def _ended(rows: Iterable[tuple[int, int]]) -> Ended:
    pairs = list(rows)
    return Ended(ended=sum(ended for ended, _ in pairs), solved=sum(solved for _, solved in pairs))
