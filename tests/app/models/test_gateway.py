"""The gateway with the real SDKs against a fake provider over real HTTP."""

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, date, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import BudgetSpent, InvalidInput, NoModelAvailable, ProviderFailed, StorageFailed
from app.events import log as event_log
from app.identity.accounts import User
from app.models import log as call_log
from app.models.budget import MICROUSD, Purse, limit_of
from app.models.call import Call, TimeLimits, hold_microusd
from app.models.catalog import Model, load_catalog
from app.models.gateway import Gateway
from app.models.ledger import Settled
from app.models.providers.wire import Prompt, StreamEvent, TextDelta, Usage, failed
from app.models.run import Answered, Run
from app.models.selector import NO_ROOM
from app.models.wires import wires
from app.opening import open_gateway
from app.settings import Settings
from app.storage.database import Database
from app.storage.tables.models import provider_logs, provider_metrics
from tests.app.models.conftest import MODELS, OpenGateway, request_to, spent_and_held
from tests.fakes.clock import Clock
from tests.fakes.providers import REASONS, FakeProviders, Script


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
    best = (await gateway.preview("chat")).ranking[0]
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


@pytest.mark.parametrize("kind", ["provider", "user", "spent"])
async def test_where_nothing_is_left_for_the_pinned_model_another_goes_on_and_says_so(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, clock: Clock, kind: str
) -> None:
    providers.ollama_models = ("qwen:7b",)
    await purse.set_limit(
        "user" if kind == "user" else "provider", learner.id if kind == "user" else "openai", active=True,
        limit_microusd=MICROUSD if kind == "spent" else 1, actor=learner.id, now=clock(),
    )  # fmt: skip
    if kind == "spent":
        now = datetime.now(UTC)
        await purse.record(
            "bill", provider="openai", user_id=learner.id, cost_microusd=MICROUSD, actor=learner.id, now=now
        )
        await gateway.refresh(force=True)

    answer = await gateway.complete(request_to(learner, MODELS["openai"], others_when_spent=True))
    with pytest.raises(BudgetSpent):
        await gateway.complete(request_to(learner, MODELS["openai"]))

    assert answer.model_id == "ollama/qwen:7b"
    assert any("budget" in sentence for sentence in answer.spent)
    assert answer.reason != "chosen for this chat"
    assert [call["model"] for call in providers.calls] == ["qwen:7b"]


async def test_where_the_pinned_model_fails_no_other_is_asked(
    gateway: Gateway, providers: FakeProviders, learner: User
) -> None:
    providers.scripts["*"] = Script(status=401)

    with pytest.raises(ProviderFailed):
        await gateway.complete(request_to(learner, MODELS["openai"], others_when_spent=True))

    assert [call["model"] for call in providers.calls] == ["gpt-5-mini"]


async def test_no_call_leaves_when_nothing_fits(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, clock: Clock, sqlite: Database
) -> None:
    await purse.set_limit("user", learner.id, limit_microusd=0, active=True, actor=learner.id, now=clock())

    with pytest.raises(NoModelAvailable, match="Your budget"):
        await gateway.complete(request_to(learner))
    await gateway.log.flush()
    async with sqlite.read() as connection:
        row = (await connection.execute(sa.select(provider_logs))).one()
        measured = (await connection.execute(sa.select(provider_metrics))).one()

    assert providers.calls == []
    assert (row.status, row.cost_microusd, row.states) == ("refused", 0, "Idle > Validating > Failed")
    assert "Your budget" in row.selection["reason"]
    assert {scored["excluded"] for scored in row.selection["ranking"]} >= {"over budget"}
    assert (measured.call_id, measured.provider, measured.succeeded, measured.error_kind) == (
        row.id,
        "none",
        False,
        None,
    )
    assert await call_log.stats(sqlite, since=clock() - timedelta(days=1)) == []  # nobody was asked who has figures
    assert await call_log.recent_outcomes(sqlite, clock() - timedelta(days=1)) == []


async def test_an_answer_is_not_lost_with_the_database_and_is_booked_once_that_is_back(
    gateway: Gateway, purse: Purse, learner: User, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.models.carrier.LATE_BOOKING_SECONDS", (0.05, 0.05, 0.05))
    settle, failures = purse.settle, iter((True, True))

    async def flaky(*call: Any, **how: Any) -> Settled:
        if next(failures, False):
            raise StorageFailed("The disk is full.")
        return await settle(*call, **how)

    monkeypatch.setattr(purse, "settle", flaky)

    answer = await gateway.complete(request_to(learner, "openai/gpt-5.4"))
    for _ in range(40):
        await asyncio.sleep(0.05)
        [budget] = await purse.budgets(clock(), ids=["provider:openai"])
        if not budget.held_microusd:
            break

    assert answer.text == "Hello from the fake."
    assert (budget.spent_microusd, budget.held_microusd) == (answer.cost_microusd, 0)
    assert answer.cost_microusd > 0


async def test_what_the_sweep_charged_in_the_end_is_what_the_log_says(
    gateway: Gateway, purse: Purse, learner: User, sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.models.carrier.LATE_BOOKING_SECONDS", ())
    settle = purse.settle

    async def gone(*_: Any, **__: Any) -> Settled:
        raise StorageFailed("The disk is full.")

    monkeypatch.setattr(purse, "settle", gone)
    answer = await gateway.complete(request_to(learner, "openai/gpt-5.4"))
    monkeypatch.setattr(purse, "settle", settle)
    await gateway.log.flush()
    [before] = await call_log.newest(sqlite)

    await purse.sweep(datetime.now(UTC) + timedelta(days=1))

    [after] = await call_log.newest(sqlite)
    assert (before["cost_microusd"], answer.cost_microusd) == (before["cost_microusd"], before["cost_microusd"])
    assert after["cost_microusd"] == after["held_microusd"] > before["cost_microusd"]
    assert await purse.spent_by(learner.id) == after["cost_microusd"]


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


async def test_a_call_that_is_stopped_while_it_is_booked_is_booked(
    gateway: Gateway, purse: Purse, learner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = purse.settle

    async def slowly(call_id: str, **more: Any) -> Settled:
        booking.set()
        await asyncio.sleep(0.05)
        return await settle(call_id, **more)

    monkeypatch.setattr(purse, "settle", slowly)
    booking = asyncio.Event()
    task = asyncio.create_task(gateway.complete(request_to(learner, "gpt-5-mini")))
    await booking.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await gateway.close()

    assert await spent_and_held(purse, "openai") == (65, 0)


async def test_a_key_that_is_taken_away_before_the_call_leaves_holds_nothing(
    gateway: Gateway, purse: Purse, learner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "_chain", after(gateway._chain, lambda: gateway.use_wire("openai", None)))

    with pytest.raises(NoModelAvailable, match="key was taken away"):
        await gateway.complete(request_to(learner, "gpt-5-mini"))

    assert await spent_and_held(purse, "openai") == (0, 0)


def after(first: Callable[..., Awaitable[Any]], then: Callable[[], Awaitable[None]]) -> Callable[..., Awaitable[Any]]:
    async def both(*arguments: Any) -> Any:
        result = await first(*arguments)
        await then()
        return result

    return both


async def test_a_mistake_of_ours_in_the_middle_books_the_call(
    gateway: Gateway, purse: Purse, learner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_call: Call, _event: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Call, "_take", broken)

    with pytest.raises(ZeroDivisionError):
        await gateway.complete(request_to(learner, "gpt-5-mini"))

    spent, held = await spent_and_held(purse, "openai")
    assert spent > 0
    assert held == 0


async def test_our_own_count_never_passes_the_hold(
    gateway: Gateway, providers: FakeProviders, learner: User, sqlite: Database
) -> None:
    providers.scripts["*"] = Script(words=(" antidisestablishmentarianism",) * 300, usage=False, finish="length")

    answer = await gateway.complete(request_to(learner, "claude-haiku-4-5", max_output_tokens=200))

    await gateway.log.flush()
    assert answer.cost_microusd == (await call_log.newest(sqlite))[0]["held_microusd"]


async def test_who_asks_us_to_wait_is_not_asked_for_its_other_models(
    gateway: Gateway, providers: FakeProviders, learner: User
) -> None:
    providers.scripts["*"] = Script(status=429, headers={"retry-after": "3000"})

    with pytest.raises(ProviderFailed):
        await gateway.complete(request_to(learner))

    asked = [gateway.catalog.find(call["model"]) for call in providers.calls]
    assert len({model.provider for model in asked if model}) == len(asked) > 1
    assert gateway.why_unusable(asked[0].provider if asked[0] else "") is not None


async def test_an_answer_has_one_deadline_for_all_its_calls(
    open_one: OpenGateway, providers: FakeProviders, learner: User
) -> None:
    gateway = await open_one(first_token_timeout_seconds=1.0)
    providers.scripts["*"] = Script(first_pause_seconds=9)

    with pytest.raises(ProviderFailed):
        await gateway.complete(request_to(learner, providers=("openai",), total_seconds=2.5))

    assert 2 <= len(providers.calls) <= 3  # four models would be asked, a second each


async def test_a_spent_provider_falls_out_of_the_ranking(
    gateway: Gateway, purse: Purse, learner: User, clock: Clock
) -> None:
    best = (await gateway.preview("chat")).ranking[0]
    for kind in ("provider", "burst"):
        await purse.set_limit(
            kind, best.provider, limit_microusd=limit_of(1), active=True, actor=learner.id, now=clock()
        )
    await purse.record(
        "bill", provider=best.provider, user_id=learner.id, cost_microusd=MICROUSD, actor=learner.id,
        now=datetime.now(UTC),
    )  # fmt: skip
    await gateway.refresh(force=True)

    preview = {scored.model_id: scored.excluded for scored in (await gateway.preview("chat")).ranking}
    answer = await gateway.complete(request_to(learner))
    burst = await gateway.complete(request_to(learner, best.model_id, allow_burst=True))

    assert preview[best.model_id] == "its budget is spent"
    assert gateway.why_unusable(best.provider) == "its budget is spent"
    assert not answer.model_id.startswith(f"{best.provider}/")
    assert any(best.provider in sentence for sentence in answer.spent)
    assert burst.model_id == best.model_id


async def test_a_default_model_answers_where_its_provider_is_asked_for(open_one: OpenGateway, learner: User) -> None:
    usual = await open_one()
    ranked = [scored.model_id for scored in (await usual.preview("chat")).ranking if scored.provider == "openai"]
    gateway = await open_one(openai_default_model=ranked[-1].partition("/")[2])

    named = await gateway.complete(request_to(learner, providers=("openai",)))
    unnamed = await gateway.complete(request_to(learner))

    assert named.model_id == ranked[-1] != ranked[0]
    assert gateway.chooser.best_of("openai", (await gateway.preview("chat")).ranking) == ranked[-1]
    assert usual.chooser.best_of("openai", (await usual.preview("chat")).ranking) == ranked[0]
    assert unnamed.model_id == (await usual.preview("chat")).ranking[0].model_id


async def test_where_a_budget_is_spent_what_is_free_comes_first(
    gateway: Gateway, purse: Purse, learner: User, clock: Clock, providers: FakeProviders
) -> None:
    providers.ollama_models = ("qwen:7b",)
    best = (await gateway.preview("chat")).ranking[0]
    before = await gateway.complete(request_to(learner))
    await purse.set_limit(
        "provider", best.provider, limit_microusd=limit_of(1), active=True, actor=learner.id, now=clock()
    )
    await purse.record(
        "bill", provider=best.provider, user_id=learner.id, cost_microusd=MICROUSD, actor=learner.id,
        now=datetime.now(UTC),
    )  # fmt: skip
    await gateway.refresh(force=True)

    previewed = await gateway.preview("chat", user_id=learner.id)
    after = await gateway.complete(request_to(learner))

    assert before.model_id == best.model_id
    assert after.model_id == previewed.ranking[0].model_id == "ollama/qwen:7b"
    assert any(best.provider in sentence for sentence in after.spent)
    assert all("free comes first while a budget is spent" in why for why in (after.reason, previewed.reason))


async def test_the_first_word_is_waited_for_whatever_else_comes(gateway: Gateway, learner: User, clock: Clock) -> None:
    class Thinking:
        async def stream(self, _model: Model, _prompt: Prompt) -> AsyncIterator[StreamEvent]:
            while True:
                yield Usage(input_tokens=5, output_tokens=1)
                await asyncio.sleep(0.02)

    call = Call(request_to(learner), gateway.catalog.models[0], Thinking(), now=clock(), seconds=60)  # type: ignore[arg-type]  # all that is asked of it
    limits = TimeLimits(first_token_seconds=0.2, between_tokens_seconds=30, total_seconds=60)
    began = time.monotonic()

    with pytest.raises(ProviderFailed) as failure:
        async for _ in call.events(limits):
            pass

    assert failure.value.kind == "timeout"
    assert time.monotonic() - began < 10


async def test_who_stops_an_answer_is_no_failure_of_the_model(
    gateway: Gateway, providers: FakeProviders, learner: User, sqlite: Database
) -> None:
    providers.scripts["*"] = Script(endless=True, pause_seconds=0.01)
    async with aclosing(gateway.stream(request_to(learner, "gpt-5-mini"))) as stream:
        await anext(stream)
    await gateway.log.flush()

    stats = await call_log.stats(sqlite, since=datetime.now(UTC) - timedelta(hours=1))
    async with sqlite.read() as connection:
        rates = list(await connection.scalars(sa.text("SELECT success_rate FROM provider_hourly")))

    assert [(row.calls, row.failures) for row in stats] == [(1, 0)]
    assert rates == [None]


async def test_the_model_that_answers_after_a_failure_says_why_it_did(
    gateway: Gateway, providers: FakeProviders, learner: User
) -> None:
    best = (await gateway.preview("chat")).ranking[0]
    providers.scripts[best.model_id.split("/", 1)[1]] = Script(status=401)

    answer = await gateway.complete(request_to(learner))

    assert "to learn how good" not in answer.reason
    assert next(s.excluded for s in answer.ranking if s.model_id == best.model_id) == "it failed (auth)"


@pytest.mark.parametrize("tokens", [100_000, 100_001])
def test_a_long_request_costs_what_its_length_costs(tokens: int) -> None:
    model = load_catalog(None, today=date(2026, 1, 1)).find("claude-haiku-5-5")
    assert model is not None
    step = model.long_prices[0]
    price = step.input_price if tokens > step.above_tokens else model.input_price

    assert step.input_price > model.input_price
    assert model.cost_microusd(input_tokens=tokens, output_tokens=0) == ceil(price * tokens)


async def test_what_is_shown_first_is_what_is_asked_where_a_budget_has_no_room(
    open_one: OpenGateway, providers: FakeProviders, purse: Purse, learner: User
) -> None:
    providers.ollama_models = ("qwen:7b",)
    gateway = await open_one()
    now = datetime.now(UTC)
    first = (await gateway.preview("chat", user_id=learner.id)).ranking[0]
    await purse.set_limit("user", learner.id, limit_microusd=0, active=True, actor=learner.id, now=now)

    shown = (await gateway.preview("chat", user_id=learner.id)).ranking
    answer = await gateway.complete(request_to(learner))

    assert first.model_id != shown[0].model_id == answer.model_id == "ollama/qwen:7b"
    assert {one.excluded for one in shown if one.model_id == first.model_id} == {"over budget"}


@pytest.mark.parametrize("share", [0.0, 0.5])
async def test_what_no_budget_has_room_for_falls_out_before_the_rest_is_scored(
    open_one: OpenGateway, purse: Purse, learner: User, share: float
) -> None:
    gateway = await open_one(tooloo_exploration_share=share)
    request = request_to(learner)
    holds = {model.id: hold_microusd(request, model) for model in await gateway.models()}
    dearest_first = sorted(holds, key=lambda model_id: -holds[model_id])
    cap = holds[dearest_first[len(holds) // 2]]
    await purse.set_limit("user", learner.id, limit_microusd=cap, active=True, actor=learner.id, now=datetime.now(UTC))
    await gateway.refresh(force=True)

    answer = await gateway.complete(request)

    staying = [scored for scored in answer.ranking if scored.excluded is None]
    assert {scored.model_id for scored in answer.ranking if scored.excluded == NO_ROOM} == {
        model_id for model_id, hold in holds.items() if hold > cap
    }
    assert min(scored.cost for scored in staying) == 0  # of the dearest that fits
    assert answer.model_id == staying[0].model_id
    assert holds[answer.model_id] <= cap
    assert answer.spent == ()  # what would have come first has room


async def test_who_asks_for_providers_gets_them_in_that_order_and_nothing_is_explored(
    open_one: OpenGateway, learner: User
) -> None:
    gateway = await open_one(tooloo_exploration_share=0.5)
    best = next(s for s in (await gateway.preview("chat")).ranking if s.provider == "openai")

    answers = [await gateway.complete(request_to(learner, providers=("openai",))) for _ in range(12)]

    assert {answer.model_id for answer in answers} == {best.model_id}


async def test_a_model_that_would_come_next_and_has_no_room_is_told_of_where_the_first_fails(
    open_one: OpenGateway, providers: FakeProviders, purse: Purse, learner: User
) -> None:
    gateway = await open_one()
    request = request_to(learner)
    cap = min(hold_microusd(request, model) for model in await gateway.models())
    await purse.set_limit("user", learner.id, limit_microusd=cap, active=True, actor=learner.id, now=datetime.now(UTC))
    await gateway.refresh(force=True)
    providers.scripts["*"] = Script(status=401)

    with pytest.raises(ProviderFailed) as raised:
        await gateway.complete(request)

    assert "Your budget has no room for a call of " in raised.value.user_message


async def test_room_that_another_call_gives_back_meanwhile_is_used(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User
) -> None:
    now = datetime.now(UTC)
    await purse.reserve("other", provider="anthropic", user_id=learner.id, amount_microusd=limit_of(30), now=now)
    await gateway.refresh(force=True)
    providers.scripts["gpt-5.6-luna"] = providers.scripts["*"] = Script(status=401, first_pause_seconds=2)

    asking = asyncio.create_task(gateway.complete(request_to(learner, providers=("openai", "anthropic"))))
    while not providers.calls:
        await asyncio.sleep(0.01)
    await purse.release("other", now=now)
    providers.scripts = {"*": Script()}
    answer = await asking

    assert answer.model_id.startswith("anthropic/")
    assert {scored.excluded for scored in answer.ranking if scored.model_id == answer.model_id} == {None}


async def test_who_wants_a_pause_is_given_it_where_no_budget_has_room_for_another(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User
) -> None:
    request = request_to(learner)
    cap = min(hold_microusd(request, model) for model in await gateway.models())
    await purse.set_limit("user", learner.id, limit_microusd=cap, active=True, actor=learner.id, now=datetime.now(UTC))
    await gateway.refresh(force=True)
    providers.queues["*"] = deque([Script(status=429, headers={"retry-after": "3"})])

    answer = await gateway.complete(request)

    assert [call["status"] for call in providers.calls] == [429, 200]
    assert len({call["model"] for call in providers.calls}) == 1
    assert answer.spent


async def test_room_that_is_there_again_when_it_is_looked_for_is_used(
    gateway: Gateway, purse: Purse, learner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, refuse = datetime.now(UTC), purse.refuse
    await purse.reserve("other", provider="openai", user_id=learner.id, amount_microusd=limit_of(20), now=now)
    await gateway.refresh(force=True)

    async def given_back(**call: Any) -> str | None:
        await purse.release("other", now=now)
        return await refuse(**call)

    monkeypatch.setattr(purse, "refuse", given_back)

    assert (await gateway.complete(request_to(learner, MODELS["openai"]))).text


@pytest.mark.parametrize(("spent", "told"), [("gemini", True), ("hosted_vllm", False)])
async def test_what_is_told_of_budgets_is_of_the_provider_that_was_to_come_first(
    gateway: Gateway, purse: Purse, learner: User, spent: str, told: bool
) -> None:
    await purse.set_limit("provider", spent, limit_microusd=10, active=True, actor=learner.id, now=datetime.now(UTC))
    await gateway.refresh(force=True)

    answer = await gateway.complete(request_to(learner, providers=("gemini", "hosted_vllm")))

    assert answer.model_id.startswith("hosted_vllm/" if told else "gemini/")
    assert [f"for {spent} has no room" in sentence for sentence in answer.spent] == ([True] if told else [])


@pytest.mark.parametrize(
    ("script", "slowest", "fastest"),
    [
        pytest.param(Script(words=(" word",) * 20, pause_seconds=0.02, output_tokens=25), 10, 80, id="in words"),
        pytest.param(
            Script(words=(" word",) * 20, first_pause_seconds=1, pause_seconds=0.005, output_tokens=2000), 5, 30,
            id="thought unseen",
        ),
        pytest.param(
            Script(words=(" word" * 50,) * 2, first_pause_seconds=1.2, pause_seconds=0.05, output_tokens=125), 20, 110,
            id="held back",
        ),
    ],
)  # fmt: skip
async def test_a_model_is_as_fast_as_whoever_waits_for_it_sees(
    gateway: Gateway, providers: FakeProviders, learner: User, sqlite: Database, script: Script, slowest: float,
    fastest: float,
) -> None:  # fmt: skip
    providers.scripts["*"] = script

    await gateway.complete(request_to(learner, MODELS["openai"]))
    await gateway.log.flush()

    [stats] = await call_log.stats(sqlite, since=datetime.now(UTC) - timedelta(days=1))
    assert stats.tokens_per_second is not None
    assert slowest < stats.tokens_per_second < fastest


async def test_the_tries_of_one_request_are_one_failure(
    gateway: Gateway, providers: FakeProviders, learner: User
) -> None:
    providers.queues["gpt-5-mini"] = deque([Script(status=500)] * 3)

    with pytest.raises(ProviderFailed):
        await gateway.complete(request_to(learner, MODELS["openai"]))
    once = gateway._standing._tracks[MODELS["openai"]]
    await gateway.complete(request_to(learner, MODELS["openai"]))

    assert len(providers.calls) == 4
    assert (once.day_total, once.day_up) == (1, 0)
    assert gateway._standing._tracks[MODELS["openai"]].day_total == pytest.approx(2, abs=0.01)


async def test_a_limit_below_what_is_spent_keeps_back_nothing_that_is_free(
    open_one: OpenGateway, providers: FakeProviders, purse: Purse, learner: User
) -> None:
    providers.ollama_models = ("qwen:7b",)
    gateway = await open_one()
    now = datetime.now(UTC)
    await purse.record("elsewhere", provider="openai", user_id=learner.id, cost_microusd=900, actor="a", now=now)

    await purse.set_limit("user", learner.id, limit_microusd=0, active=True, actor=learner.id, now=now)

    assert (await gateway.complete(request_to(learner, "ollama/qwen:7b"))).cost_microusd == 0
    assert [alert.kind for alert in await purse.tell(learner.id, is_admin=False, now=now)] == ["exceeded"]


async def test_an_ollama_that_drips_holds_nobody_up(
    open_one: OpenGateway, providers: FakeProviders, learner: User, tmp_path: Path
) -> None:
    done, ended = asyncio.Event(), asyncio.Event()

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while not done.is_set():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.3)
        except ConnectionError:
            pass
        finally:
            writer.close()
            ended.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    gateway = await open_one(ollama_base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    began = time.monotonic()

    answer = await gateway.complete(request_to(learner, "gpt-5-mini"))

    assert answer.text
    assert time.monotonic() - began < 4
    done.set()
    await ended.wait()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("raw", ["[" * 100_000, "x" * 40_000_000, "[]", "null"], ids=["deep", "huge", "list", "null"])
async def test_what_is_no_ollama_holds_nobody_up(
    open_one: OpenGateway, providers: FakeProviders, learner: User, raw: str
) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(raw) + raw.encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    gateway = await open_one(ollama_base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    said = await gateway.complete(request_to(learner, "gpt-5-mini"))

    assert said.text
    assert gateway.catalog.find("ollama/qwen:7b") is None
    server.close()
    await server.wait_closed()


async def test_an_ollama_is_found_and_asked_under_the_address_of_its_interface_too(
    open_one: OpenGateway, providers: FakeProviders, learner: User
) -> None:
    providers.ollama_models = ("qwen:7b",)
    gateway = await open_one(ollama_base_url=f"{providers.url}/v1/")

    answer = await gateway.complete(request_to(learner, "ollama/qwen:7b"))

    assert answer.text == "Hello from the fake."


async def test_a_wait_that_is_named_with_one_bad_request_keeps_nobody_back(
    gateway: Gateway, providers: FakeProviders, learner: User
) -> None:
    providers.queues["*"] = deque([Script(status=400, headers={"retry-after": "3600"})])

    with pytest.raises(ProviderFailed):
        await gateway.complete(request_to(learner, "gpt-5-mini"))

    assert gateway.why_unusable("openai") is None


@pytest.mark.parametrize(
    ("model", "cut_after", "counted"),
    [
        pytest.param("gpt-5-mini", 5, True, id="openai, before its usage"),
        pytest.param("claude-haiku-4-5", 6, False, id="anthropic, after its usage"),
    ],
)
async def test_an_answer_that_is_complete_stays_so_when_the_connection_breaks_after_it(
    gateway: Gateway, providers: FakeProviders, learner: User, model: str, cut_after: int, counted: bool
) -> None:
    providers.scripts["*"] = Script(cut_after=cut_after)

    answer = await gateway.complete(request_to(learner, model))

    assert (answer.text, answer.finish, answer.tokens_counted) == ("Hello from the fake.", "stop", counted)
    assert len(providers.calls) == 1


async def test_who_stops_while_the_log_is_full_leaves_no_hold(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = asyncio.Event()

    async def full(*_: object) -> None:
        writes.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(gateway.log, "put", full)
    running = asyncio.create_task(gateway.complete(request_to(learner, MODELS["openai"])))
    await writes.wait()
    before = await spent_and_held(purse, "openai")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert before[1] > 0
    assert await spent_and_held(purse, "openai") == (0, 0)
    assert providers.calls == []


async def test_what_was_not_to_be_logged_is_not_logged_as_lost_later(
    open_one: OpenGateway, learner: User, sqlite: Database
) -> None:
    silent = await open_one(provider_logging_enabled=False)
    await silent.complete(request_to(learner, MODELS["openai"]))

    lost = await (await open_one()).log.log_lost(datetime.now(UTC) + timedelta(hours=1))

    assert (lost, await call_log.newest(sqlite)) == (0, [])


async def test_nobody_goes_on_from_a_plain_answer_that_was_broken_off(
    open_one: OpenGateway, providers: FakeProviders, learner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REASONS["openai"], "stop", "insufficient_system_resource")
    gateway = await open_one()
    providers.queues["*"] = deque([Script(words=("HALF",))])
    providers.scripts["*"] = Script(words=("WHOLE",), finish="length")

    answer = await gateway.complete(request_to(learner, providers=("openai",), stream=False))

    assert answer.text == "WHOLE"
    assert len(providers.calls) == 2


def test_a_provider_of_the_catalog_is_connected_once_its_key_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(
        "models:\n"
        "  - {provider: groq, name: llama, input_usd_per_million: 1, output_usd_per_million: 1, quality: 0.5, speed: 0.9}\n"
        "  - {provider: hosted_vllm, name: own, input_usd_per_million: 0, output_usd_per_million: 0, quality: 0.5, speed: 1}\n"
    )
    settings, catalog = Settings(_env_file=None), load_catalog(file, today=date(2026, 3, 2))

    without = wires(settings, catalog)
    monkeypatch.setenv("GROQ_API_KEY", "gsk-test")
    with_it = wires(settings, catalog)

    assert without.keys() == {"null", "hosted_vllm"}
    assert with_it.keys() == {"null", "hosted_vllm", "groq"}


@pytest.mark.parametrize(
    ("model", "variable"),
    [("azure/gpt", "AZURE_AD_TOKEN"), ("vertex_ai/gemini", "GOOGLE_APPLICATION_CREDENTIALS"), ("sagemaker/own", "AWS_PROFILE"),
     ("groqq/llama", None)],
)  # fmt: skip
def test_what_litellm_cannot_call_as_it_is_set_up_is_not_connected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, variable: str | None
) -> None:
    provider, _, name = model.partition("/")
    file = tmp_path / "catalog.yaml"
    file.write_text(
        f"models: [{{provider: {provider}, name: {name}, input_usd_per_million: 1, output_usd_per_million: 1}}]\n"
    )
    settings, catalog = Settings(_env_file=None), load_catalog(file, today=date(2026, 3, 2))
    for name in os.environ:
        if name.startswith(("AZURE", "VERTEX", "GOOGLE", "AWS")):
            monkeypatch.delenv(name)

    without = provider in wires(settings, catalog)
    if variable:
        monkeypatch.setenv(variable, "set")

    assert (without, provider in wires(settings, catalog)) == (False, variable is not None)


async def test_after_two_models_of_a_provider_others_are_asked(gateway: Gateway, learner: User) -> None:
    models = await gateway.models()
    same = [model for model in models if model.provider == "openai"][:4]
    other = next(model for model in models if model.provider == "anthropic")
    run = Run(request=request_to(learner), deadline=time.monotonic() + 100)
    run.life.to("Validating")
    chain = deque([*same[1:], other])
    error = failed("OpenAI", "server", before_generation=True)
    asked = [same[0].id]
    for _ in range(3):
        run.life.to("Requesting")
        run.failed_model_id = asked[-1]
        assert gateway._goes_on(run, error, chain)
        asked.append(chain.popleft().id)

    assert asked == [same[0].id, same[1].id, other.id, same[2].id]


async def test_who_asks_for_a_moment_is_given_it_where_nobody_else_is_left(
    gateway: Gateway, providers: FakeProviders, learner: User
) -> None:
    slow_down = Script(status=429, headers={"retry-after": "1"})
    providers.queues["gpt-5-mini"] = deque([slow_down])

    async def later(seconds: float) -> Answered:
        await asyncio.sleep(seconds)
        return await gateway.complete(request_to(learner, MODELS["openai"]))

    answers = await asyncio.gather(*(later(seconds) for seconds in (0, 0.3, 0.5)))
    await gateway._standing.note_rate_limit("openai", 1)
    asked_for = await gateway.complete(request_to(learner, providers=("openai",)))
    await gateway._standing.note_rate_limit("openai", 600)
    with pytest.raises(NoModelAvailable, match="asked us to wait"):
        await later(0)

    assert [answer.text for answer in answers] == ["Hello from the fake."] * 3
    assert [call["status"] for call in providers.calls] == [429, 200, 200, 200, 200]
    assert asked_for.model_id.startswith("openai/")
    assert {scored.excluded for scored in asked_for.ranking if scored.provider == "openai"} == {None}


async def test_what_waits_for_everybody_is_previewed_as_it_will_be(open_one: OpenGateway, learner: User) -> None:
    gateway = await open_one(anthropic_api_key=None, google_api_key=None, deepseek_api_key=None)
    await gateway._standing.note_rate_limit("hosted_vllm", 600)
    await gateway._standing.note_rate_limit("openai", 1)

    previewed = await gateway.preview("chat", user_id=learner.id)
    answer = await gateway.complete(request_to(learner))

    shown = [(scored.model_id, scored.excluded) for scored in answer.ranking]
    assert shown == [(scored.model_id, scored.excluded) for scored in previewed.ranking]
    assert answer.model_id == previewed.ranking[0].model_id
    usable = [excluded for _, excluded in shown if excluded is None]
    assert f"of {len(usable)} candidates" in previewed.reason


async def test_a_spent_budget_of_a_provider_that_was_not_asked_for_is_not_blamed(
    gateway: Gateway, purse: Purse, providers: FakeProviders, learner: User
) -> None:
    now = datetime.now(UTC)
    best = (await gateway.preview("chat")).ranking[0].provider
    other = next(name for name in ("anthropic", "gemini") if name != best)
    limit = next(b.limit_microusd for b in await purse.budgets(now, ids=[f"provider:{best}"]))
    await purse.record("bill", provider=best, user_id=learner.id, cost_microusd=limit, actor=learner.id, now=now)
    await gateway.refresh(force=True)

    answer = await gateway.complete(request_to(learner, providers=(other,)))
    with pytest.raises(NoModelAvailable, match="nobody: not connected") as caught:
        await gateway.complete(request_to(learner, providers=("nobody",)))
    providers.scripts["*"] = Script(status=401)
    with pytest.raises(ProviderFailed) as failure:
        await gateway.complete(request_to(learner, providers=(other,)))

    assert answer.spent == ()
    assert not isinstance(caught.value, BudgetSpent)
    assert "budget" not in failure.value.user_message


@pytest.mark.parametrize("stream", [True, False])
async def test_an_empty_answer_is_paid_and_another_model_answers(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, stream: bool
) -> None:
    best = (await gateway.preview("chat")).ranking[0]
    providers.scripts[best.model_id.partition("/")[2]] = Script(words=(" \n",))

    answer = await gateway.complete(request_to(learner, stream=stream))
    with pytest.raises(ProviderFailed, match="gave an empty answer"):
        await gateway.complete(request_to(learner, best.model_id, stream=stream))

    assert answer.model_id != best.model_id
    assert answer.text.strip() == "Hello from the fake."
    assert (await spent_and_held(purse, best.provider))[0] > 0


async def test_an_answer_without_room_for_words_speaks_against_nobody(
    gateway: Gateway, providers: FakeProviders, learner: User
) -> None:
    providers.scripts["*"] = Script(words=(), finish="length")

    answers = [await gateway.complete(request_to(learner, MODELS["openai"], max_output_tokens=1)) for _ in range(6)]

    assert {(answer.text, answer.finish) for answer in answers} == {("", "length")}
    assert gateway.why_unusable("openai") is None
    assert len(providers.calls) == 6


async def test_empty_answers_open_no_circuit(gateway: Gateway, providers: FakeProviders, learner: User) -> None:
    providers.scripts["*"] = Script(words=())
    for _ in range(6):
        with pytest.raises(ProviderFailed, match="empty answer"):
            await gateway.complete(request_to(learner, MODELS["openai"]))

    assert gateway.why_unusable("openai") is None


async def test_what_only_makes_vectors_is_no_model_of_ollamas(
    gateway: Gateway, providers: FakeProviders, learner: User
) -> None:
    providers.ollama_models = ("all-minilm:latest", "nomic-embed-text:latest", "mxbai-embed-large:335m", "qwen:7b")

    models = await gateway.models()

    assert [model.name for model in models if model.provider == "ollama"] == ["qwen:7b"]


async def test_a_pinned_model_that_is_gone_is_named(gateway: Gateway, learner: User) -> None:
    with pytest.raises(NoModelAvailable, match="ollama/gone cannot be called here now"):
        await gateway.complete(request_to(learner, "ollama/gone"))


async def test_a_request_that_is_refused_as_it_is_has_its_row(
    gateway: Gateway, learner: User, sqlite: Database
) -> None:
    with pytest.raises(InvalidInput, match="nothing to answer"):
        await gateway.complete(request_to(learner, messages=()))
    await gateway.log.flush()

    (row,) = await call_log.newest(sqlite)
    assert (row["status"], row["states"]) == ("refused", "Idle > Validating > Failed")
    assert "nothing to answer" in row["selection"]["reason"]


async def test_a_circuit_that_is_reset_waits_for_nothing_more(gateway: Gateway) -> None:
    await gateway._standing.note_rate_limit("openai", 600)
    waits = gateway.why_unusable("openai")

    await gateway.breaker.reset("openai", actor="ada")
    await gateway.refresh(force=True)

    assert waits is not None
    assert "asked us to wait" in waits
    assert gateway.why_unusable("openai") is None


async def test_a_wait_noted_by_a_clock_that_was_ahead_keeps_nobody_back(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = gateway._standing
    monkeypatch.setattr(standing, "_clock", lambda: datetime.now(UTC) + timedelta(hours=6))
    await standing.note_rate_limit("openai", 60)
    monkeypatch.undo()

    before = gateway.why_unusable("openai")
    await standing.note_rate_limit("openai", 60)

    assert before is None
    assert gateway.why_unusable("openai") is not None
