"""Which kind of error a provider's refusal is: by its status, and by what it says of itself where kinds share one."""

import re
from collections.abc import Container, Iterator, Mapping

from app.errors import ProviderErrorKind

# Of these OpenAI's, Anthropic's (https://github.com/anthropics/claude-code/issues/2127) and Gemini's for money that is
# spent, whether by the account or by a limit that its owner has set.
_QUOTA = ("insufficient_quota", "credit balance", "billing_not_active", "billing_hard_limit", "billing_error",
          "specified api usage limits", "prepayment credits", "spending cap")  # fmt: skip
_TOO_LONG = ("context_length", "context length", "context limit", "context window", "prompt is too long", "token count",
             "too many tokens", "input is too long", "maximum number of tokens")  # fmt: skip
# OpenAI's and Azure's, Anthropic's and DeepSeek's words for what they do not answer.
_FILTERED = ("content_filter", "content_policy", "content management policy", "invalid_prompt", "usage policy",
             "content filtering policy", "content exists risk", "responsibleaipolicyviolation")  # fmt: skip
_BY_TYPE: dict[str, ProviderErrorKind] = {
    "rate_limit": "rate_limit", "authentication_error": "auth", "permission_error": "auth", "timeout_error": "timeout",
}  # fmt: skip
# Under these names errors say what they are, and under those by a word for programs.
_TOLD = ("code", "type", "status", "message", "msg", "detail", "details", "reason", "error", "errors", "innererror",
         "metadata", "raw")  # fmt: skip
_FOR_PROGRAMS = frozenset({"code", "reason"})
MOST_WORDS = 4000
DEEPEST = 6


def kind_of_status(status: int, body: object) -> ProviderErrorKind:
    """Sort by status code; what ``body`` (JSON, or text) says only tells apart what shares a code."""
    words = _words(body)
    if status == 403 and "model_not_found" in words:
        return "invalid_request"
    if status == 401 or (status == 400 and "api_key_invalid" in _words(body, _FOR_PROGRAMS)):
        return "auth"
    if status == 402 or (status in (400, 403, 429) and _any(_QUOTA, words)):
        return "quota"
    if status == 403:
        return "auth"
    if status == 429:
        return "rate_limit"
    if status in (408, 504, 524):
        return "timeout"
    if status >= 500:
        return "server"
    if status == 413 or _any(_TOO_LONG, words):
        return "context_length"
    return "content_filter" if _any(_FILTERED, words) else "invalid_request"


def kind_in_stream(body: object) -> ProviderErrorKind:
    """Sort an error that comes within an answer which began well, and so has no status but one that it may name."""
    words = _words(body)
    if _any(_QUOTA, words):
        return "quota"
    if _any(_FILTERED, words):
        return "content_filter"
    if (status := _status_in(body, DEEPEST)) is not None:
        return kind_of_status(status, body)
    if (known := next((kind for sign, kind in _BY_TYPE.items() if sign in words), None)) is not None:
        return known
    if _any(_TOO_LONG, words):
        return "context_length"
    return "invalid_request" if "invalid_request_error" in words else "server"


def _status_in(body: object, depth: int) -> int | None:
    """The status that an error within an answer names as its code."""
    if depth <= 0 or not isinstance(body, Mapping):
        return None
    for name in ("code", "status", "status_code"):
        value = body.get(name)
        if isinstance(value, int | str) and re.fullmatch("[45][0-9]{2}", str(value)):
            return int(value)
    return _status_in(body.get("error"), depth - 1)


def _any(signs: tuple[str, ...], words: str) -> bool:
    return any(sign in words for sign in signs)


def _words(body: object, names: Container[str] = _TOLD) -> str:
    """What an error says, in lower case: of JSON its codes, types and messages alone, since some servers repeat the
    whole request beside them, and a learner's words say nothing of what went wrong."""
    if isinstance(body, str):
        return body.lower()[:MOST_WORDS]
    return " ".join(_said(body, names, DEEPEST)).lower()[:MOST_WORDS]


def _said(body: object, names: Container[str], depth: int) -> Iterator[str]:
    if depth > 0 and isinstance(body, list):
        for one in body:
            yield from _said(one, names, depth - 1)
    if depth <= 0 or not isinstance(body, Mapping):
        return
    by_name = {str(name).lower(): value for name, value in body.items()}  # Bedrock writes them large
    for name in _TOLD:
        value = by_name.get(name)
        if isinstance(value, str) and name in names:
            yield value
        yield from _said(value, names, depth - 1)
