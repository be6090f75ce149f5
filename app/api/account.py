"""One's own account over REST: the time zone that days are counted by, and whether one is ranked."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from app.api.identity import Reader, Using, Writer
from app.api.wire import Body
from app.identity.accounts import Preferences, User

router = APIRouter(tags=["account"])
Json = dict[str, Any]  # Any: JSON


class Change(Body):
    """What is left out stays. ``timezone`` may be "auto": the browser's."""

    timezone: str | None = Field(None, max_length=64)
    ranked: bool | None = None


class Seen(Body):
    timezone: str = Field(max_length=64)


@router.get("/account")
async def account(user: Reader, using: Using) -> Json:
    return _view(user, await using.accounts.preferences(user.id))


@router.put("/account")
async def change(body: Change, user: Writer, using: Using) -> Json:
    after = await using.accounts.prefer(user.id, timezone=body.timezone, ranked=body.ranked)
    if body.ranked is not None:
        await using.deps.badges.settled()
        using.deps.ranking.forget()
    return _view(user, after)


@router.post("/account/seen-timezone")
async def seen(body: Seen, user: Writer, using: Using) -> Json:
    """What the browser's clock says: it counts until a time zone is chosen."""
    return _view(user, await using.accounts.prefer(user.id, seen_timezone=body.timezone))


def _view(user: User, preferences: Preferences) -> Json:
    return {
        "id": user.id, "name": user.name, "role": user.role, "timezone": preferences.timezone,
        "timezoneChosen": preferences.timezone_source == "chosen", "ranked": preferences.ranked,
    }  # fmt: skip
