"""Search in a repository's index: questions in plain words give file:line with code. Synchronous; runs in a thread."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.context.indexing import VERSION, split_words

SNIPPET_LINES = 7
MOST_RESULTS = 20

# Words with which people ask, and which therefore say nothing about what they look for.
_ASKING = frozenset(
    re.findall(
        r"\w+",
        "a about all an and are at by can code defined definition did do does each file files find for from function "
        "get has have how i implemented in is it its list located me mention method module of on or please repo "
        "repository search see show that the their there this to use used uses using what when where which who why "
        "with",
    )
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A place in the code; ``line`` is the best line, ``start`` the first line of ``snippet``. Both count from 1."""

    path: str
    line: int
    symbol: str | None
    start: int
    snippet: str


def search(database: Path, question: str, *, limit: int = 5) -> list[Found]:
    """The best places for a question, best first, at most one for each stretch of 24 lines."""
    words = words_of(question)
    if not words:
        return []
    with _reading(database) as connection:
        rows = connection.execute(
            "SELECT windows.path, windows.line, windows.text FROM words JOIN windows ON windows.id = words.rowid "
            "WHERE words MATCH ? ORDER BY bm25(words, 3.0, 8.0, 1.0) LIMIT ?",
            (" OR ".join(f'"{word}"' for word in words), min(limit, MOST_RESULTS)),
        ).fetchall()
        return [_found(connection, path, line, text, words) for path, line, text in rows]


def structure(database: Path, *, limit: int = 2000) -> list[tuple[str, int]]:
    """Files of the index with their numbers of lines, by path."""
    with _reading(database) as connection:
        return connection.execute("SELECT path, lines FROM files ORDER BY path LIMIT ?", (limit,)).fetchall()


def largest_symbols(database: Path, *, limit: int = 200) -> list[tuple[str, str, str, int]]:
    """Definitions (name, kind, path, line) that a quiz or an overview can be made of, by path and line."""
    with _reading(database) as connection:
        return connection.execute(
            "SELECT name, kind, path, line FROM symbols WHERE length(name) > 3 ORDER BY path, line LIMIT ?", (limit,)
        ).fetchall()


@contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            raise sqlite3.DatabaseError("an index of another version")
        yield connection


def words_of(question: str) -> list[str]:
    """What is asked for, without the words of asking; all of them if nothing else was said."""
    said = re.findall(r"\w+", f"{question} {split_words(question)}".lower())
    wanted = [word for word in dict.fromkeys(said) if word not in _ASKING and len(word) > 1]
    return (wanted or list(dict.fromkeys(said)))[:16]


def _found(connection: sqlite3.Connection, path: str, first: int, text: str, words: Sequence[str]) -> Found:
    lines = text.split("\n")
    scores = [_score(line, words) for line in lines]
    best = max(range(len(lines)), key=lambda place: (scores[place], -place))
    start = max(0, min(best - 1, len(lines) - SNIPPET_LINES))
    symbol = connection.execute(
        "SELECT name FROM symbols WHERE path = ? AND line <= ? ORDER BY line DESC LIMIT 1", (path, first + best)
    ).fetchone()
    return Found(
        path=path, line=first + best, symbol=symbol[0] if symbol else None, start=first + start,
        snippet="\n".join(lines[start : start + SNIPPET_LINES]),
    )  # fmt: skip


def _score(line: str, words: Sequence[str]) -> float:
    said = set(re.findall(r"\w+", f"{line} {split_words(line)}".lower()))
    hits = sum(any(word == one or (len(word) > 4 and one.startswith(word[:-1])) for one in said) for word in words)
    defines = bool(re.match(r"\s*(async\s+)?(def|class|function|fn|func|const|public|private|export)\b", line))
    return hits + (0.5 if hits and defines else 0.0)
