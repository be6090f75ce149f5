"""Streaks, metrics and the rules of badges: pure functions of what is known."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.analytics import rules
from app.analytics.badges import BADGES
from app.analytics.facts import ConceptRow, Facts, Pass, Slot
from app.analytics.metrics import METRICS, best_hour, engagement_of, metrics_of
from app.analytics.reports import report_of
from app.analytics.streaks import streak_of
from app.errors import InvalidInput

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TODAY = NOW.date()
NOBODY = Facts(zone=ZoneInfo("UTC"), slots=(), passes=(), concepts=(), languages=(), providers=())


def days(*back: int) -> list[date]:
    return [TODAY - timedelta(days=n) for n in back]


def slot(at: datetime, **counts: int) -> Slot:
    names = ("submitted", "passed", "answered", "correct", "hints", "score_sum", "ended_alone", "solved_alone",
             "sessions", "logged_minutes")  # fmt: skip
    return Slot(at=at, **{name: counts.get(name, 0) for name in names})


def passed(number: int, at: datetime, *, seconds: int = 300, score: int = 80, alone: bool = True) -> Pass:
    return Pass(challenge_id=f"c{number}", at=at, clock_known=True, seconds=seconds, score=score, alone=alone)


@pytest.mark.parametrize(
    ("practised", "current", "longest", "frozen", "left"),
    [
        pytest.param([], 0, 0, [], 2, id="nothing yet"),
        pytest.param([0], 1, 1, [], 2, id="today"),
        pytest.param([1], 1, 1, [], 2, id="yesterday: today may still come"),
        pytest.param([1, 2, 3], 3, 3, [], 2, id="in a row"),
        pytest.param([0, 2], 2, 2, [1], 1, id="one day missed in this month"),
        pytest.param([0, 3], 2, 2, [2, 1], 1, id="two days missed, one in each month"),
        pytest.param([0, 4], 2, 2, [3, 2, 1], 1, id="three missed: two of February, one of March"),
        pytest.param([0, 5, 6], 1, 2, [], 2, id="three missed in February are too many, and none is spent"),
        pytest.param([3, 4, 5], 3, 3, [2, 1], 1, id="bridged until now"),
        pytest.param([6, 7], 0, 2, [], 2, id="ended"),
        pytest.param([0, -1, -400], 1, 1, [], 2, id="days to come do not count"),
    ],
)
def test_a_streak_has_two_freezes_a_month(
    practised: list[int], current: int, longest: int, frozen: list[int], left: int
) -> None:
    found = streak_of(days(*practised), TODAY)

    assert (found.current, found.longest, list(found.frozen), found.freezes_left) == (
        current, longest, days(*frozen), left,
    )  # fmt: skip


def test_the_same_moments_are_counted_once_in_any_time_zone() -> None:
    moments = [datetime(2026, 3, 1, 6, tzinfo=UTC), datetime(2026, 3, 1, 7, tzinfo=UTC)]
    honolulu, tokyo = ZoneInfo("Pacific/Honolulu"), ZoneInfo("Asia/Tokyo")

    def streak_in(zone: ZoneInfo) -> int:
        slots = tuple(slot(moment.astimezone(zone), submitted=1) for moment in moments)
        return report_of(replace(NOBODY, zone=zone, slots=slots), NOW).streak.current

    assert (streak_in(honolulu), streak_in(tokyo)) == (1, 1)


def test_months_are_twelve_by_ones_own_calendar() -> None:
    moments = [datetime(2025, 3, 31, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC), datetime(2026, 2, 28, tzinfo=UTC)]
    slots = tuple(slot(moment, submitted=2, passed=1, score_sum=150) for moment in [*moments, NOW])

    months = report_of(replace(NOBODY, slots=slots), NOW).months

    assert [(one.start.isoformat(), one.tried, one.right, one.average_score) for one in months if one.tried] == [
        ("2025-04-01", 2, 1, 75), ("2026-02-01", 2, 1, 75), ("2026-03-01", 2, 1, 75),
    ]  # fmt: skip
    assert [one.start.month for one in months] == [4, 5, 6, 7, 8, 9, 10, 11, 12, 1, 2, 3]


def test_every_metric_of_nobody_is_nothing() -> None:
    assert set(metrics_of(NOBODY, NOW).values()) == {0}
    assert metrics_of(NOBODY, NOW).keys() == METRICS.keys()


def test_metrics_count_first_passes_by_the_learners_clock() -> None:
    night, early, noon = (datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (22, 7, 12))
    facts = replace(
        NOBODY,
        passes=(
            passed(1, early, seconds=119), passed(2, noon, seconds=60, alone=False), passed(3, night, score=95),
            passed(4, night, seconds=120, score=90),
        ),
        concepts=(ConceptRow(concept="sql", tried=4, succeeded=4, best_score=95, alone_ended=3, alone_solved=3,
                             aided_ended=1, aided_solved=1, mastery=71),),
        languages=("python", "sql"),
    )  # fmt: skip

    found = metrics_of(facts, NOW)

    assert {name: found[name] for name in ("challengesPassed", "solvedAlone", "fastPasses", "highScores")} == {
        "challengesPassed": 4, "solvedAlone": 3, "fastPasses": 1, "highScores": 2,
    }  # fmt: skip
    assert (found["nightPasses"], found["earlyPasses"], found["bestHour"]) == (2, 1, 2)
    assert (found["languages"], found["conceptsMastered"], found["totalMastery"]) == (2, 1, 71)


@pytest.mark.parametrize(
    ("minutes", "best"),
    [([], 0), ([0], 1), ([0, 59, 60], 3), ([0, 61], 1), ([0, 30, 61, 62, 63], 4)],
)
def test_the_best_hour_is_any_sixty_minutes(minutes: list[int], best: int) -> None:
    passes = tuple(passed(n, NOW + timedelta(minutes=minute)) for n, minute in enumerate(minutes))

    assert best_hour(replace(NOBODY, passes=passes)) == best


def test_an_hour_is_no_longer_where_the_clock_is_set_back() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    moments = [datetime(2025, 10, 26, 0, 5, tzinfo=UTC), datetime(2025, 10, 26, 1, 55, tzinfo=UTC)]
    passes = tuple(passed(n, moment.astimezone(berlin)) for n, moment in enumerate(moments))

    assert best_hour(replace(NOBODY, passes=passes)) == 1


def test_a_day_has_24_hours_whatever_was_logged() -> None:
    slots = tuple(slot(NOW - timedelta(minutes=15 * n), logged_minutes=600) for n in range(20))

    assert metrics_of(replace(NOBODY, slots=slots), NOW)["minutes"] == 24 * 60


def test_engagement_is_full_after_four_steady_weeks_and_nothing_before() -> None:
    steady = tuple(
        slot(NOW - timedelta(days=day, minutes=15 * quarter), submitted=1)
        for day in range(28)
        for quarter in range(2)
        if day % 7 < 5
    )

    assert engagement_of(NOBODY, NOW).score == 0
    assert engagement_of(replace(NOBODY, slots=steady), NOW).score == 100


def test_each_of_our_badges_is_one_that_can_be_earned_and_is_not_earned_by_nobody() -> None:
    values = metrics_of(NOBODY, NOW)

    assert len({badge.id for badge in BADGES}) == 12
    assert not [badge.id for badge in BADGES if badge.rule.holds(values)]
    assert all(badge.rule.holds(dict.fromkeys(METRICS, 1000.0)) for badge in BADGES)


@pytest.mark.parametrize(
    ("rule", "holds", "progress"),
    [
        ("challengesPassed >= 10", False, 0.5),
        ("challengesPassed >= 5 and averageScore >= 80", True, 1.0),
        ("challengesPassed >= 10 and averageScore >= 100", False, 0.5),
        ("challengesPassed >= 10 or averageScore >= 100", False, 0.8),
        ("not challengesPassed > 5", True, 1.0),
        ("challengesPassed == 5 and (languages < 1 or providers <= 0)", True, 1.0),
        ("languages < 1", True, 1.0),
        ("challengesPassed < 5", False, 0.0),
    ],
)
def test_a_rule_holds_and_shows_how_near_one_is(rule: str, holds: bool, progress: float) -> None:
    values = dict.fromkeys(METRICS, 0.0) | {"challengesPassed": 5, "averageScore": 80}

    checked = rules.parse(rule)

    assert (checked.holds(values), checked.progress(values)) == (holds, progress)


@pytest.mark.parametrize(
    "rule",
    [
        "", "   ", "challengesPassed", "1 >= 2", "challengesPassed >= 'x'", "challengesPassed >= True", "x >= 1",
        "challengesPassed >= -1", "challengesPassed >= 1e9", "challengesPassed in (1, 2)", "1 < challengesPassed < 3",
        "__import__('os').system('id')", "challengesPassed.real >= 1", "challengesPassed >= 1; languages >= 1",
        "(lambda: 1)() >= 1", "challengesPassed >= languages", "challengesPassed >= 1 if 1 else 2", "[x for x in ()]",
        "challengesPassed >= 9**9", "(" * 140 + "1" + ")" * 140, "not " * 70 + "x", "ａ >= 1", "challengesPassed != 1",
        "challengesPassed >= 1 " * 20, "\x00", "challengesPassed >= 1\nlanguages >= 1", "f'{1}' >= 1",
    ],
)  # fmt: skip
def test_a_rule_that_is_none_gets_a_sentence(rule: str) -> None:
    with pytest.raises(InvalidInput, match="For example: challengesPassed >= 10"):
        rules.parse(rule)
