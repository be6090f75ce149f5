"""Every other provider that LiteLLM knows. LiteLLM is imported when the first such call is made."""

import asyncio
import importlib
import os
from collections.abc import AsyncIterator
from typing import Any

from app.models.catalog import Model
from app.models.providers.wire import Finished, Prompt, StreamEvent, TextDelta, Usage, failed, kind_of_status


class LiteLLMWire:
    def __init__(self) -> None:
        self._module: Any = None  # Any: imported late, for its weight

    async def stream(self, model: Model, prompt: Prompt) -> AsyncIterator[StreamEvent]:
        litellm = self._module or await asyncio.to_thread(self._load)
        started = False
        try:
            stream = await litellm.acompletion(
                model=model.id,
                messages=[
                    {"role": "system", "content": prompt.system},
                    *({"role": m.role, "content": m.content} for m in prompt.messages),
                ],
                max_tokens=prompt.max_output_tokens,
                stream=True,
                stream_options={"include_usage": True},
                num_retries=0,
            )
            started = True
            async for chunk in stream:
                for event in _events_of(chunk):
                    yield event
        except litellm.exceptions.Timeout as error:
            raise failed(model.provider, "timeout", before_generation=False) from error
        except Exception as error:  # LiteLLM's errors share no base; all of them carry a status
            status = getattr(error, "status_code", None)
            kind = kind_of_status(status, str(error)) if isinstance(status, int) else "network"
            raise failed(model.provider, kind, before_generation=not started) from error

    def _load(self) -> Any:  # Any: imported late, for its weight
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        self._module = importlib.import_module("litellm")
        self._module.suppress_debug_info = True
        self._module.telemetry = False
        return self._module

    async def close(self) -> None:
        return None


def _events_of(chunk: Any) -> list[StreamEvent]:  # Any: as LiteLLM types it
    events: list[StreamEvent] = []
    for choice in chunk.choices[:1]:
        if choice.delta.content:
            events.append(TextDelta(text=choice.delta.content))
        if choice.finish_reason:
            reason = choice.finish_reason
            events.append(Finished(reason=reason if reason in ("length", "content_filter") else "stop"))
    usage = getattr(chunk, "usage", None)
    if usage:
        events.append(Usage(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens))
    return events
