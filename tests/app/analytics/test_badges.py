"""Badges are awarded once whatever happens, projections built anew are the live ones, and nobody is ranked below five."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.analytics.badges import BadgeSystem
from app.analytics.projections import EarnedBadges, MetricsCollector
from app.analytics.ranking import Each, RankingService, first_whole
from app.analytics.reports import ReportService
from app.errors import Conflict, InvalidInput, NotFound
from app.events import log as event_log
from app.events.bus import Bus
from app.events.schema import NewEvent
from app.identity.accounts import AccountService, User
from app.storage.database import Database
from app.storage.tables import metadata
from app.storage.tables.events import events
from tests.fakes.clock import Clock
from tests.fakes.history import past

PROJECTED = ("learners", "learner_activity", "learner_concepts", "learner_passes", "learner_used", "earned_badges")


@pytest.fixture
def badges(database: Database, clock: Clock) -> BadgeSystem:
    async def settle() -> None:
        return None

    return BadgeSystem(database=database, clock=clock, wake=lambda: None, settle=settle)


@pytest.fixture
def bus(database: Database, badges: BadgeSystem) -> Bus:
    return Bus(database, [MetricsCollector(database), EarnedBadges(database)], afterwards=badges.award_due)


@pytest.fixture
def ranking(database: Database, clock: Clock) -> RankingService:
    return RankingService(database=database, clock=clock)


async def publish(database: Database, *new: NewEvent) -> None:
    async with database.write() as connection:
        await event_log.append(connection, *new)


async def people(accounts: AccountService, number: int) -> list[User]:
    return [await accounts.add(f"learner{n}", "correct horse") for n in range(number)]


def finished(user: User, clock: Clock, challenge: str, **more: object) -> NewEvent:
    payload = {
        "challengeId": challenge, "concept": "sql", "solved": True, "aided": False, "known": False, "check": False,
        "ending": "solved", "attempts": 1, "score": 95, "language": "sql", "seconds": 300,
    } | more  # fmt: skip
    return NewEvent(
        type="challenge.finished", key=challenge, user_id=user.id, occurred_at=clock(), payload=payload
    )  # fmt: skip


def submitted(user: User, clock: Clock) -> NewEvent:
    payload = {"challengeId": "one", "concept": "sql", "score": 95, "language": "sql", "verdict": "passed"}
    return NewEvent(type="challenge.submitted", key="one", user_id=user.id, occurred_at=clock(), payload=payload)


def mastered(user: User, clock: Clock, mastery: int) -> NewEvent:
    return NewEvent(
        type="mastery.changed", key=user.id, user_id=user.id, occurred_at=clock(),
        payload={"concept": "sql", "before": 0, "after": mastery, "dueAt": None},
    )  # fmt: skip


async def contents(database: Database) -> dict[str, list[tuple[object, ...]]]:
    async with database.read() as connection:
        return {
            name: sorted((tuple(row) for row in await connection.execute(sa.select(metadata.tables[name]))), key=repr)
            for name in PROJECTED
        }


async def test_projections_built_from_zero_are_the_live_ones(
    database: Database, clock: Clock, bus: Bus, accounts: AccountService
) -> None:
    users = [user.id for user in await people(accounts, 3)]
    await accounts.prefer(users[0], timezone="Asia/Tokyo", ranked=False)
    for event in past(users, events=600, end=clock()):
        await publish(database, event)
        if event.type == "mastery.changed":
            await bus.drain_once()
    await bus.drain()
    live = await contents(database)

    for consumer in ("learner-stats", "earned-badges"):
        await bus.replay(consumer)

    assert await contents(database) == live
    assert all(live.values())


async def test_two_processes_that_follow_at_once_count_once(
    database: Database, clock: Clock, badges: BadgeSystem, accounts: AccountService
) -> None:
    users = [user.id for user in await people(accounts, 3)]
    await publish(database, *past(users, events=700, end=clock()))
    other = Database(database.url)
    both = [
        Bus(one, [MetricsCollector(one), EarnedBadges(one)], afterwards=badges.award_due) for one in (database, other)
    ]

    await asyncio.gather(*(bus.drain() for bus in both))
    live = await contents(database)
    await both[0].replay("learner-stats")

    assert await contents(database) == live
    assert await _count(database, "challenge.submitted") == 140
    assert sum(int(str(row[3])) for row in live["learner_activity"]) == 140
    await other.close()


async def test_an_award_is_given_once_with_its_evidence(
    database: Database, clock: Clock, bus: Bus, badges: BadgeSystem, ada: User
) -> None:
    await publish(database, finished(ada, clock, "one"))
    await bus.drain()
    first = await badges.earned(ada.id)
    clock.move(days=1)
    await publish(database, finished(ada, clock, "two"), finished(ada, clock, "one"))
    await asyncio.gather(badges.award_due(), badges.award_due(), bus.drain())
    await bus.replay("learner-stats")

    again = await badges.earned(ada.id)

    assert [(one.badge.id, one.evidence) for one in first] == [("first-challenge", {"challengesPassed": 1})]
    assert again == first
    assert await _count(database, "analytics.badge-awarded") == 1


async def test_speed_and_power_hour_count_first_passes_alone(
    database: Database, clock: Clock, bus: Bus, badges: BadgeSystem, ada: User
) -> None:
    await publish(
        database, finished(ada, clock, "helped", seconds=20, aided=True), finished(ada, clock, "slow", seconds=500),
        finished(ada, clock, "slow", seconds=20, known=True), *(finished(ada, clock, "same") for _ in range(12)),
    )  # fmt: skip
    await bus.drain()
    before = {one.badge.id for one in await badges.earned(ada.id)}
    await publish(database, *(finished(ada, clock, f"c{n}", seconds=119) for n in range(7)))
    await bus.drain()

    after = {one.badge.id for one in await badges.earned(ada.id)}

    assert before == {"first-challenge"}
    assert after == {"first-challenge", "speed-demon", "power-hour", "quality-focus"}


async def test_what_was_known_already_earns_no_quality_and_no_language(
    database: Database, clock: Clock, bus: Bus, badges: BadgeSystem, ada: User
) -> None:
    languages = ("python", "javascript", "go", "rust", "ruby")
    await publish(
        database, *(finished(ada, clock, f"c{n}", score=83, aided=True) for n in range(5)),
        *(finished(ada, clock, f"c{n}", score=100, known=True, language=languages[n]) for n in range(5)),
    )  # fmt: skip
    await bus.drain()
    before = {one.badge.id for one in await badges.earned(ada.id)}
    await publish(
        database, *(finished(ada, clock, f"d{n}", score=100, language=languages[n]) for n in range(5)),
    )  # fmt: skip
    await bus.drain()

    assert before == {"first-challenge"}
    assert {one.badge.id for one in await badges.earned(ada.id)} >= {"quality-focus", "language-polyglot"}


async def test_a_badge_of_the_clock_waits_until_the_clock_is_known(
    database: Database, clock: Clock, bus: Bus, badges: BadgeSystem, accounts: AccountService, ada: User
) -> None:
    clock.move(hours=13)  # 22:00 UTC, which is 14:00 in Los Angeles
    await publish(database, finished(ada, clock, "one"))
    await bus.drain()
    before = {one.badge.id for one in await badges.earned(ada.id)}
    await accounts.prefer(ada.id, seen_timezone="America/Los_Angeles")
    await bus.drain()
    await publish(database, finished(ada, clock, "two"))
    await bus.drain()
    afternoon = {one.badge.id for one in await badges.earned(ada.id)}
    await accounts.prefer(ada.id, seen_timezone="UTC")
    await publish(database, finished(ada, clock, "three"))
    await bus.drain()

    assert before == afternoon == {"first-challenge"}
    assert {one.badge.id for one in await badges.earned(ada.id)} == {"first-challenge", "night-owl"}


async def test_days_and_hours_stay_as_they_were_lived_when_the_zone_changes(
    database: Database, clock: Clock, bus: Bus, badges: BadgeSystem, accounts: AccountService, ada: User
) -> None:
    reports = ReportService(database=database, clock=clock)
    await accounts.prefer(ada.id, seen_timezone="Europe/Berlin")
    for number, hours in enumerate((0, 37, 11)):  # Monday at 10:00, Tuesday at 23:00, Wednesday at 10:00 in Berlin
        clock.move(hours=hours)
        await publish(database, submitted(ada, clock), finished(ada, clock, f"c{number}", seconds=300))
    await bus.drain()
    at_home = await reports.report(ada.id)

    await accounts.prefer(ada.id, timezone="Australia/Sydney")
    await bus.drain()

    abroad = await reports.report(ada.id)
    assert (at_home.streak.current, abroad.streak.current) == (3, 3)
    assert abroad.streak.frozen == ()
    assert abroad.hours == at_home.hours
    await bus.replay("learner-stats")
    assert await reports.report(ada.id) == abroad


async def test_the_gap_counts_tries_without_help_as_such_also_where_the_solution_was_shown_then(
    database: Database, clock: Clock, bus: Bus, ada: User
) -> None:
    lost = {"solved": False, "ending": "revealed", "attempts": 2, "score": 0}
    await publish(
        database, *(finished(ada, clock, f"a{n}", **lost) for n in range(3)), finished(ada, clock, "b"),
        finished(ada, clock, "c", aided=True), finished(ada, clock, "d", **lost | {"attempts": 0}),
    )  # fmt: skip
    await bus.drain()

    report = await ReportService(database=database, clock=clock).report(ada.id)

    assert ((report.alone.solved, report.alone.ended), (report.aided.solved, report.aided.ended)) == ((1, 4), (1, 2))


async def test_a_clock_that_is_set_back_makes_nobody_quick(
    database: Database, clock: Clock, bus: Bus, badges: BadgeSystem, ada: User
) -> None:
    await publish(database, finished(ada, clock, "one", seconds=-3600))
    await bus.drain()

    assert {one.badge.id for one in await badges.earned(ada.id)} == {"first-challenge"}


async def test_a_badge_that_is_retired_stays_with_whoever_has_it(
    database: Database, clock: Clock, bus: Bus, badges: BadgeSystem, ada: User
) -> None:
    custom = await badges.add(title="Mine", description="One pass", rule="challengesPassed >= 1", actor=ada.id)
    await publish(database, finished(ada, clock, "one"))
    await bus.drain()

    await badges.retire(custom.id, actor=ada.id)

    assert custom.id in {one.badge.id for one in await badges.progress(ada.id) if one.earned}


async def test_leaving_the_ranking_names_no_time_zone(
    database: Database, clock: Clock, bus: Bus, badges: BadgeSystem, accounts: AccountService, ada: User
) -> None:
    clock.move(hours=13)  # 22:00 UTC
    await accounts.prefer(ada.id, ranked=False)

    await publish(database, finished(ada, clock, "one"))
    await bus.drain()

    assert {one.badge.id for one in await badges.earned(ada.id)} == {"first-challenge"}


async def test_mastery_opens_to_every_outcome_a_page_at_a_time(
    database: Database, clock: Clock, ada: User, eve: User
) -> None:
    reports = ReportService(database=database, clock=clock)
    await publish(database, *(mastered(ada, clock, n) for n in range(5)), mastered(eve, clock, 50))

    newest, older = await reports.changes(ada.id, "sql", limit=3)
    rest, none = await reports.changes(ada.id, "sql", before=newest[-1].id, limit=3)

    assert ([one.after for one in newest], older) == ([4, 3, 2], 2)
    assert ([one.after for one in rest], none) == ([1, 0], 0)
    with pytest.raises(InvalidInput, match="cursor"):
        await reports.changes(eve.id, "sql", before=newest[-1].id, limit=3)


async def test_a_revoked_badge_stays_revoked_and_in_the_record(
    database: Database, clock: Clock, bus: Bus, badges: BadgeSystem, ada: User, eve: User
) -> None:
    await publish(database, finished(eve, clock, "one"))
    await bus.drain()

    await badges.revoke(eve.id, "first-challenge", why="copied", actor=ada.id)
    await publish(database, finished(eve, clock, "two"))
    await bus.drain()

    assert [(one.badge.id, one.revoked_why) for one in await badges.earned(eve.id)] == [("first-challenge", "copied")]
    assert await badges.fresh(eve.id, since=clock() - timedelta(days=1)) == []
    with pytest.raises(Conflict):
        await badges.revoke(eve.id, "first-challenge", why="again", actor=ada.id)
    with pytest.raises(NotFound):
        await badges.revoke(eve.id, "code-master", why="never had it", actor=ada.id)
    with pytest.raises(InvalidInput):
        await badges.revoke(eve.id, "first-challenge", why=" ", actor=ada.id)


async def test_a_badge_of_ones_own_is_previewed_awarded_and_retired(
    database: Database, clock: Clock, bus: Bus, badges: BadgeSystem, ada: User, eve: User
) -> None:
    await publish(database, finished(eve, clock, "one"), mastered(eve, clock, 80), mastered(ada, clock, 10))
    await bus.drain()
    rule = "conceptsMastered >= 1"

    reached = await badges.preview(rule)
    nothing_yet = [one.badge.title for one in await badges.earned(eve.id)]
    own = await badges.add(title="Master", description="Master one concept", rule=rule, actor=ada.id)
    await bus.drain()
    await badges.retire(own.id, actor=ada.id)
    await publish(database, mastered(ada, clock, 90))
    await bus.drain()

    assert reached == [("eve", {"conceptsMastered": 1})]
    assert nothing_yet == ["First steps"]
    assert {one.badge.title for one in await badges.earned(eve.id)} == {"First steps", "Master"}
    assert await badges.earned(ada.id) == []
    with pytest.raises(NotFound):
        await badges.retire(own.id, actor=ada.id)


async def test_a_ranking_begins_with_five_and_leaves_out_who_wants_so(
    database: Database, clock: Clock, bus: Bus, ranking: RankingService, accounts: AccountService
) -> None:
    users = await people(accounts, 6)
    await publish(database, *(mastered(user, clock, 10 * n) for n, user in enumerate(users[:4])))
    await bus.drain()
    four = await ranking.ranking()
    ranking.forget()
    await publish(database, mastered(users[4], clock, 30), mastered(users[5], clock, 99))
    await accounts.prefer(users[5].id, ranked=False)
    await bus.drain()

    five = await ranking.ranking()

    assert (four.n, four.places, four.percentile_of(users[0].id)) == (4, (), None)
    assert [(place.rank, place.name, place.points) for place in five.places] == [
        (1, "learner3", 30), (1, "learner4", 30), (3, "learner2", 20), (4, "learner1", 10), (5, "learner0", 0),
    ]  # fmt: skip
    assert [five.percentile_of(user.id) for user in users] == [0, 25, 50, 75, 75, None]


async def test_who_leaves_the_ranking_is_gone_at_once_in_every_process(
    database: Database, clock: Clock, bus: Bus, ranking: RankingService, accounts: AccountService
) -> None:
    users = await people(accounts, 6)
    await publish(database, *(mastered(user, clock, 10 * n) for n, user in enumerate(users)))
    await bus.drain()
    before = await ranking.ranking()

    await accounts.prefer(users[5].id, ranked=False)

    after = await ranking.ranking()
    assert (before.n, before.places[0].name) == (6, "learner5")
    assert (after.n, after.places[0].name) == (5, "learner4")


async def test_solved_alone_is_ranked_within_a_period(
    database: Database, clock: Clock, bus: Bus, ranking: RankingService, accounts: AccountService
) -> None:
    users = await people(accounts, 5)
    await publish(database, *(finished(user, clock, "old") for user in users))
    clock.move(days=20)
    await publish(database, finished(users[0], clock, "new"), finished(users[1], clock, "new", aided=True))
    await bus.drain()

    week = {place.name: place.points for place in (await ranking.ranking(by="solved", period="week")).places}
    month = {place.name: place.points for place in (await ranking.ranking(by="solved", period="month")).places}

    assert (week["learner0"], week["learner1"], week["learner2"]) == (1, 0, 0)
    assert (month["learner0"], month["learner1"]) == (2, 1)


async def test_figures_of_everybody_need_five(
    database: Database, clock: Clock, bus: Bus, ranking: RankingService, accounts: AccountService
) -> None:
    users = await people(accounts, 5)
    await publish(database, *(finished(user, clock, "one") for user in users[:4]))
    await bus.drain()
    too_few = (await ranking.everybody(), await ranking.trends(days=30, each="weekly"))
    ranking.forget()
    await publish(database, finished(users[4], clock, "one"), mastered(users[4], clock, 50))
    await bus.drain()

    everybody = await ranking.everybody()
    trends = await ranking.trends(days=30, each="weekly")

    assert too_few == (None, None)
    assert everybody is not None
    assert (everybody.learners, everybody.challenges_passed, everybody.average_mastery) == (5, 5, 10)
    assert [(row["from"], row["learners"]) for row in trends or []] == [("2026-03-02", 5)]


async def test_practice_elsewhere_is_engagement_and_counts_once(
    database: Database, clock: Clock, bus: Bus, badges: BadgeSystem, ada: User
) -> None:
    first = await badges.log(ada.id, activity="lecture", minutes=90, key="monday")
    second = await badges.log(ada.id, activity="lecture", minutes=90, key="monday")
    await bus.drain()

    report = await ReportService(database=database, clock=clock).report(ada.id)

    assert (first, second, report.minutes, report.streak.current, report.is_empty) == (True, False, 90, 0, True)


async def test_a_time_zone_of_the_browser_counts_until_one_is_chosen(accounts: AccountService, ada: User) -> None:
    seen = await accounts.prefer(ada.id, seen_timezone="Europe/Berlin")
    chosen = await accounts.prefer(ada.id, timezone="Asia/Tokyo")
    seen_again = await accounts.prefer(ada.id, seen_timezone="Europe/Berlin")
    taken_back = await accounts.prefer(ada.id, timezone="auto", seen_timezone="Europe/Berlin")

    assert [p.timezone for p in (seen, chosen, seen_again)] == ["Europe/Berlin", "Asia/Tokyo", "Asia/Tokyo"]
    assert (taken_back.timezone_source, (await accounts.prefer(ada.id, seen_timezone="UTC")).timezone) == (
        "seen",
        "UTC",
    )
    for nonsense in ("Mars/Base", "", "../../etc/passwd", "x" * 500, "Europe/Berlin\x00"):
        with pytest.raises(InvalidInput, match="not a time zone"):
            await accounts.prefer(ada.id, timezone=nonsense)


async def _count(database: Database, event_type: str) -> int:
    async with database.read() as connection:
        return int(
            await connection.scalar(sa.select(sa.func.count()).select_from(events).where(events.c.type == event_type))
            or 0
        )


@pytest.mark.parametrize(
    ("each", "start"),
    [("daily", datetime(2026, 3, 4, tzinfo=UTC)), ("weekly", datetime(2026, 3, 9, tzinfo=UTC)),
     ("monthly", datetime(2026, 4, 1, tzinfo=UTC))],
)  # fmt: skip
def test_trends_begin_with_a_whole_stretch(each: Each, start: datetime) -> None:
    assert first_whole(datetime(2026, 3, 3, 9, tzinfo=UTC), each) == start
