"""OpenAI through its SDK, and what speaks the same wire: DeepSeek and Ollama."""

from collections.abc import AsyncIterator
from contextlib import contextmanager
from typing import Any, Literal, cast

import httpx
import openai
from openai.types.chat import ChatCompletionMessageParam

from app.models.catalog import Model
from app.models.providers.wire import Finished, Prompt, StreamEvent, TextDelta, Usage, failed, kind_of_status

_FINISH: dict[str, Literal["stop", "length", "content_filter"]] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
}


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
        messages = [
            {"role": "system", "content": prompt.system},
            *({"role": m.role, "content": m.content} for m in prompt.messages),
        ]
        limit: dict[str, Any] = {self._limit_field: prompt.max_output_tokens}  # Any: one of two fields
        with self._translated():
            stream = await self._client.chat.completions.create(
                model=model.name,
                messages=cast(list[ChatCompletionMessageParam], messages),
                stream=True,
                stream_options={"include_usage": True},
                **limit,
            )
        with self._translated(before_generation=False):
            async with stream:
                async for chunk in stream:
                    for choice in chunk.choices[:1]:
                        if choice.delta.content:
                            yield TextDelta(text=choice.delta.content)
                        if choice.finish_reason:
                            yield Finished(reason=_FINISH.get(choice.finish_reason, "stop"))
                    if chunk.usage:
                        yield Usage(
                            input_tokens=chunk.usage.prompt_tokens,
                            output_tokens=chunk.usage.completion_tokens,
                        )

    async def close(self) -> None:
        await self._client.close()

    @contextmanager
    def _translated(self, *, before_generation: bool = True):  # type: ignore[no-untyped-def]  # as contextmanager says
        try:
            yield
        except openai.APITimeoutError as error:
            raise failed(self._provider, "timeout", before_generation=False) from error
        except openai.APIStatusError as error:
            kind = kind_of_status(error.status_code, str(error.body))
            raise failed(self._provider, kind, before_generation=before_generation) from error
        except (openai.APIError, httpx.HTTPError) as error:
            raise failed(self._provider, "network", before_generation=before_generation) from error


async def ollama_tags(base_url: str, *, timeout_seconds: float) -> list[str]:
    """Names of the models that an Ollama at ``base_url`` holds; empty when none listens there."""
    try:
        async with httpx.AsyncClient(timeout=timeout_seconds) as client:
            answer = await client.get(f"{base_url.rstrip('/')}/api/tags")
            answer.raise_for_status()
            return [str(model["name"]) for model in answer.json().get("models", [])]
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
        return []
