"""Gemini through google-genai."""

from collections.abc import AsyncIterator
from contextlib import contextmanager
from typing import Literal

import httpx
from google import genai
from google.genai import errors, types

from app.models.catalog import Model
from app.models.providers.wire import Finished, Prompt, StreamEvent, TextDelta, Usage, failed, kind_of_status

_BLOCKED = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"})


class GeminiWire:
    def __init__(self, *, api_key: str, base_url: str | None) -> None:
        self._client = genai.Client(
            api_key=api_key,
            http_options=types.HttpOptions(base_url=base_url, timeout=600_000),
        )

    async def stream(self, model: Model, prompt: Prompt) -> AsyncIterator[StreamEvent]:
        contents = [
            types.Content(role="model" if m.role == "assistant" else "user", parts=[types.Part(text=m.content)])
            for m in prompt.messages
        ]
        config = types.GenerateContentConfig(
            system_instruction=prompt.system, max_output_tokens=prompt.max_output_tokens
        )
        with _translated():
            stream = await self._client.aio.models.generate_content_stream(
                model=model.name, contents=contents, config=config
            )
        with _translated(before_generation=False):
            async for chunk in stream:
                for event in _events_of(chunk):
                    yield event

    async def close(self) -> None:
        await self._client.aio.aclose()


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


@contextmanager
def _translated(*, before_generation: bool = True):  # type: ignore[no-untyped-def]  # contextmanager's type says it
    try:
        yield
    except errors.APIError as error:
        kind = kind_of_status(error.code, str(error.details))
        if error.code == 400 and "API_KEY_INVALID" in str(error.details):
            kind = "auth"
        raise failed("Gemini", kind, before_generation=before_generation) from error
    except httpx.TimeoutException as error:
        raise failed("Gemini", "timeout", before_generation=False) from error
    except (httpx.HTTPError, OSError, errors.UnknownApiResponseError) as error:
        raise failed("Gemini", "network", before_generation=before_generation) from error
