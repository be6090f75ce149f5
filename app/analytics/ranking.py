"""Learners beside each other: leaderboard, percentile and figures of everybody. Nobody is shown below five."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.storage.database import Database
from app.storage.tables.analytics import learner_activity, learner_concepts, learner_passes, learners
from app.storage.tables.identity import users

FEWEST = 5  # with fewer, a rank says who is who
CACHE_SECONDS = 300
MOST_ROWS = 100

By = Literal["mastery", "solved"]
Period = Literal["week", "month", "all"]
PERIODS: dict[Period, timedelta | None] = {"week": timedelta(days=7), "month": timedelta(days=30), "all": None}
Each = Literal["daily", "weekly", "monthly"]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Equal points share a rank."""

    rank: int
    user_id: str
    name: str
    points: int


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """``places`` are of the ``n`` learners who are ranked; empty where there are fewer than five."""

    by: By
    period: Period
    n: int
    places: tuple[Place, ...]

    def place_of(self, user_id: str) -> Place | None:
        return next((place for place in self.places if place.user_id == user_id), None)

    def percentile_of(self, user_id: str) -> int | None:
        """The share of the other ranked learners with fewer points, in percent; None for one who is not ranked."""
        own = self.place_of(user_id)
        if own is None:
            return None
        return round(100 * sum(place.points < own.points for place in self.places) / (self.n - 1))


@dataclass(frozen=True, kw_only=True)
class Global:
    """Everybody together who has not left the ranking."""

    learners: int
    challenges_passed: int
    questions_answered: int
    active_last_week: int
    average_mastery: float | None


class RankingService:
    """Reads are shared for five minutes: a ranking need not be of this second."""

    def __init__(self, *, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._cached: dict[str, tuple[float, Any]] = {}  # Any: of several types, by name
        self._finding = asyncio.Lock()

    async def ranking(self, *, by: By = "mastery", period: Period = "all") -> Ranking:
        """Ranked by mastery of all concepts together (what one can do alone), or by challenges solved alone for the
        first time within a period. ``period`` says nothing about mastery, which is of now."""
        name = f"{by}/{period}"
        found = await self._remembered(name, lambda: self._rank(by, period))
        if await self._has_left(found):
            self._cached.pop(name, None)
            return await self._remembered(name, lambda: self._rank(by, period))
        return found

    async def _has_left(self, ranking: Ranking) -> bool:
        """Whether somebody who is shown does not want to be any more: that counts at once, in every process."""
        gone = sa.select(users.c.id).where(sa.not_(users.c.ranked))
        async with self._database.read() as connection:
            left = set(await connection.scalars(gone))
        return any(place.user_id in left for place in ranking.places)

    async def everybody(self) -> Global | None:
        """Figures of all learners; None where there are fewer than five."""
        return await self._remembered("global", self._sum_up)

    async def trends(self, *, days: int, each: Each) -> list[dict[str, Any]] | None:  # Any: JSON
        """Submissions, passes, answers and active learners of each day, week or month (UTC) in the last ``days``, the
        oldest first; None below five learners, and no period in which fewer were active."""
        return await self._remembered(f"trends/{days}/{each}", lambda: self._trends(days, each))

    def forget(self) -> None:
        """Drop what is remembered, such as when somebody leaves the ranking."""
        self._cached.clear()

    async def _remembered(self, name: str, find: Callable[[], Awaitable[T]]) -> T:
        async with self._finding:  # one of those who miss at once looks for all
            kept = self._cached.get(name)
            if kept is not None and time.monotonic() - kept[0] < CACHE_SECONDS:
                found: T = kept[1]
                return found
            found = await find()
            self._cached[name] = (time.monotonic(), found)
            return found

    async def _rank(self, by: By, period: Period) -> Ranking:
        points = _mastery_points() if by == "mastery" else _solved_points(self._since(period))
        query = (
            sa.select(learners.c.user_id, learners.c.name, sa.func.coalesce(points.c.points, 0).label("points"))
            .join(users, users.c.id == learners.c.user_id)
            .outerjoin(points, points.c.user_id == learners.c.user_id)
            .where(users.c.ranked, _has_practised())
            .order_by(sa.desc("points"), learners.c.name)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        if len(rows) < FEWEST:
            return Ranking(by=by, period=period, n=len(rows), places=())
        ranks: dict[int, int] = {}
        for place, row in enumerate(rows, 1):
            ranks.setdefault(int(row.points), place)
        places = tuple(
            Place(rank=ranks[int(row.points)], user_id=row.user_id, name=row.name, points=int(row.points))
            for row in rows
        )
        return Ranking(by=by, period=period, n=len(rows), places=places)

    def _since(self, period: Period) -> datetime | None:
        span = PERIODS[period]
        return None if span is None else self._clock() - span

    async def _sum_up(self) -> Global | None:
        week = self._clock() - timedelta(days=7)
        passed = sa.select(sa.func.count()).select_from(learner_passes).where(_counts(learner_passes))
        answered = sa.select(sa.func.coalesce(sa.func.sum(learner_activity.c.answered), 0)).where(
            _counts(learner_activity)
        )
        active = sa.select(sa.func.count(sa.distinct(learner_activity.c.user_id))).where(
            learner_activity.c.slot_at >= week, _counts(learner_activity)
        )
        async with self._database.read() as connection:
            people = await self._people(connection)
            if people < FEWEST:
                return None
            average = await connection.scalar(
                sa.select(sa.func.avg(learner_concepts.c.mastery)).where(_counts(learner_concepts))
            )
            return Global(
                learners=people, challenges_passed=int(await connection.scalar(passed) or 0),
                questions_answered=int(await connection.scalar(answered) or 0),
                active_last_week=int(await connection.scalar(active) or 0),
                average_mastery=None if average is None else round(float(average), 1),
            )  # fmt: skip

    async def _trends(self, days: int, each: Each) -> list[dict[str, Any]] | None:  # Any: JSON
        table = learner_activity
        start = self._start_of(each).label("start")
        query = (
            sa.select(
                start, sa.func.sum(table.c.submitted).label("submitted"), sa.func.sum(table.c.passed).label("passed"),
                sa.func.sum(table.c.answered).label("answered"),
                sa.func.count(sa.distinct(table.c.user_id)).label("learners"),
            )
            .where(table.c.slot_at >= first_whole(self._clock() - timedelta(days=days), each), _counts(table))
            .group_by(sa.text("start"))
            .having(sa.func.count(sa.distinct(table.c.user_id)) >= FEWEST)
            .order_by(sa.text("start"))
        )  # fmt: skip
        async with self._database.read() as connection:
            if await self._people(connection) < FEWEST:
                return None
            rows = (await connection.execute(query)).all()
        return [
            {
                "from": row.start, "submitted": int(row.submitted), "passed": int(row.passed),
                "answered": int(row.answered), "learners": row.learners,
            }
            for row in rows
        ]  # fmt: skip

    def _start_of(self, each: Each) -> sa.ColumnElement[str]:
        """The first day (UTC) of the period that a slot lies in, as ISO text, on either database."""
        at = learner_activity.c.slot_at
        if self._database.is_sqlite:
            steps = {"daily": (), "weekly": ("-6 days", "weekday 1"), "monthly": ("start of month",)}
            return sa.func.date(at, *steps[each])
        unit = {"daily": "day", "weekly": "week", "monthly": "month"}[each]
        return sa.func.to_char(sa.func.date_trunc(unit, sa.func.timezone("UTC", at)), "YYYY-MM-DD")

    async def _people(self, connection: AsyncConnection) -> int:
        query = sa.select(sa.func.count()).select_from(learners).where(_has_practised(), _counts(learners))
        return int(await connection.scalar(query) or 0)


def first_whole(moment: datetime, each: Each) -> datetime:
    """The beginning of the first day, week (a Monday) or month in UTC that is not cut off by ``moment``."""
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    if each == "weekly":
        return day + timedelta(days=-day.weekday() % 7)
    if each == "monthly" and day.day > 1:
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day


def _counts(table: sa.Table) -> sa.ColumnElement[bool]:
    """Whether a row is of somebody who has not left the ranking."""
    return sa.exists().where(users.c.id == table.c.user_id, users.c.ranked)


def _has_practised() -> sa.ColumnElement[bool]:
    return sa.exists().where(learner_concepts.c.user_id == learners.c.user_id)


def _mastery_points() -> sa.Subquery:
    return (
        sa.select(learner_concepts.c.user_id, sa.func.sum(learner_concepts.c.mastery).label("points"))
        .group_by(learner_concepts.c.user_id)
        .subquery()
    )


def _solved_points(since: datetime | None) -> sa.Subquery:
    query = sa.select(learner_passes.c.user_id, sa.func.count().label("points")).where(learner_passes.c.alone)
    if since is not None:
        query = query.where(learner_passes.c.passed_at >= since)
    return query.group_by(learner_passes.c.user_id).subquery()
