"""Whether a call left, and may be billed: what was read by a provider is charged, is sent once, and nothing else is."""

import asyncio
import contextlib
import json
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

import aiohttp
import httpx
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from app.errors import ProviderErrorKind, ProviderFailed
from app.identity.accounts import User
from app.models import log as call_log
from app.models.budget import Purse
from app.models.catalog import load_catalog
from app.models.gateway import Gateway
from app.models.providers import anthropic, gemini
from app.models.providers.litellm import LiteLLMWire
from app.models.providers.openai import OpenAIWire
from app.models.providers.wire import Message, Prompt, broken_off, failed
from app.models.run import Answered
from app.storage.database import Database
from tests.app.models.conftest import MODELS, OpenGateway, request_to, spent_and_held
from tests.fakes.providers import FakeProviders, Script

pytestmark = pytest.mark.filterwarnings("ignore")  # the SDKs' own deprecations

STREAMED = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])
How = Literal["close", "reset", "busy", "silence", "nothing"]
CONNECTING = aiohttp.client_reqrep.ConnectionKey("api.example", 443, True, None, None, None, None)
TO_PROXY = aiohttp.RequestInfo(URL("http://proxy.example"), "CONNECT", CIMultiDictProxy(CIMultiDict()))
SOME_MODEL = load_catalog(None, today=date(2026, 3, 2)).models[0]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def whole(so_far: str | None = None, at_the_end: str = "stop") -> bytes:
    """A stream to its last word, with what it says of its end."""
    documents = (
        {"choices": [{"index": 0, "delta": {"content": "Hello from "}, "finish_reason": so_far}]},
        {"choices": [{"index": 0, "delta": {"content": "the fake."}, "finish_reason": so_far}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": at_the_end}]},
        {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}},
    )
    said = "".join(f"data: {json.dumps(one)}\n\n" for one in documents) + "data: [DONE]\n\n"
    return f"{len(said):x}\r\n{said}\r\n".encode()


@dataclass
class Reading:
    """A provider that reads each request, and then does ``how``: leaves without a byte of an answer, refuses, says
    ``said`` and does not end it, or says nothing."""

    how: How
    said: bytes = b""
    url: str = ""
    read: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:  # it was given up
            writer.close()
            return
        length = re.search(rb"content-length: (\d+)", head.lower())
        await reader.readexactly(int(length[1]) if length else 0)
        self.read += 1
        if self.how == "nothing":
            await self.left.wait()
        elif self.how == "reset":
            unsent = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, unsent)
        elif self.how == "busy":
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        elif self.how == "silence":
            writer.write(HEAD + self.said)
            await self.left.wait()
        writer.close()


@contextlib.asynccontextmanager
async def reading(how: How, said: bytes = b"") -> AsyncIterator[Reading]:
    provider = Reading(how, said)
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield provider
        provider.left.set()


async def ask(gateway: Gateway, user: User, provider: str, *, stream: bool = True) -> Answered | ProviderFailed:
    try:
        return await gateway.complete(request_to(user, MODELS[provider], stream=stream))
    except ProviderFailed as error:
        return error


async def open_at(open_one: OpenGateway, url: str, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    monkeypatch.setenv("HOSTED_VLLM_API_BASE", f"{url}/v1")
    return await open_one(
        anthropic_base_url=url, openai_base_url=f"{url}/v1", gemini_base_url=url, deepseek_base_url=url
    )


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("provider", [name for name in MODELS if name != "ollama"])  # which is free, over OpenAI's wire
@STREAMED
async def test_a_request_that_was_read_is_charged_and_sent_once_though_no_answer_came(
    open_one: OpenGateway, learner: User, sqlite: Database, monkeypatch: pytest.MonkeyPatch, provider: str,
    stream: bool, how: How,
) -> None:  # fmt: skip
    async with reading(how) as there:
        gateway = await open_at(open_one, there.url, monkeypatch)

        failure = await ask(gateway, learner, provider, stream=stream)

    await gateway.log.flush()
    (logged,) = await call_log.newest(sqlite)
    assert isinstance(failure, ProviderFailed)
    assert (failure.kind, failure.before_generation, there.read) == ("network", False, 1)
    assert logged["cost_microusd"] == logged["held_microusd"]


@pytest.mark.parametrize("is_stopped", [False, True], ids=["too slow", "stopped"])
@pytest.mark.parametrize("is_encrypted", [True, False], ids=["connecting", "connected"])
@pytest.mark.parametrize("provider", ["anthropic", "openai", "gemini"])
@STREAMED
async def test_what_is_given_up_costs_nothing_until_it_left(
    open_one: OpenGateway, purse: Purse, learner: User, sqlite: Database, monkeypatch: pytest.MonkeyPatch,
    provider: str, stream: bool, is_encrypted: bool, is_stopped: bool,
) -> None:  # fmt: skip
    async with reading(
        "nothing"
    ) as there:  # which to whoever greets it encrypted is one that never answers the greeting
        url = there.url.replace("http:", "https:") if is_encrypted else there.url
        gateway = await open_at(open_one, url, monkeypatch)
        request = request_to(learner, MODELS[provider], stream=stream, total_seconds=None if is_stopped else 0.5)
        asking = asyncio.ensure_future(gateway.complete(request))
        await asyncio.wait({asking}, timeout=0.4 if is_stopped else 5)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    await gateway.settled()
    await gateway.log.flush()
    (logged,) = await call_log.newest(sqlite)
    assert logged["status"] == "stopped"
    assert logged["cost_microusd"] == (0 if is_encrypted else logged["held_microusd"])
    assert await spent_and_held(purse, provider) == (logged["cost_microusd"], 0)


@pytest.mark.parametrize("how", ["close", "reset", "busy"])
@pytest.mark.parametrize("provider", ["anthropic", "openai", "gemini"])
async def test_a_proxy_that_leads_nowhere_costs_nothing(
    open_one: OpenGateway, purse: Purse, learner: User, monkeypatch: pytest.MonkeyPatch, provider: str, how: How
) -> None:
    async with reading(how) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        gateway = await open_at(open_one, "https://api.example", monkeypatch)

        failure = await ask(gateway, learner, provider)

    assert isinstance(failure, ProviderFailed)
    assert (failure.kind, failure.before_generation, proxy.read > 0) == ("network", True, True)
    assert await spent_and_held(purse, provider) == (0, 0)


@pytest.mark.parametrize("how", ["reset", "busy"])
@pytest.mark.parametrize(
    ("provider", "stream"), [("deepinfra", True), ("deepinfra", False), ("text-completion-openai", False)]
)  # by OpenAI's SDK within LiteLLM
async def test_litellm_sends_nothing_again_by_itself(
    monkeypatch: pytest.MonkeyPatch, provider: str, stream: bool, how: How
) -> None:
    wire = LiteLLMWire(connect_seconds=5)
    model = replace(SOME_MODEL, provider=provider, name="m", wire="litellm")
    prompt = Prompt(system="s", messages=(Message(role="user", content="Hello?"),), max_output_tokens=8)

    async with reading(how) as there:
        for name in ("DEEPINFRA", "OPENAI"):
            monkeypatch.setenv(f"{name}_API_BASE", f"{there.url}/v1")
            monkeypatch.setenv(f"{name}_API_KEY", "sk-test")
        with pytest.raises(ProviderFailed) as failure:
            await (anext(aiter(wire.stream(model, prompt))) if stream else wire.complete(model, prompt))

    assert (there.read, failure.value.before_generation) == (1, how == "busy")


@pytest.mark.parametrize(
    ("provider", "kind"),
    [
        pytest.param("v0", "invalid_request", id="it cannot translate a parameter"),
        pytest.param("deepinfra", "auth", id="it has no key"),
    ],
)
async def test_what_litellm_itself_refuses_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, provider: str, kind: ProviderErrorKind
) -> None:
    wire = LiteLLMWire(connect_seconds=5)
    model = replace(SOME_MODEL, provider=provider, name="m", wire="litellm")
    prompt = Prompt(system="s", messages=(Message(role="user", content="Hello?"),), max_output_tokens=8)
    monkeypatch.setenv("V0_API_KEY", "sk-test")

    with pytest.raises(ProviderFailed) as failure:
        await wire.complete(model, prompt)

    assert (failure.value.kind, failure.value.before_generation) == (kind, True)


async def test_an_answer_that_is_whole_is_booked_by_its_usage_though_its_end_is_not(
    open_one: OpenGateway, learner: User, sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reading("silence", whole()) as there:
        gateway = await open_at(open_one, there.url, monkeypatch)

        answer = await ask(gateway, learner, "litellm")

    assert isinstance(answer, Answered)
    assert (answer.text, answer.cost_microusd, there.read) == ("Hello from the fake.", 120, 1)


@pytest.mark.parametrize("at_the_end", ["length", "content_filter"])
async def test_the_last_word_counts_of_a_stream_that_says_at_each_step_how_it_ends(
    open_one: OpenGateway, learner: User, monkeypatch: pytest.MonkeyPatch, at_the_end: str
) -> None:
    async with reading("silence", whole(so_far="stop", at_the_end=at_the_end)) as there:
        gateway = await open_at(open_one, there.url, monkeypatch)

        answer = await ask(gateway, learner, "litellm")

    assert isinstance(answer, Answered)
    assert (answer.text, answer.finish) == ("Hello from the fake.", at_the_end)


ERROR = '{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}'
NO_KEY = '{"error": {"code": 401, "message": "no such key", "type": "invalid_api_key"}}'


@pytest.mark.parametrize(
    ("provider", "stream", "raw"),
    [
        pytest.param("gemini", True, f"data: {ERROR}\r\n\r\n", id="Gemini, streamed"),
        pytest.param("gemini", False, ERROR, id="Gemini, plain"),
        pytest.param("openai", True, f"data: {ERROR}\n\n", id="OpenAI, streamed"),
        pytest.param("litellm", True, f"data: {NO_KEY}\n\n", id="LiteLLM, streamed"),
        pytest.param("litellm", False, NO_KEY, id="LiteLLM, plain"),
    ],
)
async def test_an_error_within_an_answer_that_was_taken_is_no_refusal(
    open_one: OpenGateway, providers: FakeProviders, learner: User, sqlite: Database, provider: str, stream: bool,
    raw: str,
) -> None:  # fmt: skip
    gateway = await open_one()
    providers.scripts["*"] = Script(words=(raw,), raw=raw)

    failure = await ask(gateway, learner, provider, stream=stream)

    await gateway.log.flush()
    (logged,) = await call_log.newest(sqlite)
    assert isinstance(failure, ProviderFailed)
    assert (failure.before_generation, len(providers.calls)) == (False, 1)
    assert logged["cost_microusd"] == logged["held_microusd"]


@pytest.mark.parametrize(("status", "kind"), [(504, "timeout"), (520, "server"), (524, "timeout")])
@pytest.mark.parametrize("provider", [name for name in MODELS if name != "ollama"])
async def test_who_waited_in_vain_for_an_answer_says_nothing_of_what_it_costs(
    open_one: OpenGateway,
    providers: FakeProviders,
    learner: User,
    sqlite: Database,
    provider: str,
    status: int,
    kind: ProviderErrorKind,
) -> None:
    gateway = await open_one()
    providers.scripts["*"] = Script(status=status)

    failure = await ask(gateway, learner, provider)

    await gateway.log.flush()
    (logged,) = await call_log.newest(sqlite)
    assert isinstance(failure, ProviderFailed)
    assert (failure.kind, len(providers.calls)) == (kind, 1)
    assert logged["cost_microusd"] == logged["held_microusd"]


OPENAI = OpenAIWire(provider="OpenAI", api_key="k", base_url="http://127.0.0.1:9", connect_seconds=1)


@pytest.mark.parametrize("translated", [OPENAI._translated, anthropic._translated, gemini._translated])
def test_what_breaks_in_an_encrypted_connection_is_a_broken_connection(
    translated: Callable[[], AbstractContextManager[None]],
) -> None:
    with pytest.raises(ProviderFailed) as failure, translated():
        raise ssl.SSLError("a bad record")

    assert (failure.value.kind, failure.value.before_generation) == ("network", False)


def test_what_another_call_met_says_nothing_of_this_one() -> None:
    before = failed("openai", "network", before_generation=True)
    before.__cause__ = httpx.ConnectError("refused")
    error = httpx.ReadError("cut off")
    error.__context__ = before  # whoever asks again because the first failed

    assert not broken_off("openai", error).before_generation


@pytest.mark.parametrize(
    ("told", "before_generation"),
    [
        (aiohttp.ClientConnectorDNSError(CONNECTING, OSError("no such name")), True),
        (aiohttp.ClientConnectorCertificateError(CONNECTING, ssl.SSLError("expired")), True),
        (aiohttp.ClientProxyConnectionError(CONNECTING, OSError("refused")), True),
        (aiohttp.ClientHttpProxyError(TO_PROXY, (), status=403), True),
        (aiohttp.ConnectionTimeoutError("connecting"), True),
        (aiohttp.SocketTimeoutError("reading"), False),
        (aiohttp.ClientOSError(104, "reset"), False),
        (aiohttp.ServerDisconnectedError(), False),
        (aiohttp.ClientPayloadError("half"), False),
        (None, True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_aiohttp_is_believed_and_not_what_it_is_called_after(told: Exception | None, before_generation: bool) -> None:
    error = httpx.ConnectError("as LiteLLM says of each of them")
    error.__cause__ = told

    assert broken_off("openai", error).before_generation == before_generation
