"""The index of one repository: an SQLite file with FTS5, brought up to date file by file. Runs in a thread."""

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePath

import pathspec

from app.context.symbols import symbols_of

LARGEST_FILE_BYTES = 1024 * 1024
MOST_FILES = 20_000
WINDOW_LINES = 24
BINARY_SAMPLE_BYTES = 8192
ALWAYS_LEFT_OUT = frozenset({".git", ".hg", ".svn", "node_modules", ".venv", "__pycache__", ".mypy_cache"})

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, lines INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS symbols (
    path TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, line INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS symbols_path ON symbols (path);
CREATE INDEX IF NOT EXISTS symbols_name ON symbols (name COLLATE NOCASE);
CREATE TABLE IF NOT EXISTS windows (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL, line INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS windows_path ON windows (path);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (
    path, symbols, body, tokenize='porter unicode61');
"""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far indexing is; ``left_out`` counts by reason what is not in the index."""

    done: int
    total: int
    changed: int
    symbols: int
    left_out: dict[str, int]


def index(root: Path, database: Path, *, report: Callable[[Progress], None], stopped: Callable[[], bool]) -> Progress:
    """Bring the index up to date with the folder: new and changed files are read, removed ones dropped.

    Stopping keeps what was indexed so far; the next run goes on from there.
    """
    left_out: dict[str, int] = {}
    found = list(files_of(root, left_out))
    with closing(_open(database)) as connection:
        known = {row[0]: (row[1], row[2]) for row in connection.execute("SELECT path, size, mtime_ns FROM files")}
        present = {path for path, _ in found}
        for gone in known.keys() - present:
            _forget(connection, gone)
        changed = 0
        for done, (path, status) in enumerate(found, start=1):
            if stopped():
                break
            if known.get(path) != (status.st_size, status.st_mtime_ns):
                changed += _read_file(connection, root, path, status, left_out)
            if done % 25 == 0:
                connection.commit()
                report(_progress(connection, done, len(found), changed, left_out))
        connection.commit()
        return _progress(connection, len(found), len(found), changed, left_out)


def files_of(root: Path, left_out: dict[str, int]) -> Iterator[tuple[str, os.stat_result]]:
    """Text files under ``root`` that .gitignore lets through. Links are not followed, so nothing outside is read."""
    yield from _scan(root, PurePath(), [], left_out, [0])


def split_words(text: str) -> str:
    """Identifiers split by case and underscore: ``parseHTTPReply`` and ``parse_http_reply`` hold the same words."""
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", text)
    parts = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", parts)
    return parts.replace("_", " ").replace("-", " ")


def _scan(
    root: Path,
    folder: PurePath,
    ignores: list[tuple[PurePath, pathspec.PathSpec]],  # type: ignore[type-arg]  # generic only in the newest release
    left_out: dict[str, int],
    count: list[int],
) -> Iterator[tuple[str, os.stat_result]]:
    try:
        entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
    except OSError:
        _count(left_out, "not readable")
        return
    here = [*ignores, *_gitignore(root, folder)]
    for entry in entries:
        path = folder / entry.name
        if entry.is_symlink():
            _count(left_out, "a link")
        elif _ignored(path, here, is_folder=entry.is_dir(follow_symlinks=False)):
            _count(left_out, "ignored")
        elif entry.is_dir(follow_symlinks=False):
            yield from _scan(root, path, here, left_out, count)
        elif entry.is_file(follow_symlinks=False):
            status = entry.stat(follow_symlinks=False)
            if status.st_size > LARGEST_FILE_BYTES:
                _count(left_out, "larger than 1 MB")
            elif count[0] >= MOST_FILES:
                _count(left_out, f"beyond {MOST_FILES} files")
            else:
                count[0] += 1
                yield path.as_posix(), status


def _gitignore(root: Path, folder: PurePath) -> list[tuple[PurePath, pathspec.PathSpec]]:  # type: ignore[type-arg]  # as above
    file = root / folder / ".gitignore"
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [(folder, pathspec.PathSpec.from_lines("gitignore", lines))]


def _ignored(
    path: PurePath,
    ignores: list[tuple[PurePath, pathspec.PathSpec]],  # type: ignore[type-arg]  # as above
    *,
    is_folder: bool,
) -> bool:
    if path.name in ALWAYS_LEFT_OUT:
        return True
    verdict = False
    for folder, spec in ignores:
        shown = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
        result = spec.check_file(shown).include
        verdict = verdict if result is None else result
    return verdict


def _open(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database, timeout=30)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.executescript(_SCHEMA)
    return connection


def _read_file(
    connection: sqlite3.Connection, root: Path, path: str, status: os.stat_result, left_out: dict[str, int]
) -> int:
    try:
        source = (root / path).read_bytes()
    except OSError:
        _count(left_out, "not readable")
        return 0
    _forget(connection, path)
    if b"\0" in source[:BINARY_SAMPLE_BYTES]:
        _count(left_out, "binary")
        return 0
    lines = source.decode("utf-8", errors="replace").splitlines()
    symbols = symbols_of(PurePath(path), source)
    connection.execute("INSERT INTO files VALUES (?, ?, ?, ?)", (path, status.st_size, status.st_mtime_ns, len(lines)))
    connection.executemany("INSERT INTO symbols VALUES (?, ?, ?, ?)", [(path, s.name, s.kind, s.line) for s in symbols])
    for start in range(0, len(lines), WINDOW_LINES):
        text = "\n".join(line[:500] for line in lines[start : start + WINDOW_LINES])
        names = " ".join(s.name for s in symbols if start < s.line <= start + WINDOW_LINES)
        cursor = connection.execute("INSERT INTO windows (path, line, text) VALUES (?, ?, ?)", (path, start + 1, text))
        connection.execute(
            "INSERT INTO words (rowid, path, symbols, body) VALUES (?, ?, ?, ?)",
            (cursor.lastrowid, split_words(path), f"{names} {split_words(names)}", f"{text} {split_words(text)}"),
        )
    return 1


def _forget(connection: sqlite3.Connection, path: str) -> None:
    connection.execute("DELETE FROM words WHERE rowid IN (SELECT id FROM windows WHERE path = ?)", (path,))
    for table in ("windows", "symbols", "files"):
        connection.execute(f"DELETE FROM {table} WHERE path = ?", (path,))


def _progress(
    connection: sqlite3.Connection, done: int, total: int, changed: int, left_out: dict[str, int]
) -> Progress:
    symbols = connection.execute("SELECT count(*) FROM symbols").fetchone()[0]
    return Progress(done=done, total=total, changed=changed, symbols=symbols, left_out=dict(left_out))


def _count(left_out: dict[str, int], why: str) -> None:
    left_out[why] = left_out.get(why, 0) + 1
