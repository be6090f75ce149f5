"""What a sandbox runs, and what it says about the run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

RunStatus = Literal["ok", "error", "timeout", "killed", "infrastructure_error"]

BOX = "/box"


@dataclass(frozen=True, kw_only=True)
class Limits:
    wall_seconds: float = 5.0
    cpu_seconds: int = 6
    memory_bytes: int = 512 * 1024 * 1024
    disk_bytes: int = 16 * 1024 * 1024
    processes: int = 64
    stdout_bytes: int = 1024 * 1024
    stderr_bytes: int = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Program:
    """Arguments, the files it finds under ``/box``, and the host folders it may read at their own paths."""

    argv: tuple[str, ...]
    files: Mapping[str, bytes]
    read_only: tuple[Path, ...] = ()
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, kw_only=True)
class Run:
    """How it ended. ``killed`` means a limit of memory, processor time, processes or output struck."""

    status: RunStatus
    stdout: bytes
    stderr: bytes
    exit_code: int | None
    wall_ms: int


class Sandbox(Protocol):
    """Runs untrusted programs. ``name`` is shown to people, ``python`` is the interpreter that runs inside."""

    name: str
    python: str
    read_only: tuple[Path, ...]

    async def run(self, program: Program) -> Run: ...
