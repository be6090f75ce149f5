"""Everything that /stats shows of a learner, gathered once for the chat, REST and the command line."""

from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

from app.analytics.badges import Earned, Progress
from app.analytics.ranking import FEWEST, Ranking
from app.analytics.reports import Ended, Report, Stretch
from app.analytics.streaks import FREEZES_A_MONTH
from app.learning import path, progress
from app.learning.path import Step
from app.learning.progress import ConceptProgress
from app.zones import zone_named
from graph.deps import Deps
from graph.wording import until

Json = dict[str, Any]  # Any: JSON
NEAREST_BADGES = 3
# What a step of the path says beside its concept.
REASONS: dict[path.Why, str] = {
    "check": "solved with help: show that you can do it alone",
    "due": "due now: practise it before you forget it",
    "weak": "your weakest so far",
    "new": "new, and within reach",
    "kept": "kept well",
    "locked": "needs other concepts first",
}


async def overview(deps: Deps, user_id: str) -> Json:
    """The numbers behind the page; every list is ordered as it is shown."""
    report = await deps.reports.report(user_id)
    tried = await progress.overview(deps.database, user_id)
    steps = path.path_of(deps.curriculum.concepts, tried, deps.clock())
    zone = await zone_named(report.timezone)
    due = path.forecast(tried, today=report.today, zone=zone)
    ranking = await deps.ranking.ranking()
    return {
        "isEmpty": report.is_empty and not tried,
        **_counts(report),
        "alone": _ended(report.alone),
        "aided": _ended(report.aided),
        "gap": _gap(report),
        "days": [asdict(day) for day in report.days],
        "hours": [asdict(hour) for hour in report.hours],
        "weeks": [{"monday": week.start.isoformat(), **_stretch(week)} for week in report.weeks],
        "months": [{"month": month.start.isoformat()[:7], **_stretch(month)} for month in report.months],
        "concepts": _concepts(report, tried, deps, zone),
        "forecast": [{"day": day, "due": count} for day, count in due.items()],
        "standing": standing_of(ranking, user_id),
        "badges": badges_view(await deps.badges.progress(user_id)),
        "next": step_view(steps[0]) if steps else None,
    }


def _counts(report: Report) -> Json:
    return {
        "timezone": report.timezone,
        "today": report.today.isoformat(),
        "submitted": report.submitted,
        "passed": report.passed,
        "answered": report.answered,
        "correct": report.correct,
        "hints": report.hints,
        "minutes": report.minutes,
        "averageScore": report.average_score,
        "streak": {
            "current": report.streak.current,
            "longest": report.streak.longest,
            "frozen": [day.isoformat() for day in report.streak.frozen],
            "freezesLeft": report.streak.freezes_left,
            "freezesAMonth": FREEZES_A_MONTH,
        },
        "engagement": {
            "score": report.engagement.score,
            "activeDays": report.engagement.active_days,
            "goodWeeks": report.engagement.good_weeks,
            "minutes": report.engagement.minutes,
        },
    }


def _ended(ended: Ended) -> Json:
    return {"ended": ended.ended, "solved": ended.solved, "percent": ended.percent}


def _gap(report: Report) -> int | None:
    """Points of percent between what is solved with help and alone; None until both have happened."""
    if report.alone.percent is None or report.aided.percent is None:
        return None
    return report.aided.percent - report.alone.percent


def _stretch(of: Stretch) -> Json:
    return {
        "tried": of.tried, "right": of.right, "endedAlone": of.ended_alone, "solvedAlone": of.solved_alone,
        "averageScore": of.average_score,
    }  # fmt: skip


def _concepts(report: Report, tried: list[ConceptProgress], deps: Deps, zone: ZoneInfo) -> list[Json]:
    counted = {row.concept: row for row in report.concepts}
    now = deps.clock().astimezone(zone)
    rows: list[Json] = []
    for row in sorted(tried, key=lambda row: (-row.mastery, row.concept)):
        concept = deps.curriculum.concept(row.concept)
        counts = counted.get(row.concept)
        rows.append(
            {
                "concept": row.concept,
                "title": concept.title if concept else row.concept,
                "mastery": row.mastery,
                "outcomes": row.outcomes,
                "tried": counts.tried if counts else 0,
                "succeeded": counts.succeeded if counts else 0,
                "bestScore": counts.best_score if counts else 0,
                "dueAt": row.due_at.isoformat() if row.due_at else None,
                "due": until(row.due_at.astimezone(zone), now) if row.due_at else None,
            }
        )
    return rows


async def behind_mastery(deps: Deps, user_id: str, concept: str, *, before: str | None, limit: int) -> Json:
    """The outcomes behind a concept's mastery, newest first, with the challenge of each that has one; ``earlier`` is how
    many are left for the next page.

    Raises:
        InvalidInput: ``before`` is no outcome of this learner and concept.
    """
    changes, earlier = await deps.reports.changes(user_id, concept, before=before, limit=limit)
    titles = await deps.challenges.titles(user_id, [change.source for change in changes if change.source])
    items = [
        {
            "at": change.at.isoformat(), "before": change.before, "after": change.after, "why": change.why,
            "source": change.source, "challenge": titles.get(change.source or ""),
        }
        for change in changes
    ]  # fmt: skip
    return {"items": items, "nextCursor": changes[-1].id if earlier else None, "earlier": earlier}


def standing_of(ranking: Ranking, user_id: str) -> Json:
    """One's own place; rank and percentile are None below five ranked learners, and for one who is not ranked."""
    own = ranking.place_of(user_id)
    return {
        "by": ranking.by,
        "period": ranking.period,
        "n": ranking.n,
        "fewest": FEWEST,
        "rank": own.rank if own else None,
        "points": own.points if own else None,
        "percentile": ranking.percentile_of(user_id),
    }


def badges_view(found: list[Progress]) -> Json:
    earned = [earned_view(one.earned) for one in found if one.earned and one.earned.revoked_at is None]
    return {
        "earned": sorted(earned, key=lambda view: str(view["awardedAt"]), reverse=True),
        "total": len(found),
        "nearest": [progress_view(one) for one in found if one.earned is None][:NEAREST_BADGES],
    }


def earned_view(one: Earned) -> Json:
    return {
        "badgeId": one.badge.id,
        "title": one.badge.title,
        "description": one.badge.description,
        "custom": one.badge.is_custom,
        "awardedAt": one.awarded_at.isoformat(),
        "evidence": one.evidence,
        "revokedAt": one.revoked_at.isoformat() if one.revoked_at else None,
        "revokedWhy": one.revoked_why,
    }


def progress_view(one: Progress) -> Json:
    return {
        "badgeId": one.badge.id,
        "title": one.badge.title,
        "description": one.badge.description,
        "custom": one.badge.is_custom,
        "rule": one.badge.rule.text,
        "percent": round(100 * one.share),
        "values": one.values,
        "awardedAt": one.earned.awarded_at.isoformat() if one.earned else None,
        "revokedAt": one.earned.revoked_at.isoformat() if one.earned and one.earned.revoked_at else None,
        "revokedWhy": one.earned.revoked_why if one.earned else None,
    }


def step_view(step: Step) -> Json:
    return {
        "concept": step.concept.id,
        "title": step.concept.title,
        "why": step.why,
        "reason": REASONS[step.why],
        "mastery": step.mastery,
        "dueAt": step.due_at.isoformat() if step.due_at else None,
        "missing": list(step.missing),
    }
