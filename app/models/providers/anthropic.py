"""Claude through Anthropic's SDK."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import anthropic
import httpx2
from anthropic.types import MessageParam, RawContentBlockDeltaEvent, RawMessageDeltaEvent, RawMessageStartEvent
from anthropic.types import TextDelta as TextBlockDelta

from app.models.catalog import Model
from app.models.providers.bounded import ACCEPTED, bounded
from app.models.providers.departure import watch
from app.models.providers.kinds import kind_in_stream
from app.models.providers.wire import (
    BROKEN_ANSWER,
    MOST_LISTED,
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

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}


class AnthropicWire:
    def __init__(self, *, api_key: str, base_url: str | None, connect_seconds: float) -> None:
        self._timeout = anthropic.Timeout(600, connect=connect_seconds)
        self._client = anthropic.AsyncAnthropic(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,
            timeout=self._timeout,
            http_client=anthropic.DefaultAsyncHttpxClient(
                headers=ACCEPTED, event_hooks={"request": [watch], "response": [bounded(httpx2)]}
            ),
        )

    async def stream(self, model: Model, prompt: Prompt) -> AsyncIterator[StreamEvent]:
        with _translated():
            stream = await self._client.messages.create(**_request(model, prompt), stream=True)
            async with stream:
                usage = Usage(input_tokens=0, output_tokens=0)
                async for event in stream:
                    match event:
                        case RawMessageStartEvent():
                            usage = _usage(event.message.usage) if event.message.usage else usage
                        case RawContentBlockDeltaEvent(delta=TextBlockDelta(text=text)) if text:
                            yield TextDelta(text=text)
                        case RawMessageDeltaEvent():
                            if said := getattr(event, "usage", None):
                                yield _later(usage, _usage(said))
                            if event.delta.stop_reason:
                                yield ended(event.delta.stop_reason, _FINISH)

    async def complete(self, model: Model, prompt: Prompt) -> list[StreamEvent]:
        with _translated():
            # given anew, it is no default, for which the SDK would refuse to wait for a long answer
            message = await self._client.messages.create(**_request(model, prompt), stream=False, timeout=self._timeout)
            text = "".join(block.text for block in message.content if block.type == "text")
            events: list[StreamEvent] = [TextDelta(text=text)] if text else []
            if message.usage:
                events.append(_usage(message.usage))
            if message.stop_reason:
                events.append(ended(message.stop_reason, _FINISH))
            return events

    async def list_models(self) -> list[str]:
        with _translated():
            listed = await self._client.models.list(limit=MOST_LISTED)
            return [model.id for model in listed.data]

    async def close(self) -> None:
        await self._client.close()


def _request(model: Model, prompt: Prompt) -> dict[str, Any]:  # Any: the SDK's keyword arguments
    return {
        "model": model.name,
        "system": prompt.system,
        "messages": [cast(MessageParam, {"role": m.role, "content": m.content}) for m in prompt.messages],
        "max_tokens": prompt.max_output_tokens,
    }


def _usage(usage: Any) -> Usage:  # Any: what a provider sends under the SDK's types
    """All input tokens, and those read from the cache and written to it: Anthropic counts the three apart."""
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return Usage(
        input_tokens=(usage.input_tokens or 0) + cached + written, output_tokens=usage.output_tokens or 0,
        cached_tokens=cached, cache_write_tokens=written,
    )  # fmt: skip


def _later(began: Usage, ended: Usage) -> Usage:
    """The usage at the end of a stream, whose counts of the input may be left out there, or be corrected."""
    if ended.input_tokens > began.input_tokens:
        return ended
    return replace(began, output_tokens=ended.output_tokens)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except anthropic.APIStatusError as error:
        if error.status_code < 400:  # an error event within a stream that began well
            raise failed("Anthropic", kind_in_stream(error.body), before_generation=False) from error
        raise refused("Anthropic", error.status_code, error.body, error.response.headers) from error
    except anthropic.APITimeoutError as error:
        raise broken_off("Anthropic", error, timed_out=True) from error
    except (anthropic.APIConnectionError, httpx2.HTTPError, OSError) as error:
        raise broken_off("Anthropic", error) from error
    except (anthropic.APIError, *BROKEN_ANSWER) as error:
        raise failed("Anthropic", "server", before_generation=False) from error
