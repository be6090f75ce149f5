"""Finds out at start what isolates code here, by running a program in it; where nothing does, code does not run."""

import asyncio
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import SandboxUnavailable
from app.learning.sandbox.bubblewrap import Bubblewrap
from app.learning.sandbox.program import Limits, Program, Sandbox
from app.learning.sandbox.queue import FairQueue, Queued

REMEDY = "Install bubblewrap (Debian and Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap) and restart."

# Prints what a sandbox must keep from a program: true where it failed to.
_CONTROL = """
import json, os
def works(action):
    try:
        action()
        return True
    except OSError:
        return False
print(json.dumps({
    "root": os.getuid() == 0,
    "network": any(":" in line and not line.strip().startswith("lo:") for line in open("/proc/net/dev")),
    "processes": len([name for name in os.listdir("/proc") if name.isdigit()]) > 4,
    "home": os.path.exists(%r),
    "write": works(lambda: open("/usr/tooloo-probe", "w").close()),
    "namespaces": works(lambda: os.unshare(0x10000000)) if hasattr(os, "unshare") else False,
}, sort_keys=True))
"""
_ALL_KEPT = b'{"home": false, "namespaces": false, "network": false, "processes": false, "root": false, "write": false}'


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


async def probe() -> Isolation:
    """Try bubblewrap with the interpreters of this machine."""
    bwrap = await asyncio.to_thread(shutil.which, "bwrap")
    if not sys.platform.startswith("linux"):
        return Isolation(sandbox=None, reason="bubblewrap needs Linux. Run TooLoo in a Linux machine or container.")
    if bwrap is None:
        return Isolation(sandbox=None, reason=f"bubblewrap is not installed. {REMEDY}")
    failure = ""
    for python, folders in await asyncio.to_thread(_interpreters):
        sandbox = Bubblewrap(bwrap=bwrap, python=python, read_only=folders)
        control = (_CONTROL % str(Path.home())).encode()
        run = await sandbox.run(
            Program(
                argv=(python, "-I", "-S", "/box/control.py"), files={"control.py": control},
                limits=Limits(wall_seconds=20),
            )
        )  # fmt: skip
        if run.status == "ok" and run.stdout.strip() == _ALL_KEPT:
            return Isolation(sandbox=sandbox, reason=f"bubblewrap with seccomp isolates code ({python})")
        failure = (run.stderr or run.stdout).decode(errors="replace").strip()[-300:]
    return Isolation(sandbox=None, reason=f"bubblewrap is there but does not isolate: {failure}. {REMEDY}")


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
