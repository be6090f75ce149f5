"""One database, two dialects: SQLite files by default, PostgreSQL by ``DATABASE_URL``."""

import asyncio
import contextvars
import re
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from app.errors import StorageFailed

BUSY_TIMEOUT_MS = 30_000
HALTED_TIMEOUT_MS = 20_000  # in the middle of a transaction
QUEUED_TIMEOUT_MS = 200  # of those who queued behind one that waited in vain
T = TypeVar("T")


class Database:
    """Transactions for the services.

    On SQLite all writes go through one connection that begins with BEGIN IMMEDIATE (100 concurrent read-modify-write
    tasks lose nothing that way), reads through query-only connections beside it. On PostgreSQL both are one pool.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        self._write_lock = asyncio.Lock()
        self._gave_up_at = 0.0  # of the monotonic clock
        self._patience_ms = BUSY_TIMEOUT_MS
        if self.is_sqlite:
            self._writer = _sqlite_engine(url, synchronous="NORMAL", patience_ms=self._patience)
            self._durable_writer = _sqlite_engine(url, synchronous="FULL", patience_ms=self._patience)
            self._reader = _sqlite_engine(url, synchronous="NORMAL", read_only=True)
            self._direct = _direct_engine(url, patience_ms=self._patience)
            self._writer_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-writer")
        else:
            engine = create_async_engine(url, pool_size=10, max_overflow=10, pool_pre_ping=True, hide_parameters=True)
            _prepare_postgres(engine.sync_engine)
            self._writer = self._durable_writer = self._reader = engine

    @asynccontextmanager
    async def write(self, *, durable: bool = False) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed when the block ends, rolled back when it raises.

        ``durable`` survives a power cut as well as a crash: for money and secrets.

        Raises:
            StorageFailed: locked, full, read-only or unreachable.
        """
        engine = self._durable_writer if durable else self._writer
        with _translated():
            if not self.is_sqlite:
                async with engine.begin() as connection:
                    yield connection
                return
            async with self._turn(), engine.begin() as connection:
                yield connection

    def _patience(self) -> int:
        return self._patience_ms

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """The turn of one writer on SQLite.

        When a writer has waited in vain for a file that another program holds, those who queued behind it wait a moment
        only, and not as long each, one after the other.
        """
        asked = time.monotonic()
        async with self._write_lock:
            self._patience_ms = QUEUED_TIMEOUT_MS if asked < self._gave_up_at else BUSY_TIMEOUT_MS
            try:
                yield
            except DBAPIError as error:
                self._note_busy(error)
                raise

    def _note_busy(self, error: BaseException) -> None:
        if unusable_message(error) == BUSY:
            self._gave_up_at = time.monotonic()

    @asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncConnection]:
        """One durable transaction in which tables may be made anew.

        SQLite knows no other way to change one than to drop it, which must not take along the rows that refer to it:
        they are checked at the end instead.

        Raises:
            StorageFailed: as ``write``; or rows would refer to what is not there, and nothing was changed.
        """
        if not self.is_sqlite:
            async with self.write(durable=True) as connection:
                await connection.exec_driver_sql("SET LOCAL lock_timeout = 0")  # whoever is at it is waited for
                yield connection
            return
        engine = _sqlite_engine(self.url, synchronous="FULL", foreign_keys=False)
        try:
            with _translated():
                async with self._write_lock, engine.begin() as connection:
                    yield connection
                    broken = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).first()
                    if broken is not None:
                        raise StorageFailed(
                            f"Rows of {broken[0]!r} refer to what is not there. Nothing was changed. Restore a backup."
                        )
        finally:
            await engine.dispose()

    async def run(self, work: Callable[[sa.Connection], T]) -> T:
        """One durable transaction whose statements wait for nothing else: committed when ``work`` returns.

        On SQLite it runs in one go in the writer's thread, which costs a fifth of awaiting each statement.

        Raises:
            StorageFailed: locked, full, read-only or unreachable.
        """
        with _translated():
            if not self.is_sqlite:
                async with self._writer.begin() as connection:
                    return await connection.run_sync(work)

            def transaction() -> T:
                with self._direct.begin() as connection:
                    return work(connection)

            async with self._turn():
                running = asyncio.get_running_loop().run_in_executor(
                    self._writer_thread, contextvars.copy_context().run, transaction
                )
                try:
                    return await asyncio.shield(running)
                except asyncio.CancelledError:
                    await asyncio.wait({running})  # the lock must not open before the transaction has ended
                    if (error := running.exception()) is not None:
                        self._note_busy(error)
                    raise

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for queries; on SQLite it cannot write.

        Raises:
            StorageFailed: locked or unreachable.
        """
        with _translated():
            async with self._reader.connect() as connection:
                yield connection

    async def close(self) -> None:
        for engine in {self._writer, self._durable_writer, self._reader}:
            await engine.dispose()
        if self.is_sqlite:
            await asyncio.get_running_loop().run_in_executor(self._writer_thread, self._direct.dispose)
            self._writer_thread.shutdown(wait=False)

    def insert(self, table: sa.Table) -> Any:  # Any: the two dialects' Insert share no public type
        """INSERT that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update`` on both databases."""
        from sqlalchemy.dialects import postgresql, sqlite

        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)


def sqlite_url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def postgres_url(url: str, driver: str) -> str:
    """The same server for another driver: ``postgresql+asyncpg://`` from ``postgres://`` and its like."""
    parsed = sa.make_url(url.replace("postgres://", "postgresql://", 1))
    return parsed.set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)


def _sqlite_engine(
    url: str, *, synchronous: str, read_only: bool = False, foreign_keys: bool = True,
    patience_ms: Callable[[], int] | None = None,
) -> AsyncEngine:  # fmt: skip
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=4 if read_only else 1,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT_MS / 1000,
        hide_parameters=True,  # what people wrote has no place in a log
    )
    _prepare_sqlite(
        engine.sync_engine, synchronous=synchronous, read_only=read_only, foreign_keys=foreign_keys,
        patience_ms=patience_ms,
    )  # fmt: skip
    return engine


def _direct_engine(url: str, *, patience_ms: Callable[[], int]) -> sa.Engine:
    engine = sa.create_engine(url.replace("+aiosqlite", ""), pool_size=1, max_overflow=0, hide_parameters=True)
    _prepare_sqlite(engine, synchronous="FULL", read_only=False, patience_ms=patience_ms)
    return engine


def _prepare_postgres(engine: sa.Engine) -> None:
    """Nobody waits without end for what another server holds, nor holds it without end where it was halted."""

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:  # Any: a DBAPI connection has no type
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute(f"SET idle_in_transaction_session_timeout = {HALTED_TIMEOUT_MS}")
        cursor.close()
        connection.commit()  # what a transaction sets goes with it


def _prepare_sqlite(
    engine: sa.Engine, *, synchronous: str, read_only: bool, foreign_keys: bool = True,
    patience_ms: Callable[[], int] | None = None,
) -> None:  # fmt: skip
    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:  # Any: a DBAPI connection has no type
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        if read_only:
            cursor.execute("PRAGMA query_only=ON")
        else:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute(f"PRAGMA synchronous={synchronous}")
        cursor.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
        cursor.close()

    @event.listens_for(engine, "invalidate")
    def _give_up(connection: Any, _record: object, _error: BaseException | None) -> None:  # Any: as above
        """A statement that was cancelled leaves its cursor, which after a close keeps the transaction and its lock."""
        connection.rollback()

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        wanted = BUSY_TIMEOUT_MS if patience_ms is None else patience_ms()
        if connection.info.get("patience_ms", BUSY_TIMEOUT_MS) != wanted:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={wanted}")
            connection.info["patience_ms"] = wanted
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


class _translated:
    """Turns what the drivers raise for a database that cannot be used into StorageFailed."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, DBAPIError | OSError | sa.exc.TimeoutError):
            message = unusable_message(error)
            if message:
                raise StorageFailed(message) from error


BUSY = "The database is busy with another program. Nothing was changed; try again in a moment."
_SIGNS = (
    (
        ("database is locked", "database table is locked", "queuepool limit", "too many clients", "lock timeout",
         "connection slots are reserved", "too many connections"),
        BUSY,
    ),
    (
        ("readonly database", "read-only"),
        "The database is read-only. Nothing was changed. Give the server write access to its data folder.",
    ),
    (
        ("database or disk is full", "no space left"),
        "The disk is full. Nothing was changed. Free some space and try again.",
    ),
    (
        ("unable to open database", "connection refused", "could not connect", "connect call failed",
         "connection was closed", "terminating connection", "service not known", "name resolution", "nodename nor",
         "connection reset", "broken pipe", "database system is", "recovery mode", "no such file or directory",
         "connection does not exist", "connection is closed", "idle-in-transaction timeout"),
        "The database cannot be reached. Nothing was changed. Check that it runs and that DATABASE_URL or "
        "TOOLOO_DATA_DIR is right.",
    ),
    (
        (r'(role|database) "[^"]*" does not exist', "password authentication failed", "no password", "pg_hba.conf"),
        "PostgreSQL does not let us in. Check the user, the password and the database's name in DATABASE_URL, and that "
        "this database has been made.",
    ),
    (
        ("malformed", "file is not a database"),
        "The database file is damaged. Restore the data folder from a backup.",
    ),
)  # fmt: skip


def unusable_message(error: BaseException) -> str | None:
    """What to tell people when a driver's error means that the database cannot be used at all."""
    text = str(error).lower()
    for signs, message in _SIGNS:
        if any(re.search(sign, text) for sign in signs):
            return message
    return None
