"""Every other provider that LiteLLM knows. LiteLLM is imported when the first such call is made."""

import asyncio
import importlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from app.errors import ProviderFailed
from app.models.catalog import Model
from app.models.providers.wire import (
    BROKEN_ANSWER,
    Finished,
    FinishReason,
    Prompt,
    StreamEvent,
    TextDelta,
    Usage,
    broken_off,
    failed,
    refused,
)


class LiteLLMWire:
    def __init__(self) -> None:
        self._module: Any = None  # Any: imported late, for its weight

    async def stream(self, model: Model, prompt: Prompt) -> AsyncIterator[StreamEvent]:
        litellm = await self._loaded()
        with self._translated(model):
            stream = await litellm.acompletion(
                **_request(model, prompt), stream=True, stream_options={"include_usage": True}
            )
            async for chunk in stream:
                for event in _events_of(chunk):
                    yield event

    async def complete(self, model: Model, prompt: Prompt) -> list[StreamEvent]:
        litellm = await self._loaded()
        with self._translated(model):
            return _events_of(await litellm.acompletion(**_request(model, prompt), stream=False))

    async def list_models(self) -> list[str]:
        """Nothing: these providers take their keys from the environment alone, as LiteLLM names them."""
        return []

    async def close(self) -> None:
        return None

    async def _loaded(self) -> Any:  # Any: as above
        return self._module or await asyncio.to_thread(self._load)

    def _load(self) -> Any:  # Any: as above
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        self._module = importlib.import_module("litellm")
        self._module.suppress_debug_info = True
        self._module.telemetry = False
        return self._module

    @contextmanager
    def _translated(self, model: Model) -> Iterator[None]:
        exceptions = self._module.exceptions
        try:
            yield
        except ProviderFailed:
            raise
        except exceptions.Timeout as error:
            raise broken_off(model.provider, error, timed_out=True) from error
        except (exceptions.APIConnectionError, exceptions.MidStreamFallbackError, OSError) as error:
            raise broken_off(model.provider, error) from error
        except BROKEN_ANSWER as error:
            raise failed(model.provider, "server", before_generation=False) from error
        except Exception as error:  # LiteLLM's other errors share no base; most carry a status
            status = getattr(error, "status_code", None)
            if not isinstance(status, int):
                raise failed(model.provider, "server", before_generation=False) from error
            headers = getattr(getattr(error, "response", None), "headers", None)
            raise refused(model.provider, status, str(error), headers) from error


def _request(model: Model, prompt: Prompt) -> dict[str, Any]:  # Any: keyword arguments
    return {
        "model": model.id,
        "messages": [
            {"role": "system", "content": prompt.system},
            *({"role": m.role, "content": m.content} for m in prompt.messages),
        ],
        "max_tokens": prompt.max_output_tokens,
        "num_retries": 0,
    }


def _events_of(answer: Any) -> list[StreamEvent]:  # Any: a chunk or a whole completion, as LiteLLM types it
    events: list[StreamEvent] = []
    for choice in answer.choices[:1]:
        said = getattr(choice, "delta", None) or choice.message
        if said.content:
            events.append(TextDelta(text=said.content))
        if choice.finish_reason:
            reasons: dict[str, FinishReason] = {"length": "length", "content_filter": "content_filter"}
            events.append(Finished(reason=reasons.get(choice.finish_reason, "stop")))
    usage = getattr(answer, "usage", None)
    if usage:
        cached = getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", None)
        events.append(
            Usage(
                input_tokens=usage.prompt_tokens or 0, output_tokens=usage.completion_tokens or 0,
                cached_tokens=cached or 0,
            )
        )  # fmt: skip
    return events
