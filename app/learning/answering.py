"""What the answers of a training session do to skill and card: each concept is rated once a sitting, by its share of
right answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.learning import mastery, progress, scheduler
from app.learning.curriculum import Curriculum
from app.learning.started import REMEMBERED_FOR
from app.storage.database import Database
from app.storage.tables.learning import training_answers, training_sessions

QUESTION_RATING = 1100.0  # of a choice among four, on the scale of challenges
GOOD_SHARE, HARD_SHARE = 0.8, 0.6


@dataclass(frozen=True, kw_only=True)
class Answered:
    """``known``: the learner had been shown the right answer before, lately."""

    correct: bool
    known: bool


async def rate(
    connection: AsyncConnection, database: Database, curriculum: Curriculum, *, user_id: str, session_id: str,
    now: datetime, is_late: bool = False,
) -> list[progress.Change]:  # fmt: skip
    """Rate the answers of a session that were not rated yet, in the caller's transaction, which holds the learner's
    lock. ``is_late``: they were given in a sitting that is long over."""
    changes = []
    for concept, answers in (await _unrated(connection, curriculum, user_id, session_id, now=now)).items():
        right, share = _share(answers)
        fresh = [answer for answer in answers if not answer.known]
        outcome = progress.Outcome(
            concept=concept, card=concept, result=_share(fresh)[1] if fresh else None, grade=_grade(share),
            why=_why(right, len(answers), known=len(answers) - len(fresh)), source=session_id, is_late=is_late,
        )  # fmt: skip
        changes.append(
            await progress.record(
                connection, database, user_id=user_id, outcome=outcome,
                opponent=mastery.of_rating(QUESTION_RATING), now=now,
            )
        )  # fmt: skip
    await connection.execute(
        training_answers.update()
        .where(training_answers.c.session_id == session_id, training_answers.c.rated_at.is_(None))
        .values(rated_at=now)
    )
    return changes


async def _unrated(
    connection: AsyncConnection, curriculum: Curriculum, user_id: str, session_id: str, *, now: datetime
) -> dict[str, list[Answered]]:
    """By concept, in the order in which the concepts first came."""
    before = training_answers.alias()
    shown_before = (
        sa.select(before.c.question_id)
        .join(training_sessions, training_sessions.c.id == before.c.session_id)
        .where(
            training_sessions.c.user_id == user_id, before.c.session_id != session_id,
            before.c.created_at > now - REMEMBERED_FOR, before.c.created_at <= training_answers.c.created_at,
            before.c.question_id == training_answers.c.question_id,
        )
        .exists()
    )  # fmt: skip
    query = (
        sa.select(training_answers.c.question_id, training_answers.c.correct, shown_before.label("known"))
        .where(training_answers.c.session_id == session_id, training_answers.c.rated_at.is_(None))
        .order_by(training_answers.c.created_at)
    )
    found: dict[str, list[Answered]] = {}
    for row in await connection.execute(query):
        if (asked := curriculum.question(row.question_id)) is not None:
            found.setdefault(asked[0], []).append(Answered(correct=row.correct, known=row.known))
    return found


def _grade(share: float) -> scheduler.Grade:
    return "good" if share >= GOOD_SHARE else "hard" if share >= HARD_SHARE else "again"


def _share(answers: Sequence[Answered]) -> tuple[int, float]:
    right = sum(answer.correct for answer in answers)
    return right, right / len(answers)


def _why(right: int, asked: int, *, known: int) -> str:
    said = f"{right} of {asked} questions right"
    if not known:
        return said
    return f"{said}; {'all' if known == asked else known} known already, which moves no mastery"
