"""Secrets that an installation makes for itself: one file each, readable by the server alone."""

from collections.abc import Callable
from pathlib import Path


def secret_in(file: Path, make: Callable[[], str]) -> str:
    """The secret in ``file``; made once, with mode 600, and never shown half-written."""
    if not file.exists():
        fresh = file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(make())
        fresh.rename(file)
    return file.read_text().strip()
