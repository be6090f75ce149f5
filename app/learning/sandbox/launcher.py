"""Runs one program under limits, and ends all that came of it.

Its text is run by the sandbox's Python, with nothing but the standard library, as
``python -I -S -c TEXT SETTINGS PROGRAM...``. It stays as the parent of whatever the program leaves behind.
"""

import ctypes
import json
import os
import resource
import select
import signal
import struct
import sys
import time

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER = 1, 22, 38, 36
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same numbers on every processor
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
EVERY_FILE_RIGHT = (1 << 16) - 1
EVERY_NET_RIGHT = 3  # bind and connect over TCP
EVERY_SCOPE = 3  # abstract sockets and signals
READ = EXECUTE | READ_FILE | READ_DIR
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
LOOK_SECONDS = 0.05
LIMIT_SLACK = 2.0  # the scratch folder may pass its size by what is written between two looks
FAILED = 125

libc = ctypes.CDLL(None, use_errno=True)


def main():
    settings = json.loads(sys.argv[1])
    program = sys.argv[2:]
    signal.signal(signal.SIGTERM, lambda *_: end_all())
    check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0))
    check(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
    running = own_processes()
    child = os.fork()
    if child == 0:
        try:
            become(program, settings, running)
        except BaseException as error:
            print("launcher:", error, file=sys.stderr, flush=True)
        os._exit(FAILED)
    code = wait_for(child, settings)
    end_all()
    os._exit(code)


def become(program, settings, running):
    """The program, in its own session, with its limits and behind its walls."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    limits = dict(settings["limits"], NPROC=settings["limits"]["NPROC"] + running)
    for name, value in limits.items():
        kind = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
    if settings["walls"]:
        check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        allow(settings["read"], settings["write"])
        refuse(bytes.fromhex(settings["seccomp"]))
    if not os.access(program[0], os.X_OK):
        raise OSError(program[0] + " cannot be run")
    os.write(2, settings["begun"].encode())
    os.execv(program[0], program)


def own_processes():
    """How many processes and threads the limit counts already: those of this user everywhere."""
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.stat("/proc/" + name).st_uid == os.getuid():
                    count += len(os.listdir("/proc/" + name + "/task"))
            except OSError:
                continue
    return count


def allow(read, write):
    """Landlock: nothing of the file system but these paths, no TCP, no signals to others."""
    attributes = struct.pack("QQQ", EVERY_FILE_RIGHT, EVERY_NET_RIGHT, EVERY_SCOPE)
    ruleset = check(libc.syscall(CREATE_RULESET, attributes, len(attributes), 0))
    for path in [*read, "/proc/%d" % os.getpid()]:
        rule(ruleset, path, READ)
    for path in write:
        rule(ruleset, path, EVERY_FILE_RIGHT)
    for path in ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"):
        rule(ruleset, path, READ_FILE | WRITE_FILE)
    check(libc.syscall(RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def rule(ruleset, path, rights):
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not os.path.isdir(path):
        rights &= OF_A_FILE
    check(libc.syscall(ADD_RULE, ruleset, 1, struct.pack("=Qi", rights, place), 0))
    os.close(place)


def refuse(code):
    """The seccomp filter, as classic BPF."""

    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]

    check(libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(Filter(len(code) // 8, code)), 0, 0))


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def wait_for(child, settings):
    """Its exit code, or 128 and the signal that ended it; one that fills its folder is ended."""
    watched = os.pidfd_open(child) if hasattr(os, "pidfd_open") else None
    poll = select.poll()
    if watched is not None:
        poll.register(watched, select.POLLIN)
    while True:
        if watched is not None:
            poll.poll(LOOK_SECONDS * 1000)
        else:
            time.sleep(LOOK_SECONDS / 5)
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if size_of(settings["write"]) + deleted(child) > settings["disk"] * LIMIT_SLACK:
            os.kill(child, signal.SIGKILL)


def size_of(folders):
    """The bytes under some folders; a folder that was closed to us is more than any limit."""
    total = 0
    folders = list(folders)
    while folders:
        total += 4096
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += max(4096, entry.stat(follow_symlinks=False).st_blocks * 512)
        except PermissionError:
            return float("inf")
        except OSError:
            continue  # it went away while we looked
    return total


def deleted(child):
    """The bytes of files that are open and have no name any more."""
    sizes = {}
    for pid in [child, *descendants(child)]:
        try:
            for name in os.listdir("/proc/%d/fd" % pid):
                found = os.stat("/proc/%d/fd/%s" % (pid, name))
                if found.st_nlink == 0:
                    sizes[found.st_dev, found.st_ino] = found.st_blocks * 512
        except OSError:
            continue
    return sum(sizes.values())


def end_all():
    """Kill whatever descends from this process, also what detached itself, until nothing is left."""
    while True:
        found = descendants(os.getpid())
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.001)


def descendants(pid):
    found = []
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        try:
            for task in os.listdir("/proc/%d/task" % one):
                with open("/proc/%d/task/%s/children" % (one, task)) as children:
                    own = [int(child) for child in children.read().split()]
                found += own
                waiting += own
        except OSError:
            continue
    return found


main()
