"""Every way in which a provider breaks, over every wire: what the user reads, what is retried, what is booked."""

import asyncio
import contextlib
import importlib
import socket
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest
import sqlalchemy as sa

from app.errors import ProviderErrorKind, ProviderFailed
from app.events import log as event_log
from app.identity.accounts import User
from app.models import log as call_log
from app.models.breaker import COUNTED_KINDS
from app.models.budget import Purse
from app.models.catalog import Model, load_catalog
from app.models.gateway import Gateway
from app.models.lifecycle import TRANSITIONS
from app.models.providers.bounded import MOST_BYTES
from app.models.providers.litellm import LiteLLMWire
from app.models.providers.wire import Message, Prompt, TextDelta, Wire, failed, retry_after_seconds
from app.models.run import Answered, Run, Switched
from app.models.wires import make_wire
from app.settings import Settings
from app.storage.database import Database
from app.storage.tables.models import budgets, holds, provider_logs, provider_metrics
from tests.app.models.conftest import MODELS, OpenGateway, request_to, spent_and_held
from tests.fakes.providers import REASONS, FakeProviders, Script

pytestmark = pytest.mark.filterwarnings("ignore")  # the SDKs' own deprecations

EVERY_WIRE = pytest.mark.parametrize("provider", list(MODELS))
OWN_WIRES = pytest.mark.parametrize("provider", [name for name in MODELS if name != "litellm"])
STREAMED = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])


NAMES = {"anthropic": "Anthropic", "openai": "OpenAI", "gemini": "Gemini", "deepseek": "DeepSeek", "ollama": "Ollama"}
SENTENCES: dict[str, str] = {
    "auth": "{} does not accept the key. An administrator checks it under /keys.",
    "rate_limit": "{} asks us to slow down. Try again in a moment.",
    "quota": "The account at {} has no credit left. Top it up or choose another model with /model.",
    "context_length": "The conversation is too long for this model. Start a new chat or choose another with /model.",
    "content_filter": "{} declined to answer this. Put it another way.",
    "timeout": "{} took too long to answer. Try again.",
    "network": "{} cannot be reached, or broke off. Check the connection and try again.",
    "server": "{} has a problem of its own. Try again in a moment.",
    "invalid_request": "{} does not understand the request for this model. Choose another with /model.",
}


@pytest.fixture
async def gateway(open_one: OpenGateway, sqlite: Database) -> AsyncIterator[Gateway]:
    """Whatever went wrong in a test: afterwards everything is logged, measured and booked alike, and nothing is held."""
    await asyncio.to_thread(importlib.import_module, "litellm.main")  # which takes longer than a call may
    opened = await open_one()
    yield opened
    await opened.settled()
    await opened.log.flush()
    async with sqlite.read() as connection:
        logged = (await connection.execute(sa.select(provider_logs))).mappings().all()
        measured = {row["call_id"]: row for row in (await connection.execute(sa.select(provider_metrics))).mappings()}
        held = (await connection.execute(sa.select(holds.c.call_id))).all()
        booked = (await connection.execute(sa.select(budgets).where(budgets.c.kind == "provider"))).mappings().all()
    spent: dict[str, int] = {}
    for call in logged:
        path = call["states"].split(" > ")
        assert all(after in TRANSITIONS[before] for before, after in pairwise(path)), path
        assert (path[0], path[-1]) == ("Idle", "Completed" if call["status"] == "ok" else "Failed")
        assert (call["status"] == "failed") == (call["error_kind"] is not None)
        same = ("provider", "model", "task", "error_kind", "first_token_ms", "total_ms", "cost_microusd")
        found = measured.pop(call["id"])
        assert {name: call[name] for name in same} == {name: found[name] for name in same}
        spent[call["provider"]] = spent.get(call["provider"], 0) + call["cost_microusd"]
    assert (measured, held) == ({}, [])
    assert {row["owner"]: row["spent_microusd"] for row in booked if row["spent_microusd"]} == {
        provider: cost for provider, cost in spent.items() if cost
    }


def provider_of(provider: str) -> str:
    return MODELS[provider].partition("/")[0]


async def ask(
    gateway: Gateway, fake: FakeProviders, user: User, provider: str, *, stream: bool = True
) -> Answered | ProviderFailed:
    """One question to one model of the provider: its answer, or how it failed, in the sentence for that kind."""
    fake.ollama_models = ("qwen:7b",)
    try:
        return await gateway.complete(request_to(user, MODELS[provider], stream=stream))
    except ProviderFailed as error:
        failure = error
    assert failure.user_message == SENTENCES[failure.kind].format(NAMES.get(provider, provider_of(provider)))
    return failure


@pytest.mark.parametrize(
    ("status", "kind", "tries"),
    [
        (401, "auth", 1),
        (402, "quota", 1),
        (403, "auth", 1),
        (404, "invalid_request", 1),
        (408, "timeout", 3),
        (413, "context_length", 1),
        (422, "invalid_request", 1),
        (429, "rate_limit", 3),
        (500, "server", 3),
        (502, "server", 3),
        (503, "server", 3),
        (529, "server", 3),
    ],
)
@EVERY_WIRE
@STREAMED
async def test_a_refusal_is_sorted_retried_where_that_helps_and_free(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, provider: str, stream: bool, status: int,
    kind: ProviderErrorKind, tries: int,
) -> None:  # fmt: skip
    providers.scripts["*"] = Script(status=status, message="key sk-test AIza-test leaked")

    failure = await ask(gateway, providers, learner, provider, stream=stream)

    assert isinstance(failure, ProviderFailed)
    assert failure.kind == kind
    assert "sk-test" not in failure.user_message
    assert "leaked" not in failure.user_message
    assert len(providers.calls) == tries
    circuit = gateway.breaker.circuits().get(provider_of(provider))
    assert (circuit.failures if circuit else 0) == (tries if kind in COUNTED_KINDS else 0)
    assert await spent_and_held(purse, provider_of(provider)) == (0, 0)


@EVERY_WIRE
@STREAMED
async def test_one_that_recovers_answers_after_a_retry(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, provider: str, stream: bool
) -> None:
    providers.queues["*"] = deque([Script(status=503), Script(status=429)])

    answer = await ask(gateway, providers, learner, provider, stream=stream)

    assert isinstance(answer, Answered)
    assert (answer.text, len(providers.calls)) == ("Hello from the fake.", 3)
    assert await spent_and_held(purse, provider_of(provider)) == (answer.cost_microusd, 0)


@pytest.mark.parametrize(
    ("status", "headers"),
    [(429, {"retry-after": "1"}), (429, {"retry-after-ms": "1000"}), (503, {"retry-after": "1"}),
     (529, {"retry-after": "1"})],
    ids=["seconds", "milliseconds", "unavailable", "overloaded"],
)  # fmt: skip
@EVERY_WIRE
async def test_retry_after_is_heeded(
    gateway: Gateway, providers: FakeProviders, learner: User, provider: str, status: int, headers: dict[str, str]
) -> None:
    providers.queues["*"] = deque([Script(status=status, headers=headers)])
    began = time.monotonic()

    answer = await ask(gateway, providers, learner, provider)

    assert isinstance(answer, Answered)
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None), ({"retry-after": "2.5"}, 2.5), ({"retry-after": "0"}, 0.0), ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None), ({"retry-after": ""}, None), ({"retry-after": "1e400"}, None),
        ({"retry-after": "9" * 400}, 86400.0), ({"retry-after": "nan"}, None), ({"retry-after-ms": "nan"}, None),
        ({"retry-after-ms": "-5"}, 0.0), ({"retry-after-ms": "inf"}, 86400.0), ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 86400.0), ({"retry-after": "Fri, 99 Foo 2026"}, None),
    ],
    ids=str,
)  # fmt: skip
def test_how_long_a_provider_asks_us_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers) == seconds


def test_a_provider_may_name_the_time_until_which_we_wait() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)

    asctime = (datetime.now(UTC) + timedelta(hours=1)).strftime("%a %b %d %H:%M:%S %Y")

    assert retry_after_seconds({"retry-after": until}) == pytest.approx(3600, abs=10)
    assert retry_after_seconds({"retry-after": asctime}) == pytest.approx(3600, abs=10)


@pytest.mark.parametrize(
    ("delay", "least", "most"),
    [("1s", 1, 10), ("1.05s", 1.05, 10), ("1.2.3s", 0, 1), ("", 0, 1), ("soon", 0, 1), ("-1s", 0, 1)],
)
async def test_googles_own_word_for_how_long_is_heeded(
    gateway: Gateway, providers: FakeProviders, learner: User, delay: str, least: float, most: float
) -> None:
    providers.queues["*"] = deque([Script(status=429, retry_delay=delay)])
    began = time.monotonic()

    answer = await ask(gateway, providers, learner, "gemini")

    assert isinstance(answer, Answered)
    assert least <= time.monotonic() - began < most + 5


async def test_a_wait_without_an_end_is_bounded(gateway: Gateway, providers: FakeProviders, learner: User) -> None:
    providers.scripts["*"] = Script(status=429, retry_delay="999999999999s")

    failure = await ask(gateway, providers, learner, "gemini")

    assert isinstance(failure, ProviderFailed)
    assert failure.retry_after_seconds == 86400.0
    assert len(providers.calls) == 1


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("asked", [0.0, 2.0])
async def test_a_pause_is_random_up_to_its_bound_and_never_less_than_asked_for(
    gateway: Gateway, learner: User, asked: float, retries: int
) -> None:
    waits = [_pause(gateway, learner, asked, retries) - asked for _ in range(300)]

    bound = 0.01 * 2**retries + 1e-9  # the base of these tests
    assert -1e-9 <= min(waits) < bound * 0.1
    assert bound * 0.9 < max(waits) <= bound
    assert len(set(waits)) > 250


def _pause(gateway: Gateway, learner: User, asked: float, retries: int) -> float:
    run = Run(request=request_to(learner), deadline=time.monotonic() + 100)
    run.life.to("Validating")
    run.life.to("Requesting")
    error = failed("OpenAI", "rate_limit", before_generation=True, retry_after_seconds=asked)
    wait = gateway._pause(run, error, retries, deque())
    assert wait is not None
    return wait


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, "prompt is too long: 300000 tokens", "context_length"),
        (400, "context_length_exceeded", "context_length"),
        (400, "rejected by our content management policy", "content_filter"),
        (400, "Your credit balance is too low", "quota"),
        (429, "insufficient_quota", "quota"),
        (500, "prompt is too long", "server"),
        (401, "insufficient_quota", "auth"),
    ],
)
@pytest.mark.parametrize("provider", ["anthropic", "openai", "gemini", "deepseek", "ollama"])
async def test_words_tell_apart_only_what_shares_a_status(
    gateway: Gateway, providers: FakeProviders, learner: User, provider: str, status: int, words: str, kind: str
) -> None:
    providers.scripts["*"] = Script(status=status, message=words)

    failure = await ask(gateway, providers, learner, provider)

    assert isinstance(failure, ProviderFailed)
    assert failure.kind == kind


async def test_a_call_that_failed_says_so_though_its_request_went_on(
    gateway: Gateway, providers: FakeProviders, learner: User, sqlite: Database
) -> None:
    providers.queues["*"] = deque([Script(status=503), Script(status=429)])

    await ask(gateway, providers, learner, "openai")

    await gateway.log.flush()
    paths = [row["states"].split(" > ")[2:] for row in (await call_log.newest(sqlite))[::-1]]
    assert paths[0] == ["Requesting", "Failed"]
    assert paths[1] == ["Requesting", "Retrying", "Requesting", "RateLimited", "Failed"]
    assert paths[2][-2:] == ["Streaming", "Completed"]


async def test_with_logging_off_money_is_booked_and_nothing_is_logged(
    open_one: OpenGateway, providers: FakeProviders, purse: Purse, learner: User, sqlite: Database
) -> None:
    gateway = await open_one(provider_logging_enabled=False)

    answer = await ask(gateway, providers, learner, "openai")

    await gateway.log.flush()
    assert isinstance(answer, Answered)
    assert await call_log.newest(sqlite) == []
    assert await spent_and_held(purse, "openai") == (answer.cost_microusd, 0)
    assert await purse.spent_by(learner.id, thread_id="t", since=datetime.now(UTC) - timedelta(days=1)) > 0


async def test_who_asks_for_an_hour_is_left_alone_and_another_answers(
    gateway: Gateway, providers: FakeProviders, learner: User, sqlite: Database
) -> None:
    best = (await gateway.preview("chat")).ranking[0]
    providers.scripts[best.model_id.partition("/")[2]] = Script(status=429, headers={"retry-after": "3000"})

    answer = await gateway.complete(request_to(learner))

    limited = {
        scored.provider: scored.excluded for scored in (await gateway.preview("chat")).ranking if scored.excluded
    }
    await gateway.log.flush()
    async with sqlite.read() as connection:
        noted = (await event_log.newest(connection, type_prefix="provider.rate-limited"))[0]
    assert not answer.model_id.startswith(best.provider)
    assert limited[best.provider].startswith("it asked us to wait until")
    assert noted.payload == {"provider": best.provider, "retryAfterSeconds": 3000.0}


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        pytest.param(Script(cut_after=0), "network", id="closed before the first word"),
        pytest.param(Script(cut_after=2), "network", id="closed abruptly"),
        pytest.param(Script(finish=None), "network", id="ends early but cleanly"),
        pytest.param(Script(pause_seconds=2), "timeout", id="stalls in the middle"),
        pytest.param(Script(first_pause_seconds=3), "timeout", id="slow first byte"),
        pytest.param(Script(raw="<html>" * 1_000_000, content_type="text/html"), "network", id="another content type"),
    ],
)
@EVERY_WIRE
async def test_a_stream_that_breaks_is_an_error_and_charged_in_full(
    open_one: OpenGateway, providers: FakeProviders, purse: Purse, learner: User, sqlite: Database, provider: str,
    script: Script, kind: str,
) -> None:  # fmt: skip
    gateway = await open_one(first_token_timeout_seconds=0.5)
    providers.scripts["*"] = script

    failure = await ask(gateway, providers, learner, provider)

    await gateway.log.flush()
    logged = (await call_log.newest(sqlite))[0]
    assert isinstance(failure, ProviderFailed)
    assert failure.kind in (kind, "server", "network")
    assert (failure.kind == "timeout") is (kind == "timeout")
    assert len(providers.calls) == 1  # what may be billed is not asked again
    assert gateway.breaker.circuits()[provider_of(provider)].failures == 1
    assert logged["cost_microusd"] == logged["held_microusd"]
    assert await spent_and_held(purse, provider_of(provider)) == (logged["held_microusd"], 0)


@OWN_WIRES
async def test_broken_json_in_a_stream_is_an_error(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, sqlite: Database, provider: str
) -> None:
    providers.scripts["*"] = Script(raw="event: content_block_delta\ndata: {broken json\n\n")

    failure = await ask(gateway, providers, learner, provider)

    await gateway.log.flush()
    logged = (await call_log.newest(sqlite))[0]
    assert isinstance(failure, ProviderFailed)
    assert failure.kind == "server"
    assert len(providers.calls) == 1
    assert gateway.breaker.circuits()[provider_of(provider)].failures == 1
    assert await spent_and_held(purse, provider_of(provider)) == (logged["held_microusd"], 0)


async def test_litellm_leaves_a_broken_line_out_and_says_nothing_of_it(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User
) -> None:
    providers.scripts["*"] = Script(raw="data: {broken json\n\n")

    answer = await ask(gateway, providers, learner, "litellm")

    assert isinstance(answer, Answered)
    assert answer.text == " from the fake."
    assert await spent_and_held(purse, "hosted_vllm") == (answer.cost_microusd, 0)


WITHIN = {
    "anthropic": 'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}\n\n',
    "openai": 'data: {"error": {"message": "Busy", "type": "server_error", "code": null}}\n\n',
    "gemini": 'data: {"candidates": [], "usageMetadata": {"promptTokenCount": 9}}\r\n\r\n'
    'data: {"error": {"code": 503, "message": "Busy", "status": "UNAVAILABLE"}}\r\n\r\n',
}


@pytest.mark.parametrize("provider", WITHIN)
async def test_an_error_within_a_stream_that_began_well_is_an_error(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, sqlite: Database, provider: str
) -> None:
    providers.scripts["*"] = Script(raw=WITHIN[provider])

    failure = await ask(gateway, providers, learner, provider)

    await gateway.log.flush()
    logged = (await call_log.newest(sqlite))[0]
    assert isinstance(failure, ProviderFailed)
    assert (failure.kind, failure.before_generation) == ("server", False)
    assert len(providers.calls) == 1
    assert await spent_and_held(purse, provider) == (logged["held_microusd"], 0)


@pytest.mark.parametrize(
    ("provider", "wire", "reason"),
    [("gemini", "gemini", "OTHER"), ("gemini", "gemini", "MALFORMED_FUNCTION_CALL"),
     ("deepseek", "openai", "insufficient_system_resource"), ("openai", "openai", "tool_calls"),
     ("anthropic", "anthropic", "tool_use"), ("litellm", "openai", "error"),
     ("litellm", "openai", "insufficient_system_resource"), ("litellm", "openai", "tool_calls")],
)  # fmt: skip
@pytest.mark.parametrize("usage", [True, False], ids=["with usage", "without usage"])
@STREAMED
async def test_an_end_that_is_none_is_an_error_and_costs_what_its_usage_says(
    gateway: Gateway, providers: FakeProviders, sqlite: Database, learner: User, provider: str, wire: str, reason: str,
    stream: bool, usage: bool, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(REASONS[wire], "stop", reason)
    providers.scripts["*"] = Script(usage=usage)

    failure = await ask(gateway, providers, learner, provider, stream=stream)

    await gateway.log.flush()
    logged = (await call_log.newest(sqlite))[0]
    model = gateway.catalog.find(MODELS[provider])
    assert model is not None
    assert isinstance(failure, ProviderFailed)
    assert (failure.kind, failure.before_generation) == ("server", False)
    by_usage = model.cost_microusd(
        input_tokens=logged["input_tokens"],
        output_tokens=logged["output_tokens"],
        cached_tokens=logged["cached_tokens"],
    )
    assert logged["output_tokens"] == (providers.calls[0]["output_tokens"] if usage else 0)
    assert logged["cost_microusd"] == (by_usage if usage else logged["held_microusd"])


@pytest.mark.parametrize("reason", ["eos_token", "end_turn", "a word that nobody knows"])
@STREAMED
async def test_a_providers_own_word_for_an_end_is_one_over_litellm(
    gateway: Gateway,
    providers: FakeProviders,
    learner: User,
    reason: str,
    stream: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(REASONS["openai"], "stop", reason)

    answer = await ask(gateway, providers, learner, "litellm", stream=stream)

    assert isinstance(answer, Answered)
    assert answer.finish == "stop"


DECLINED = {
    "openai": 'data: {"id": "c", "created": 1, "model": "m", "object": "chat.completion.chunk", "choices": [{"index": 0, '
    '"delta": {"refusal": "I cannot help with that."}, "finish_reason": null}]}\n\n',
    "gemini": 'data: {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9}}\r\n\r\n',
}


@pytest.mark.parametrize("provider", DECLINED)
async def test_a_provider_that_declines_in_its_own_form_is_understood(
    gateway: Gateway, providers: FakeProviders, learner: User, provider: str
) -> None:
    providers.scripts["*"] = Script(words=("replaced",), raw=DECLINED[provider])

    failure = await ask(gateway, providers, learner, provider)

    assert isinstance(failure, ProviderFailed)
    assert failure.kind == "content_filter"


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(Script(raw="{broken"), id="broken JSON"),
        pytest.param(Script(raw="<html>", content_type="text/html"), id="another content type"),
        pytest.param(Script(raw="[]"), id="another document"),
        pytest.param(Script(cut_after=0), id="closed abruptly"),
    ],
)
@EVERY_WIRE
async def test_a_plain_answer_that_is_none_is_an_error_and_charged_in_full(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, sqlite: Database, provider: str,
    script: Script,
) -> None:  # fmt: skip
    providers.scripts["*"] = script

    failure = await ask(gateway, providers, learner, provider, stream=False)

    await gateway.log.flush()
    logged = (await call_log.newest(sqlite))[0]
    assert isinstance(failure, ProviderFailed)
    assert len(providers.calls) == 1
    assert gateway.breaker.circuits()[provider_of(provider)].failures == 1
    assert logged["cost_microusd"] == logged["held_microusd"]
    assert await spent_and_held(purse, provider_of(provider)) == (logged["held_microusd"], 0)


@OWN_WIRES
async def test_a_plain_answer_without_an_end_is_an_error(
    gateway: Gateway, providers: FakeProviders, learner: User, provider: str
) -> None:
    providers.scripts["*"] = Script(finish=None)

    failure = await ask(gateway, providers, learner, provider, stream=False)

    assert isinstance(failure, ProviderFailed)
    assert failure.kind == "network"


@EVERY_WIRE
async def test_a_plain_answer_that_does_not_come_is_given_up_and_charged_in_full(
    open_one: OpenGateway, providers: FakeProviders, purse: Purse, learner: User, sqlite: Database, provider: str
) -> None:
    gateway = await open_one(total_timeout_seconds=1.0)
    providers.scripts["*"] = Script(first_pause_seconds=5)

    failure = await ask(gateway, providers, learner, provider, stream=False)

    await gateway.log.flush()
    logged = (await call_log.newest(sqlite))[0]
    assert isinstance(failure, ProviderFailed)
    assert (failure.kind, len(providers.calls)) == ("timeout", 1)
    assert gateway.breaker.circuits()[provider_of(provider)].failures == 1
    assert await spent_and_held(purse, provider_of(provider)) == (logged["held_microusd"], 0)


THINKING = ("openai", "gemini", "deepseek")


@EVERY_WIRE
@STREAMED
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(Script(usage=False), id="none"),
        pytest.param(Script(output_tokens=0), id="nothing-of-the-answer"),
        pytest.param(Script(output_tokens=-1_000_000), id="less-than-nothing"),
        pytest.param(Script(input_tokens=10**19), id="more-than-it-can-read"),
        pytest.param(Script(input_tokens=100_000), id="more-than-was-asked"),
        pytest.param(Script(words=("word ",) * 60, output_tokens=2), id="less-than-it-said"),
        pytest.param(Script(output_tokens=3 * 10**9), id="more-than-it-can-write"),
    ],
)
async def test_without_a_usage_block_that_can_be_true_the_tokens_are_counted(
    gateway: Gateway, providers: FakeProviders, learner: User, sqlite: Database, provider: str, stream: bool,
    script: Script,
) -> None:  # fmt: skip
    providers.scripts["*"] = script

    answer = await ask(gateway, providers, learner, provider, stream=stream)

    await gateway.log.flush()
    logged = (await call_log.newest(sqlite))[0]
    assert isinstance(answer, Answered)
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0
    assert answer.tokens_counted
    # all of the hold where it may have thought what is billed and not seen, or says that it billed more than can be
    says_more = max(script.input_tokens, script.output_tokens) >= 100_000
    assert (answer.cost_microusd == logged["held_microusd"]) is (says_more or provider in (*THINKING, "ollama"))
    assert (answer.cost_microusd > 0) is (provider != "ollama")


@EVERY_WIRE
async def test_the_same_word_many_times_is_an_answer(
    gateway: Gateway, providers: FakeProviders, learner: User, provider: str
) -> None:
    providers.scripts["*"] = Script(words=("---- ",) * 150, output_tokens=150)

    answer = await ask(gateway, providers, learner, provider)

    assert isinstance(answer, Answered)
    assert answer.text == "---- " * 150


@EVERY_WIRE
@STREAMED
async def test_a_content_filter_is_a_refusal_that_is_not_asked_of_others(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, sqlite: Database, provider: str,
    stream: bool,
) -> None:  # fmt: skip
    providers.scripts["*"] = Script(words=(), finish="content_filter")

    failure = await ask(gateway, providers, learner, provider, stream=stream)

    await gateway.log.flush()
    logged = (await call_log.newest(sqlite))[0]
    assert isinstance(failure, ProviderFailed)
    assert (failure.kind, failure.retryable, len(providers.calls)) == ("content_filter", False, 1)
    assert provider_of(provider) not in gateway.breaker.circuits()
    assert (logged["input_tokens"], logged["output_tokens"]) == (100, 20)  # it was billed, and is booked, as it said
    assert await spent_and_held(purse, provider_of(provider)) == (logged["cost_microusd"], 0)
    assert (0 < logged["cost_microusd"] < logged["held_microusd"]) is (provider != "ollama")


@pytest.mark.parametrize("provider", ["anthropic", "openai", "gemini", "deepseek"])
async def test_a_filter_in_the_middle_keeps_what_was_said(
    gateway: Gateway, providers: FakeProviders, learner: User, provider: str
) -> None:
    providers.scripts["*"] = Script(finish="content_filter")

    answer = await ask(gateway, providers, learner, provider)

    assert isinstance(answer, Answered)
    assert (answer.text, answer.finish) == ("Hello from the fake.", "content_filter")


@EVERY_WIRE
@STREAMED
async def test_ten_megabytes_in_one_piece_are_not_let_through(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, sqlite: Database, provider: str,
    stream: bool,
) -> None:  # fmt: skip
    providers.scripts["*"] = Script(words=("x" * 10_000_000,))

    failure = await ask(gateway, providers, learner, provider, stream=stream)

    await gateway.log.flush()
    logged = (await call_log.newest(sqlite))[0]
    assert isinstance(failure, ProviderFailed)
    assert (failure.kind, len(providers.calls)) == ("server", 1)
    assert gateway.breaker.circuits()[provider_of(provider)].failures == 1
    assert await spent_and_held(purse, provider_of(provider)) == (logged["held_microusd"], 0)


@EVERY_WIRE
async def test_an_endless_answer_ends(
    open_one: OpenGateway, providers: FakeProviders, learner: User, sqlite: Database, provider: str
) -> None:
    gateway = await open_one(total_timeout_seconds=1.0)
    providers.scripts["*"] = Script(endless=True, pause_seconds=0.02)

    failure = await ask(gateway, providers, learner, provider)

    await gateway.log.flush()
    logged = (await call_log.newest(sqlite))[0]
    assert isinstance(failure, ProviderFailed)
    assert failure.kind == "timeout"
    assert gateway.breaker.circuits()[provider_of(provider)].failures == 1
    assert logged["cost_microusd"] == logged["held_microusd"]


@pytest.fixture
def unanswered() -> Iterator[str]:
    """The address of somebody whose queue of callers is full: nobody gets through, and nobody is told so."""
    with contextlib.ExitStack() as opened:
        listening = opened.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            caller = opened.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("provider", ["anthropic", "openai", "gemini", "deepseek", "litellm"])
@STREAMED
async def test_who_cannot_be_reached_in_time_costs_nothing(
    open_one: OpenGateway, providers: FakeProviders, purse: Purse, learner: User, unanswered: str, provider: str,
    stream: bool, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    elsewhere = {f"{name}_base_url": unanswered for name in ("anthropic", "openai", "gemini", "deepseek")}
    gateway = await open_one(connect_timeout_seconds=0.3, **elsewhere)
    monkeypatch.setenv("HOSTED_VLLM_API_BASE", unanswered)
    began = time.monotonic()

    failure = await ask(gateway, providers, learner, provider, stream=stream)

    assert isinstance(failure, ProviderFailed)
    assert (failure.kind, failure.before_generation) == ("timeout", True)
    assert time.monotonic() - began < 10
    assert gateway.breaker.circuits()[provider_of(provider)].failures == 3  # it was tried again twice
    assert await spent_and_held(purse, provider_of(provider)) == (0, 0)


async def test_who_cannot_be_reached_in_time_is_not_tried_again_where_others_can_be(
    open_one: OpenGateway, providers: FakeProviders, learner: User, unanswered: str
) -> None:
    gateway = await open_one(connect_timeout_seconds=0.3, openai_base_url=unanswered)

    answer = await gateway.complete(request_to(learner, providers=("openai", "anthropic")))
    failures = gateway.breaker.circuits()["openai"].failures
    alone = await open_one(connect_timeout_seconds=0.3, openai_base_url=unanswered, provider_fallback_enabled=False)
    with pytest.raises(ProviderFailed):
        await alone.complete(request_to(learner, providers=("openai", "anthropic")))

    assert answer.model_id.startswith("anthropic/")
    assert failures == 1
    assert alone.breaker.circuits()["openai"].failures == 4  # it was tried again twice


async def test_a_long_plain_answer_is_waited_for_whatever_the_time_to_connect(
    open_one: OpenGateway, providers: FakeProviders, learner: User
) -> None:
    gateway = await open_one(connect_timeout_seconds=5)  # the SDK's own default

    answer = await gateway.complete(
        request_to(learner, "anthropic/claude-haiku-5-5", stream=False, max_output_tokens=32_000)
    )

    assert answer.text == "Hello from the fake."


async def test_nobody_listens(open_one: OpenGateway, providers: FakeProviders, purse: Purse, learner: User) -> None:
    gateway = await open_one(openai_base_url="http://127.0.0.1:9/v1")

    failure = await ask(gateway, providers, learner, "openai")

    assert isinstance(failure, ProviderFailed)
    assert (failure.kind, failure.before_generation) == ("network", True)
    assert await spent_and_held(purse, "openai") == (0, 0)


async def test_cached_tokens_cost_less(gateway: Gateway, providers: FakeProviders, learner: User) -> None:
    providers.scripts["*"] = Script(input_tokens=1000, cached_tokens=900, output_tokens=10)

    costs = {}
    for provider in ("anthropic", "openai", "gemini"):
        answer = await ask(gateway, providers, learner, provider)
        assert isinstance(answer, Answered)
        costs[provider] = answer.cost_microusd

    # fresh input, cached input and output, in dollars a million: 1/0.10/5, 0.25/0.025/2, 0.30/0.03/2.50
    assert costs == {"anthropic": 100 + 90 + 50, "openai": 25 + 23 + 20, "gemini": 30 + 27 + 25}


# in dollars a million, for fresh input, what is read from the cache, what is written to it, and output:
# 0.20, 0.02, 0.25, 1.20 and 1, 0.10, 1.25, 5
@pytest.mark.parametrize(
    ("model", "cost"),
    [("openai/gpt-5.6-luna", 40 + 6 + 125 + 12), ("anthropic/claude-haiku-4-5", 200 + 30 + 625 + 50)],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_writing_the_cache_costs_more(
    gateway: Gateway, providers: FakeProviders, learner: User, stream: bool, model: str, cost: int
) -> None:
    providers.scripts["*"] = Script(input_tokens=1000, cached_tokens=300, cache_write_tokens=500, output_tokens=10)

    answer = await gateway.complete(request_to(learner, model, stream=stream))

    assert answer.cost_microusd == cost


async def test_another_model_goes_on_where_one_broke_off(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User
) -> None:
    first, second = [scored.model_id for scored in (await gateway.preview("chat")).ranking[:2]]
    providers.scripts[first.partition("/")[2]] = Script(words=("One,", " two,", " never"), cut_after=2)
    providers.scripts[second.partition("/")[2]] = Script(words=(" three.",))

    chunks = [chunk async for chunk in gateway.stream(request_to(learner))]

    said = [chunk.text if isinstance(chunk, TextDelta) else type(chunk).__name__ for chunk in chunks]
    sent = providers.calls[-1]["body"]
    assert said == ["One,", " two,", "Switched", " three.", "Answered"]
    assert chunks[2] == Switched(from_model_id=first, to_model_id=second)
    assert chunks[-1].text == "One, two, three."  # type: ignore[union-attr]  # it is an Answered
    assert "One, two," in str(sent)
    assert "Go on exactly where it stops" in str(sent)
    assert all(budget.held_microusd == 0 for budget in await purse.budgets(datetime.now(UTC)))


async def test_with_fallback_off_the_first_failure_is_told(
    open_one: OpenGateway, providers: FakeProviders, learner: User
) -> None:
    gateway = await open_one(provider_fallback_enabled=False)
    providers.scripts["*"] = Script(status=401)

    with pytest.raises(ProviderFailed):
        await gateway.complete(request_to(learner))

    assert len(providers.calls) == 1


async def test_a_slow_first_word_is_hedged_and_both_are_booked(
    open_one: OpenGateway, providers: FakeProviders, learner: User, sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await open_one(tooloo_hedging=True)
    monkeypatch.setattr("app.models.standing.FEWEST_FIRST_TOKENS", 3)
    first, second = [scored.model_id for scored in (await gateway.preview("chat")).ranking[:2]]
    for _ in range(3):
        await gateway.complete(request_to(learner, first))
    providers.scripts[first.partition("/")[2]] = Script(first_pause_seconds=5)

    answer = await gateway.complete(request_to(learner))

    await gateway.log.flush()
    newest = {f"{row['provider']}/{row['model']}": row for row in (await call_log.newest(sqlite))[:2]}
    assert answer.model_id == second
    assert newest[first]["status"] == "stopped"
    assert newest[first]["cost_microusd"] == newest[first]["held_microusd"] > 0
    assert answer.cost_microusd == newest[first]["cost_microusd"] + newest[second]["cost_microusd"]


async def test_a_listener_that_leaves_ends_the_call(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, sqlite: Database
) -> None:
    providers.scripts["*"] = Script(endless=True, pause_seconds=0.02)
    stream = gateway.stream(request_to(learner, MODELS["openai"]))

    await anext(stream)
    await stream.aclose()

    await gateway.log.flush()
    logged = (await call_log.newest(sqlite))[0]
    for _ in range(100):
        if providers.closed_early:
            break
        await asyncio.sleep(0.02)
    assert providers.closed_early == 1
    assert (logged["status"], logged["states"]) == ("stopped", "Idle > Validating > Requesting > Streaming > Failed")
    assert await spent_and_held(purse, "openai") == (logged["held_microusd"], 0)


@dataclass
class Endless:
    """A server whose answers never end, packed or not; ``sent`` counts the bytes on the way."""

    head: bytes
    part: bytes
    most: int
    sent: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.head)
        try:
            while self.sent < self.most:
                writer.write(self.part)
                await writer.drain()
                self.sent += len(self.part)
        except ConnectionError:
            pass
        finally:
            writer.close()
            self.ended.set()


def _packed(size: int) -> tuple[bytes, bytes]:
    """The beginning of a gzip body, and a block of so many bytes that can follow it any number of times."""
    packer = zlib.compressobj(wbits=31)
    body = packer.compress(b"x" * size) + packer.flush(zlib.Z_FULL_FLUSH)
    return body[:10], body[10:]


GZIP, BLOCK = _packed(2**24)
ENDLESS = {  # how a body is packed, how it begins, what it repeats, and how many bytes on the way are plenty
    "plain": ("identity", b"", b"x" * 65536, 3 * MOST_BYTES),
    "packed": ("gzip", GZIP, BLOCK, 2**22),
    "packed otherwise": ("zstd", b"", b"x" * 65536, 2**22),
}


@pytest.mark.parametrize("body", ENDLESS)
@STREAMED
@pytest.mark.parametrize("provider", ["anthropic", "openai", "gemini", "litellm"])
async def test_an_endless_body_breaks_off_before_it_fills_the_memory(
    provider: str, stream: bool, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    packing, begin, part, most = ENDLESS[body]
    kind = "text/event-stream" if stream else "application/json"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Encoding: {packing}\r\nConnection: close\r\n\r\n"
    endless = Endless(head=head.encode() + begin, part=part, most=most)
    server = await asyncio.start_server(endless.answer, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    model, wire = await asyncio.to_thread(_model_and_wire, provider, address, monkeypatch)
    prompt = Prompt(system="s", messages=(Message(role="user", content="?"),), max_output_tokens=8)

    async def answer() -> None:
        if not stream:
            await wire.complete(model, prompt)
            return
        async for _ in wire.stream(model, prompt):
            pass

    with pytest.raises(ProviderFailed) as failure:
        await answer()

    assert failure.value.kind == "network"
    assert endless.sent < most
    await wire.close()
    await endless.ended.wait()
    server.close()
    await server.wait_closed()


def _model_and_wire(provider: str, address: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Model, Wire]:
    catalog = load_catalog(None, today=date(2026, 3, 2))
    if provider == "litellm":
        monkeypatch.setenv("HOSTED_VLLM_API_BASE", address)
        model = replace(catalog.models[0], provider="hosted_vllm", name="tiny", wire="litellm")
        return model, LiteLLMWire(connect_seconds=5)
    settings = Settings(_env_file=None, **{f"{provider}_base_url": address})
    model = next(model for model in catalog.models if model.provider == provider)
    return model, make_wire(settings, provider, "key")
