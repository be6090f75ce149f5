"""OpenAI through its SDK, and what speaks the same wire: DeepSeek and Ollama."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpx
import openai
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionMessageParam

from app.models.catalog import Model
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

_FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length", "content_filter": "content_filter"}


class OpenAIWire:
    """``provider`` is its name for people; OpenAI itself counts reasoning within ``max_completion_tokens``."""

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
        )

    async def stream(self, model: Model, prompt: Prompt) -> AsyncIterator[StreamEvent]:
        with self._translated():
            stream = await self._client.chat.completions.create(
                **self._request(model, prompt), stream=True, stream_options={"include_usage": True}
            )
            declined = False
            async with stream:
                async for chunk in stream:
                    for choice in chunk.choices[:1]:
                        if choice.delta.content:
                            yield TextDelta(text=choice.delta.content)
                        declined = declined or bool(choice.delta.refusal)
                        if choice.finish_reason and declined:
                            yield Finished(reason="content_filter")
                        elif choice.finish_reason:
                            yield ended(self._provider, choice.finish_reason, _FINISH)
                    if chunk.usage:
                        yield _usage(chunk.usage)

    async def complete(self, model: Model, prompt: Prompt) -> list[StreamEvent]:
        with self._translated():
            completion = await self._client.chat.completions.create(**self._request(model, prompt), stream=False)
            choice = completion.choices[0]
            events: list[StreamEvent] = [TextDelta(text=choice.message.content)] if choice.message.content else []
            if completion.usage:
                events.append(_usage(completion.usage))
            if choice.finish_reason and choice.message.refusal:
                events.append(Finished(reason="content_filter"))
            elif choice.finish_reason:
                events.append(ended(self._provider, choice.finish_reason, _FINISH))
            return events

    async def list_models(self) -> list[str]:
        with self._translated():
            listed = await self._client.models.list()
            return [model.id for model in listed.data[:MOST_LISTED]]

    async def close(self) -> None:
        await self._client.close()

    def _request(self, model: Model, prompt: Prompt) -> dict[str, Any]:  # Any: the SDK's keyword arguments
        messages = [
            {"role": "system", "content": prompt.system},
            *({"role": m.role, "content": m.content} for m in prompt.messages),
        ]
        return {
            "model": model.name,
            "messages": cast(list[ChatCompletionMessageParam], messages),
            self._limit_field: prompt.max_output_tokens,
        }

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except openai.APIStatusError as error:
            raise refused(self._provider, error.status_code, str(error.body), error.response.headers) from error
        except openai.APITimeoutError as error:
            raise broken_off(self._provider, error, timed_out=True) from error
        except (openai.APIConnectionError, httpx.HTTPError) as error:
            raise broken_off(self._provider, error) from error
        except (openai.APIError, *BROKEN_ANSWER) as error:
            raise failed(self._provider, "server", before_generation=False) from error


def _usage(usage: CompletionUsage) -> Usage:
    details = usage.prompt_tokens_details
    cached = details.cached_tokens if details else getattr(usage, "prompt_cache_hit_tokens", 0)  # DeepSeek's name
    return Usage(
        input_tokens=usage.prompt_tokens or 0, output_tokens=usage.completion_tokens or 0, cached_tokens=cached or 0
    )
