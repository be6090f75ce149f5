"""What every provider's wire speaks with the gateway."""

import math
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, Protocol

from app.errors import ProviderErrorKind, ProviderFailed
from app.models.catalog import Model
from app.models.providers.departure import departing
from app.models.providers.kinds import kind_of_status

Role = Literal["user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter", "error"]  # an "error" ends no answer


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

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):  # SDKs pass on what they do not expect
            raise TypeError("a provider's text is none")


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What the provider says it will bill, in tokens; ``cached_tokens``, read from its cache, and
    ``cache_write_tokens`` are part of ``input_tokens``."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The provider's own end of an answer; a stream without one was cut off."""

    reason: FinishReason


StreamEvent = TextDelta | Usage | Finished


class Wire(Protocol):
    """One provider's SDK behind two calls. Errors arrive as ProviderFailed."""

    def stream(self, model: Model, prompt: Prompt) -> AsyncIterator[StreamEvent]: ...

    async def complete(self, model: Model, prompt: Prompt) -> list[StreamEvent]:
        """The same events at once, by a plain call: it costs half of a streamed one's processor time."""
        ...

    async def list_models(self) -> list[str]:
        """Names of the models that the key may use, at most a hundred; a wrong key is a ProviderFailed."""
        ...

    async def close(self) -> None: ...


MOST_LISTED = 100
LONGEST_WAIT_SECONDS = 86_400.0

# What an SDK raises where an answer is not what its provider documents.
BROKEN_ANSWER = (ValueError, TypeError, AttributeError, LookupError, RecursionError)

# Providers by the names that people know them by.
NAMES = {
    "anthropic": "Anthropic", "openai": "OpenAI", "gemini": "Gemini", "deepseek": "DeepSeek", "ollama": "Ollama",
}  # fmt: skip

_MESSAGES: dict[ProviderErrorKind, str] = {
    "auth": "{provider} does not accept the key. An administrator checks it under /keys.",
    "rate_limit": "{provider} asks us to slow down. Try again in a moment.",
    "quota": "The account at {provider} has no credit left. Top it up or choose another model with /model.",
    "context_length": "The conversation is too long for this model. Start a new chat or choose another with /model.",
    "content_filter": "{provider} declined to answer this. Put it another way.",
    "timeout": "{provider} took too long to answer. Try again.",
    "network": "{provider} cannot be reached, or broke off. Check the connection and try again.",
    "server": "{provider} has a problem of its own. Try again in a moment.",
    "invalid_request": "{provider} does not understand the request for this model. Choose another with /model.",
}

_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ClientConnectorError", "ProxyError",
                         "ConnectionTimeoutError", "ClientHttpProxyError",
                         "ConnectionRefusedError", "LocalProtocolError", "UnsupportedProtocol",
                         "UnicodeEncodeError"})  # fmt: skip
# A gateway's time-out, Cloudflare's, and its word for half an answer or none: what is behind it may go on generating.
MAY_BE_BILLED = (504, 520, 524)


def failed(
    provider: str, kind: ProviderErrorKind, *, before_generation: bool, retry_after_seconds: float | None = None
) -> ProviderFailed:
    """The error for people; a provider's own words may hold keys or prompts and are never repeated."""
    message = _MESSAGES[kind].format(provider=NAMES.get(provider, provider))
    return ProviderFailed(
        message, kind=kind, before_generation=before_generation, retry_after_seconds=retry_after_seconds
    )


def empty(provider: str) -> ProviderFailed:
    """The error of an answer that says nothing: of this one question, for which a model may be asked to say nothing."""
    message = f"{NAMES.get(provider, provider)} gave an empty answer. Try again, or choose another model."
    return ProviderFailed(message, kind="invalid_request", before_generation=False)


def ended(reason: str, known: Mapping[str, FinishReason]) -> "Finished":
    """The end of an answer by the provider's own word for it: an "error" where it is none that says that the answer is
    one, since generation was broken off or asks for something."""
    return Finished(reason=known.get(reason, "error"))


def refused(provider: str, status: int, body: object, headers: Mapping[str, str] | None) -> ProviderFailed:
    """A provider's answer with an error status: it bills nothing, unless it is from somebody between us."""
    wait = None if headers is None else retry_after_seconds(headers)
    free = status not in MAY_BE_BILLED
    return failed(provider, kind_of_status(status, body), before_generation=free, retry_after_seconds=wait)


def broken_off(provider: str, error: BaseException, *, timed_out: bool = False) -> ProviderFailed:
    """A connection that failed: nothing was billed only if it was never made, or nothing was sent over it."""
    departure = departing.get()
    free = never_sent(error) or (departure is not None and departure.never_left)
    return failed(provider, "timeout" if timed_out else "network", before_generation=free)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """How long a provider asks us to wait: seconds or a date (RFC 9110, 10.2.3), or OpenAI's milliseconds."""
    milliseconds, text = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            return sensible_wait(float(milliseconds) / 1000)
        if text is None:
            return None
        if text.replace(".", "", 1).isdecimal():
            return sensible_wait(float(text))
        until = parsedate_to_datetime(text)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)  # in asctime's form, which names no zone
        return sensible_wait((until - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def sensible_wait(seconds: float) -> float | None:
    """A wait from nothing to a day; None for what is no number."""
    return None if math.isnan(seconds) else min(LONGEST_WAIT_SECONDS, max(0.0, seconds))


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what it came from, and so on, as far as it is of one call."""
    one: BaseException | None = error
    while one is not None and not isinstance(one, ProviderFailed):
        yield one
        one = one.__cause__ or one.__context__


def never_sent(error: BaseException) -> bool:
    """By what went wrong and what that came from. Where that is aiohttp, its word alone counts: LiteLLM says that no
    connection was made also where one was reset after the request had been sent."""
    chain = [type(one) for one in causes(error)]
    told = [one for one in chain if one.__module__.startswith("aiohttp")] or chain
    return any(base.__name__ in _NEVER_SENT for one in told for base in one.__mro__)
