"""What a sandbox runs, and what it says about the run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

RunStatus = Literal["ok", "error", "crashed", "timeout", "killed", "infrastructure_error"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    wall_seconds: float = 5.0
    cpu_seconds: int = 6
    memory_bytes: int = 512 * 1024 * 1024
    disk_bytes: int = 16 * 1024 * 1024
    processes: int = 64
    stdout_bytes: int = 1024 * 1024
    stderr_bytes: int = 64 * 1024


TIMEOUT_CODE = 124  # of timeout(1)
OWN_SECONDS = 4.9  # after which a caller ends itself, to tell what was printed so far ...
WITH_OWN_END = Limits(wall_seconds=5.5)  # ... before it is ended: its interpreter takes a moment to start


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run. It starts in the folder that holds ``files`` (a name may hold folders), reads ``stdin`` and the host
    folders ``read_only`` at their own paths, and writes in ``$TMPDIR`` alone.

    An exit with ``timeout_code``, ``timeout_seconds`` after its start, says that it took too long by itself; a crash
    with ``memory_words`` on the standard error output says that memory ran out.
    """

    argv: tuple[str, ...]
    files: Mapping[str, bytes]
    read_only: tuple[Path, ...] = ()
    limits: Limits = field(default_factory=Limits)
    stdin: bytes = b""
    timeout_code: int | None = None
    timeout_seconds: float = 0.0
    memory_words: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """How it ended. ``crashed`` means a signal of its own doing (a bad address, an abort), ``killed`` that a limit of
    memory, processor time, files or output struck; ``flooded`` that it was the one of output."""

    status: RunStatus
    stdout: bytes
    stderr: bytes
    exit_code: int | None
    wall_ms: int
    flooded: bool = False


class Sandbox(Protocol):
    """Runs untrusted programs. ``name`` is shown to people, ``python`` is the interpreter that runs inside; where it is
    not ``is_isolated``, every result must say so."""

    name: str
    is_isolated: bool
    python: str
    read_only: tuple[Path, ...]

    async def run(self, program: Program) -> Run: ...
