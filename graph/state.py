"""What a conversation remembers between turns: strings, numbers, lists and dicts only."""

from typing import Annotated, Any, TypedDict

KEPT_MESSAGES = 16
LONGEST_KEPT = 4000


class ChatMessage(TypedDict):
    role: str
    content: str


def _latest(old: list[ChatMessage], new: list[ChatMessage]) -> list[ChatMessage]:
    """The last messages, each cut to a bearable length: the messages table holds the whole truth."""
    cut = [ChatMessage(role=m["role"], content=m["content"][:LONGEST_KEPT]) for m in new]
    return [*old, *cut][-KEPT_MESSAGES:]


class State(TypedDict, total=False):
    """``text`` is this turn's message; ``intent`` may come preset from a slash command."""

    user_id: str
    is_admin: bool
    thread_id: str
    text: str
    intent: str
    confidence: float
    parameters: dict[str, Any]  # Any: slots of several types, see graph.intents.slots
    options: list[str]
    messages: Annotated[list[ChatMessage], _latest]
    repository_id: str
    model: str
    prefer: str
    burst: bool


class Update(TypedDict, total=False):
    """What a node gives back."""

    intent: str
    confidence: float
    parameters: dict[str, Any]  # Any: as above
    options: list[str]
    messages: list[ChatMessage]
    repository_id: str
    model: str
    prefer: str
    burst: bool
