"""How a sitting with a challenge ends: what it does to skill and card, and whether an unaided check follows."""

from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.learning import mastery, progress, scheduler, started
from app.learning.challenge_files import AnswerChallenge, Challenge
from app.learning.mastery import Skill
from app.learning.started import Started
from app.storage.database import Database
from app.storage.tables.learning import reviews, started_challenges, unaided_checks

End = Literal["solved", "failed", "revealed", "given up"]
RESULT_BY_ATTEMPT = (1.0, 0.75)  # solved at the first and second attempt; later ones count half
LATE_RESULT = 0.5
KNOWN_FOR = timedelta(days=14)  # what was solved alone before that may be shown again: it was not forgotten
_LAST_SEEN_AT = sa.func.coalesce(
    started_challenges.c.ended_at, started_challenges.c.started_at, type_=started_challenges.c.started_at.type
)
CHECK_AFTER = timedelta(minutes=20)  # later in the session, or whenever the learner comes next


async def finish(
    connection: AsyncConnection, database: Database, *, user_id: str, started_one: Started, ending: End, score: int,
    now: datetime, is_late: bool = False,
) -> progress.Change:  # fmt: skip
    """Rate a sitting that has just ended, in the caller's transaction.

    The skill moves only by what was done without help: an aided solve leaves it as it was, and the concept is checked
    without help later. The card is rated either way. ``is_late``: it ended some time ago.
    """
    await progress.lock(connection, user_id)
    challenge, solved = started_one.challenge, ending == "solved"
    tries, first_tried_at = await tries_of(connection, user_id, started_one, now)
    seen = await _seen_before(connection, user_id, started_one, now)
    known = seen is not None
    shows_nothing = known or (solved and started_one.is_aided)
    outcome = progress.Outcome(
        concept=challenge.concept, card=started_one.card,
        result=None if shows_nothing else result_of(tries) if solved else 0.0,
        grade=_grade(
            started_one, solved=solved, score=score, tries=tries, seconds=_seconds(first_tried_at, now),
            earlier_successes=await _earlier_successes(connection, user_id, started_one), was_shown=seen == "shown",
        ),
        why=_why(started_one, ending, tries=tries, known=known), source=started_one.id,
        overrides=ending == "revealed" or (started_one.is_check and not solved), is_late=is_late,
    )  # fmt: skip
    change = await _rate_both(connection, database, user_id, challenge, outcome, now)
    await _close_others(connection, user_id, started_one, solved=solved, now=now)
    await _follow_up(
        connection, database, user_id, started_one, shown_nothing=shows_nothing, now=now,
        needs_check=started_one.is_aided or ending == "revealed",
    )  # fmt: skip
    payload = {
        "solved": solved, "aided": started_one.is_aided, "known": known, "check": started_one.is_check,
        "ending": ending, "score": score, "attempts": tries, "hints": started_one.hints_shown,
        "seconds": round(_seconds(first_tried_at, now)), "language": started_one.language.name, "kind": challenge.kind,
    }  # fmt: skip
    await started.note(connection, "challenge.finished", started_one, user_id, now, payload)
    return change


async def _rate_both(
    connection: AsyncConnection, database: Database, user_id: str, challenge: Challenge, outcome: progress.Outcome,
    now: datetime,
) -> progress.Change:  # fmt: skip
    """Rate the learner by the challenge, and the challenge by the learner: each as the other was before."""
    learner = (await progress.skills_of(connection, user_id)).get(challenge.concept, Skill())
    rating = (await progress.ratings_of(connection)).get(challenge.id, mastery.of_rating(challenge.rating))
    change = await progress.record(connection, database, user_id=user_id, outcome=outcome, opponent=rating, now=now)
    if outcome.result is not None:
        await progress.rate_challenge(
            connection, database, challenge.id, rating=rating, learner=learner, result=outcome.result
        )
    return change


def _grade(
    one: Started, *, solved: bool, score: int, tries: int, seconds: float, earlier_successes: int, was_shown: bool
) -> scheduler.Grade:
    return scheduler.grade_of(
        solved=solved, score=score, attempts=tries, any_hint=one.is_aided,
        deep_hint=was_shown or one.hints_shown >= len(one.challenge.hints), quick=seconds <= 60 * one.challenge.minutes,
        earlier_successes=earlier_successes,
    )  # fmt: skip


def _seconds(since: datetime, now: datetime) -> float:
    return (now - since).total_seconds()


def result_of(attempts: int) -> float:
    """What a solve without help at this attempt is worth to the skill, from 0 to 1."""
    return RESULT_BY_ATTEMPT[attempts - 1] if attempts <= len(RESULT_BY_ATTEMPT) else LATE_RESULT


def _why(one: Started, ending: End, *, tries: int, known: bool) -> str:
    attempts = f"{tries} attempt{'s' if tries != 1 else ''}"
    if ending != "solved":
        return f"{ending} after {attempts}" + (", which you know already: mastery stays" if known else "")
    if one.is_aided:
        return "solved with help: mastery moves when you solve one like it alone"
    if known:
        return "you know this one already: mastery moves when you solve another like it"
    return f"solved alone, {attempts}" + (", as a check" if one.is_check else "")


async def _seen_before(
    connection: AsyncConnection, user_id: str, one: Started, now: datetime
) -> Literal["solved", "shown"] | None:
    """Whether the learner solved this challenge lately, or was shown its solution: then it shows nothing new."""
    is_other = started_challenges.c.id != one.id
    known = known_challenges(user_id, now).where(is_other, started_challenges.c.challenge_id == one.challenge.id)
    statuses = set(await connection.scalars(known.with_only_columns(started_challenges.c.status)))
    ends = {"revealed", "failed"} if isinstance(one.challenge, AnswerChallenge) else {"revealed"}
    if statuses & ends:
        return "shown"
    return "solved" if "passed" in statuses else None


def known_challenges(user_id: str, now: datetime) -> sa.Select[tuple[str]]:
    """The ids of the challenges that a learner solved in the last two weeks, or saw a solution of in the last two
    months. (A question that ends failed shows its answer.)"""
    seen, status = started_challenges.c, started_challenges.c.status
    return sa.select(seen.challenge_id).where(
        seen.user_id == user_id,
        sa.or_(
            sa.and_(status == "passed", now - KNOWN_FOR < _LAST_SEEN_AT),
            sa.and_(status.in_(("failed", "revealed")), now - started.REMEMBERED_FOR < _LAST_SEEN_AT),
        ),
    )


async def _close_others(
    connection: AsyncConnection, user_id: str, one: Started, *, solved: bool, now: datetime
) -> None:
    """A sitting with a challenge ends once, though it was begun several times; a training session counts it as solved
    wherever it was."""
    of_session = started_challenges.c.session_id.is_not(None)
    await connection.execute(
        started_challenges.update()
        .where(
            started_challenges.c.user_id == user_id, started_challenges.c.challenge_id == one.challenge.id,
            started_challenges.c.id != one.id, started_challenges.c.status == "open",
        )
        .values(status=sa.case((of_session, "passed" if solved else "skipped"), else_="skipped"), ended_at=now)
    )  # fmt: skip


async def tries_of(connection: AsyncConnection, user_id: str, one: Started, now: datetime) -> tuple[int, datetime]:
    """How often the learner tried this challenge in this sitting, and since when they have it: starting it anew makes
    no first try of a second one, and no quick solve of one that was thought about for long."""
    query = sa.select(sa.func.sum(started_challenges.c.attempts), sa.func.min(started_challenges.c.started_at)).where(
        started_challenges.c.user_id == user_id, started_challenges.c.challenge_id == one.challenge.id,
        started_challenges.c.id != one.id, now - scheduler.SITTING < _LAST_SEEN_AT,
        started_challenges.c.status != "passed",
    )  # fmt: skip
    attempts, first_at = (await connection.execute(query)).one()
    return one.attempts + int(attempts or 0), min(one.started_at, first_at or one.started_at)


async def _earlier_successes(connection: AsyncConnection, user_id: str, one: Started) -> int:
    """Sittings of the concept's cards that were solved before, by the reviews kept of them."""
    query = sa.select(sa.func.count()).where(
        reviews.c.user_id == user_id, reviews.c.card_id == one.card, reviews.c.rating > 1
    )
    return int(await connection.scalar(query) or 0)


async def _follow_up(
    connection: AsyncConnection, database: Database, user_id: str, one: Started, *, needs_check: bool,
    shown_nothing: bool, now: datetime,
) -> None:  # fmt: skip
    """A check that was taken is done, whatever came of it, unless it shows nothing; help that was used asks for one."""
    concept = one.challenge.concept
    if one.is_check and not shown_nothing:
        await connection.execute(
            unaided_checks.delete().where(unaided_checks.c.user_id == user_id, unaided_checks.c.concept == concept)
        )
    if needs_check:
        values = {"challenge_id": one.challenge.id, "due_at": now + CHECK_AFTER}
        statement = database.insert(unaided_checks).values(user_id=user_id, concept=concept, **values)
        await connection.execute(statement.on_conflict_do_update(index_elements=["user_id", "concept"], set_=values))
