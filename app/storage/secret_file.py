"""Secrets that an installation makes for itself: one file each, readable by the server alone."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path


def secret_in(file: Path, make: Callable[[], str]) -> str:
    """The secret in ``file``; made once, with mode 600, by whichever of several processes comes first, and never shown
    half-written."""
    if not file.exists():
        fresh = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
        try:
            with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as out:
                out.write(make())
            try:
                os.link(fresh, file)  # which fails where another process was first
            except FileExistsError:
                pass
            except OSError:  # a file system without links
                fresh.rename(file)
        finally:
            fresh.unlink(missing_ok=True)
    return file.read_text().strip()
