"""The index of one repository: an SQLite file with FTS5, brought up to date file by file. Runs in a thread."""

import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePath

from app.context.files import files_of, note_left_out, read_regular
from app.context.symbols import symbols_of

WINDOW_LINES = 24
BINARY_SAMPLE_BYTES = 8192
REPORT_FILES = 25

VERSION = 2  # of the index; another one is made anew. 1 held also what is secret by its name.

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
    """How far indexing is; while ``done`` is 0, files are still looked for. ``left_out`` counts by reason what is not
    in the index."""

    done: int
    total: int
    changed: int
    symbols: int
    left_out: dict[str, int]


def index(
    root: Path, database: Path, *, report: Callable[[Progress], None], stopped: Callable[[], bool],
    private: Path | None = None,
) -> Progress:  # fmt: skip
    """Bring the index up to date with the folder: new and changed files are read, removed ones dropped.

    Stopping keeps what was indexed so far; the next run goes on from there. The folder ``private`` is not looked into.
    """
    left_out: dict[str, int] = {}
    found: list[tuple[str, os.stat_result]] = []
    with closing(_open(database)) as connection:
        for each in files_of(root, left_out, private=private, stopped=stopped):
            found.append(each)
            if len(found) % REPORT_FILES == 0:
                report(Progress(done=0, total=len(found), changed=0, symbols=0, left_out={}))
        if stopped():  # what was not seen may be there all the same
            return _progress(connection, 0, len(found), 0, left_out)
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
            if done % REPORT_FILES == 0:
                connection.commit()
                report(_progress(connection, done, len(found), changed, left_out))
        connection.commit()
        return _progress(connection, len(found), len(found), changed, left_out)


def split_words(text: str) -> str:
    """Identifiers split by case and underscore: ``parseHTTPReply`` and ``parse_http_reply`` hold the same words."""
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", text)
    parts = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", parts)
    return parts.replace("_", " ").replace("-", " ")


def _open(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database, timeout=30)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        for table in ("words", "windows", "symbols", "files"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(f"PRAGMA user_version={VERSION}")
    connection.executescript(_SCHEMA)
    return connection


def _read_file(
    connection: sqlite3.Connection, root: Path, path: str, status: os.stat_result, left_out: dict[str, int]
) -> int:
    try:
        source = read_regular(root, PurePath(path))
    except OSError:
        note_left_out(left_out, "not readable")
        return 0
    _forget(connection, path)
    if b"\0" in source[:BINARY_SAMPLE_BYTES]:
        note_left_out(left_out, "binary")
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
