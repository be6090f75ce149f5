"""Numbers about a learner, each a pure function of the facts: what badges and their rules are made of."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from app.analytics.facts import Facts, Slot, today
from app.analytics.projections import SLOT_MINUTES
from app.analytics.streaks import Streak, streak_of

FAST_SECONDS = 120
HIGH_SCORE = 90
MASTERED = 70
HOUR = timedelta(hours=1)
MINUTES_OF_A_DAY = 24 * 60
WINDOW_DAYS = 28
ACTIVE_DAYS_GOAL, MINUTES_GOAL, GOOD_WEEK_DAYS = 20, 600, 3
FREQUENCY_POINTS, CONSISTENCY_POINTS, DURATION_POINTS = 40, 30, 30


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number: what it counts, in words, and how it is found."""

    description: str
    of: Callable[[Facts, datetime], float]


def practice_streak(facts: Facts, now: datetime) -> Streak:
    """Days with a submission or an answer."""
    return streak_of((slot.day for slot in facts.slots if slot.is_practice), today(facts, now))


def _challenge_streak(facts: Facts, now: datetime) -> Streak:
    return streak_of((slot.day for slot in facts.slots if slot.passed), today(facts, now))


def _training_streak(facts: Facts, now: datetime) -> Streak:
    return streak_of((slot.day for slot in facts.slots if slot.answered), today(facts, now))


def best_hour(facts: Facts) -> int:
    """The most first passes within any sixty minutes (of UTC: a clock that is set back makes no hour longer)."""
    best = first = 0
    for last, passed in enumerate(facts.passes):
        while passed.at.astimezone(UTC) - facts.passes[first].at.astimezone(UTC) > HOUR:
            first += 1
        best = max(best, last - first + 1)
    return best


def minutes_practised(facts: Facts) -> int:
    """Quarters of an hour with practice, and the minutes that were logged from elsewhere."""
    return _minutes(facts.slots)


def _minutes(slots: Iterable[Slot]) -> int:
    """No day has more than 24 hours, whatever was logged for it."""
    by_day: Counter[date] = Counter()
    for slot in slots:
        by_day[slot.day] += SLOT_MINUTES * slot.is_practice + slot.logged_minutes
    return sum(min(MINUTES_OF_A_DAY, minutes) for minutes in by_day.values())


def average_score(facts: Facts) -> float:
    submitted = sum(slot.submitted for slot in facts.slots)
    return sum(slot.score_sum for slot in facts.slots) / submitted if submitted else 0.0


METRICS: Mapping[str, Metric] = {
    "challengesPassed": Metric(description="different challenges passed", of=lambda f, _: len(f.passes)),
    "solvedAlone": Metric(
        description="challenges passed without help, never seen before", of=lambda f, _: sum(p.alone for p in f.passes)
    ),
    "fastPasses": Metric(
        description="challenges passed alone in under 2 minutes, at their first pass",
        of=lambda f, _: sum(p.alone and p.seconds < FAST_SECONDS for p in f.passes),
    ),
    "highScores": Metric(
        description="challenges with a best score of 90 or more",
        of=lambda f, _: sum(p.score >= HIGH_SCORE for p in f.passes)
    ),
    "bestHour": Metric(description="first passes within one hour, at best", of=lambda f, _: best_hour(f)),
    "nightPasses": Metric(
        description="first passes between 20:00 and 06:00",
        of=lambda f, _: sum(p.clock_known and (p.at.hour >= 20 or p.at.hour < 6) for p in f.passes),
    ),
    "earlyPasses": Metric(
        description="first passes before 08:00",
        of=lambda f, _: sum(p.clock_known and p.at.hour < 8 for p in f.passes),
    ),
    "languages": Metric(description="languages passed in", of=lambda f, _: len(f.languages)),
    "providers": Metric(description="model providers that answered", of=lambda f, _: len(f.providers)),
    "challengeStreak": Metric(
        description="days in a row with a challenge passed, at best",
        of=lambda f, now: _challenge_streak(f, now).longest
    ),
    "trainingStreak": Metric(
        description="days in a row with training, at best", of=lambda f, now: _training_streak(f, now).longest
    ),
    "currentStreak": Metric(
        description="days in a row with practice, now", of=lambda f, now: practice_streak(f, now).current
    ),
    "activeDays": Metric(
        description="days with practice", of=lambda f, _: len({slot.day for slot in f.slots if slot.is_practice})
    ),
    "minutes": Metric(description="minutes of practice", of=lambda f, _: minutes_practised(f)),
    "averageScore": Metric(description="average score of all submissions, 0 to 100", of=lambda f, _: average_score(f)),
    "questionsAnswered": Metric(
        description="training questions answered", of=lambda f, _: sum(s.answered for s in f.slots)
    ),
    "questionsRight": Metric(description="training questions right", of=lambda f, _: sum(s.correct for s in f.slots)),
    "trainingSessions": Metric(description="training sessions ended", of=lambda f, _: sum(s.sessions for s in f.slots)),
    "conceptsTried": Metric(description="concepts practised", of=lambda f, _: len(f.concepts)),
    "conceptsMastered": Metric(
        description=f"concepts with a mastery of {MASTERED} or more",
        of=lambda f, _: sum(c.mastery >= MASTERED for c in f.concepts),
    ),
    "totalMastery": Metric(
        description="mastery of all concepts together", of=lambda f, _: sum(c.mastery for c in f.concepts)
    ),
}  # fmt: skip


def metrics_of(facts: Facts, now: datetime) -> dict[str, float]:
    """Every metric of a learner, by name."""
    return {name: metric.of(facts, now) for name, metric in METRICS.items()}


@dataclass(frozen=True, kw_only=True)
class Engagement:
    """From 0 to 100, and the parts it is made of."""

    score: int
    active_days: int
    good_weeks: int
    minutes: int


def engagement_of(facts: Facts, now: datetime) -> Engagement:
    """How steadily somebody practised in the last 28 days: 40 points for frequency (20 days with practice are full
    marks), 30 for consistency (weeks with at least 3 such days), 30 for duration (10 hours).

    It says nothing about skill, and is never mixed with mastery.
    """
    end = today(facts, now)
    recent = [slot for slot in facts.slots if 0 <= (end - slot.day).days < WINDOW_DAYS]
    days = {slot.day for slot in recent if slot.is_practice}
    weeks = [sum((end - day).days // 7 == week for day in days) for week in range(WINDOW_DAYS // 7)]
    good_weeks = sum(count >= GOOD_WEEK_DAYS for count in weeks)
    minutes = _minutes(recent)
    score = (
        FREQUENCY_POINTS * min(1.0, len(days) / ACTIVE_DAYS_GOAL)
        + CONSISTENCY_POINTS * good_weeks / len(weeks)
        + DURATION_POINTS * min(1.0, minutes / MINUTES_GOAL)
    )
    return Engagement(score=round(score), active_days=len(days), good_weeks=good_weeks, minutes=minutes)
