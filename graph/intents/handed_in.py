"""Tells a solution that is handed in from talk about code: in a fence, or pasted as it is. Pure."""

import re

from app.learning.challenge_files import (
    AnswerChallenge,
    Challenge,
    FunctionChallenge,
    ShellChallenge,
    SqlChallenge,
    TestChallenge,
)
from app.learning.languages.base import camel
from graph.intents.slots import asks_to_explain

# How a pasted solution begins; whether it is one, the name of the challenge's function tells.
_BEGINS = re.compile(
    r"\s*(?:(?:async )?def \w|(?:async )?function \w|func \w|(?:pub )?fn \w|class \w|public \w|static \w|(?:const|let|var) \w+ ?="
    r"|import \w|from \w+ import|use \w+::|#include|#!|package \w|using |select\b|with \w+ as\b"
    r"|(?:long|int|bool|double|std::\w+|vector<|auto|char|void)[\w\s*&<>:,]{0,40} \w+\()",
    re.IGNORECASE,
)
_TRACEBACK = re.compile(
    r"^Traceback \(most recent call last\)|^[ \t]{1,40}at [^\n]{1,300}:\d+:\d+\)?$|^panic: ", re.MULTILINE
)
_ASKS_ABOUT = re.compile(
    r"\W*(?:why|how|what|when|where|which|who|is|are|does|do|can|could|should|would)\b", re.IGNORECASE
)
MOST_WORDS_AROUND = 12
_FENCE = re.compile(r"```([\w+#-]*)[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)


def may_be_code(text: str) -> bool:
    return "```" in text or bool(_BEGINS.match(text))


def handed_in(text: str, challenge: Challenge) -> tuple[str, str] | None:
    """The language ("" for the one chosen) and source of a message that hands a solution in: in a fence, with hardly a
    word around it, or pasted as it is. A question about code hands nothing in, nor does a traceback."""
    if code := fenced_code(text):
        around = _FENCE.sub(" ", text, count=1).strip()
        asks = "?" in around or asks_to_explain(around) or _ASKS_ABOUT.match(around)
        is_short = len(around.split()) <= (0 if isinstance(challenge, AnswerChallenge) else MOST_WORDS_AROUND)
        return None if asks or not is_short or _TRACEBACK.search(code[1]) else code
    match challenge:
        case FunctionChallenge() | TestChallenge():
            name = "test" if isinstance(challenge, TestChallenge) else challenge.signature.name
            is_code = bool(_BEGINS.match(text) and re.search(rf"\b(?:{name}|{camel(name)})\s*\(", text))
        case SqlChallenge():
            begins = re.match(r"\s*(?:select|with)\b", text, re.IGNORECASE)
            is_code = bool(begins and "?" not in text and re.search(r"\bfrom\b", text, re.IGNORECASE))
        case ShellChallenge():
            is_code = text.lstrip().startswith("#!")
        case _:
            is_code = False
    return ("", text) if is_code else None


def fenced_code(text: str) -> tuple[str, str] | None:
    """The language and source of the first fenced block of a message."""
    match = _FENCE.search(text)
    return (match[1].lower(), match[2]) if match and match[2].strip() else None
