"""Which files of a folder are read, and reading them: never through a link, never what is no regular file."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

import pathspec

LARGEST_FILE_BYTES = 1024 * 1024
MOST_FILES = 20_000
ALWAYS_LEFT_OUT = frozenset({".git", ".hg", ".svn", "node_modules", ".venv", "__pycache__", ".mypy_cache"})
# What holds secrets by its name is not for a search, nor for a model.
SECRET_FOLDERS = frozenset({".ssh", ".gnupg", ".aws", ".azure", ".kube", ".password-store"})
SECRET_FILES = ("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*.pem", "*.key", "*.p12", "*.pfx", "*.keystore",
                ".netrc", ".pgpass", ".npmrc", ".pypirc", ".htpasswd", ".git-credentials", ".env", ".env.*",
                "!.env.example", "!.env.sample", "!.env.template")  # fmt: skip

Ignores = list[tuple[PurePath, pathspec.PathSpec]]  # type: ignore[type-arg]  # generic only in the newest release
_SECRETS = pathspec.PathSpec.from_lines("gitignore", SECRET_FILES)


def files_of(
    root: Path, left_out: dict[str, int], *, private: Path | None = None, stopped: Callable[[], bool]
) -> Iterator[tuple[str, os.stat_result]]:
    """Text files under ``root`` that .gitignore lets through, folder by folder.

    ``left_out`` counts the others by reason. ``private`` is a folder that is passed over. Links are not followed, so
    nothing outside is read.
    """
    waiting: list[tuple[PurePath, Ignores]] = [(PurePath(), [])]
    count = 0
    while waiting and not stopped():
        folder, above = waiting.pop()
        try:
            entries = _entries(root, folder)
        except OSError:
            note_left_out(left_out, "not readable")
            continue
        ignores = [*above, *_gitignore(root, folder, entries)]
        folders = []
        for name, status in entries:
            path = folder / name
            why = _why_left_out(path, status, ignores)
            if why is None and private is not None and root / path == private:
                why = "private"
            if why is not None:
                note_left_out(left_out, why)
            elif stat.S_ISDIR(status.st_mode):
                folders.append((path, ignores))
            elif count >= MOST_FILES:
                note_left_out(left_out, f"or more beyond {MOST_FILES} files")
                return
            elif stat.S_ISREG(status.st_mode):
                count += 1
                yield path.as_posix(), status
        waiting.extend(reversed(folders))


def read_regular(root: Path, path: PurePath) -> bytes:
    """A file of at most 1 MB, though it or a folder above it was replaced since it was looked at.

    Raises:
        OSError: it cannot be read, or is a link, a pipe or a device.
    """
    with _opened(root, path.parent) as folder:
        descriptor = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no regular file")
        return opened.read(LARGEST_FILE_BYTES)


@contextmanager
def _opened(root: Path, folder: PurePath) -> Iterator[int]:
    """The descriptor of a folder below ``root``, reached step by step: none may have become a link meanwhile."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in folder.parts:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _entries(root: Path, folder: PurePath) -> list[tuple[str, os.stat_result]]:
    """What a folder holds, by name; what is gone before it was looked at is not there."""
    found = []
    with _opened(root, folder) as descriptor:
        for name in sorted(os.listdir(descriptor)):  # noqa: PTH208  # a path cannot hold a descriptor
            try:
                found.append((name, os.stat(name, dir_fd=descriptor, follow_symlinks=False)))
            except OSError:
                continue
    return found


def _why_left_out(path: PurePath, status: os.stat_result, ignores: Ignores) -> str | None:
    is_folder = stat.S_ISDIR(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return "a link"
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return "with a name that is no text"
    if path.name in SECRET_FOLDERS if is_folder else _SECRETS.match_file(path.name):
        return "secret by name"
    if _ignored(path, ignores, is_folder=is_folder):
        return "ignored"
    return "larger than 1 MB" if not is_folder and status.st_size > LARGEST_FILE_BYTES else None


def _gitignore(root: Path, folder: PurePath, entries: list[tuple[str, os.stat_result]]) -> Ignores:
    if not any(name == ".gitignore" for name, _ in entries):
        return []
    try:
        lines = read_regular(root, folder / ".gitignore").decode("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [(folder, pathspec.PathSpec.from_lines("gitignore", lines))]


def _ignored(path: PurePath, ignores: Ignores, *, is_folder: bool) -> bool:
    if path.name in ALWAYS_LEFT_OUT:
        return True
    verdict = False
    for folder, spec in ignores:
        shown = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
        result = spec.check_file(shown).include
        verdict = verdict if result is None else result
    return verdict


def note_left_out(left_out: dict[str, int], why: str) -> None:
    """Count one more that is not read."""
    left_out[why] = left_out.get(why, 0) + 1
