"""Finds out at start what isolates code here, by running a program in it; where nothing does, code does not run."""

import asyncio
import ctypes
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import SandboxUnavailable
from app.learning.sandbox.bubblewrap import Bubblewrap
from app.learning.sandbox.landlock import LEAST_VERSION, Landlock
from app.learning.sandbox.program import Limits, Program, Sandbox
from app.learning.sandbox.queue import FairQueue, Queued

POOL = Path(__file__).parents[1] / "pool"  # expected values lie there
LAUNCHER = Path(__file__).with_name("launcher.py")
CREATE_RULESET = 444  # landlock_create_ruleset(2), the same number on every processor
REMEDY = "Install bubblewrap (Debian and Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap) and restart."

# Prints what a sandbox must keep from a program: true where it failed to.
_CONTROL = """
import json, os, socket
def reaches_others():
    return any(":" in line and not line.strip().startswith("lo:") for line in open("/proc/net/dev"))
def works(action):
    try:
        return action() is not False
    except OSError:
        return False
print(json.dumps({
    "root": os.getuid() == 0,
    "network": works(lambda: reaches_others() and socket.socket().close()),
    "processes": works(lambda: len([name for name in os.listdir("/proc") if name.isdigit()]) > 4),
    "home": works(lambda: os.listdir(%r)),
    "pool": works(lambda: os.listdir(%r) != []),
    "write": works(lambda: open("/usr/tooloo-probe", "w").close()),
    "namespaces": works(lambda: os.unshare(0x10000000)) if hasattr(os, "unshare") else False,
}, sort_keys=True))
"""
_ALL_KEPT = (
    b'{"home": false, "namespaces": false, "network": false, "pool": false, "processes": false, "root": false, '
    b'"write": false}'
)


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """What was found: a sandbox, or the reason why there is none and what to do about it."""

    sandbox: Sandbox | None
    reason: str
    queue: FairQueue = field(default_factory=lambda: FairQueue(at_once=max(3, os.cpu_count() or 2)))

    def require(self) -> Sandbox:
        """The sandbox.

        Raises:
            SandboxUnavailable: there is none; code must not run.
        """
        if self.sandbox is None:
            raise SandboxUnavailable(f"Code does not run here: {self.reason}")
        return self.sandbox

    def for_owner(self, owner: str) -> Sandbox:
        """The sandbox, in which this owner's programs wait for their turn.

        Raises:
            SandboxUnavailable: there is none; code must not run.
        """
        return Queued(self.require(), self.queue, owner)


async def probe(*, allow_unisolated: bool = False) -> Isolation:
    """Try bubblewrap, then Landlock, with the interpreters of this machine. Where neither isolates, code does not run,
    unless ``allow_unisolated`` says that it may, with limits alone."""
    reasons = []
    for find in (bubblewrap, landlock):
        found = await find()
        if found.sandbox is not None:
            return found
        reasons.append(found.reason)
    why = " ".join(reasons)
    if not allow_unisolated:
        return Isolation(sandbox=None, reason=why)
    found = await open_air()
    return Isolation(sandbox=found.sandbox, reason=f"{found.reason} {why}")


async def open_air() -> Isolation:
    """No isolation: a program has its limits, and is ended with all that came of it, but sees what its user sees."""
    if not sys.platform.startswith("linux"):
        return Isolation(sandbox=None, reason="Code runs on Linux only. Use a Linux machine or container.")
    launcher, failure = await asyncio.to_thread(_launcher), ""
    for python, folders in await asyncio.to_thread(_interpreters):
        sandbox = Landlock(launcher=launcher, python=python, read_only=folders, walls=False)
        run = await sandbox.run(Program(argv=(python, "-I", "-S", "empty.py"), files={"empty.py": b""}))
        if run.status == "ok":
            return Isolation(
                sandbox=sandbox, reason="code runs WITHOUT isolation, as TOOLOO_ALLOW_UNISOLATED_CODE says."
            )
        failure = run.stderr.decode(errors="replace").strip()[-300:]
    return Isolation(sandbox=None, reason=f"code does not run even without isolation: {failure}.")


async def bubblewrap() -> Isolation:
    """Bubblewrap with seccomp, where it is installed and works."""
    bwrap = await asyncio.to_thread(shutil.which, "bwrap")
    if not sys.platform.startswith("linux"):
        return Isolation(sandbox=None, reason="bubblewrap needs Linux. Run TooLoo in a Linux machine or container.")
    if bwrap is None:
        return Isolation(sandbox=None, reason=f"bubblewrap is not installed. {REMEDY}")
    failure = ""
    for python, folders in await asyncio.to_thread(_interpreters):
        sandbox = Bubblewrap(bwrap=bwrap, python=python, read_only=folders)
        failure = await _failure(sandbox)
        if not failure:
            return Isolation(sandbox=sandbox, reason=f"bubblewrap with seccomp isolates code ({python})")
    return Isolation(sandbox=None, reason=f"bubblewrap is there but does not isolate: {failure}. {REMEDY}")


async def landlock() -> Isolation:
    """Landlock with seccomp, where the kernel has a version of it that keeps signals inside."""
    version = _landlock_version()
    if version < LEAST_VERSION:
        return Isolation(
            sandbox=None, reason=f"Landlock needs Linux 6.12 or newer (version {version} of it was found)."
        )
    failure = ""
    for python, folders in await asyncio.to_thread(_interpreters):
        sandbox = Landlock(launcher=await asyncio.to_thread(_launcher), python=python, read_only=folders)
        failure = await _failure(sandbox)
        if not failure:
            return Isolation(sandbox=sandbox, reason=f"Landlock with seccomp isolates code ({python})")
    return Isolation(sandbox=None, reason=f"Landlock is there but does not isolate: {failure}.")


def _landlock_version() -> int:
    """0 where the kernel has none of it."""
    if not sys.platform.startswith("linux"):
        return 0
    flag_version = 1
    return max(0, int(ctypes.CDLL(None).syscall(CREATE_RULESET, None, 0, flag_version)))


def _launcher() -> str:
    return LAUNCHER.read_text(encoding="utf-8")


async def _failure(sandbox: Sandbox) -> str:
    """What a sandbox failed to keep, or "" when it keeps everything."""
    control = (_CONTROL % (str(Path.home()), str(POOL))).encode()
    program = Program(
        argv=(sandbox.python, "-I", "-S", "control.py"), files={"control.py": control}, limits=Limits(wall_seconds=20)
    )
    run = await sandbox.run(program)
    if run.status == "ok" and run.stdout.strip() == _ALL_KEPT:
        return ""
    return (run.stderr or run.stdout).decode(errors="replace").strip()[-300:] or run.status


def _interpreters() -> list[tuple[str, tuple[Path, ...]]]:
    """Interpreters that may run inside, with the folders each needs beside /usr."""
    own = Path(os.path.realpath(sys.executable))
    prefix = Path(sys.base_prefix).resolve()
    folders = () if prefix.is_relative_to("/usr") else (prefix,)
    found: list[tuple[str, tuple[Path, ...]]] = [(str(own), folders)] if own.is_relative_to(prefix) else []
    system = Path("/usr/bin/python3")
    if system.exists() and str(system.resolve()) != str(own):
        found.append((str(system), ()))
    return found
