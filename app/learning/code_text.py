"""What a learner sent, as text that can be run: checked, with the line ends of here, and unwrapped from where it was
copied. Pure; lines keep their numbers."""

import re
import textwrap

from app.errors import InvalidInput

LARGEST_CODE_BYTES = 64 * 1024
_INDENTATION = re.compile(r"^[ \t\u00a0]+", re.MULTILINE)  # with the spaces of web pages


def check_code(code: str) -> None:
    """Refuse what cannot be a solution.

    Raises:
        InvalidInput: empty, too large, or no text: with NUL bytes or half a character.
    """
    if not code.strip():
        raise InvalidInput("There is no code to run. Write your solution first.")
    if len(encoded(code)) > LARGEST_CODE_BYTES:
        raise InvalidInput(f"The code is too large: at most {LARGEST_CODE_BYTES // 1024} KB.")
    if "\x00" in code:
        raise InvalidInput("The code holds NUL bytes; it is not text. Paste the source itself.")


def encoded(text: str) -> bytes:
    """A learner's text in UTF-8.

    Raises:
        InvalidInput: it holds half a character (a lone surrogate), which no file and no database takes.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("The text holds half a character, as after a broken copy. Type that place anew.") from error


def as_text(text: str) -> str:
    """A text without what editors on Windows put in: a mark at its beginning, and two signs at the end of each line."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def as_code(code: str) -> str:
    """Code as it was written, where it was copied with what stood around it: Windows line ends, a Markdown fence, the
    prompts of Python's prompt with what it answered, or the indentation of a page."""
    lines = _INDENTATION.sub(lambda found: found[0].replace("\u00a0", " "), as_text(code)).split("\n")
    written = [place for place, line in enumerate(lines) if line.strip()]
    if not written:
        return code
    first, last = written[0], written[-1]
    if first < last and re.fullmatch(r"\s*```[\w+#-]*\s*", lines[first]) and lines[last].strip() == "```":
        lines[first] = lines[last] = ""
        first = next((place for place in written[1:-1]), first)
    if lines[first].startswith(">>> "):
        lines = [line[4:] if re.match(r"(?:>>>|\.\.\.)(?: |$)", line) else "" for line in lines]
    text = "\n".join(lines)
    return textwrap.dedent(text) if lines[first][:1] in (" ", "\t") else text
