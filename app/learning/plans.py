"""Plans: "an interview in three weeks on graphs and SQL" as sessions on dates, each with what to practise then."""

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import InvalidInput, NotFound
from app.learning import progress
from app.learning.curriculum import Concept, Curriculum
from app.learning.path import READY_MASTERY
from app.storage.database import Database
from app.storage.tables.learning import plan_sessions, plans, training_sessions

LONGEST_DAYS, MOST_SESSIONS, MOST_TOPICS = 180, 60, 10
SESSIONS_A_WEEK = 4
DAILY_UNTIL = 7  # days before the goal: with so few, every day counts
CONCEPTS_EACH, LAST_CONCEPTS = 2, 4

SessionStatus = Literal["done", "started", "missed", "today", "coming"]


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One session: a local date, what is practised, and the training session that was started for it."""

    number: int
    day: date
    concepts: tuple[str, ...]
    session_id: str | None = None
    status: SessionStatus = "coming"
    plan_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    id: str
    goal: str
    goal_day: date
    concepts: tuple[str, ...]
    sessions: tuple[Planned, ...]

    @property
    def next(self) -> Planned | None:
        """The session to do now or next: one that was missed comes before those to come."""
        return next((one for one in self.sessions if one.status != "done"), None)


class PlanService:
    def __init__(self, *, database: Database, curriculum: Curriculum, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._curriculum = curriculum
        self._clock = clock

    async def make(
        self, user_id: str, *, goal: str, goal_day: date, concepts: Sequence[str], today: date
    ) -> Plan:  # fmt: skip
        """Plan the way to a day; a plan that was there is ended.

        Raises:
            InvalidInput: no or unknown concepts, or a day that is not within the next half year.
        """
        concepts = list(dict.fromkeys(concepts))
        self._check(goal, concepts, days=(goal_day - today).days)
        levels = {row.concept: row.mastery for row in await progress.overview(self._database, user_id)}
        room = CONCEPTS_EACH * max(1, len(session_days(today, goal_day)) - 1) - len(concepts)
        wanted = with_required(self._curriculum.concepts, concepts, levels, most_required=max(0, room))
        sessions = dated(wanted, asked_for=concepts, levels=levels, today=today, goal_day=goal_day)
        plan_id = uuid.uuid4().hex
        now = self._clock()
        async with self._database.write() as connection:
            await _end(connection, user_id, now)
            await connection.execute(
                plans.insert().values(
                    id=plan_id, user_id=user_id, goal=goal.strip(), goal_day=goal_day.isoformat(),
                    concepts=list(concepts), created_at=now,
                )
            )  # fmt: skip
            rows = [
                {"plan_id": plan_id, "number": one.number, "day": one.day.isoformat(), "concepts": list(one.concepts)}
                for one in sessions
            ]
            await connection.execute(plan_sessions.insert(), rows)
        plan = await self.current(user_id, today)
        assert plan is not None
        return plan

    def _check(self, goal: str, concepts: Sequence[str], *, days: int) -> None:
        if not 1 <= len(goal.strip()) <= 120:
            raise InvalidInput("Say in 1 to 120 characters what the plan is for.")
        if not 1 <= len(concepts) <= MOST_TOPICS:
            raise InvalidInput(f"A plan is about 1 to {MOST_TOPICS} topics. {EXAMPLE}")
        for concept in concepts:
            if concept not in self._curriculum.questions:
                raise InvalidInput(f"{concept!r} is not a topic I know. {EXAMPLE}")
        if not 1 <= days <= LONGEST_DAYS:
            raise InvalidInput(f"A plan ends between tomorrow and {LONGEST_DAYS} days from now. {EXAMPLE}")

    async def current(self, user_id: str, today: date) -> Plan | None:
        """The learner's plan; None where there is none, or its day has passed."""
        async with self._database.read() as connection:
            return await _current(connection, user_id, today)

    async def end(self, user_id: str) -> None:
        """Drop the plan; what was practised stays.

        Raises:
            NotFound: there is none.
        """
        async with self._database.write() as connection:
            if not await _end(connection, user_id, self._clock()):
                raise NotFound(f"You have no plan. {EXAMPLE}")


EXAMPLE = "For example: I have an interview in 3 weeks on graphs and SQL"


async def due(database: Database, user_id: str, today: date) -> Planned | None:
    """The session that the learner's plan has for today or before, if it was not begun yet."""
    async with database.read() as connection:
        plan = await _current(connection, user_id, today)
    return next((one for one in plan.sessions if one.status in ("missed", "today")), None) if plan else None


async def take(connection: AsyncConnection, planned: Planned, session_id: str) -> None:
    """Write down that a training session was started for a planned one, if no other was meanwhile."""
    await connection.execute(
        plan_sessions.update()
        .where(
            plan_sessions.c.plan_id == planned.plan_id, plan_sessions.c.number == planned.number,
            plan_sessions.c.session_id.is_(None),
        )
        .values(session_id=session_id)
    )  # fmt: skip


async def give_back(connection: AsyncConnection, session_id: str) -> None:
    """A session that ended with nothing done in it was none: the planned one is to be done still."""
    await connection.execute(
        plan_sessions.update().where(plan_sessions.c.session_id == session_id).values(session_id=None)
    )


async def _current(connection: AsyncConnection, user_id: str, today: date) -> Plan | None:
    query = (
        sa.select(plans)
        .where(plans.c.user_id == user_id, plans.c.ended_at.is_(None), plans.c.goal_day >= today.isoformat())
        .order_by(plans.c.created_at.desc())
        .limit(1)
    )
    row = (await connection.execute(query)).first()
    if row is None:
        return None
    sessions = await connection.execute(
        sa.select(plan_sessions, training_sessions.c.status)
        .outerjoin(training_sessions, training_sessions.c.id == plan_sessions.c.session_id)
        .where(plan_sessions.c.plan_id == row.id)
        .order_by(plan_sessions.c.number)
    )
    return Plan(
        id=row.id, goal=row.goal, goal_day=date.fromisoformat(row.goal_day), concepts=tuple(row.concepts),
        sessions=tuple(
            Planned(
                number=one.number, day=(day := date.fromisoformat(one.day)), concepts=tuple(one.concepts),
                session_id=one.session_id, status=_status(one.session_id, one.status, day, today), plan_id=row.id,
            )
            for one in sessions
        ),
    )  # fmt: skip


def _status(session_id: str | None, session_status: str | None, day: date, today: date) -> SessionStatus:
    if session_id is not None:
        return "done" if session_status == "ended" else "started"
    if day < today:
        return "missed"
    return "today" if day == today else "coming"


async def _end(connection: AsyncConnection, user_id: str, now: datetime) -> bool:
    ended = await connection.execute(
        plans.update().where(plans.c.user_id == user_id, plans.c.ended_at.is_(None)).values(ended_at=now)
    )
    return ended.rowcount > 0


def with_required(
    concepts: Sequence[Concept], wanted: Sequence[str], levels: Mapping[str, int], *, most_required: int
) -> list[str]:
    """The wanted concepts and what they build on directly and is not practised yet, the weakest of it as far as there
    is room, in the order of the graph. What those in turn require is left to the sessions' mistakes: the days are few,
    and much is known that was not seen."""
    by_id = {concept.id: concept for concept in concepts}
    required = [
        name for name in dict.fromkeys(one for name in wanted for one in by_id[name].requires)
        if name not in wanted and levels.get(name, 0) < READY_MASTERY
    ]  # fmt: skip
    needed = {*wanted, *sorted(required, key=lambda name: levels.get(name, 0))[:most_required]}
    return [concept.id for concept in concepts if concept.id in needed]


def dated(
    concepts: Sequence[str], *, asked_for: Sequence[str], levels: Mapping[str, int], today: date, goal_day: date
) -> list[Planned]:
    """Sessions from today to the day before the goal: each brings the next concept, and again the one that was met
    longest ago (the weakest, where two were met on the same day), so that everything returns at growing distances. The
    last one reviews what was asked for, weakest first."""
    days = session_days(today, goal_day)
    waiting = list(concepts)
    met: dict[str, int] = {}
    planned = []
    for number, day in enumerate(days, 1):
        if number == len(days) and len(days) > 1:
            chosen = sorted(asked_for, key=lambda name: levels.get(name, 0))[:LAST_CONCEPTS]
        else:
            fresh = math.ceil(len(waiting) / max(1, len(days) - number))  # so that all are met before the last session
            chosen, waiting = waiting[:fresh], waiting[fresh:]
            known = sorted((name for name in met), key=lambda name: (met[name], levels.get(name, 0)))
            chosen += [name for name in known if name not in chosen][: max(0, CONCEPTS_EACH - len(chosen))]
        met |= dict.fromkeys(chosen, number)
        planned.append(Planned(number=number, day=day, concepts=tuple(chosen)))
    return planned


def session_days(today: date, goal_day: date) -> list[date]:
    """Four days a week, or every day where there is only a week; from today to the day before the goal."""
    days = (goal_day - today).days
    count = days if days <= DAILY_UNTIL else min(MOST_SESSIONS, math.ceil(days * SESSIONS_A_WEEK / 7))
    if count == 1:
        return [today]
    return [today + timedelta(days=round(n * (days - 1) / (count - 1))) for n in range(count)]
