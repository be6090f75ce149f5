"""Every other provider that LiteLLM knows. LiteLLM is imported when the first such call is made."""

import asyncio
import importlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from functools import cache
from typing import Any

import httpx
import structlog

from app.errors import ProviderFailed
from app.models.catalog import Model
from app.models.providers.bounded import bounded
from app.models.providers.departure import departing
from app.models.providers.wire import (
    BROKEN_ANSWER,
    FinishReason,
    Prompt,
    StreamEvent,
    TextDelta,
    Usage,
    broken_off,
    causes,
    ended,
    failed,
    never_sent,
    refused,
)

_FINISH: dict[str, FinishReason] = {
    "stop": "stop", "length": "length", "content_filter": "content_filter", "guardrail_intervened": "content_filter",
    "eos": "stop", "finish_reason_unspecified": "stop",
}  # fmt: skip
# What providers say where they broke off, which LiteLLM would call a "stop"; and one of its own words for such an end.
_BROKEN_OFF = (
    "error", "ERROR", "network_error", "insufficient_system_resource", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE",
    "UNEXPECTED_TOOL_CALL", "MISSING_THOUGHT_SIGNATURE", "TOO_MANY_TOOL_CALLS",
)  # fmt: skip
_BROKEN_OFF_REASON = "malformed_function_call"
# Keys that LiteLLM takes under names that do not begin as the provider's does.
_OTHER_KEYS = {
    "huggingface": ("HF_TOKEN",), "cohere": ("CO_API_KEY",), "openrouter": ("OR_API_KEY",),
    "volcengine": ("ARK_API_KEY",), "vertex_ai": ("GOOGLE_",),
}  # fmt: skip
# What is raised for want of a key before anything is sent, by whose libraries LiteLLM asks.
_NO_KEY = {("openai", "OpenAIError"), ("google", "DefaultCredentialsError"), ("botocore", "NoCredentialsError")}
_HELPERS = "litellm.litellm_core_utils.core_helpers"
logger = structlog.get_logger()


class LiteLLMWire:
    def __init__(self, *, connect_seconds: float) -> None:
        self._module: Any = None  # Any: imported late, for its weight
        self._reasons: dict[str, str] = {}
        self._timeout = httpx.Timeout(600, connect=connect_seconds)

    async def stream(self, model: Model, prompt: Prompt) -> AsyncIterator[StreamEvent]:
        litellm = await self._loaded()
        with self._translated(model):
            stream = await litellm.acompletion(
                **self._request(model, prompt), stream=True, stream_options={"include_usage": True}
            )
            if not hasattr(stream, "chunks"):  # models that only complete texts: nothing was sent yet
                raise failed(model.provider, "invalid_request", before_generation=True)
            ending = _Ending(stream, self._reasons)
            async with aclosing(stream):
                async for chunk in stream:
                    for choice in chunk.choices[:1]:
                        if choice.delta.content:
                            yield TextDelta(text=choice.delta.content)
                    for event in ending.news(stream.received_finish_reason):
                        yield event
                for event in ending.news(stream.received_finish_reason or stream.intermittent_finish_reason):
                    yield event

    async def complete(self, model: Model, prompt: Prompt) -> list[StreamEvent]:
        litellm = await self._loaded()
        with self._translated(model):
            completion = await litellm.acompletion(**self._request(model, prompt), stream=False)
            choice = completion.choices[0]
            events: list[StreamEvent] = [TextDelta(text=choice.message.content)] if choice.message.content else []
            events += [_usage(completion.usage)] if getattr(completion, "usage", None) else []
            return [*events, ended(choice.finish_reason, _FINISH)]

    def misses_key(self, model: Model) -> bool:
        """Whether LiteLLM wants keys for the provider of a model, and nothing like them is in the environment, or does
        not know the provider at all. It is imported here: call this in a thread."""
        try:
            module = self._module or self._load()
            if model.provider not in module.provider_list:
                logger.warning("litellm.provider_unknown", model=model.id)
                return True
            missing: list[str] = module.validate_environment(model.id)["missing_keys"]
        except Exception:  # LiteLLM's errors share no base; a call will say what is wrong
            logger.warning("litellm.key_unknown", model=model.id, exc_info=True)
            return False
        names = {model.provider, *missing}  # what is set may be another of its variables, such as a profile's
        starts = (*(name.partition("_")[0].upper() for name in names), *_OTHER_KEYS.get(model.provider, ()))
        return bool(missing) and not any(name.startswith(starts) for name in os.environ)

    async def list_models(self) -> list[str]:
        """Nothing: these providers take their keys from the environment alone, as LiteLLM names them."""
        return []

    async def close(self) -> None:
        return None

    def _request(self, model: Model, prompt: Prompt) -> dict[str, Any]:  # Any: keyword arguments
        return {
            "model": model.id,
            "messages": [
                {"role": "system", "content": prompt.system},
                *({"role": m.role, "content": m.content} for m in prompt.messages),
            ],
            "max_tokens": prompt.max_output_tokens,
            "num_retries": 0,
            "timeout": self._timeout,
        }

    async def _loaded(self) -> Any:  # Any: as above
        if self._module is None:
            departure = departing.get()
            if departure is not None:  # whoever is stopped while it is imported has sent nothing
                departure.is_watched = departure.was_held_up = True
            await asyncio.to_thread(self._load)
            if departure is not None:
                departure.is_watched = False
        return self._module

    def _load(self) -> Any:  # Any: as above
        module = _patched()
        self._reasons = importlib.import_module(_HELPERS)._FINISH_REASON_MAP
        self._module = module  # whoever finds it here finds it ready
        return module

    @contextmanager
    def _translated(self, model: Model) -> Iterator[None]:
        exceptions = self._module.exceptions
        departure = departing.get()
        try:
            yield
        except ProviderFailed:
            raise
        except Exception as error:  # LiteLLM's errors share no base, and their status is often made up
            answer = _real_answer(error)
            if answer is not None:
                raise refused(model.provider, answer.status_code, _body(answer, error), answer.headers) from error
            if isinstance(error, exceptions.UnsupportedParamsError):  # it does not send what it cannot translate
                raise failed(model.provider, "invalid_request", before_generation=True) from error
            if isinstance(error, exceptions.AuthenticationError) or _has_no_key(error):
                has_left = departure is not None and departure.has_begun
                raise failed(model.provider, "auth", before_generation=not has_left) from error
            if isinstance(error, BROKEN_ANSWER):
                raise failed(model.provider, "server", before_generation=False) from error
            raise broken_off(model.provider, error, timed_out=isinstance(error, exceptions.Timeout)) from error


@cache
def _patched() -> Any:  # Any: as above
    """LiteLLM as we need it."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    module: Any = importlib.import_module("litellm")
    module.suppress_debug_info = True
    module.telemetry = False
    # A long line of dashes is no failure; how long an answer may get is ours to say.
    module.REPEATED_STREAMING_CHUNK_LIMIT = sys.maxsize
    helpers: Any = importlib.import_module(_HELPERS)
    helpers._FINISH_REASON_MAP.update(dict.fromkeys((*_BROKEN_OFF, _BROKEN_OFF_REASON), _BROKEN_OFF_REASON))
    main: Any = importlib.import_module("litellm.main")
    # For all but three providers it would make one limit of time out of ours, the longest.
    main.supports_httpx_timeout = lambda _provider: True
    _bound(importlib.import_module("litellm.llms.custom_httpx.http_handler").AsyncHTTPHandler)
    for name in ("litellm.llms.openai.openai", "litellm.llms.openai.completion.handler"):
        _send_once(importlib.import_module(name))
    return module


class _Ending:
    """What the provider itself says at a stream's end, in its own words or LiteLLM's: which reports "stop" and counts
    also where nothing was said."""

    def __init__(self, stream: Any, reasons: dict[str, str]) -> None:  # Any: litellm.CustomStreamWrapper
        self._chunks: list[Any] = stream.chunks  # Any: LiteLLM's, of which there come ever more
        self._reasons = reasons
        self._seen = 0
        self._told: str | None = None

    def news(self, reason: str | None) -> list[StreamEvent]:
        """What was said since it was asked last; ``reason`` is why it ended."""
        said = [usage for chunk in self._chunks[self._seen :] if (usage := getattr(chunk, "usage", None)) is not None]
        self._seen = len(self._chunks)
        events: list[StreamEvent] = [_usage(said[-1])] if said else []
        if reason and reason != self._told:  # some say that all is well so far, and how it ended at the end
            self._told = reason
            events.append(ended(self._reasons.get(reason, "stop"), _FINISH))
        return events


def _send_once(module: Any) -> None:  # Any: one of LiteLLM's that makes clients of OpenAI's SDK
    """Let these try nothing again by themselves, whatever LiteLLM tells them: it forgets to for many providers."""
    client: Any = module.AsyncOpenAI

    class Once(client):  # type: ignore[misc]  # of a class that is imported late
        def __init__(self, **options: Any) -> None:  # Any: as the SDK's
            super().__init__(**{**options, "max_retries": 0})

    module.AsyncOpenAI = Once


def _bound(handler: Any) -> None:  # Any: LiteLLM's class of HTTP clients
    """Let every transport that LiteLLM makes read no more of an answer than our own wires do, and send none twice."""
    create, limit = handler.create_async_transport, bounded(httpx)

    def bounded_transport(*args: Any, **options: Any) -> Any:  # Any: as LiteLLM's
        transport = create(*args, **options)
        send = transport.handle_async_request

        async def handle(request: httpx.Request) -> httpx.Response:
            if (departure := departing.get()) is not None:
                departure.has_begun = True
            try:
                response: httpx.Response = await send(request)
            except httpx.ConnectError as error:  # which LiteLLM tries again, also where the request was sent
                if never_sent(error):
                    raise
                raise httpx.ReadError(str(error)) from error
            await limit(response)
            return response

        transport.handle_async_request = handle
        return transport

    handler.create_async_transport = staticmethod(bounded_transport)
    handler.should_use_aiohttp_transport = staticmethod(lambda: True)  # there is no other that is ours


def _real_answer(error: BaseException) -> httpx.Response | None:
    """The provider's own answer with an error status, where one lies behind LiteLLM's error."""
    for one in causes(error):
        answer = getattr(one, "response", None)
        made_up = type(one).__module__.startswith("litellm")
        if not made_up and isinstance(answer, httpx.Response) and answer.status_code >= 400:
            return answer
    return None


def _body(answer: httpx.Response, error: Exception) -> object:
    """What an answer says as JSON, or else what LiteLLM made of it."""
    try:
        return answer.json()
    except (httpx.StreamError, *BROKEN_ANSWER):  # it was not read, or is no JSON
        return str(error)


def _has_no_key(error: BaseException) -> bool:
    return any((type(one).__module__.partition(".")[0], type(one).__name__) in _NO_KEY for one in causes(error))


def _usage(usage: Any) -> Usage:  # Any: as LiteLLM types it
    details = getattr(usage, "prompt_tokens_details", None)
    return Usage(
        input_tokens=usage.prompt_tokens or 0, output_tokens=usage.completion_tokens or 0,
        cached_tokens=getattr(details, "cached_tokens", None) or 0,
        cache_write_tokens=getattr(details, "cache_creation_tokens", None) or 0,
    )  # fmt: skip
