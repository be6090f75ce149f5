"""Budgets, providers, keys and tasks over REST."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from app.settings import Settings
from tests.app.api.conftest import client_of, running
from tests.fakes.providers import FakeProviders, Script

API = "/api/v1"
GOOD = "sk-good-0123456789abcdef"


@pytest.fixture
async def client(providers: FakeProviders, data_dir: Path) -> AsyncIterator[httpx.AsyncClient]:
    """An installation with a key for OpenAI, asked by its owner."""
    settings = Settings(
        tooloo_data_dir=data_dir, ollama_base_url="http://127.0.0.1:9", openai_api_key=SecretStr("sk-test"),
        openai_base_url=f"{providers.url}/v1", anthropic_base_url=providers.url,
        metrics_api_key=SecretStr("metrics-key"),
    )  # fmt: skip
    async with running(settings) as app, client_of(app) as opened:
        yield opened


def task(**more: object) -> dict[str, object]:
    return {"type": "generate", "input": {"content": "Say hello."}, **more}


async def test_a_task_has_the_answer_the_routing_and_the_audit(client: httpx.AsyncClient) -> None:
    first = (await client.post(f"{API}/tasks/submit", json=task(metadata={"source": "test"}))).json()
    again = (await client.post(f"{API}/tasks/submit", json=task())).json()

    result = first["result"]
    assert (first["success"], first["status"], result["output"]) == (True, "completed", "Hello from the fake.")
    assert result.keys() == {"output", "provider", "model", "executionTime", "tokensUsed", "cost", "finish", "shared"}
    assert first["routing"].keys() == {"selectedProvider", "reason", "alternatives"}
    assert first["audit"].keys() == {"requestId", "timestamp", "processingTime"}
    assert (result["tokensUsed"], result["cost"] > 0) == (120, True)
    assert (again["taskId"], again["result"]["shared"], again["result"]["cost"]) == (first["taskId"], True, 0)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "cook", "input": {"content": "x"}},
        {"type": "generate"},
        {"type": "generate", "input": {"content": ""}},
        {"type": "generate", "input": {"content": "x" * 100_001}},
        {"type": "classify", "input": {"content": "x"}},
        {"type": "generate", "input": {"content": "x"}, "config": {"timeout": 0}},
        {"type": "generate", "input": {"content": "x"}, "config": {"maxTokens": 0}},
        {"type": "generate", "input": {"content": "x", "surprise": 1}},
    ],
)
async def test_a_task_that_does_not_fit_is_a_problem(client: httpx.AsyncClient, body: dict[str, object]) -> None:
    response = await client.post(f"{API}/tasks/submit", json=body)

    assert response.status_code == 422
    assert response.json()["detail"]


async def test_a_task_for_somebody_else_is_not_allowed(client: httpx.AsyncClient) -> None:
    response = await client.post(f"{API}/tasks/submit", json=task(metadata={"userId": "somebody"}))

    assert response.status_code == 403


async def test_a_failing_provider_is_a_problem_that_says_whether_to_retry(
    client: httpx.AsyncClient, providers: FakeProviders
) -> None:
    providers.scripts["*"] = Script(status=401)

    response = await client.post(f"{API}/tasks/submit", json=task())

    assert response.status_code == 502
    assert response.json()["retryable"] is False


async def test_metrics_need_their_key(client: httpx.AsyncClient) -> None:
    await client.post(f"{API}/tasks/submit", json=task())

    without = await client.get(f"{API}/tasks/metrics")
    wrong = await client.get(f"{API}/tasks/metrics", headers={"authorization": "Bearer nope"})
    right = await client.get(f"{API}/tasks/metrics", headers={"authorization": "Bearer metrics-key"})

    assert (without.status_code, wrong.status_code, right.status_code) == (401, 401, 200)
    assert 'tooloo_tasks_total{status="completed",type="generate"} 1.0' in right.text
    assert 'tooloo_budget_limit_usd{budget="provider:openai"} 20.0' in right.text
    assert 'tooloo_model_calls_total{kind="",model=' in right.text


async def test_tasks_health_names_what_would_run(client: httpx.AsyncClient) -> None:
    health = (await client.get(f"{API}/tasks/health")).json()

    assert health["status"] == "ok"
    assert health["next"].startswith("openai/")


async def test_tasks_health_is_that_of_who_asks(client: httpx.AsyncClient) -> None:
    await client.put(f"{API}/budget/own", json={"monthlyUsd": 0})

    health = (await client.get(f"{API}/tasks/health")).json()

    assert (health["status"], health["next"], health["usableModels"]) == ("degraded", None, 0)


async def test_json_that_breaks_off_is_told(client: httpx.AsyncClient) -> None:
    broken = await client.post(
        f"{API}/budget/check", content=b'{"provider": ', headers={"Content-Type": "application/json"}
    )

    assert (broken.status_code, broken.json()["detail"]) == (
        422, "The body is no JSON: it breaks off at character 13.",
    )  # fmt: skip


async def test_a_budget_can_be_asked_booked_and_watched(client: httpx.AsyncClient) -> None:
    fits = (await client.post(f"{API}/budget/check", json={"provider": "openai", "amountUsd": 5})).json()
    too_much = (await client.post(f"{API}/budget/check", json={"provider": "openai", "amountUsd": 50})).json()
    bill = {"provider": "openai", "costUsd": 19, "callId": "bill-1"}
    booked = (await client.post(f"{API}/budget/record-cost", json=bill)).json()
    again = (await client.post(f"{API}/budget/track", json=bill)).json()
    status = (await client.get(f"{API}/budget/status")).json()
    alerts = (await client.get(f"{API}/budget/alerts")).json()["items"]
    unknown = await client.post(f"{API}/budget/check", json={"provider": "nobody", "amountUsd": 5})

    openai = next(item for item in status["items"] if item["provider"] == "openai")
    assert (fits["fits"], fits["remainingUsd"]) == (True, 20)
    assert (too_much["fits"], "has no room" in too_much["reason"]) == (False, True)
    assert (booked["booked"], again["booked"], openai["spentUsd"]) == (True, False, 19)
    assert [(alert["type"], alert["budget"]) for alert in alerts] == [("budget.warning", "provider:openai")]
    assert unknown.status_code == 404


async def test_caps_of_ones_own_and_of_one_intent(client: httpx.AsyncClient) -> None:
    await client.put(f"{API}/budget/own", json={"monthlyUsd": 5})
    capped = await client.put(f"{API}/budget/own/intent", json={"intent": "task.generate", "monthlyUsd": 0})
    status = (await client.get(f"{API}/budget/status")).json()
    refused = await client.post(f"{API}/tasks/submit", json=task())

    assert capped.json() == {"intent": "task.generate", "monthlyUsd": 0, "active": True}
    assert (status["own"]["monthlyUsd"], status["intents"][0]["intent"]) == (5, "task.generate")
    assert (refused.status_code, "Your budget for task.generate" in refused.json()["detail"]) == (402, True)


async def test_providers_are_told_with_circuit_key_and_figures(
    client: httpx.AsyncClient, providers: FakeProviders
) -> None:
    providers.accepted_keys = frozenset({GOOD})
    wrong = await client.put(f"{API}/providers/anthropic/key", json={"key": "sk-wrong-0123456789"})
    stored = await client.put(f"{API}/providers/anthropic/key", json={"key": GOOD})
    await client.post(f"{API}/tasks/submit", json=task())
    status = {item["provider"]: item for item in (await client.get(f"{API}/providers/status")).json()["items"]}
    health = (await client.get(f"{API}/providers/health")).json()["items"]
    selections = (await client.get(f"{API}/providers/selections")).json()["items"]
    trail = (await client.get(f"{API}/audit")).json()["items"]
    removed = await client.delete(f"{API}/providers/anthropic/key")

    assert (wrong.status_code, stored.json()) == (422, {"provider": "anthropic", "models": 2})
    assert (status["anthropic"]["key"], status["anthropic"]["keyEnding"]) == ("stored", "cdef")
    assert (status["openai"]["key"], status["gemini"]["key"]) == ("environment", "none")
    assert (status["openai"]["circuit"], status["openai"]["usable"]) == ("closed", True)
    assert {"modelId", "estimateUsd", "successRate"} <= selections[0]["ranking"][0].keys()
    assert (health[0]["calls"], health[0]["successRate"]) == (1, 1.0)
    assert (selections[0]["states"].split(" > ")[-1], len(selections[0]["ranking"]) > 3) == ("Completed", True)
    assert {entry["action"] for entry in trail} == {"user.add", "key.set", "task.submit"}
    assert removed.status_code == 200
    assert GOOD not in str([status, trail])


@pytest.mark.parametrize("path", ["providers/selections", "providers/costs", "audit"])
async def test_long_lists_come_in_pages(client: httpx.AsyncClient, path: str) -> None:
    for number in range(5):
        await client.post(f"{API}/tasks/submit", json={"type": "generate", "input": {"content": f"Say {number}."}})
    whole = (await client.get(f"{API}/{path}")).json()["items"]

    pages, cursor = [], None
    while not pages or cursor is not None:
        answer = (
            await client.get(f"{API}/{path}", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        ).json()
        pages.append(answer["items"])
        cursor = answer["nextCursor"]
    strange = await client.get(f"{API}/{path}", params={"cursor": "nobody's"})

    assert len(whole) >= 5
    assert [row for page in pages for row in page] == whole
    assert strange.status_code == 422


async def test_alerts_come_in_pages(client: httpx.AsyncClient) -> None:
    for provider, dollars in (("openai", 19), ("openai", 1), ("anthropic", 28), ("gemini", 24), ("deepseek", 60)):
        bill = {"provider": provider, "costUsd": dollars, "callId": f"bill-{provider}-{dollars}"}
        await client.post(f"{API}/budget/record-cost", json=bill)
    whole = (await client.get(f"{API}/budget/alerts")).json()["items"]

    first = (await client.get(f"{API}/budget/alerts", params={"limit": 3})).json()
    rest = (await client.get(f"{API}/budget/alerts", params={"limit": 3, "cursor": first["nextCursor"]})).json()
    strange = await client.get(f"{API}/budget/alerts", params={"cursor": "nobody's"})

    assert [alert["budget"] for alert in whole[-2:]] == ["provider:openai"] * 2
    assert (len(whole), [*first["items"], *rest["items"]]) == (5, whole)
    assert (len(first["items"]), rest["nextCursor"]) == (3, None)
    assert strange.status_code == 422


async def test_a_circuit_can_be_reset(client: httpx.AsyncClient, providers: FakeProviders) -> None:
    providers.scripts["*"] = Script(status=401)
    for number in range(5):
        await client.post(f"{API}/tasks/submit", json=task(input={"content": f"hello {number}"}))
    broken = {item["provider"]: item for item in (await client.get(f"{API}/providers/status")).json()["items"]}
    reset = await client.post(f"{API}/providers/openai/circuit/reset")
    unknown = await client.post(f"{API}/providers/nobody/circuit/reset")

    assert broken["openai"]["circuit"] == "open"
    assert "failed 5 times" in broken["openai"]["reason"]
    assert (reset.json()["circuit"], unknown.status_code) == ("closed", 404)


async def test_an_administrators_cap_is_beside_ones_own(client: httpx.AsyncClient) -> None:
    set_ = await client.put(f"{API}/budget/users/owner", json={"monthlyUsd": 0})
    await client.put(f"{API}/budget/own", json={"monthlyUsd": 50})

    refused = await client.post(f"{API}/tasks/submit", json=task())
    status = (await client.get(f"{API}/budget/status")).json()

    assert set_.json() == {"user": "owner", "active": True, "monthlyUsd": 0, "spentUsd": 0}
    assert (refused.status_code, status["allowance"]["monthlyUsd"]) == (402, 0)


async def test_changing_a_limit_leaves_a_provider_switched_off(client: httpx.AsyncClient) -> None:
    await client.put(f"{API}/budget/openai", json={"active": False})

    changed = await client.put(f"{API}/budget/openai", json={"monthlyUsd": 7})

    assert (changed.json()["monthlyUsd"], changed.json()["active"]) == (7, False)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "budget/openai", {"monthlyUsd": True}),
        ("PUT", "budget/openai", {"burstUsd": "7"}),
        ("PUT", "budget/openai", {"active": "no"}),
        ("PUT", "budget/own", {"monthlyUsd": "5"}),
        ("PUT", "budget/own/intent", {"intent": "general.chat", "monthlyUsd": False}),
        ("POST", "budget/check", {"provider": "openai", "amountUsd": True}),
        ("POST", "budget/record-cost", {"provider": "openai", "costUsd": "1", "callId": "a"}),
    ],
)
async def test_money_is_no_word_and_no_truth(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, object]
) -> None:
    refused = await client.request(method, f"{API}/{path}", json=body)

    assert refused.status_code == 422


async def test_a_burst_budget_is_switched_by_itself(client: httpx.AsyncClient) -> None:
    off = (await client.put(f"{API}/budget/openai", json={"burstActive": False})).json()
    await client.put(f"{API}/budget/openai", json={"active": False})
    on = (await client.put(f"{API}/budget/openai", json={"active": True})).json()

    assert (off["active"], off["burstActive"]) == (True, False)
    assert (on["active"], on["burstActive"]) == (True, False)


async def test_only_what_can_be_capped_is_kept_though_switched_off(client: httpx.AsyncClient) -> None:
    lifted = [
        await client.put(f"{API}/budget/own/intent", json={"intent": intent, "monthlyUsd": 1, "active": False})
        for intent in ("junk", "x" * 48, "general.chat")
    ]
    own = await client.put(f"{API}/budget/own", json={"monthlyUsd": 5, "active": False})
    status = (await client.get(f"{API}/budget/status")).json()

    assert [one.status_code for one in (*lifted, own)] == [422, 422, 200, 200]
    assert [one["intent"] for one in status["intents"]] == ["general.chat"]
    assert status["own"] is None


async def test_a_token_that_may_not_administer_uses_no_burst_and_sees_its_own_spending(
    client: httpx.AsyncClient,
) -> None:
    services = client._transport.app.state.services  # type: ignore[attr-defined]
    _, token = await services.access.add_token(await services.accounts.owner(), "script", ["read", "write"])
    eve = await services.accounts.add("eve", "battery staple")
    await services.deps.purse.record("eves", provider="openai", user_id=eve.id, cost_microusd=9, actor=eve.id,
                                     now=services.deps.clock())  # fmt: skip
    headers = {"Authorization": f"Bearer {token}"}

    burst = await client.post(f"{API}/tasks/submit", json=task(config={"useBurst": True}), headers=headers)
    of_all = (await client.get(f"{API}/providers/costs")).json()
    own = (await client.get(f"{API}/providers/costs", headers=headers)).json()
    others = await client.get(f"{API}/analytics/user/eve/metrics", headers=headers)

    assert burst.status_code == 403
    assert (len(of_all["history"]), own["history"]) == (1, [])
    assert others.status_code == 404


async def test_a_provider_that_is_not_there_is_said(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{API}/tasks/submit", json=task(config={"preferredProvider": "nobody"}))

    assert (answer.status_code, "no provider 'nobody'" in answer.json()["detail"]) == (422, True)
