"""A conversation frozen for others: who said what and nothing else, with what is private taken out."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.redaction import SECRETS

Json = dict[str, Any]  # Any: JSON

LONGEST_SNAPSHOT_MESSAGES = 500
# A path from the root or somebody's home, of two parts or more; relative paths of a repository, addresses and the
# routes of an API stay.
_PART = r"[\w.@+~%-]+"
_SPACED = r"(?: [A-Z][\w.@+~%-]*(?=/))?"  # "/home/ada/My Project/x.py": only what goes on like a path is one
_PATHS = re.compile(
    rf"(?<![\w/.])(?!/api/)(?:~[\w.-]*/{_PART}{_SPACED}|/{_PART}{_SPACED}/{_PART}{_SPACED})(?:/{_PART}{_SPACED})*/?"
)
_QUOTED = re.compile(
    r"([\"'`])(?!/api/)(?:~[\w.-]{0,64}/|/[^/\s\"'`]{1,200}/(?=[^\s\"'`])|[A-Za-z]:[\\/]|\\\\)[^\"'`\n]{0,1000}\1"
)
_FILES = re.compile(r"\bfile:/\S+")
_WINDOWS_PATHS = re.compile(rf"(?:\b[A-Za-z]:[\\/]+|\\\\){_PART}(?:[\\/]+{_PART})*")
_EMAILS = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{0,200}\w")
_IDS = re.compile(r"\b[0-9a-f]{32}\b|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b")


def snapshot(thread: Mapping[str, Any]) -> Json:  # Any: the chat library's document
    """The messages of a thread as text: no tool inputs, no session values, no ids, paths, addresses or keys.

    Of a very long one the beginning, with the number of messages that are left out as ``more``.
    """
    messages = []
    for step in sorted(thread["steps"], key=lambda step: str(step.get("createdAt") or "")):
        if step.get("type") not in ("user_message", "assistant_message"):
            continue
        text = redact(text_in(step))
        if text:
            messages.append({"by": "learner" if step["type"] == "user_message" else "coach", "text": text})
    return {"messages": messages[:LONGEST_SNAPSHOT_MESSAGES], "more": max(0, len(messages) - LONGEST_SNAPSHOT_MESSAGES)}


def redact(text: str) -> str:
    """Take out paths outside the repository, keys, e-mail addresses and ids."""
    for pattern, instead in (
        (SECRETS, "[key]"),
        (_EMAILS, "[address]"),
        (_FILES, "[path]"),
        (_QUOTED, r"\1[path]\1"),
        (_WINDOWS_PATHS, "[path]"),
        (_PATHS, "[path]"),
        (_IDS, "[id]"),
    ):
        text = pattern.sub(instead, text)
    return text


def as_markdown(title: str, messages: Sequence[Mapping[str, str]]) -> str:
    """A conversation as a Markdown document."""
    parts = [f"# {title}"]
    parts += [f"## {'You' if message['by'] == 'learner' else 'TooLoo'}\n\n{message['text']}" for message in messages]
    return "\n\n".join(parts) + "\n"


def said_by(thread: Mapping[str, Any]) -> list[dict[str, str]]:  # Any: the chat library's document
    """The messages of one's own thread, whole, for an export."""
    return [
        {
            "by": "learner" if step["type"] == "user_message" else "coach",
            "at": str(step.get("createdAt") or ""),
            "text": text_in(step),
        }
        for step in sorted(thread["steps"], key=lambda step: str(step.get("createdAt") or ""))
        if step.get("type") in ("user_message", "assistant_message")
    ]


def text_in(step: Mapping[str, Any]) -> str:  # Any: the chat library's document
    """What a message says, its cards as text."""
    blocks = (step.get("metadata") or {}).get("blocks") or []
    texts = [step.get("output") or "", *(str(block.get("text", "")) for block in blocks if isinstance(block, dict))]
    return "\n\n".join(text.strip() for text in texts if text.strip())
