"""OpenAI through its SDK, and what speaks the same wire: DeepSeek and Ollama."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import openai

from app.models.catalog import Model
from app.models.providers.bounded import ACCEPTED, bounded
from app.models.providers.departure import watch
from app.models.providers.kinds import kind_in_stream
from app.models.providers.wire import (
    BROKEN_ANSWER,
    MOST_LISTED,
    Finished,
    FinishReason,
    Prompt,
    StreamEvent,
    TextDelta,
    Usage,
    broken_off,
    ended,
    failed,
    refused,
)

COMPLETIONS = "/chat/completions"
DRAIN_SECONDS = 0.25  # for what comes after the last word of a stream
Json = dict[str, Any]  # Any: as the provider sends it
_FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length", "content_filter": "content_filter"}


class _Chunks(openai.AsyncStream[Json]):
    """The documents of a stream, read to the end of its body: the SDK leaves it at the last word, after which its
    connection cannot be used again, and each answer would wait for a new one."""

    async def __stream__(self) -> AsyncIterator[Json]:
        body = self.response.aiter_bytes()
        try:
            async for said in _events(body):
                if said.startswith(b"[DONE]"):
                    break
                chunk = json.loads(said)
                if chunk.get("error"):
                    raise openai.APIError("an error within the stream", self.response.request, body=chunk["error"])
                yield chunk
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    async for _ in body:
                        pass
        finally:
            await self.response.aclose()


async def _events(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The data of each server-sent event (WHATWG HTML, "Server-sent events"), whose lines end with LF or CR LF; of the
    last one also where no empty line follows it."""
    line, data = bytearray(), bytearray()
    async for piece in body:
        *ends, rest = piece.split(b"\n")
        for end in ends:
            line += end
            whole = line.removesuffix(b"\r")
            line.clear()
            _add(whole, data)
            if data and not whole:
                yield bytes(data)
                data.clear()
        line += rest
    _add(line, data)
    if data:
        yield bytes(data)


def _add(line: bytearray, data: bytearray) -> None:
    if line.startswith(b"data:"):
        data += (b"\n" if data else b"") + line[5:].removeprefix(b" ")


class OpenAIWire:
    """``provider`` is its name for people; OpenAI itself counts reasoning within ``max_completion_tokens``.

    The SDK sends, and sorts the errors; its typed models are left out, because to build one for each piece of an answer
    takes more processor time than all the rest.
    """

    def __init__(
        self, *, provider: str, api_key: str, base_url: str | None, connect_seconds: float,
        organization: str | None = None,
    ) -> None:  # fmt: skip
        self._provider = provider
        self._limit_field = "max_completion_tokens" if provider == "OpenAI" else "max_tokens"
        self._client = openai.AsyncOpenAI(
            api_key=api_key,
            base_url=base_url,
            organization=organization,
            max_retries=0,
            timeout=httpx.Timeout(600, connect=connect_seconds),
            http_client=openai.DefaultAsyncHttpxClient(
                headers=ACCEPTED, event_hooks={"request": [watch], "response": [bounded(httpx)]}
            ),
        )

    async def stream(self, model: Model, prompt: Prompt) -> AsyncIterator[StreamEvent]:
        with self._translated():
            body = self._body(model, prompt) | {"stream": True, "stream_options": {"include_usage": True}}
            stream = await self._client.post(COMPLETIONS, body=body, cast_to=object, stream=True, stream_cls=_Chunks)
            declined = False
            async with stream:
                async for chunk in stream:
                    for choice in (chunk.get("choices") or [])[:1]:
                        said = choice.get("delta") or {}
                        if text := _text(said):
                            yield TextDelta(text=text)
                        declined = declined or bool(said.get("refusal"))
                        if reason := choice.get("finish_reason"):
                            yield _ended(reason, declined=declined)
                    if chunk.get("usage"):
                        yield _usage(chunk["usage"])

    async def complete(self, model: Model, prompt: Prompt) -> list[StreamEvent]:
        with self._translated():
            completion: Any = await self._client.post(COMPLETIONS, body=self._body(model, prompt), cast_to=object)
            choice = completion["choices"][0]
            said = choice.get("message") or {}
            events: list[StreamEvent] = [TextDelta(text=text)] if (text := _text(said)) else []
            if completion.get("usage"):
                events.append(_usage(completion["usage"]))
            if reason := choice.get("finish_reason"):
                events.append(_ended(reason, declined=bool(said.get("refusal"))))
            return events

    async def list_models(self) -> list[str]:
        with self._translated():
            listed = await self._client.models.list()
            return [model.id for model in listed.data[:MOST_LISTED]]

    async def close(self) -> None:
        await self._client.close()

    def _body(self, model: Model, prompt: Prompt) -> Json:
        messages = [
            {"role": "system", "content": prompt.system},
            *({"role": m.role, "content": m.content} for m in prompt.messages),
        ]
        return {"model": model.name, "messages": messages, self._limit_field: prompt.max_output_tokens}

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except openai.APIStatusError as error:
            raise refused(self._provider, error.status_code, error.body, error.response.headers) from error
        except openai.APITimeoutError as error:
            raise broken_off(self._provider, error, timed_out=True) from error
        except (openai.APIConnectionError, httpx.HTTPError, OSError) as error:
            raise broken_off(self._provider, error) from error
        except openai.APIError as error:
            raise failed(self._provider, kind_in_stream(error.body), before_generation=False) from error
        except BROKEN_ANSWER as error:
            raise failed(self._provider, "server", before_generation=False) from error


def _text(said: Json) -> str:
    """
    Raises:
        TypeError: what is said is no text.
    """
    content = said.get("content") or ""
    if not isinstance(content, str):
        raise TypeError("content is no text")
    return content


def _ended(reason: str, *, declined: bool) -> Finished:
    return Finished(reason="content_filter") if declined else ended(reason, _FINISH)


def _usage(usage: Json) -> Usage:
    """Where the counts are no numbers there are none, and we count."""
    given = [name for name in ("prompt_tokens", "completion_tokens") if usage.get(name) is not None]
    if any(_tokens(usage, name) is None for name in given):
        return Usage(input_tokens=0, output_tokens=0)
    details = usage.get("prompt_tokens_details") or {}
    cached = _tokens(details, "cached_tokens") or _tokens(usage, "prompt_cache_hit_tokens")  # that is DeepSeek's name
    return Usage(
        input_tokens=_tokens(usage, "prompt_tokens") or 0, output_tokens=_tokens(usage, "completion_tokens") or 0,
        cached_tokens=cached or 0, cache_write_tokens=_tokens(details, "cache_write_tokens") or 0,
    )  # fmt: skip


def _tokens(counts: Json, name: str) -> int | None:
    number = counts.get(name)
    return number if type(number) is int and number >= 0 else None
