"""Isolation without namespaces: Landlock, a seccomp filter and limits, for machines where bubblewrap may not run. The
same launcher without walls runs code where somebody allows that on a machine of their own."""

import asyncio
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.errors import RateLimited
from app.learning.sandbox.bubblewrap import SANDBOX_UID, memory_file
from app.learning.sandbox.program import Limits, Program, Run
from app.learning.sandbox.seccomp import filter_program
from app.learning.sandbox.watching import BEGUN, launch

LEAST_VERSION = 6  # of Landlock, since Linux 6.12: signals and abstract sockets stay inside
SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/sbin", "/etc/alternatives")
UIDS = 500  # one for each program that runs, so that two at once are strangers to each other
STACK_BYTES = 64 * 1024 * 1024


class Landlock:
    """``launcher`` is the text of launcher.py; ``walls=False`` isolates nothing: limits alone."""

    def __init__(self, *, launcher: str, python: str, read_only: tuple[Path, ...], walls: bool = True) -> None:
        self.name = "Landlock" if walls else "no isolation"
        self.is_isolated = walls
        self.python = python
        self.read_only = read_only
        self._launcher = launcher
        self._walls = walls

    async def run(self, program: Program) -> Run:
        """Run a program to its end or its limits, in a folder of its own that is removed afterwards."""
        with _own_uid() as uid:
            laying_out = asyncio.ensure_future(asyncio.to_thread(_lay_out, program, uid))
            try:
                return await self._run(program, await asyncio.shield(laying_out), uid)
            finally:  # also when we are stopped before the folder is there
                await asyncio.shield(asyncio.ensure_future(_removed(laying_out)))

    async def _run(self, program: Program, folder: Path, uid: int | None) -> Run:
        box, scratch = folder / "box", folder / "tmp"
        read = [*SYSTEM, *map(str, (*self.read_only, *program.read_only, box))]
        argv = [
            *_identity(uid), self.python, "-I", "-S", "-c", self._launcher,
            _settings(program.limits, walls=self._walls, read=read, write=[str(scratch)]),
            *program.argv,
        ]  # fmt: skip
        stdin = memory_file(program.stdin)
        try:
            return await launch(argv, program, stdin=stdin, env=_environment(box, scratch), cwd=box)
        finally:
            os.close(stdin)


@contextmanager
def _own_uid() -> Iterator[int | None]:
    """A uid that no other program on this machine has now, whichever server started it; None where we are not root.

    Its end kills whatever runs under it. It is taken by the name of an abstract socket, which the kernel gives to one
    process at a time and takes back from one that died.
    """
    if os.geteuid() != 0:
        yield None
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as name:
        for uid in range(SANDBOX_UID + 1, SANDBOX_UID + 1 + UIDS):
            try:
                name.bind(f"\0tooloo-sandbox-uid-{uid}")
            except OSError:
                continue
            yield uid
            return
    raise RateLimited("Too many programs run on this machine now. Try again in a moment.")


def _lay_out(program: Program, uid: int | None) -> Path:
    """A folder with the program's files, readable by it alone, and one in which it may write."""
    folder = Path(tempfile.mkdtemp(prefix="tooloo-"))
    for name in ("box", "tmp"):
        (folder / name).mkdir()
    for name, content in program.files.items():
        path = folder / "box" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    executable = folder / "tmp" / "executable"  # a filter that refuses chmod() leaves no other way to one
    executable.touch(mode=0o700)
    if uid is not None:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, uid)
    return folder


async def _removed(laying_out: "asyncio.Future[Path]") -> None:
    await asyncio.wait({laying_out})
    if laying_out.exception() is None:
        await asyncio.to_thread(_remove, laying_out.result())


def _remove(folder: Path) -> None:
    """All of it, also what the program closed to us."""
    for name, folders, _ in os.walk(folder):
        for inner in folders:
            path = Path(name) / inner
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _identity(uid: int | None) -> list[str]:
    """Leave root for a uid that owns nothing but its folder."""
    return [] if uid is None else ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]


def _settings(limits: Limits, *, walls: bool, read: list[str], write: list[str]) -> str:
    return json.dumps(
        {
            "limits": {
                "NPROC": limits.processes, "DATA": limits.memory_bytes, "CPU": limits.cpu_seconds,
                "FSIZE": limits.disk_bytes, "NOFILE": 128, "CORE": 0, "STACK": STACK_BYTES,
            },
            "disk": limits.disk_bytes, "walls": walls, "begun": BEGUN.decode(), "read": read, "write": write,
            "seccomp": filter_program(own_namespaces=False).hex() if walls else "",
        }
    )  # fmt: skip


def _environment(box: Path, scratch: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin", "HOME": str(box), "LANG": "C.UTF-8", "TMPDIR": str(scratch),
        "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0",
        "OPENSSL_CONF": "/dev/null",  # Node ends where it may not read the system's
    }  # fmt: skip
