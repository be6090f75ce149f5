"""Prompts are files under ``prompts/`` with {{name}} placeholders, filled strictly."""

import re
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "prompts"
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


def render(name: str, **values: str) -> str:
    """The prompt ``prompts/NAME.md`` with its placeholders filled.

    Raises:
        KeyError: a placeholder without a value, or a value without a placeholder.
    """
    template = _template(name)
    wanted = set(_PLACEHOLDER.findall(template))
    if wanted != values.keys():
        raise KeyError(f"prompt {name!r} has {sorted(wanted)}, was given {sorted(values)}")
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def load() -> None:
    """Read all prompts, so that no turn waits for the disk."""
    for file in FOLDER.glob("*.md"):
        _template(file.stem)


@lru_cache
def _template(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8").strip()
