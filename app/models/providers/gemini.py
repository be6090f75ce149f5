"""Gemini through google-genai."""

from collections.abc import AsyncIterator
from typing import Literal

import httpx
from google import genai
from google.genai import errors, types

from app.errors import ProviderFailed
from app.models.catalog import Model
from app.models.providers.wire import Finished, Prompt, StreamEvent, TextDelta, Usage, failed, kind_of_status

_BLOCKED = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"})


class GeminiWire:
    def __init__(self, *, api_key: str, base_url: str | None, connect_seconds: float) -> None:
        self._http = httpx.AsyncClient(timeout=httpx.Timeout(600, connect=connect_seconds))
        self._client = genai.Client(
            api_key=api_key,
            http_options=types.HttpOptions(base_url=base_url, httpx_async_client=self._http),
        )

    async def stream(self, model: Model, prompt: Prompt) -> AsyncIterator[StreamEvent]:
        contents = [
            types.Content(role="model" if m.role == "assistant" else "user", parts=[types.Part(text=m.content)])
            for m in prompt.messages
        ]
        config = types.GenerateContentConfig(
            system_instruction=prompt.system, max_output_tokens=prompt.max_output_tokens
        )
        started = False
        try:
            # The SDK sends nothing before the first step of the iteration: only then does a refusal show.
            stream = await self._client.aio.models.generate_content_stream(
                model=model.name, contents=contents, config=config
            )
            async for chunk in stream:
                started = True
                for event in _events_of(chunk):
                    yield event
        except (errors.APIError, httpx.HTTPError, OSError, errors.UnknownApiResponseError) as error:
            raise _failed(error, before_generation=not started) from error

    async def close(self) -> None:
        await self._client.aio.aclose()
        await self._http.aclose()


def _events_of(chunk: types.GenerateContentResponse) -> list[StreamEvent]:
    events: list[StreamEvent] = []
    if chunk.text:
        events.append(TextDelta(text=chunk.text))
    if chunk.usage_metadata:
        usage = chunk.usage_metadata
        answered = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        events.append(Usage(input_tokens=usage.prompt_token_count or 0, output_tokens=answered))
    if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
        events.append(Finished(reason="content_filter"))
    events.extend(
        Finished(reason=_finish(candidate.finish_reason.name))
        for candidate in (chunk.candidates or [])[:1]
        if candidate.finish_reason
    )
    return events


def _finish(name: str) -> Literal["stop", "length", "content_filter"]:
    if name in _BLOCKED:
        return "content_filter"
    return "length" if name == "MAX_TOKENS" else "stop"


def _failed(error: Exception, *, before_generation: bool) -> ProviderFailed:
    if isinstance(error, errors.APIError):
        invalid_key = error.code == 400 and "API_KEY_INVALID" in str(error.details)
        kind = "auth" if invalid_key else kind_of_status(error.code, str(error.details))
        return failed("Gemini", kind, before_generation=before_generation)
    if isinstance(error, httpx.TimeoutException):
        return failed("Gemini", "timeout", before_generation=False)
    return failed("Gemini", "network", before_generation=before_generation)
