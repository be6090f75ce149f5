"""Streams over OpenAI's wire: how they are cut into events, and that their connection serves the next one."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import openai
import pytest

from app.identity.accounts import User
from app.models.gateway import Gateway
from app.models.providers.openai import OpenAIWire, _events
from app.models.providers.wire import Finished, Prompt, TextDelta
from tests.app.models.conftest import MODELS, request_to

SAID = b'data: {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\n'
PROMPT = Prompt(system="", messages=(), max_output_tokens=5)


async def _in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.mark.parametrize(
    ("pieces", "events"),
    [
        ([b"data: 1\n\ndata: 2\n\n"], [b"1", b"2"]),
        ([b"da", b"ta: 1\r", b"\n\r\ndata:2\n", b"data: 3\n\n"], [b"1", b"2\n3"]),
        ([b": ping\n\nevent: x\nid: 7\ndata: 1\n\ndata: [DONE]"], [b"1", b"[DONE]"]),
        (["data: a\u2028b\x85c\n\n".encode()], ["a\u2028b\x85c".encode()]),
        ([b"data:\n\ndata:  x\n\n"], [b" x"]),
        ([b"\n\n\n", b""], []),
        ([], []),
    ],
)
async def test_a_body_is_cut_into_the_data_of_its_events(pieces: list[bytes], events: list[bytes]) -> None:
    assert [event async for event in _events(_in_pieces(*pieces))] == events


async def _answer_of(body: AsyncIterator[bytes]) -> tuple[list[object], float]:
    wire = OpenAIWire(provider="OpenAI", api_key="sk-test", base_url="http://fake/v1", connect_seconds=1)
    transport = httpx.MockTransport(
        lambda _request: httpx.Response(200, content=body, headers={"content-type": "text/event-stream"})
    )
    wire._client = openai.AsyncOpenAI(
        api_key="sk-test", base_url="http://fake/v1", http_client=httpx.AsyncClient(transport=transport)
    )
    began = time.monotonic()
    events: list[object] = [event async for event in wire.stream(_Model(), PROMPT)]  # type: ignore[arg-type]  # its name is all that is read
    return events, time.monotonic() - began


class _Model:
    name = "gpt"


async def test_a_body_that_goes_on_after_its_last_word_is_left() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield SAID + b"data: [DONE]\n\n"
        await asyncio.sleep(60)

    events, seconds = await _answer_of(body())

    assert events == [TextDelta(text="Hi"), Finished(reason="stop")]
    assert seconds < 10


@pytest.mark.parametrize("model", [MODELS["openai"], MODELS["deepseek"]])
async def test_the_next_answer_comes_over_the_same_connection(gateway: Gateway, learner: User, model: str) -> None:
    wire = gateway._wires[model.partition("/")[0]]
    pool = wire._client._client._transport._pool  # type: ignore[attr-defined]  # of the SDK's client
    connections = []
    for _ in range(3):
        await gateway.complete(request_to(learner, model))
        connections.append(list(pool.connections))

    assert connections[0] == connections[1] == connections[2]
    assert len(connections[0]) == 1
