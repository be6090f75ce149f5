"""A learner's report: numbers and a chart of what really happened, read from the projections alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from app.storage.database import Database
from app.storage.tables.events import learner_concepts, learner_days

CHART_DAYS = 14


@dataclass(frozen=True, kw_only=True)
class Day:
    day: str
    submitted: int
    passed: int
    answered: int
    correct: int


@dataclass(frozen=True, kw_only=True)
class ConceptRow:
    concept: str
    tried: int
    succeeded: int
    best_score: int
    mastery: int


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
    """``days`` are the last 14, oldest first, without gaps; ``streak`` counts days in a row up to now."""

    submitted: int
    passed: int
    answered: int
    correct: int
    hints: int
    average_score: int | None
    streak: int
    days: tuple[Day, ...]
    concepts: tuple[ConceptRow, ...]
    alone: Ended
    aided: Ended

    @property
    def is_empty(self) -> bool:
        return self.submitted == 0 and self.answered == 0


class ReportService:
    def __init__(self, *, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def report(self, user_id: str) -> Report:
        async with self._database.read() as connection:
            day_rows = list(await connection.execute(sa.select(learner_days).where(learner_days.c.user_id == user_id)))
            concept_rows = list(
                await connection.execute(
                    sa.select(learner_concepts)
                    .where(learner_concepts.c.user_id == user_id)
                    .order_by(learner_concepts.c.mastery.desc(), learner_concepts.c.concept)
                )
            )
        by_day = {row.day: row for row in day_rows}
        today = self._clock().date()
        submitted = sum(row.submitted for row in day_rows)
        return Report(
            submitted=submitted,
            passed=sum(row.passed for row in day_rows),
            answered=sum(row.answered for row in day_rows),
            correct=sum(row.correct for row in day_rows),
            hints=sum(row.hints for row in day_rows),
            average_score=round(sum(row.score_sum for row in day_rows) / submitted) if submitted else None,
            streak=streak([row.day for row in day_rows if row.submitted or row.answered], today),
            days=tuple(_day(by_day, today - timedelta(days=back)) for back in range(CHART_DAYS - 1, -1, -1)),
            alone=Ended(
                ended=sum(row.alone_ended for row in concept_rows), solved=sum(row.alone_solved for row in concept_rows)
            ),
            aided=Ended(
                ended=sum(row.aided_ended for row in concept_rows), solved=sum(row.aided_solved for row in concept_rows)
            ),
            concepts=tuple(
                ConceptRow(
                    concept=row.concept, tried=row.tried, succeeded=row.succeeded, best_score=row.best_score,
                    mastery=row.mastery,
                )
                for row in concept_rows
            ),
        )  # fmt: skip


def streak(days: Sequence[str], today: date) -> int:
    """Days in a row with practice, ending today or, when today has none yet, yesterday."""
    practised = {date.fromisoformat(day) for day in days}
    day = today if today in practised else today - timedelta(days=1)
    length = 0
    while day in practised:
        length += 1
        day -= timedelta(days=1)
    return length


def _day(rows: dict[str, sa.Row[tuple[object, ...]]], day: date) -> Day:
    row = rows.get(day.isoformat())
    if row is None:
        return Day(day=day.isoformat(), submitted=0, passed=0, answered=0, correct=0)
    fields = row._mapping
    return Day(
        day=fields["day"], submitted=fields["submitted"], passed=fields["passed"], answered=fields["answered"],
        correct=fields["correct"],
    )  # fmt: skip
