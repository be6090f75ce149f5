"""Progress, badges and rankings over REST. A learner sees their own; administrators see everybody's."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import Field

from app.analytics.badges import Badge
from app.analytics.metrics import METRICS, metrics_of
from app.analytics.ranking import By, Period
from app.api.identity import Admin, IsAdmin, Reader, Using, Writer
from app.api.wire import Body, camel, page
from app.errors import NotFound
from app.learning import path, progress
from graph.overview import earned_view, overview, progress_view, standing_of, step_view

router = APIRouter(tags=["analytics"])
Json = dict[str, Any]  # Any: JSON
TREND_DAYS: dict[str, int] = {"daily": 30, "weekly": 84, "monthly": 365}


class Log(Body):
    activity: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    minutes: int = Field(ge=1, le=600)
    key: str | None = Field(None, max_length=80, description="The same key again is the same activity")


class NewBadge(Body):
    title: str = Field(max_length=80)
    description: str = Field(max_length=300)
    rule: str = Field(max_length=300)


class Preview(Body):
    rule: str = Field(max_length=300)


class Reason(Body):
    why: str = Field(max_length=300)


async def _subject(user_id: str, user: Reader, is_admin: IsAdmin, using: Using) -> str:
    """Whose numbers are asked for: one's own ("me" or one's id or name); for an administrator, anybody's.

    Raises:
        NotFound: nobody has that id, or the caller may not see them.
    """
    if user_id in ("me", user.id, user.name):
        return user.id
    found = await using.accounts.find_by_id(user_id) or await using.accounts.find(user_id) if is_admin else None
    if found is None:
        raise NotFound(f"There is no learner {user_id!r} whose numbers you may see.")
    return found.id


Subject = Annotated[str, Depends(_subject)]


@router.get("/analytics/overview")
async def own_overview(user: Reader, using: Using) -> Json:
    """The numbers behind /stats."""
    return await overview(using.deps, user.id)


@router.post("/analytics/log", status_code=202)
async def log(body: Log, user: Writer, using: Using) -> Json:
    """Note practice that took place elsewhere, such as a lecture: it counts as engagement, not as mastery."""
    is_new = await using.deps.badges.log(user.id, activity=body.activity, minutes=body.minutes, key=body.key)
    return {"recorded": is_new}


@router.get("/analytics/user/{user_id}/metrics")
async def metrics(subject: Subject, using: Using) -> Json:
    facts = await using.deps.reports.facts(subject)
    values = metrics_of(facts, using.deps.clock())
    return page(
        [
            {"name": name, "value": round(value, 2), "description": METRICS[name].description}
            for name, value in values.items()
        ]
    )


@router.get("/analytics/user/{user_id}/progress")
async def progress_of(subject: Subject, using: Using) -> Json:
    return await overview(using.deps, subject)


@router.get("/analytics/user/{user_id}/engagement-score")
async def engagement(subject: Subject, using: Using) -> Json:
    report = await using.deps.reports.report(subject)
    return camel(dict(vars(report.engagement)))


@router.get("/analytics/user/{user_id}/learning-path")
async def learning_path(subject: Subject, using: Using) -> Json:
    tried = await progress.overview(using.database, subject)
    return page([step_view(step) for step in path.path_of(using.deps.curriculum.concepts, tried, using.deps.clock())])


@router.get("/analytics/user/{user_id}/badges")
async def badges_of(subject: Subject, using: Using) -> Json:
    return page([earned_view(one) for one in await using.deps.badges.earned(subject)])


@router.get("/analytics/user/{user_id}/badges/progress")
async def badge_progress(subject: Subject, using: Using) -> Json:
    return page([progress_view(one) for one in await using.deps.badges.progress(subject)])


@router.post("/analytics/user/{user_id}/badges/{badge_id}/revoke", status_code=204)
async def revoke(user_id: str, badge_id: str, body: Reason, admin: Admin, using: Using) -> None:
    subject = await _subject(user_id, admin, True, using)
    await using.deps.badges.revoke(subject, badge_id, why=body.why, actor=admin.id)


@router.get("/badges/earned")
async def own_badges(user: Reader, using: Using) -> Json:
    return page([earned_view(one) for one in await using.deps.badges.earned(user.id)])


@router.get("/analytics/badges")
async def badges(_user: Reader, using: Using) -> Json:
    return page([_badge(badge) for badge in await using.deps.badges.all()])


@router.post("/analytics/badges", status_code=201)
async def new_badge(body: NewBadge, admin: Admin, using: Using) -> Json:
    """Make a badge from a rule over metrics, such as ``challengesPassed >= 10 and averageScore >= 80``."""
    badge = await using.deps.badges.add(title=body.title, description=body.description, rule=body.rule, actor=admin.id)
    return _badge(badge)


@router.post("/analytics/badges/preview")
async def preview(body: Preview, _admin: Admin, using: Using) -> Json:
    """Who would earn a badge with this rule now. Nothing is changed."""
    reached = await using.deps.badges.preview(body.rule)
    return page([{"name": name, "values": values} for name, values in reached])


@router.delete("/analytics/badges/{badge_id}", status_code=204)
async def retire(badge_id: str, admin: Admin, using: Using) -> None:
    await using.deps.badges.retire(badge_id, actor=admin.id)


@router.get("/analytics/global/metrics")
async def global_metrics(_user: Reader, using: Using) -> Json:
    """Everybody together, where there are at least five learners."""
    found = await using.deps.ranking.everybody()
    return {"available": found is not None, **(camel(dict(vars(found))) if found else {})}


@router.get("/analytics/global/top-performers")
async def top_performers(user: Reader, using: Using, by: By = "mastery", period: Period = "all") -> Json:
    """Ranked learners, and one's own place. Empty with fewer than five of them."""
    ranking = await using.deps.ranking.ranking(by=by, period=period)
    shown = [{"rank": one.rank, "name": one.name, "points": one.points} for one in ranking.places[:100]]
    return {**page(shown), "own": standing_of(ranking, user.id)}


@router.get("/analytics/global/trends")
async def trends(_user: Reader, using: Using, period: Literal["daily", "weekly", "monthly"] = "daily") -> Json:
    """Sums of everybody by day, Monday of the week, or month, where there are at least five learners."""
    days = await using.deps.ranking.trends(days=TREND_DAYS[period], each=period)
    return {"available": days is not None, **page(list(days or []))}


def _badge(badge: Badge) -> Json:
    return {
        "badgeId": badge.id, "title": badge.title, "description": badge.description, "rule": badge.rule.text,
        "custom": badge.is_custom,
    }  # fmt: skip
