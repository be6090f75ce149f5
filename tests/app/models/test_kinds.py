"""What a provider says of its own errors, and what it does not, decides what they are."""

import asyncio
import gc
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.errors import InvalidInput, ProviderErrorKind, ProviderFailed
from app.identity.accounts import User
from app.models import log as call_log
from app.models.budget import Purse
from app.models.call import USAGE_SECONDS, Call, TimeLimits
from app.models.gateway import Gateway
from app.models.providers.departure import departing
from app.models.providers.kinds import kind_in_stream, kind_of_status
from app.models.providers.litellm import LiteLLMWire
from app.models.providers.wire import Finished, Message, StreamEvent, TextDelta, Usage, failed
from app.models.run import Answered, Switched
from app.storage.database import Database
from tests.app.models.conftest import MODELS, request_to, spent_and_held
from tests.app.models.test_selector import Said
from tests.fakes.providers import FakeProviders, Script

pytestmark = pytest.mark.filterwarnings("ignore")  # the SDKs' own deprecations
DEEP = "[" * 200_000
LIMITS = TimeLimits(first_token_seconds=5, between_tokens_seconds=0.3, total_seconds=20)


def openai_says(message: str, code: str = "", kind: str = "invalid_request_error") -> dict[str, object]:
    return {"message": message, "type": kind, "param": None, "code": code}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # anthropics/claude-code #6195; deepseek-ai/DeepSeek-V2 #30; openai/codex #7250
        (400, {"error": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}},
         "content_filter"),
        (400, openai_says("Content Exists Risk"), "content_filter"),
        (400, openai_says("Invalid prompt: flagged as potentially violating our usage policy", "invalid_prompt"),
         "content_filter"),
        (400, openai_says("The response was filtered", "content_filter"), "content_filter"),
        (403, openai_says("Project has no access to model x", "model_not_found"), "invalid_request"),
        (403, openai_says("Country, region, or territory not supported"), "auth"),
        (429, openai_says("You exceeded your current quota", "insufficient_quota"), "quota"),
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}},
         "quota"),
        # anthropics/claude-code #2127, #38035; BerriAI/litellm #2743
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message":
               "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."}},
         "quota"),
        (429, openai_says("Your account is not active, please check your billing details", "billing_not_active"),
         "quota"),
        (400, openai_says("Billing hard limit has been reached", "billing_hard_limit_reached"), "quota"),
        (400, {"error": {"code": 400, "message": "no", "details": [{"reason": "API_KEY_INVALID"}]}}, "auth"),
        (400, {"error": "prompt is too long"}, "context_length"),
        (400, "this model's maximum context length is 8192 tokens", "context_length"),
        (400, {"Message": "Input is too long for requested model."}, "context_length"),
        (400, {"error": {"message": "Provider returned error", "metadata": {"raw": "maximum context length is 8192"}}},
         "context_length"),
        (400, {"error": {"message": "filtered", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
         "content_filter"),
        (400, openai_says("what does API_KEY_INVALID mean?"), "invalid_request"),
        # what the learner asked, sent back as pydantic does
        (422, {"detail": [{"msg": "Field required", "input": {"content": "what's my credit balance"}}]},
         "invalid_request"),
        (422, {"detail": [{"msg": "Field required", "input": "what is a context window?"}]}, "invalid_request"),
        (500, {"error": {"message": "boom", "input": "insufficient_quota"}}, "server"),
        (500, "insufficient_quota", "server"),
        (400, DEEP, "invalid_request"),
        (400, {"error": {"error": {"error": {"error": {"error": {"error": {"message": "context window"}}}}}}},
         "invalid_request"),
        (400, None, "invalid_request"),
        (400, [], "invalid_request"),
    ],
)  # fmt: skip
def test_a_refusal_is_sorted_by_what_it_says_of_itself(status: int, body: object, kind: ProviderErrorKind) -> None:
    assert kind_of_status(status, body) == kind


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}, "rate_limit"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "server"),
        ({"type": "error", "error": {"message": "Output blocked by content filtering policy"}}, "content_filter"),
        (openai_says("You exceeded your current quota", "insufficient_quota"), "quota"),
        (openai_says("Rate limit reached", "rate_limit_exceeded"), "rate_limit"),
        ({"message": "slow down", "code": 429}, "rate_limit"),
        ({"message": "Too many tokens, please wait before trying again.", "code": 429}, "rate_limit"),
        (
            {"type": "error", "error": {"type": "rate_limit_error", "message": "too many tokens per minute"}},
            "rate_limit",
        ),
        ({"message": "failed at computing the token count", "code": 500}, "server"),
        ({"error": {"message": "who are you?", "code": "401"}}, "auth"),
        ({"message": "This model's maximum context length is 8192 tokens", "code": 400}, "context_length"),
        (openai_says("Too long", "context_length_exceeded"), "context_length"),
        (
            {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long"}},
            "context_length",
        ),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": "no such tool"}}, "invalid_request"),
        ({"type": "error", "error": {"type": "billing_error", "message": "no money"}}, "quota"),
        ({"message": "what is 429?", "code": 7}, "server"),
        ({"code": {"code": 429}}, "server"),
        (None, "server"),
    ],
)
def test_an_error_within_an_answer_is_sorted_too(body: object, kind: ProviderErrorKind) -> None:
    assert kind_in_stream(body) == kind


async def test_a_filter_of_anthropics_in_mid_stream_moves_no_circuit_and_asks_nobody_else(
    gateway: Gateway, providers: FakeProviders, learner: User
) -> None:
    error = '{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}'
    providers.scripts["*"] = Script(raw=f"event: error\ndata: {error}\n\n")

    for _ in range(6):
        with pytest.raises(ProviderFailed, match="declined to answer this") as raised:
            await gateway.complete(request_to(learner, providers=("anthropic", "openai")))

    assert raised.value.kind == "content_filter"
    assert {call["wire"] for call in providers.calls} == {"anthropic"}


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No garbage is collected meanwhile: where the depth is exhausted, the end of other tests' objects fails, too."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("provider", list(MODELS))
async def test_what_is_nested_too_deeply_is_an_error_like_others(
    gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, provider: str, status: int, stream: bool
) -> None:
    providers.ollama_models = ("qwen:7b",)
    raw = DEEP if status == 400 or not stream else f"event: content_block_delta\ndata: {DEEP}\n\n"
    providers.scripts["*"] = Script(raw=raw, status=status, message=DEEP)

    with pytest.raises(ProviderFailed):
        await gateway.complete(request_to(learner, MODELS[provider], stream=stream))

    assert (await spent_and_held(purse, MODELS[provider].partition("/")[0]))[1] == 0


@pytest.mark.parametrize("provider", list(MODELS))
async def test_a_listener_that_leaves_ends_the_call_over_every_wire(
    gateway: Gateway, providers: FakeProviders, learner: User, provider: str
) -> None:
    providers.ollama_models = ("qwen:7b",)
    providers.scripts["*"] = Script(endless=True, pause_seconds=0.02)
    stream = gateway.stream(request_to(learner, MODELS[provider]))
    for _ in range(3):
        await anext(stream)

    await stream.aclose()

    async with asyncio.timeout(3):
        while not providers.closed_early:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("is_ended", [False, True])
async def test_counts_of_tokens_are_no_words_to_wait_for(gateway: Gateway, learner: User, is_ended: bool) -> None:
    class Counting(Said):
        async def stream(self, model: object, prompt: object):  # type: ignore[no-untyped-def, override]  # a wire's
            for event in self._events:
                yield event
            while True:
                await asyncio.sleep(0.05)
                yield Usage(input_tokens=20, output_tokens=1)

    events: tuple[StreamEvent, ...] = (TextDelta(text="One"), *([Finished(reason="stop")] if is_ended else []))
    model = next(iter(await gateway.models()))
    call = Call(request_to(learner), model, Counting(events), now=datetime.now(UTC), seconds=20)
    began = time.monotonic()

    if is_ended:
        assert [event async for event in call.events(LIMITS)][:2] == list(events)
    else:
        with pytest.raises(ProviderFailed, match="took too long"):
            [event async for event in call.events(LIMITS)]

    assert time.monotonic() - began < (USAGE_SECONDS if is_ended else 0) + 3


async def test_a_complete_answer_stands_whatever_comes_after_it(gateway: Gateway, learner: User) -> None:
    class Broken(Said):
        async def stream(self, model: object, prompt: object):  # type: ignore[no-untyped-def, override]  # a wire's
            for event in self._events:
                yield event
            raise failed("OpenAI", "server", before_generation=False)

    events = (TextDelta(text="One"), Finished(reason="stop"), Usage(input_tokens=20, output_tokens=1))
    model = next(iter(await gateway.models()))

    async def said(*events: StreamEvent) -> list[StreamEvent]:
        call = Call(request_to(learner), model, Broken(events), now=datetime.now(UTC), seconds=20)
        return [event async for event in call.events(LIMITS)]

    assert await said(*events) == list(events)
    with pytest.raises(ProviderFailed):
        await said(TextDelta(text="One"))


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
async def test_a_refusal_behind_white_space_is_one(
    gateway: Gateway, providers: FakeProviders, learner: User, provider: str
) -> None:
    providers.scripts["*"] = Script(words=("\n", " "), finish="content_filter")

    with pytest.raises(ProviderFailed, match="declined to answer this"):
        await gateway.complete(request_to(learner, MODELS[provider], stream=True))


async def test_an_answer_of_anthropics_may_begin_with_nothing_of_tokens(
    gateway: Gateway, providers: FakeProviders, learner: User
) -> None:
    message = {"id": "m", "type": "message", "role": "assistant", "model": "x", "content": [], "usage": None}
    events = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
            for text in ("", "Hi")
        ),
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    raw = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    providers.scripts["*"] = Script(raw=raw, content_type="text/event-stream")

    chunks = [chunk async for chunk in gateway.stream(request_to(learner, MODELS["anthropic"]))]

    answer = chunks[-1]
    assert isinstance(answer, Answered)
    assert chunks[:-1] == [TextDelta(text="Hi")]  # and no word that is none, which would hold off a time-out
    assert answer.tokens_counted
    assert answer.cost_microusd > 0


async def test_an_end_that_is_told_with_every_word_is_none(gateway: Gateway, learner: User) -> None:
    class Hasty(Said):
        async def stream(self, model: object, prompt: object):  # type: ignore[no-untyped-def, override]  # a wire's
            for _ in range(8):
                yield TextDelta(text="word ")
                yield Finished(reason="stop")
                await asyncio.sleep(0.2)
            yield Usage(input_tokens=20, output_tokens=8)

    model = next(iter(await gateway.models()))
    call = Call(request_to(learner), model, Hasty(()), now=datetime.now(UTC), seconds=20)

    said = [event async for event in call.events(LIMITS) if isinstance(event, TextDelta)]

    assert len(said) == 8
    assert call.usage == Usage(input_tokens=20, output_tokens=8)


async def test_who_broke_off_is_named_though_another_failed_before_the_one_that_goes_on(
    gateway: Gateway, providers: FakeProviders, learner: User
) -> None:
    first, second, third = [scored.model_id for scored in (await gateway.preview("chat")).ranking[:3]]
    providers.scripts[first.partition("/")[2]] = Script(words=("One,", " two,", " never"), cut_after=2)
    providers.scripts[second.partition("/")[2]] = Script(status=401)

    chunks = [chunk async for chunk in gateway.stream(request_to(learner))]

    assert [chunk for chunk in chunks if isinstance(chunk, Switched)] == [
        Switched(from_model_id=first, to_model_id=third)
    ]


async def test_nothing_goes_on_from_white_space(gateway: Gateway, providers: FakeProviders, learner: User) -> None:
    first = (await gateway.preview("chat")).ranking[0].model_id
    providers.scripts[first.partition("/")[2]] = Script(words=("\n\n", " ", " never"), cut_after=2)

    chunks = [chunk async for chunk in gateway.stream(request_to(learner))]

    assert not [chunk for chunk in chunks if isinstance(chunk, Switched)]
    assert "Go on exactly where it stops" not in str(providers.calls[-1]["body"])


async def test_a_provider_that_wants_a_pause_is_left_for_one_that_answers_now(
    gateway: Gateway, providers: FakeProviders, learner: User
) -> None:
    first = (await gateway.preview("chat")).ranking[0].model_id
    providers.scripts[first.partition("/")[2]] = Script(status=429, headers={"retry-after": "5"})
    began = time.monotonic()

    answer = await gateway.complete(request_to(learner))

    assert answer.model_id.partition("/")[0] != first.partition("/")[0]
    assert time.monotonic() - began < 4


async def test_a_request_that_is_stopped_before_a_model_is_asked_is_logged(
    gateway: Gateway, providers: FakeProviders, learner: User, sqlite: Database
) -> None:
    providers.scripts["*"] = Script(status=429, headers={"retry-after": "7"})
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(gateway.complete(request_to(learner, MODELS["openai"])), 1)
    asked = len(providers.calls)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(gateway.complete(request_to(learner, MODELS["openai"])), 0.5)
    await gateway.log.flush()

    newest, before = await call_log.newest(sqlite)
    assert len(providers.calls) == asked
    assert (newest["status"], newest["provider"], newest["cost_microusd"]) == ("refused", "none", 0)
    assert newest["selection"]["reason"] == "stopped before a model was asked"
    assert before["provider"] == "openai"


async def test_half_a_character_is_refused_before_it_is_sent(
    gateway: Gateway, providers: FakeProviders, learner: User
) -> None:
    message = Message(role="user", content="\ud800")

    with pytest.raises(InvalidInput, match="half of a character"):
        await gateway.complete(replace(request_to(learner), messages=(message,)))

    assert providers.calls == []


async def test_who_is_stopped_while_litellm_is_imported_owes_nothing(
    gateway: Gateway, learner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = LiteLLMWire(connect_seconds=5)
    monkeypatch.setattr(wire, "_load", lambda: time.sleep(0.5))
    model = gateway.catalog.by_id[MODELS["litellm"]]
    call = Call(request_to(learner, stream=False), model, wire, now=datetime.now(UTC), seconds=20)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(call.events(LIMITS)), 0.1)

    assert call.owes_nothing(None)
    assert departing.get() is None
