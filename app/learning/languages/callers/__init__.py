"""The programs that call a solution, one a language, in that language: text to us, read once."""

from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=32)
def caller(name: str) -> str:
    """The text of one of the files beside this one."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def filled(name: str, **values: str) -> str:
    """A caller with its ``TL_…`` places filled: ``CALL`` goes where it says ``TL_CALL``."""
    text = caller(name)
    for place, value in values.items():
        text = text.replace(f"TL_{place}", value)
    return text


def read_all() -> None:
    """Read every caller, so that no request waits for the disk."""
    for path in Path(__file__).parent.iterdir():
        if path.is_file() and path.name != "__init__.py":
            caller(path.name)
