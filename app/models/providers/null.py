"""A provider that answers with what it was asked, for trying out an installation and for tests. It is never chosen."""

from collections.abc import AsyncIterator
from decimal import Decimal

from app.models.catalog import TASKS, Model
from app.models.providers.wire import Finished, Prompt, StreamEvent, TextDelta, Usage

NULL_MODEL = Model(
    provider="null", name="echo", wire="null", input_price=Decimal(0), output_price=Decimal(0),
    context_tokens=1_000_000, max_output_tokens=100_000, quality=dict.fromkeys(TASKS, 1.0), speed=1.0,
    capabilities=frozenset({"streaming", "json"}),
)  # fmt: skip


class NullWire:
    async def stream(self, model: Model, prompt: Prompt) -> AsyncIterator[StreamEvent]:
        for event in await self.complete(model, prompt):
            yield event

    async def complete(self, model: Model, prompt: Prompt) -> list[StreamEvent]:  # noqa: ARG002  # as all wires
        text = prompt.messages[-1].content
        words = len(text.split())
        return [TextDelta(text=text), Usage(input_tokens=words, output_tokens=words), Finished(reason="stop")]

    async def list_models(self) -> list[str]:
        return [NULL_MODEL.name]

    async def close(self) -> None:
        return None
