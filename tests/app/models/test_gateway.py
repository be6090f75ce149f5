"""The gateway with the real SDKs against a fake provider over real HTTP."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from app.bootstrap import open_gateway
from app.errors import NoModelAvailable, ProviderFailed
from app.events import log as event_log
from app.identity.accounts import User
from app.models import log as call_log
from app.models.budget import Purse, limit_of
from app.models.gateway import Gateway
from app.models.providers.wire import TextDelta
from app.models.run import Answered
from app.settings import Settings
from app.storage.database import Database
from tests.app.models.conftest import OpenGateway, request_to, spent_and_held
from tests.fakes.clock import Clock
from tests.fakes.providers import FakeProviders, Script


@pytest.mark.parametrize(
    ("model", "provider", "microusd"),
    [
        pytest.param("claude-haiku-4-5", "anthropic", 100 * 1 + 20 * 5, id="anthropic"),
        pytest.param("gpt-5-mini", "openai", 65, id="openai"),
        pytest.param("gemini-2.5-flash", "gemini", 80, id="gemini"),
        pytest.param("deepseek-v4-flash", "deepseek", 54, id="deepseek"),
        pytest.param("hosted_vllm/tiny", "hosted_vllm", 120, id="litellm"),
        pytest.param("ollama/qwen:7b", "ollama", 0, id="ollama"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # the SDKs' own deprecations
async def test_every_wire_streams_and_books_its_usage(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, model: str, provider: str, microusd: int
) -> None:
    providers.ollama_models = ("qwen:7b",)

    chunks = [chunk async for chunk in gateway.stream(request_to(learner, model))]

    answer = chunks[-1]
    assert isinstance(answer, Answered)
    assert "".join(c.text for c in chunks if isinstance(c, TextDelta)) == answer.text == "Hello from the fake."
    assert answer.cost_microusd == microusd
    assert await spent_and_held(purse, provider) == (microusd, 0)


async def test_the_best_score_answers_and_says_why(gateway: Gateway, learner: User) -> None:
    answer = await gateway.complete(request_to(learner))

    ranking = [scored for scored in answer.ranking if scored.excluded is None]
    assert answer.model_id == ranking[0].model_id
    assert ranking == sorted(ranking, key=lambda scored: -scored.score)
    assert f"of {len(ranking)} candidates" in answer.reason


async def test_a_refusal_before_the_first_word_falls_back_and_costs_nothing(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, sqlite: Database
) -> None:
    best = (await gateway.preview("chat"))[0]
    providers.scripts[best.model_id.split("/", 1)[1]] = Script(status=503)

    answer = await gateway.complete(request_to(learner))

    assert answer.model_id != best.model_id
    assert await spent_and_held(purse, best.provider) == (
        0 if best.provider not in answer.model_id else answer.cost_microusd,
        0,
    )
    await gateway.log.flush()
    async with sqlite.read() as connection:
        fallbacks = await event_log.newest(connection, type_prefix="provider.fallback")
    assert fallbacks[0].payload == {"from": best.model_id, "to": answer.model_id}


async def test_when_all_fail_the_error_is_a_sentence(gateway: Gateway, providers: FakeProviders, learner: User) -> None:
    providers.scripts["*"] = Script(status=500)

    with pytest.raises(ProviderFailed, match="problem of its own"):
        await gateway.complete(request_to(learner))

    assert len(providers.calls) == 4 * 3  # four models, each tried three times
    assert len({call["model"] for call in providers.calls}) == 4


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, "auth"),
        (402, "quota"),
        (429, "rate_limit"),
        (413, "context_length"),
        (400, "invalid_request"),
        (529, "server"),
    ],
)
@pytest.mark.parametrize("model", ["claude-haiku-4-5", "gpt-5-mini", "gemini-2.5-flash"])
async def test_errors_are_sorted_by_status(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, model: str, status: int, kind: str
) -> None:
    providers.scripts["*"] = Script(status=status)

    with pytest.raises(ProviderFailed) as caught:
        await gateway.complete(request_to(learner, model))

    assert caught.value.kind == kind
    assert "as scripted" not in caught.value.user_message
    assert all((b.spent_microusd, b.held_microusd) == (0, 0) for b in await purse.budgets(Clock()()))


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "gpt-5-mini", "gemini-2.5-flash"])
@pytest.mark.parametrize("script", [Script(cut_after=2), Script(finish=None)], ids=["cut", "clean early end"])
async def test_a_stream_that_ends_early_is_an_error_and_charged_in_full(
    gateway: Gateway, providers: FakeProviders, learner: User, sqlite: Database, model: str, script: Script
) -> None:
    providers.scripts["*"] = script
    said = []

    with pytest.raises(ProviderFailed) as caught:
        async for chunk in gateway.stream(request_to(learner, model)):
            said.append(chunk)  # noqa: PERF401  # a comprehension would lose what was said before the error

    await gateway.log.flush()
    logged = (await call_log.newest(sqlite))[0]
    assert said
    assert caught.value.kind == "network"
    assert logged["cost_microusd"] == logged["held_microusd"] > 0


async def test_a_stopped_stream_is_closed_and_charged_in_full(
    gateway: Gateway, providers: FakeProviders, learner: User, sqlite: Database
) -> None:
    providers.scripts["*"] = Script(endless=True, pause_seconds=0.02)
    said = asyncio.Event()

    async def listen() -> None:
        async for _ in gateway.stream(request_to(learner, "gpt-5-mini")):
            said.set()

    task = asyncio.create_task(listen())
    await said.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await gateway.log.flush()
    logged = (await call_log.newest(sqlite))[0]
    assert logged["status"] == "stopped"
    assert logged["cost_microusd"] == logged["held_microusd"] > 0


@pytest.mark.parametrize(
    "script", [Script(first_pause_seconds=3), Script(pause_seconds=2)], ids=["first word", "between"]
)
async def test_a_silent_provider_times_out(
    providers: FakeProviders, open_one: OpenGateway, learner: User, script: Script
) -> None:
    providers.scripts["*"] = script
    gateway = await open_one(first_token_timeout_seconds=0.4)

    with pytest.raises(ProviderFailed) as caught:
        await gateway.complete(request_to(learner, "gpt-5-mini"))

    assert caught.value.kind == "timeout"


async def test_a_spent_budget_moves_to_a_model_that_still_fits(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, clock: Clock
) -> None:
    providers.ollama_models = ("qwen:7b",)
    for provider in ("anthropic", "openai", "gemini", "deepseek", "hosted_vllm"):
        await purse.set_limit(
            "provider", provider, limit_microusd=limit_of(0), active=True, actor=learner.id, now=clock()
        )

    answer = await gateway.complete(request_to(learner))

    assert answer.model_id == "ollama/qwen:7b"
    assert [call["model"] for call in providers.calls] == ["qwen:7b"]


async def test_no_call_leaves_when_nothing_fits(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, clock: Clock
) -> None:
    await purse.set_limit("user", learner.id, limit_microusd=0, active=True, actor=learner.id, now=clock())

    with pytest.raises(NoModelAvailable, match="Your budget"):
        await gateway.complete(request_to(learner))

    assert providers.calls == []


async def test_a_missing_usage_block_never_books_zero(
    gateway: Gateway, providers: FakeProviders, learner: User
) -> None:
    providers.scripts["*"] = Script(usage=False)

    answer = await gateway.complete(request_to(learner, "gpt-5-mini"))

    assert answer.cost_microusd > 0


async def test_without_keys_and_ollama_there_are_no_models(sqlite: Database, tmp_path: Path, learner: User) -> None:
    settings = Settings(tooloo_data_dir=tmp_path, ollama_base_url="http://127.0.0.1:9")
    gateway = await open_gateway(settings, sqlite, Purse(sqlite))

    assert await gateway.models() == []
    with pytest.raises(NoModelAvailable, match="No model is connected"):
        await gateway.complete(request_to(learner))
    await gateway.close()


async def test_the_call_of_a_deleted_account_stays_in_the_log_without_a_name(
    gateway: Gateway, sqlite: Database, learner: User
) -> None:
    gone = User(id="gone", name="gone", role="user")

    await gateway.complete(request_to(gone))
    await gateway.complete(request_to(learner))
    await gateway.log.flush()

    assert {row["user_id"] for row in await call_log.newest(sqlite)} == {None, learner.id}


async def test_closing_while_the_log_is_written_writes_each_call_once(
    gateway: Gateway, sqlite: Database, learner: User
) -> None:
    for delay in (0.0, 0.199, 0.2, 0.201, 0.203):
        await gateway.complete(request_to(learner))
        await asyncio.sleep(delay)
        await gateway.log.close()

    rows = await call_log.newest(sqlite)
    assert len({row["request_id"] for row in rows}) == 5
    assert len([row for row in rows if row["status"] == "ok"]) == 5, [
        (row["status"], row["error_kind"]) for row in rows
    ]


async def test_a_call_that_is_stopped_while_it_reserves_holds_nothing(
    gateway: Gateway, purse: Purse, providers: FakeProviders, learner: User
) -> None:
    for delay in (0.0, 0.001, 0.002, 0.004, 0.006):
        task = asyncio.create_task(gateway.complete(request_to(learner, "gpt-5-mini")))
        await asyncio.sleep(delay)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    assert (await spent_and_held(purse, "openai"))[1] == 0
    assert len(providers.calls) <= 5
