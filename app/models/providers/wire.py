"""What every provider's wire speaks with the gateway."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol

from app.errors import ProviderErrorKind, ProviderFailed
from app.models.catalog import Model

Role = Literal["user", "assistant"]


@dataclass(frozen=True, kw_only=True)
class Message:
    role: Role
    content: str


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a model is sent."""

    system: str
    messages: tuple[Message, ...]
    max_output_tokens: int


@dataclass(frozen=True, kw_only=True)
class TextDelta:
    text: str


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What the provider says it will bill, in tokens."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The provider's own end of an answer; a stream without one was cut off."""

    reason: Literal["stop", "length", "content_filter"]


StreamEvent = TextDelta | Usage | Finished


class Wire(Protocol):
    """One provider's SDK behind one method. Errors arrive as ProviderFailed."""

    def stream(self, model: Model, prompt: Prompt) -> AsyncIterator[StreamEvent]: ...

    async def close(self) -> None: ...


_MESSAGES: dict[ProviderErrorKind, str] = {
    "auth": "{provider} does not accept the key. Check it, then restart TooLoo.",
    "rate_limit": "{provider} asks us to slow down. Try again in a moment.",
    "quota": "The account at {provider} has no credit left. Top it up or choose another model with /model.",
    "context_length": "The conversation is too long for this model. Start a new chat or choose another with /model.",
    "content_filter": "{provider} declined to answer this. Put it another way.",
    "timeout": "{provider} took too long to answer. Try again.",
    "network": "{provider} cannot be reached. Check the connection and try again.",
    "server": "{provider} has a problem of its own. Try again in a moment.",
    "invalid_request": "{provider} does not understand the request for this model. Choose another with /model.",
}


def failed(provider: str, kind: ProviderErrorKind, *, before_generation: bool) -> ProviderFailed:
    """The error for people; a provider's own words may hold keys or prompts and are never repeated."""
    message = _MESSAGES[kind].format(provider=provider)
    return ProviderFailed(message, kind=kind, before_generation=before_generation)


def kind_of_status(status: int, body: str) -> ProviderErrorKind:
    """Sort by status code; words of the body only tell apart what shares a code."""
    words = body.lower()
    if status in (401, 403):
        return "auth"
    if status == 402 or "insufficient_quota" in words or "credit balance" in words:
        return "quota"
    if status == 429:
        return "rate_limit"
    if status == 408:
        return "timeout"
    if status >= 500:
        return "server"
    if status == 413 or "context_length" in words or "prompt is too long" in words or "token count" in words:
        return "context_length"
    return "invalid_request"
