"""Isolation by bubblewrap: own namespaces, no network, a sized tmpfs, a seccomp filter, and never as root."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from app.learning.sandbox.program import Limits, Program, Run
from app.learning.sandbox.seccomp import filter_program
from app.learning.sandbox.watching import BEGUN, launch

BOX, SCRATCH = "/box", "/tmp"  # noqa: S108  # the sandbox's own: a program's files, and where it may write
HIDDEN = Path(__file__).parents[1] / "pool"  # expected values lie there, also where all of this is installed in /usr
SANDBOX_UID = 64990  # a uid of its own: root is exempt from the limit of processes

# Limits are set inside: those of processes count the sandbox's own namespace only then.
_PRELUDE = """
import os, resource, sys
processes, memory, cpu, disk = map(int, sys.argv[1:5])
for name, value in (("NPROC", processes), ("DATA", memory), ("CPU", cpu), ("FSIZE", disk), ("NOFILE", 128),
                    ("CORE", 0), ("STACK", 64 * 1024 * 1024)):
    hard = resource.getrlimit(getattr(resource, "RLIMIT_" + name))[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(getattr(resource, "RLIMIT_" + name), (value, value))
if not os.access(sys.argv[5], os.X_OK):
    sys.exit(sys.argv[5] + " cannot be run")
os.write(2, {begun!r})
os.execv(sys.argv[5], sys.argv[5:])
"""


class Bubblewrap:
    name = "bubblewrap"
    is_isolated = True

    def __init__(self, *, bwrap: str, python: str, read_only: tuple[Path, ...]) -> None:
        self.python = python
        self.read_only = read_only
        self._bwrap = bwrap

    async def run(self, program: Program) -> Run:
        """Run a program to its end or its limits. A launcher that fails is an infrastructure error."""
        with memory_files(program) as (arguments, descriptors, stdin):
            return await self._run(program, arguments, descriptors, stdin)

    async def _run(
        self, program: Program, file_arguments: Sequence[str], descriptors: Sequence[int], stdin: int
    ) -> Run:  # fmt: skip
        limits = program.limits
        argv = [
            *_identity(),
            self._bwrap,
            *_namespaces(limits),
            *_read_only((*self.read_only, *program.read_only)),
            *file_arguments,
            "--remount-ro", "/", "--remount-ro", "/dev",  # both lie in memory, without a size
            "--",
            self.python, "-I", "-S", "-c", _PRELUDE.replace("{begun!r}", repr(BEGUN)),
            str(limits.processes), str(limits.memory_bytes), str(limits.cpu_seconds), str(limits.disk_bytes),
            *program.argv,
        ]  # fmt: skip
        return await launch(argv, program, stdin=stdin, env={"PATH": "/usr/bin:/bin"}, pass_fds=descriptors)


def _identity() -> list[str]:
    """Leave root for a uid that owns nothing (uvloop cannot start processes as somebody else by itself)."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={SANDBOX_UID}", f"--regid={SANDBOX_UID}", "--clear-groups", "--"]


def _namespaces(limits: Limits) -> list[str]:
    return [
        "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session",
        "--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", BOX, "--setenv", "LANG", "C.UTF-8",
        "--setenv", "TMPDIR", SCRATCH,
        "--setenv", "PYTHONDONTWRITEBYTECODE", "1", "--setenv", "PYTHONHASHSEED", "0",
        "--hostname", "sandbox", "--proc", "/proc", "--dev", "/dev",
        "--size", str(limits.disk_bytes), "--tmpfs", SCRATCH,
        "--size", str(limits.disk_bytes), "--tmpfs", "/dev/shm",  # noqa: S108  # as above
        "--size", str(limits.disk_bytes), "--tmpfs", BOX, "--chdir", BOX,
    ]  # fmt: skip


def _read_only(folders: Sequence[Path]) -> list[str]:
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "lib", "lib64", "sbin"):
        folder = Path("/") / name
        if folder.is_symlink():
            arguments += ["--symlink", f"usr/{name}", str(folder)]
        elif folder.is_dir():
            arguments += ["--ro-bind", str(folder), str(folder)]
    if Path("/etc/alternatives").is_dir():  # links only: where Debian says which awk is awk
        arguments += ["--ro-bind", "/etc/alternatives", "/etc/alternatives"]
    for folder in dict.fromkeys(folders):
        arguments += ["--ro-bind", str(folder), str(folder)]
    if any(HIDDEN.is_relative_to(folder) for folder in (Path("/usr"), *folders)):
        arguments += ["--tmpfs", str(HIDDEN)]
    return arguments


@contextmanager
def memory_files(program: Program) -> Iterator[tuple[list[str], list[int], int]]:
    """Bubblewrap's arguments for files by descriptor, so that nothing of a learner's touches the host's disk; all the
    descriptors, the filter's among them; and the one that is the program's standard input."""
    arguments: list[str] = []
    descriptors: list[int] = []
    try:
        for name, content in program.files.items():
            descriptors.append(memory_file(content))
            arguments += ["--ro-bind-data", str(descriptors[-1]), f"{BOX}/{name}"]
        descriptors.append(memory_file(filter_program()))
        arguments += ["--seccomp", str(descriptors[-1])]
        descriptors.append(memory_file(program.stdin))
        yield arguments, descriptors, descriptors[-1]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def memory_file(content: bytes) -> int:
    descriptor = os.memfd_create("tooloo")
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
