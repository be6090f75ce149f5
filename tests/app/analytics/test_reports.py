"""The numbers of /stats come from the event log alone, and are the same when they are built again from zero."""

from app.analytics.projections import MetricsCollector
from app.analytics.reports import ReportService
from app.events.bus import Bus
from app.identity.accounts import User
from app.learning.challenge_files import FunctionChallenge
from app.learning.challenges import ChallengeService
from app.learning.curriculum import load_curriculum
from app.learning.sandbox.probe import Isolation
from app.storage.database import Database
from tests.fakes.clock import Clock

CURRICULUM = load_curriculum()


async def test_what_was_solved_alone_and_with_help_is_counted_apart(
    database: Database, clock: Clock, isolation: Isolation, ada: User, eve: User
) -> None:
    challenges = ChallengeService(
        database=database, curriculum=CURRICULUM, isolation=isolation, clock=clock, wake=lambda: None
    )
    bus = Bus(database, [MetricsCollector(database)])
    reports = ReportService(database=database, clock=clock)

    async def play(challenge_id: str, *, hint: bool = False, solve: bool = True, reveal: bool = False) -> None:
        one = await challenges.start(ada.id, thread_id=None, challenge_id=challenge_id)
        assert isinstance(one.challenge, FunctionChallenge)
        if hint:
            await challenges.hint(ada.id, one.id)
        if solve:
            await challenges.submit(ada.id, one.id, one.challenge.solutions["python"])
        if reveal:
            await challenges.reveal(ada.id, one.id)

    await play("running-total")
    await play("two-sum", hint=True)
    await play("reverse-words", solve=False, reveal=True)
    await play("caesar-shift", solve=False)
    await bus.drain()
    live = await reports.report(ada.id)
    await bus.replay("learner-stats")
    await bus.drain()
    rebuilt = await reports.report(ada.id)

    assert (live.alone.solved, live.alone.ended, live.alone.percent) == (1, 1, 100)
    assert (live.aided.solved, live.aided.ended, live.aided.percent) == (1, 2, 50)
    assert rebuilt == live
    assert (await reports.report(eve.id)).alone.percent is None
