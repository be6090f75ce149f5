"""The text files that come with a message."""

import asyncio
from pathlib import Path
from typing import Any

from app.errors import InvalidInput

MOST_FILE_CHARACTERS = 60_000


async def with_files(text: str, attached: Any) -> str:  # Any: the chat library's elements
    """A message with the text files that came with it, each as a fenced block."""
    parts = [text]
    for element in attached:
        content = await asyncio.to_thread(_read_text, element.path)
        parts.append(f"`{element.name}`:\n```\n{content}\n```")
    return "\n\n".join(parts)


def _read_text(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput("The attached file is not text. Attach source code or plain text.") from error
    if len(text) > MOST_FILE_CHARACTERS:
        raise InvalidInput(
            f"The attached file is too long: {len(text):,} characters of at most {MOST_FILE_CHARACTERS:,}. Attach the "
            "part that matters, or load its folder with /repo."
        )
    return text
