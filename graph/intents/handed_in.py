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

# How a function of each language is defined; NAME stands for the challenge's own.
_TYPES = (r"(?:void|auto|bool|boolean|char|double|float|int|long|string|String|std::[\w:<>]+|vector<[^\n]{0,60}>|Map<[^\n]{0,60}>|List<[^\n]{0,60}>"
          r"|Optional<[^\n]{0,60}>|Integer|Long|Boolean|Double)")  # fmt: skip
_DEFINES = (
    r"^[ \t]{0,8}(?:(?:(?:export |async |pub |public |static |private |inline |const ){0,4}(?:def|function\*?|func|fn) NAME\b)"
    r"|(?:export )?(?:const|let|var) NAME\s{0,3}=[^=]"
    rf"|(?:(?:public|static|private|inline|const) ){{0,3}}{_TYPES}[\[\]&* ]{{1,6}}NAME\s{{0,3}}\()"
)
_BEGINS = re.compile(r"\s*(?:#!|select\b|with\b|const |let |var |def )", re.IGNORECASE)
_TRACEBACK = re.compile(
    r"^Traceback \(most recent call last\)|^[ \t]{1,40}at [^\n]{1,300}:\d+:\d+\)?$|^panic: ", re.MULTILINE
)
_ERROR = re.compile(r"\s*\w{1,60}(?:Error|Exception)\b[^\n]{0,300}\s*")
_ASKS_ABOUT = re.compile(
    r"^\W*(?:why|how|what|when|where|which|who|is|are|does|do|can|could|should|would)\b"
    r"|\b(?:fix|review|translate|convert|rewrite|improve|explain|help|check|debug|don't|dont|not|instead)\b",
    re.IGNORECASE,
)
MOST_WORDS_AROUND = 12
_FENCE = re.compile(r"```([\w+#-]*)[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)


def may_be_code(text: str) -> bool:
    return "```" in text or "(" in text or bool(_BEGINS.match(text))


def handed_in(text: str, challenge: Challenge) -> tuple[str, str] | None:
    """The language ("" for the one chosen) and source of a message that hands a solution in: in a fence, with hardly a
    word around it, or pasted as it is. A question about code hands nothing in, nor does a traceback."""
    if code := fenced_code(text):
        around = _FENCE.sub(" ", text, count=1).strip()
        asks = "?" in around or asks_to_explain(around) or _ASKS_ABOUT.search(around)
        is_short = len(around.split()) <= (0 if isinstance(challenge, AnswerChallenge) else MOST_WORDS_AROUND)
        is_error = _TRACEBACK.search(code[1]) or _ERROR.fullmatch(code[1])
        return None if asks or not is_short or is_error else code
    match challenge:
        case FunctionChallenge() | TestChallenge():
            name = "test" if isinstance(challenge, TestChallenge) else challenge.signature.name
            names = f"(?:{re.escape(name)}|{re.escape(camel(name))})"
            defined = re.search(_DEFINES.replace("NAME", names), text, re.MULTILINE)
            is_code = defined is not None and "?" not in text[: defined.start()]
        case SqlChallenge():
            is_query = re.match(r"\s*(?:SELECT|WITH)\b", text) or (
                re.match(r"\s*(?:select|with)\b", text) and (text.rstrip().endswith(";") or "\n" in text.strip())
            )
            is_code = bool(is_query and "?" not in text and re.search(r"\bfrom\b", text, re.IGNORECASE))
        case ShellChallenge():
            is_code = text.lstrip().startswith("#!")
        case _:
            is_code = False
    return ("", text) if is_code else None


def fenced_code(text: str) -> tuple[str, str] | None:
    """The language and source of the first fenced block of a message."""
    match = _FENCE.search(text)
    return (match[1].lower(), match[2]) if match and match[2].strip() else None
