"""A seccomp filter for sandboxes: system calls that no exercise needs and that have broken out of sandboxes before.

Written as classic BPF by hand (seccomp(2)), because the bindings of libseccomp need a system library.
"""

import errno
import platform
import struct

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: (x86_64, aarch64)
_DENIED: dict[str, tuple[int | None, int | None]] = {
    "ptrace": (101, 117),
    "memfd_create": (319, 279),  # memory that no limit counts while it is not mapped
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "syslog": (103, 116),
    "personality": (135, 92),
    "quotactl": (179, 60),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "pidfd_getfd": (438, 438),
    "setsid": (112, 157),  # each session has a share of the processor of its own
    # memory and queues of the kernel's that no process owns, so that no limit of a process counts them
    "shmctl": (31, 195),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "semctl": (66, 191),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
}  # fmt: skip
# Denied where no namespace of its own keeps a program from the host: what outlives it, what changes the rights of
# files, which Landlock does not see, and what slows others down.
_DENIED_ON_THE_HOST: dict[str, tuple[int | None, int | None]] = {
    "fchmod": (91, 52),
    "fchown": (93, 55),
    "fsetxattr": (190, 7),
    "fremovexattr": (199, 16),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    "chmod": (90, None),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "setxattrat": (463, 463),
    "removexattrat": (466, 466),
    "setpriority": (141, 140),
    "sched_setaffinity": (203, 122),
}  # fmt: skip
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_SOCKET = (41, 198)
_PRLIMIT = (302, 261)
_NAMESPACE_FLAGS = 0x7E020000  # CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET
_AF_INET6 = 10

_LOAD, _EQUAL, _GREATER, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data


def filter_program(*, own_namespaces: bool = True) -> bytes:
    """The filter for this machine's processor; without namespaces of its own a program gets no socket either.

    Raises:
        KeyError: the processor is neither x86_64 nor aarch64.
    """
    machine = platform.machine()
    column = {"x86_64": 0, "aarch64": 1}[machine]
    lines = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":  # the x32 calls are the same ones under other numbers
        lines += [(_GREATER, 0, 1, 0x3FFFFFFF), (_RETURN, 0, 0, _error(errno.EPERM))]
    denied = _DENIED if own_namespaces else _DENIED | _DENIED_ON_THE_HOST | {"socket": _SOCKET}
    for number in (numbers[column] for numbers in denied.values()):
        if number is not None:
            lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _error(errno.EPERM))]
    # glibc falls back to clone(), whose flags we can read, when clone3() is not there
    lines += [(_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _error(errno.ENOSYS))]
    lines += _refused_where(_CLONE[column], _ANY_BIT, _NAMESPACE_FLAGS)
    lines += _refused_where(_SOCKET[column], _GREATER, _AF_INET6)
    if not own_namespaces:  # limits of its own only, which every runtime reads at start
        lines += _refused_where(_PRLIMIT[column], _GREATER, 0)
    lines.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def _refused_where(call: int, condition: int, value: int) -> list[tuple[int, int, int, int]]:
    """A call is refused where its first argument fulfils a condition, and else allowed."""
    return [
        (_EQUAL, 0, 4, call),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (condition, 0, 1, value),
        (_RETURN, 0, 0, _error(errno.EPERM)),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _error(number: int) -> int:
    return 0x00050000 | number
