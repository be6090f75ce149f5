"""A stable name for this process among those that run workflows, held by a lock that dies with it."""

import fcntl
from pathlib import Path
from typing import IO, Protocol

import psycopg

MOST_SLOTS = 16
LOCK_CLASS = 7304163


class ExecutorSlot(Protocol):
    """Two processes with one name would run steps twice; a name that nobody holds marks abandoned work."""

    executor_id: str

    def take(self) -> None: ...

    def keep(self) -> None:
        """Make sure that the name is still held.

        Raises:
            OSError: it was lost, and somebody else has it now.
        """
        ...

    def is_abandoned(self, executor_id: str) -> bool: ...

    def release(self) -> None: ...


class FileSlot:
    """For SQLite: a locked file in the data folder."""

    executor_id = ""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None

    def take(self) -> None:
        for number in range(MOST_SLOTS):
            file = self._lock(f"slot-{number}")
            if file is not None:
                self.executor_id, self._file = f"slot-{number}", file
                return
        raise OSError(f"more than {MOST_SLOTS} processes share {self._folder}")

    def keep(self) -> None:
        """A lock of the file system lasts as long as the process."""

    def is_abandoned(self, executor_id: str) -> bool:
        file = self._lock(executor_id) if executor_id.startswith("slot-") else None
        if file is None:
            return False
        file.close()
        return True

    def release(self) -> None:
        if self._file is not None:
            self._file.close()

    def _lock(self, name: str) -> IO[bytes] | None:
        file = (self._folder / f"{name}.lock").open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file


class PostgresSlot:
    """For PostgreSQL: an advisory lock on a connection of its own."""

    executor_id = ""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[tuple[bool]] | None = None

    def take(self) -> None:
        self._connection = psycopg.connect(self._url, autocommit=True)
        for number in range(MOST_SLOTS):
            if self._try(number):
                self.executor_id = f"slot-{number}"
                return
        raise OSError(f"more than {MOST_SLOTS} processes share the database")

    def keep(self) -> None:
        assert self._connection is not None
        try:
            self._connection.execute("SELECT 1")
        except psycopg.OperationalError:  # the server or the network dropped the connection, and the lock with it
            self._connection.close()
            self._connection = psycopg.connect(self._url, autocommit=True)
            if not self._try(int(self.executor_id.removeprefix("slot-"))):
                raise OSError(f"{self.executor_id} was lost with its connection, and another process has it") from None

    def is_abandoned(self, executor_id: str) -> bool:
        number = executor_id.removeprefix("slot-")
        if not number.isdecimal() or not self._try(int(number)):
            return False
        assert self._connection is not None
        self._connection.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCK_CLASS, int(number)))
        return True

    def release(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _try(self, number: int) -> bool:
        assert self._connection is not None
        row = self._connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCK_CLASS, number)).fetchone()
        return bool(row and row[0])
