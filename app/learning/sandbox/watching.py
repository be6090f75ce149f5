"""Watches one sandbox while it runs: its output, its time, the memory of all that is in it, and how it ends."""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.learning.sandbox.program import Program, Run, RunStatus

FIRST_SIGNAL_CODE = 128  # a shell's exit code for a program that a signal ended is 128 + the signal
OWN_SIGNALS = (signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGBUS, signal.SIGILL, signal.SIGTRAP)
LIMIT_SIGNALS = (signal.SIGKILL, signal.SIGXCPU, signal.SIGXFSZ)
# What every launcher says on the standard error output just before it becomes the program: an end without it is the
# launcher's own, and no program can take it back.
BEGUN = b"tooloo: the program begins\n"
CHUNK = 16 * 1024
_OWN_MEMORY = re.compile(r"^Rss(?:Anon|Shmem):\s+(\d+)", re.MULTILINE)
MEMORY_LOOK_SECONDS = 0.1
KILL_SECONDS = 2.0


async def launch(
    argv: Sequence[str], program: Program, *, stdin: int, env: Mapping[str, str], cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> Run:  # fmt: skip
    """Start a sandbox and watch it. One that cannot be started is an infrastructure error."""
    started = time.monotonic()
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *argv, stdin=stdin, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, pass_fds=pass_fds,
            start_new_session=True, cwd=cwd, env=env,
        )
    )  # fmt: skip
    try:
        process = await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.shield(asyncio.ensure_future(_abandoned(starting)))
        raise
    except OSError as error:
        message = f"{argv[0]}: {error}".encode()
        return Run(status="infrastructure_error", stdout=b"", stderr=message, exit_code=None, wall_ms=0)
    return await _watch(process, program, started)


async def _abandoned(starting: "asyncio.Future[asyncio.subprocess.Process]") -> None:
    """End what nobody waits for any more, though it is only about to start."""
    await asyncio.wait({starting})
    if starting.exception() is None:
        process = starting.result()
        await _finished(process, _Killer(process), asyncio.ensure_future(process.communicate()))


async def _finished(process: asyncio.subprocess.Process, kill: "_Killer", ended: "asyncio.Future[Any]") -> None:
    """End what still runs, and wait until it has ended. A kill in the moment of its start may hit one of two processes
    that wait for each other: then all of them are killed."""
    kill()
    if ended in (await asyncio.wait({ended}, timeout=KILL_SECONDS))[0]:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if ended not in (await asyncio.wait({ended}, timeout=KILL_SECONDS))[0]:
        ended.cancel()


async def _watch(process: asyncio.subprocess.Process, program: Program, started: float) -> Run:
    limits = program.limits
    assert process.stdout is not None
    assert process.stderr is not None
    kill = _Killer(process)
    out = _Output(process.stdout, limits.stdout_bytes, kill)
    err = _Output(process.stderr, limits.stderr_bytes, kill)
    ended = asyncio.ensure_future(asyncio.gather(out.read(), err.read(), process.wait()))
    memory = asyncio.ensure_future(_watch_memory(process.pid, limits.memory_bytes, kill))
    timed_out = False
    try:
        await asyncio.wait_for(asyncio.shield(ended), limits.wall_seconds)
    except TimeoutError:
        timed_out = True
    finally:
        memory.cancel()
        await asyncio.shield(asyncio.ensure_future(_finished(process, kill, ended)))
    wall_seconds = time.monotonic() - started
    timed_out = timed_out or (
        program.timeout_code == process.returncode is not None and wall_seconds >= program.timeout_seconds
    )
    has_begun = BEGUN in err.kept
    stderr = bytes(err.kept).replace(BEGUN, b"", 1)
    flooded = out.flooded or err.flooded
    if not has_begun and not flooded and (timed_out or process.returncode != 0):
        status: RunStatus = "infrastructure_error"  # the launcher hung or broke; nobody's program has run
    else:
        status = "timeout" if timed_out else _status(process.returncode, flooded=flooded)
    if status == "crashed" and program.memory_words is not None and program.memory_words in stderr:
        status = "killed"
    return Run(
        status=status, stdout=bytes(out.kept), stderr=stderr, exit_code=process.returncode,
        wall_ms=round(wall_seconds * 1000), flooded=flooded,
    )  # fmt: skip


def _status(code: int | None, *, flooded: bool) -> RunStatus:
    if code == 0:
        return "killed" if flooded else "ok"
    if flooded or code is None or code < 0:
        return "killed"
    by = code - FIRST_SIGNAL_CODE
    if by in OWN_SIGNALS:
        return "crashed"
    return "killed" if by in LIMIT_SIGNALS else "error"


class _Killer:
    """Ends a sandbox, once: by its first process, so that bubblewrap sees it, reaps it and exits by itself.

    Bubblewrap is killed only where that process cannot be found: its child would then be left to init.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._done = False

    def __call__(self) -> None:
        if self._done or self._process.returncode is not None:
            return
        self._done = True
        pid = self._process.pid
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), signal.SIGKILL)
            if children:
                return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


class _Output:
    """Reads a pipe to its end and keeps the first bytes; a flood is answered by killing the program.

    Reading goes on to the end after that: a process whose pipe is left full is never seen to exit.
    """

    def __init__(self, stream: asyncio.StreamReader, most: int, kill: _Killer) -> None:
        self._stream = stream
        self._most = most
        self._kill = kill
        self.kept = bytearray()
        self.flooded = False

    async def read(self) -> None:
        while chunk := await self._stream.read(CHUNK):
            room = self._most - len(self.kept)
            self.kept += chunk[:room]
            if len(chunk) > room and not self.flooded:
                self.flooded = True
                self._kill()


async def _watch_memory(pid: int, most_bytes: int, kill: _Killer) -> None:
    """The limit of each process is the kernel's; that of all together is looked after here."""
    while True:
        await asyncio.sleep(MEMORY_LOOK_SECONDS)
        if await asyncio.to_thread(_own_memory, pid) > most_bytes:
            kill()
            return


def _own_memory(pid: int) -> int:
    """The memory in bytes of a process and its descendants, without what they map of files."""
    total, waiting = 0, [pid]
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}")
        with contextlib.suppress(OSError, ValueError, IndexError):
            status = (folder / "status").read_text()
            total += sum(1024 * int(kilobytes) for kilobytes in _OWN_MEMORY.findall(status))
            for task in folder.glob("task/*/children"):
                waiting += map(int, task.read_text().split())
    return total
