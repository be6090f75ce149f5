"""Where the state of conversations is kept between turns: its own SQLite file, or PostgreSQL; only the latest of each."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

import aiosqlite
import psycopg
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from app.errors import StorageFailed

BUSY_TIMEOUT_MS = 10_000
# Strict: a checkpoint holds plain data, and nothing else is ever built from one.
SERIALIZER = JsonPlusSerializer(allowed_msgpack_modules=None)


class Checkpoints(Protocol):
    saver: BaseCheckpointSaver[str]

    async def prune(self, thread_id: str) -> None:
        """Drop all but the latest checkpoint of a thread."""
        ...

    async def forget(self, thread_id: str) -> None:
        """Drop a thread whole."""
        ...


class SqliteCheckpoints:
    def __init__(self, saver: AsyncSqliteSaver) -> None:
        self.saver: BaseCheckpointSaver[str] = saver
        self._sqlite = saver

    async def prune(self, thread_id: str) -> None:
        older = "thread_id = ? AND checkpoint_id < (SELECT max(checkpoint_id) FROM checkpoints WHERE thread_id = ?)"
        async with self._sqlite.lock:
            for table in ("writes", "checkpoints"):
                await self._sqlite.conn.execute(f"DELETE FROM {table} WHERE {older}", (thread_id, thread_id))
            await self._sqlite.conn.commit()

    async def forget(self, thread_id: str) -> None:
        await self._sqlite.adelete_thread(thread_id)


class PostgresCheckpoints:
    def __init__(self, saver: AsyncPostgresSaver) -> None:
        self.saver: BaseCheckpointSaver[str] = saver
        self._postgres = saver

    async def prune(self, thread_id: str) -> None:
        await self._postgres.aprune([thread_id], strategy="keep_latest")

    async def forget(self, thread_id: str) -> None:
        await self._postgres.adelete_thread(thread_id)


@contextmanager
def translated() -> Iterator[None]:
    """What the databases of the savers raise, as our own error."""
    try:
        yield
    except (sqlite3.Error, psycopg.Error) as error:
        raise StorageFailed(
            "What this chat remembers (the checkpoints) cannot be read or written now: its database is busy, full, "
            "read-only or damaged. Your message is kept. Try again in a moment."
        ) from error


@asynccontextmanager
async def sqlite_checkpoints(file: Path | str) -> AsyncIterator[Checkpoints]:
    async with aiosqlite.connect(file) as connection:
        saver = AsyncSqliteSaver(connection, serde=SERIALIZER)
        await saver.setup()
        await connection.execute("PRAGMA synchronous=NORMAL")
        await connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        yield SqliteCheckpoints(saver)


@asynccontextmanager
async def postgres_checkpoints(url: str) -> AsyncIterator[Checkpoints]:
    async with AsyncConnectionPool[AsyncConnection[DictRow]](
        url, min_size=1, max_size=10, open=False, kwargs={"autocommit": True, "row_factory": dict_row}
    ) as pool:
        saver = AsyncPostgresSaver(pool, serde=SERIALIZER)
        await saver.setup()
        yield PostgresCheckpoints(saver)
