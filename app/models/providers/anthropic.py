"""Claude through Anthropic's SDK."""

from collections.abc import AsyncIterator
from contextlib import contextmanager
from typing import Literal, cast

import anthropic
import httpx2
from anthropic.types import MessageParam, RawContentBlockDeltaEvent, RawMessageDeltaEvent, RawMessageStartEvent
from anthropic.types import TextDelta as TextBlockDelta

from app.models.catalog import Model
from app.models.providers.wire import Finished, Prompt, StreamEvent, TextDelta, Usage, failed, kind_of_status

_FINISH: dict[str, Literal["stop", "length", "content_filter"]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "refusal": "content_filter",
}


class AnthropicWire:
    def __init__(self, *, api_key: str, base_url: str | None, connect_seconds: float) -> None:
        self._client = anthropic.AsyncAnthropic(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,
            timeout=anthropic.Timeout(600, connect=connect_seconds),
        )

    async def stream(self, model: Model, prompt: Prompt) -> AsyncIterator[StreamEvent]:
        input_tokens = output_tokens = 0
        with _translated():
            stream = await self._client.messages.create(
                model=model.name,
                system=prompt.system,
                messages=[cast(MessageParam, {"role": m.role, "content": m.content}) for m in prompt.messages],
                max_tokens=prompt.max_output_tokens,
                stream=True,
            )
        with _translated(before_generation=False):
            async with stream:
                async for event in stream:
                    match event:
                        case RawMessageStartEvent():
                            input_tokens = event.message.usage.input_tokens
                        case RawContentBlockDeltaEvent(delta=TextBlockDelta(text=text)):
                            yield TextDelta(text=text)
                        case RawMessageDeltaEvent():
                            output_tokens = event.usage.output_tokens or output_tokens
                            yield Usage(input_tokens=input_tokens, output_tokens=output_tokens)
                            if event.delta.stop_reason:
                                yield Finished(reason=_FINISH.get(event.delta.stop_reason, "stop"))

    async def close(self) -> None:
        await self._client.close()


@contextmanager
def _translated(*, before_generation: bool = True):  # type: ignore[no-untyped-def]  # contextmanager's type says it
    try:
        yield
    except anthropic.APITimeoutError as error:
        raise failed("Anthropic", "timeout", before_generation=False) from error
    except anthropic.APIStatusError as error:
        kind = kind_of_status(error.status_code, str(error.body))
        raise failed("Anthropic", kind, before_generation=before_generation) from error
    except (anthropic.APIError, httpx2.HTTPError) as error:
        raise failed("Anthropic", "network", before_generation=before_generation) from error
