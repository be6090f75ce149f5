"""Progress, badges and rankings over REST: one's own numbers, nobody else's, and sentences for what does not fit."""

import httpx
import pytest
from fastapi import FastAPI

from app.bootstrap import Services
from app.identity.access import AccessService
from app.learning.challenge_files import FunctionChallenge
from tests.app.api.conftest import client_of

ANALYTICS = "/api/v1/analytics"


async def solve(app: FastAPI, client: httpx.AsyncClient, challenge_id: str) -> None:
    services: Services = app.state.services
    challenge = services.deps.curriculum.challenge(challenge_id)
    assert isinstance(challenge, FunctionChallenge)
    await client.post(f"/api/v1/challenges/{challenge_id}/start", json={"language": "python"})
    solution = {"language": "python", "code": challenge.solutions["python"]}
    submitted = await client.post(f"/api/v1/challenges/{challenge_id}/submit", json=solution)
    assert submitted.json()["verdict"] == "passed"
    await services.bus.drain()


async def test_what_was_solved_is_in_every_number(app: FastAPI, client: httpx.AsyncClient) -> None:
    await solve(app, client, "running-total")

    overview = (await client.get(f"{ANALYTICS}/overview")).json()
    metrics = {row["name"]: row["value"] for row in (await client.get(f"{ANALYTICS}/user/me/metrics")).json()["items"]}
    engagement = (await client.get(f"{ANALYTICS}/user/me/engagement-score")).json()
    path = (await client.get(f"{ANALYTICS}/user/me/learning-path")).json()["items"]
    earned = (await client.get("/api/v1/badges/earned")).json()["items"]
    progress = (await client.get(f"{ANALYTICS}/user/me/badges/progress")).json()["items"]

    concept = overview["concepts"][0]["concept"]
    behind = (await client.get(f"/api/v1/training/mastery/{concept}")).json()["items"]
    titles = {row["challenge"] for row in behind}
    training = (await client.get("/api/v1/training/overview")).json()

    assert [(row["before"], row["after"], row["why"]) for row in behind] == [
        (0, overview["concepts"][0]["mastery"], "solved alone, 1 attempt")
    ]
    assert titles == {app.state.services.deps.curriculum.challenge("running-total").title}
    assert [row["concept"] for row in training["weak"]] == [concept]
    assert (training["plan"], training["unfinished"]) == (None, [])
    assert (overview["passed"], overview["streak"]["current"], overview["alone"]["percent"]) == (1, 1, 100)
    assert (len(overview["hours"]), len(overview["forecast"])) == (24, 14)
    assert (len(overview["weeks"]), len(overview["months"])) == (12, 12)
    assert sum(day["due"] for day in overview["forecast"]) == 1
    assert metrics["challengesPassed"] == 1
    assert (engagement["activeDays"], engagement["score"]) == (1, 3)
    assert len(path) == 26
    assert {row["why"] for row in path} >= {"new", "locked"}
    assert "first-challenge" in [one["badgeId"] for one in earned]
    assert {row["badgeId"]: row["percent"] for row in progress}["code-master"] == 1
    assert (await client.get(f"{ANALYTICS}/user/me/badges")).json()["items"] == earned
    assert (await client.get(f"{ANALYTICS}/user/owner/progress")).json()["passed"] == 1


async def test_figures_of_everybody_are_not_shown_of_one(client: httpx.AsyncClient) -> None:
    figures = (await client.get(f"{ANALYTICS}/global/metrics")).json()
    trends = (await client.get(f"{ANALYTICS}/global/trends", params={"period": "monthly"})).json()
    top = (await client.get(f"{ANALYTICS}/global/top-performers", params={"by": "solved", "period": "week"})).json()

    assert figures == {"available": False}
    assert trends == {"available": False, "items": [], "nextCursor": None}
    assert (top["items"], top["own"]["rank"], top["own"]["fewest"]) == ([], None, 5)


async def test_a_badge_of_ones_own_over_rest(app: FastAPI, client: httpx.AsyncClient) -> None:
    await solve(app, client, "running-total")
    rule = "challengesPassed >= 1 and averageScore > 50"

    preview = (await client.post(f"{ANALYTICS}/badges/preview", json={"rule": rule})).json()["items"]
    body = {"title": "Starter", "description": "Began", "rule": rule}
    made = (await client.post(f"{ANALYTICS}/badges", json=body)).json()
    await app.state.services.bus.drain()
    own = [one["title"] for one in (await client.get("/api/v1/badges/earned")).json()["items"]]
    revoked = await client.post(f"{ANALYTICS}/user/me/badges/{made['badgeId']}/revoke", json={"why": "a test"})
    retired = await client.delete(f"{ANALYTICS}/badges/{made['badgeId']}")

    assert [row["name"] for row in preview] == ["owner"]
    assert "Starter" in own
    assert (revoked.status_code, retired.status_code) == (204, 204)
    assert made["badgeId"] not in [b["badgeId"] for b in (await client.get(f"{ANALYTICS}/badges")).json()["items"]]


@pytest.mark.parametrize(
    ("method", "path", "body", "says"),
    [
        ("POST", "/badges", {"title": "x", "description": "y", "rule": "__import__('os')"}, "For example:"),
        ("POST", "/badges", {"title": " ", "description": "y", "rule": "languages >= 1"}, "title of 1 to 80"),
        ("POST", "/badges/preview", {"rule": "x" * 301}, "300"),
        ("POST", "/log", {"activity": "Lecture!", "minutes": 5}, "activity"),
        ("POST", "/log", {"activity": "lecture", "minutes": 100_000}, "minutes"),
        ("POST", "/user/me/badges/code-master/revoke", {"why": "never had it"}, "does not have"),
        ("GET", "/user/nobody/metrics", None, "There is no learner 'nobody'"),
        ("GET", "/global/trends?period=hourly", None, "daily"),
        ("GET", "/global/top-performers?by=shoe-size", None, "mastery"),
        ("DELETE", "/badges/code-master", None, "no badge"),
        ("GET", "/../training/mastery/cooking", None, "no concept 'cooking'"),
        ("POST", "/../training/plan", {"goal": "x", "goalDay": "2020-01-01", "concepts": ["sql"]}, "between tomorrow"),
        ("POST", "/../training/plan", {"goal": "x", "goalDay": "soon", "concepts": ["sql"]}, "date"),
        ("GET", "/../training/plan", None, "There is no plan"),
        ("POST", "/../training/nothing/pause", None, "not there"),
    ],
)
async def test_what_does_not_fit_gets_a_sentence(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, object] | None, says: str
) -> None:
    response = await client.request(method, ANALYTICS + path, json=body)

    assert response.status_code in (404, 422)
    assert response.headers["content-type"] == "application/problem+json"
    assert says in response.json()["detail"]


async def test_a_learner_sees_nobody_elses_numbers(app: FastAPI) -> None:
    services: Services = app.state.services
    access: AccessService = services.access
    eve = await services.accounts.add("eve", "battery staple")
    ada = await services.accounts.add("ada", "correct horse", role="admin")
    _, eves = await access.add_token(eve, "eves", ["read", "write"])
    _, adas = await access.add_token(ada, "adas", ["read", "write", "admin"])

    async with client_of(app) as client:

        async def ask(token: str, method: str, path: str, body: object = None) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return (await client.request(method, ANALYTICS + path, json=body, headers=headers)).status_code

        views = ["metrics", "progress", "engagement-score", "learning-path", "badges", "badges/progress"]
        assert {await ask(eves, "GET", f"/user/{ada.id}/{view}") for view in views} == {404}
        assert {await ask(adas, "GET", f"/user/{eve.id}/{view}") for view in views} == {200}
        badge = {"title": "x", "description": "y", "rule": "languages >= 1"}
        assert await ask(eves, "POST", "/badges", badge) == 403
        assert await ask(eves, "POST", "/badges/preview", {"rule": "languages >= 1"}) == 403
        assert await ask(eves, "POST", f"/user/{ada.id}/badges/first-challenge/revoke", {"why": "envy"}) == 403


async def test_ones_clock_and_place_are_ones_own_to_set(client: httpx.AsyncClient) -> None:
    seen = await client.post("/api/v1/account/seen-timezone", json={"timezone": "Europe/Berlin"})
    chosen = await client.put("/api/v1/account", json={"timezone": "Asia/Tokyo", "ranked": False})
    wrong = await client.put("/api/v1/account", json={"timezone": "Mars/Base"})

    assert (seen.json()["timezone"], seen.json()["timezoneChosen"]) == ("Europe/Berlin", False)
    assert (chosen.json()["timezone"], chosen.json()["ranked"]) == ("Asia/Tokyo", False)
    assert (wrong.status_code, (await client.get("/api/v1/account")).json()["timezone"]) == (422, "Asia/Tokyo")
