"""Counts tokens where a provider did not say how many it bills. Offline: LiteLLM's package holds the vocabulary."""

import asyncio
import importlib.util
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken

ENCODING = "o200k_base"  # of OpenAI's present models
# Other tokenizers make more tokens of the same text; Anthropic says up to 35 % more of its newest one. Rather a little
# too much booked than too little.
MARGIN_OF_OTHERS = 1.35
LONGEST_COUNTED = 200_000  # beyond it the tokenizer takes too long; then every second byte counts as a token


async def count_tokens(text: str, *, provider: str) -> int:
    """How many tokens ``provider`` makes of ``text``; exact for OpenAI, an upper estimate for the others."""
    if not text:
        return 0
    if len(text) > LONGEST_COUNTED:
        return len(text.encode()) // 2
    count = await asyncio.to_thread(lambda: len(_encoding().encode(text, disallowed_special=())))
    return count if provider == "openai" else int(count * MARGIN_OF_OTHERS) + 1


@lru_cache(maxsize=1)
def _encoding() -> "tiktoken.Encoding":
    spec = importlib.util.find_spec("litellm")
    assert spec is not None
    assert spec.origin is not None
    os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(spec.origin).parent / "litellm_core_utils" / "tokenizers")
    import tiktoken  # heavy, and rarely needed

    return tiktoken.get_encoding(ENCODING)
