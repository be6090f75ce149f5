"""Progress at the size of a school: 100,000 events of 200 learners, and how long each page and a rebuild take."""

import asyncio
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from app.analytics.badges import BadgeSystem
from app.analytics.projections import EarnedBadges, MetricsCollector
from app.analytics.ranking import RankingService
from app.analytics.reports import ReportService
from app.events import log as event_log
from app.events.bus import Bus
from app.events.schema import NewEvent
from app.learning import mastery, progress
from app.learning.curriculum import Curriculum, load_curriculum
from app.learning.sandbox.probe import probe
from app.learning.sandbox.program import Program
from app.models.quality import GradedAnswers
from app.storage.database import Database, sqlite_url
from app.storage.migrate import migrate
from app.storage.tables.identity import users
from graph.deps import Deps
from graph.overview import overview
from tests.fakes.history import past

LEARNERS, EVENTS = 200, 100_000
AT_ONCE = 5000
ASKED = 20


def rows() -> list[tuple[str, str]]:
    return [*asyncio.run(_pages()), *asyncio.run(_starts())]


async def _pages() -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(sqlite_url(Path(folder) / "bench.sqlite"))
        await migrate(database)
        learners = await _fill(database)
        clock = lambda: datetime.now(UTC)  # noqa: E731  # as short as what it does

        async def nothing() -> None:
            return None

        badges = BadgeSystem(database=database, clock=clock, wake=lambda: None, settle=nothing)
        consumers = [MetricsCollector(database), EarnedBadges(database), GradedAnswers(database)]
        bus = Bus(database, consumers, afterwards=badges.award_due)
        first = await _seconds(bus.drain)
        ranking, curriculum = RankingService(database=database, clock=clock), load_curriculum()
        await _practise(database, learners[0], curriculum)
        deps = cast(
            Deps,
            SimpleNamespace(
                reports=ReportService(database=database, clock=clock), ranking=ranking, badges=badges,
                database=database, curriculum=curriculum, clock=clock,
            ),
        )  # fmt: skip

        async def leaderboard() -> None:
            ranking.forget()
            await ranking.ranking()

        async def stats() -> None:
            ranking.forget()
            await overview(deps, learners[0])

        async def rebuild() -> None:
            for consumer in consumers:
                await bus.replay(consumer.name)
            await bus.drain()

        found = [
            ("the numbers of /stats, nothing remembered", _ms([await _seconds(stats) for _ in range(ASKED)])),
            ("leaderboard, nothing remembered", _ms([await _seconds(leaderboard) for _ in range(ASKED)])),
            ("following the whole log for the first time, badges included", f"{first:.1f} s"),
            ("rebuild of all projections", f"{await _seconds(rebuild):.1f} s"),
        ]
        await database.close()
        return [(f"{what} ({EVENTS:,} events of {LEARNERS} learners)", value) for what, value in found]


async def _practise(database: Database, learner: str, curriculum: Curriculum) -> None:
    """A card and a skill for every concept."""
    now = datetime.now(UTC)
    async with database.write() as connection:
        for concept in curriculum.concepts:
            outcome = progress.Outcome(
                concept=concept.id, card=concept.id, result=1.0, grade="good", why="", source=None
            )
            opponent = mastery.of_rating(1500)
            await progress.record(
                connection, database, user_id=learner, outcome=outcome, opponent=opponent, now=now
            )  # fmt: skip


async def _fill(database: Database) -> list[str]:
    now = datetime.now(UTC)
    learners = [uuid.uuid4().hex for _ in range(LEARNERS)]
    async with database.write() as connection:
        people = [
            {"id": one, "name": f"learner{n}", "role": "user", "created_at": now} for n, one in enumerate(learners)
        ]
        await connection.execute(users.insert(), people)
        created = [
            NewEvent(
                type="user.created",
                key=one,
                user_id=one,
                occurred_at=now,
                payload={"name": f"learner{n}", "role": "user"},
            )
            for n, one in enumerate(learners)
        ]
        await event_log.append(connection, *created)
    batch = []
    for event in past(learners, events=EVENTS, end=now):
        batch.append(event)
        if len(batch) == AT_ONCE:
            async with database.write() as connection:
                await event_log.append(connection, *batch)
            batch = []
    async with database.write() as connection:
        await event_log.append(connection, *batch)
    return learners


async def _starts() -> list[tuple[str, str]]:
    """A Python that does nothing, in each sandbox that this machine offers."""
    isolation = await probe()
    sandbox = isolation.require()
    program = Program(argv=(sandbox.python, "-I", "-S", "empty.py"), files={"empty.py": b""})
    await sandbox.run(program)
    values = [float((await sandbox.run(program)).wall_ms) / 1000 for _ in range(ASKED)]
    return [(f"warm start of Python in the sandbox ({sandbox.name})", _ms(values))]


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


def _ms(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"{1000 * statistics.median(ordered):.0f} ms (worst {1000 * ordered[-1]:.0f} ms)"
