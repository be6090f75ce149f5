"""Which files of a folder are read, and reading them: never through a link, never what is no regular file."""

import os
import stat
from collections.abc import Callable, Iterator
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
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError:
            note_left_out(left_out, "not readable")
            continue
        ignores = [*above, *_gitignore(root, folder, entries)]
        folders = []
        for entry in entries:
            path = folder / entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            why = _why_left_out(entry, path, ignores, is_folder=is_folder)
            if why is None and is_folder and private is not None and root / path == private:
                why = "private"
            if why is not None:
                note_left_out(left_out, why)
            elif is_folder:
                folders.append((path, ignores))
            elif entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                if status.st_size > LARGEST_FILE_BYTES:
                    note_left_out(left_out, "larger than 1 MB")
                elif count >= MOST_FILES:
                    note_left_out(left_out, f"or more beyond {MOST_FILES} files")
                    return
                else:
                    count += 1
                    yield path.as_posix(), status
        waiting.extend(reversed(folders))


def read_regular(file: Path) -> bytes:
    """A file of at most 1 MB, though it was replaced since it was looked at.

    Raises:
        OSError: it cannot be read, or is a link, a pipe or a device.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{file} is no regular file")
        return opened.read(LARGEST_FILE_BYTES)


def _why_left_out(entry: "os.DirEntry[str]", path: PurePath, ignores: Ignores, *, is_folder: bool) -> str | None:
    if entry.is_symlink():
        return "a link"
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        return "with a name that is no text"
    if entry.name in SECRET_FOLDERS if is_folder else _SECRETS.match_file(entry.name):
        return "secret by name"
    return "ignored" if _ignored(path, ignores, is_folder=is_folder) else None


def _gitignore(root: Path, folder: PurePath, entries: "list[os.DirEntry[str]]") -> Ignores:
    if not any(entry.name == ".gitignore" for entry in entries):
        return []
    try:
        lines = read_regular(root / folder / ".gitignore").decode("utf-8", errors="replace").splitlines()
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
