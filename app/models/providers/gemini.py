"""Gemini through google-genai."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import httpx
from google import genai
from google.genai import errors, types

from app.models.catalog import Model
from app.models.providers.bounded import ACCEPTED, bounded
from app.models.providers.departure import watch
from app.models.providers.kinds import kind_of_status
from app.models.providers.wire import (
    BROKEN_ANSWER,
    MAY_BE_BILLED,
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
    retry_after_seconds,
    sensible_wait,
)

_BLOCKED = ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY")
_FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(_BLOCKED, "content_filter"),
}


_answering: ContextVar[list[httpx.Response] | None] = ContextVar("answering", default=None)


async def _note(answer: httpx.Response) -> None:
    if (answers := _answering.get()) is not None:
        answers.append(answer)


class GeminiWire:
    def __init__(self, *, api_key: str, base_url: str | None, connect_seconds: float) -> None:
        async def limit(request: httpx.Request) -> None:  # the SDK sends without any limit, whatever its client says
            request.extensions["timeout"] = {"connect": connect_seconds, "pool": connect_seconds}

        self._http = httpx.AsyncClient(
            headers=ACCEPTED, event_hooks={"request": [limit, watch], "response": [bounded(httpx), _note]}
        )
        self._client = genai.Client(
            api_key=api_key,
            http_options=types.HttpOptions(base_url=base_url, httpx_async_client=self._http),
        )

    async def stream(self, model: Model, prompt: Prompt) -> AsyncIterator[StreamEvent]:
        answers: list[httpx.Response] = []
        _answering.set(answers)
        try:
            with _translated():
                # The SDK sends nothing before the first step of the iteration: only then does a refusal show.
                stream = await self._client.aio.models.generate_content_stream(**_request(model, prompt))
                async for chunk in stream:
                    for event in _events_of(chunk):
                        yield event
        finally:  # whoever leaves a stream of the SDK leaves its connection open, over which the provider goes on
            _answering.set(None)
            for answer in answers:
                with suppress(httpx.HTTPError, OSError):
                    await answer.aclose()

    async def complete(self, model: Model, prompt: Prompt) -> list[StreamEvent]:
        with _translated():
            return _events_of(await self._client.aio.models.generate_content(**_request(model, prompt)))

    async def list_models(self) -> list[str]:
        with _translated():
            listed = await self._client.aio.models.list(config={"page_size": MOST_LISTED})
            return [(model.name or "").removeprefix("models/") for model in listed.page]

    async def close(self) -> None:
        await self._client.aio.aclose()
        await self._http.aclose()


def _request(model: Model, prompt: Prompt) -> dict[str, Any]:  # Any: the SDK's keyword arguments
    return {
        "model": model.name,
        "contents": [
            types.Content(role="model" if m.role == "assistant" else "user", parts=[types.Part(text=m.content)])
            for m in prompt.messages
        ],
        "config": types.GenerateContentConfig(
            system_instruction=prompt.system, max_output_tokens=prompt.max_output_tokens
        ),
    }


def _events_of(chunk: types.GenerateContentResponse) -> list[StreamEvent]:
    events: list[StreamEvent] = []
    if chunk.text:
        events.append(TextDelta(text=chunk.text))
    if chunk.usage_metadata:
        usage = chunk.usage_metadata
        answered = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        events.append(
            Usage(
                input_tokens=usage.prompt_token_count or 0, output_tokens=answered,
                cached_tokens=usage.cached_content_token_count or 0,
            )
        )  # fmt: skip
    if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
        events.append(Finished(reason="content_filter"))
    events.extend(
        ended(candidate.finish_reason.name, _FINISH)
        for candidate in (chunk.candidates or [])[:1]
        if candidate.finish_reason
    )
    return events


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except errors.APIError as error:
        kind, wait = kind_of_status(error.code, error.details), _retry_after(error)
        raise failed("Gemini", kind, before_generation=_is_refusal(error), retry_after_seconds=wait) from error
    except httpx.TimeoutException as error:
        raise broken_off("Gemini", error, timed_out=True) from error
    except (httpx.HTTPError, OSError) as error:
        raise broken_off("Gemini", error) from error
    except (errors.UnknownApiResponseError, *BROKEN_ANSWER) as error:
        raise failed("Gemini", "server", before_generation=False) from error


def _is_refusal(error: errors.APIError) -> bool:
    """Whether the answer itself has an error status, and not only an error in it: the SDK makes the same of both."""
    status = error.response.status_code if isinstance(error.response, httpx.Response) else 0
    return status >= 400 and status not in MAY_BE_BILLED


def _retry_after(error: errors.APIError) -> float | None:
    """From the header, or from the RetryInfo that Google puts into the body (``"retryDelay": "17s"``)."""
    headers = getattr(error.response, "headers", None)
    wait = retry_after_seconds(headers) if headers is not None else None
    if wait is not None:
        return wait
    delay = re.search(r"'retryDelay': '(\d{1,12}(?:\.\d+)?)s'", str(error.details))
    return sensible_wait(float(delay[1])) if delay else None
