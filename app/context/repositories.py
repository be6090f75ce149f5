"""Repositories: which folders may be loaded, loading with progress, and searching what was loaded."""

import asyncio
import contextlib
import sqlite3
import threading
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from weakref import WeakValueDictionary

import sqlalchemy as sa

from app.context import indexing
from app.context import search as searching
from app.context.files import ALWAYS_LEFT_OUT, SECRET_FOLDERS
from app.context.indexing import Progress
from app.errors import InvalidInput, NotAllowed, NotFound, StorageFailed
from app.events import log as event_log
from app.events.schema import NewEvent
from app.storage.database import Database, unusable_message
from app.storage.tables.work import repositories

REPORT_SECONDS = 0.2
NEVER_READ = ALWAYS_LEFT_OUT | SECRET_FOLDERS
LONGEST_QUESTION = 500


@dataclass(frozen=True, kw_only=True)
class Repository:
    id: str
    name: str
    path: str
    files: int
    symbols: int
    indexed_at: datetime


class RepositoryService:
    """``roots`` are the folders from which may be loaded; ``private`` is one that nobody reads, such as the server's
    own data: keys, and what others wrote."""

    def __init__(
        self, *, database: Database, index_folder: Path, roots: Sequence[Path], private: Path,
        clock: Callable[[], datetime], wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self._database = database
        self._index_folder = index_folder
        self._roots = tuple(root.resolve() for root in roots)
        self._private = private.resolve()
        self._clock = clock
        self._wake = wake
        self._loading: WeakValueDictionary[tuple[str, Path], asyncio.Lock] = WeakValueDictionary()

    async def load(self, user_id: str, path: str) -> AsyncIterator[Progress | Repository]:
        """Index a folder, or bring its index up to date; yields progress, at last the repository.

        Closing the iterator stops the work; what was indexed stays.

        Raises:
            InvalidInput: there is no such folder.
            NotAllowed: it is outside the allowed roots, the server's own, or cannot be read.
            StorageFailed: the index cannot be written.
        """
        folder = await asyncio.to_thread(self._checked, path)
        async with self._loading.setdefault((user_id, folder), asyncio.Lock()):
            repository_id = await self._id_of(user_id, folder)
            final: Progress | None = None
            async with contextlib.aclosing(self._indexed(folder, self._index_file(repository_id))) as steps:
                async for final in steps:
                    yield final
            assert final is not None
            stored = await self._store(user_id, repository_id, folder, final)
        yield stored

    async def search(self, user_id: str, repository_id: str, question: str, *, limit: int = 5) -> list[searching.Found]:
        """The best places for a question.

        Raises:
            NotFound: not this user's repository.
            InvalidInput: nothing to search for, or too long.
            StorageFailed: its index cannot be read.
        """
        await self.get(user_id, repository_id)
        if not question.strip() or len(question) > LONGEST_QUESTION:
            raise InvalidInput(f"Say in 1 to {LONGEST_QUESTION} characters what to search for.")
        with _translated():
            found = await asyncio.to_thread(searching.search, self._index_file(repository_id), question, limit=limit)
        async with self._database.write() as connection:
            await event_log.append(
                connection,
                NewEvent(type="context.searched", key=repository_id, user_id=user_id, occurred_at=self._clock(),
                         payload={"results": len(found)}),
            )  # fmt: skip
        return found

    async def symbols(self, user_id: str, repository_id: str) -> list[tuple[str, str, str, int]]:
        """Definitions (name, kind, path, line) of a repository.

        Raises:
            NotFound: not this user's repository.
        """
        await self.get(user_id, repository_id)
        with _translated():
            return await asyncio.to_thread(searching.largest_symbols, self._index_file(repository_id))

    async def structure(self, user_id: str, repository_id: str) -> list[tuple[str, int]]:
        """Files and their numbers of lines.

        Raises:
            NotFound: not this user's repository.
        """
        await self.get(user_id, repository_id)
        with _translated():
            return await asyncio.to_thread(searching.structure, self._index_file(repository_id))

    async def get(self, user_id: str, repository_id: str) -> Repository:
        """A repository of this user.

        Raises:
            NotFound: it is not there, or somebody else's.
        """
        found = [r for r in await self.list(user_id) if r.id == repository_id]
        if not found:
            raise NotFound("This repository is not loaded. Load one with /repo PATH.")
        return found[0]

    async def list(self, user_id: str) -> list[Repository]:
        """What a user has loaded and may read, newest first."""
        query = (
            sa.select(repositories).where(repositories.c.user_id == user_id).order_by(repositories.c.indexed_at.desc())
        )
        async with self._database.read() as connection:
            return [
                Repository(
                    id=row.id, name=row.name, path=row.path, files=row.files, symbols=row.symbols,
                    indexed_at=row.indexed_at,
                )
                for row in await connection.execute(query)
                if self._is_allowed(Path(row.path))
            ]  # fmt: skip

    async def _indexed(self, folder: Path, database: Path) -> AsyncGenerator[Progress]:
        """Run the index in a thread and yield where it is, a few times a second, at last the end."""
        stop = threading.Event()
        latest: list[Progress] = []
        work = asyncio.create_task(
            asyncio.to_thread(_index, folder, database, private=self._private, report=latest.append, stop=stop)
        )
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=REPORT_SECONDS)
                if latest and not work.done():
                    yield latest[-1]
                    latest.clear()
            with _translated():
                yield work.result()
        finally:
            stop.set()
            await asyncio.wait({work})

    def _checked(self, path: str) -> Path:
        if not path.strip() or "\0" in path or len(path) > 4096:
            raise InvalidInput("Say which folder to load, for example: /repo ~/project")
        try:
            folder = Path(path.strip()).expanduser().resolve()
        except (RuntimeError, OSError) as error:
            raise InvalidInput(f"{path!r} is not a folder here.") from error
        if not self._roots:
            raise NotAllowed(
                "No folder may be loaded here yet: whoever runs this server names those that may in TOOLOO_REPO_ROOTS."
            )
        if folder.is_relative_to(self._private):
            raise NotAllowed(f"{path!r} holds this server's own data, which nobody reads here.")
        if not any(folder.is_relative_to(root) for root in self._roots):
            roots = ", ".join(str(root) for root in self._roots)
            raise NotAllowed(f"{path!r} is outside the folders that may be loaded ({roots}). See TOOLOO_REPO_ROOTS.")
        if self._is_secret(folder):
            raise NotAllowed(f"{path!r} is never read: it is secret by its name, or holds what others can make anew.")
        if not folder.exists():
            raise InvalidInput(f"There is no folder {path!r}. Check the spelling, or give the whole path.")
        if not folder.is_dir():
            raise InvalidInput(f"{path!r} is a file. Give the folder that holds it.")
        try:
            next(iter(folder.iterdir()), None)
        except PermissionError as error:
            raise NotAllowed(f"{path!r} cannot be read by the server. Change its permissions first.") from error
        return folder

    def _is_allowed(self, folder: Path) -> bool:
        is_here = any(folder.is_relative_to(root) for root in self._roots)
        return is_here and not folder.is_relative_to(self._private) and not self._is_secret(folder)

    def _is_secret(self, folder: Path) -> bool:
        """Whether it lies in what is passed over where a folder above it is loaded."""
        below = (folder.relative_to(root).parts for root in self._roots if folder.is_relative_to(root))
        return all(NEVER_READ.intersection(parts) for parts in below)

    async def _id_of(self, user_id: str, folder: Path) -> str:
        query = sa.select(repositories.c.id).where(
            repositories.c.user_id == user_id, repositories.c.path == str(folder)
        )
        async with self._database.read() as connection:
            return str(await connection.scalar(query) or uuid.uuid4().hex)

    async def _store(self, user_id: str, repository_id: str, folder: Path, progress: Progress) -> Repository:
        now = self._clock()
        with _translated():
            files = len(await asyncio.to_thread(searching.structure, self._index_file(repository_id), limit=1_000_000))
        values = {"files": files, "symbols": progress.symbols, "indexed_at": now}
        async with self._database.write() as connection:
            statement = self._database.insert(repositories).values(
                id=repository_id, user_id=user_id, path=str(folder), name=folder.name or str(folder), **values
            )
            await connection.execute(statement.on_conflict_do_update(index_elements=["user_id", "path"], set_=values))
            for event_type, payload in (
                ("context.repo-loaded", {"name": folder.name}),
                ("context.indexed", {"files": files, "symbols": progress.symbols}),
            ):
                await event_log.append(
                    connection,
                    NewEvent(type=event_type, key=repository_id, user_id=user_id, occurred_at=now, payload=payload),
                )
        self._wake()
        return await self.get(user_id, repository_id)

    def _index_file(self, repository_id: str) -> Path:
        return self._index_folder / f"{repository_id}.sqlite"


def _index(
    folder: Path, database: Path, *, private: Path, report: Callable[[Progress], None], stop: threading.Event
) -> Progress:
    """An index that is damaged is made anew: the folder itself is all that it is made of."""
    database.parent.mkdir(parents=True, exist_ok=True)

    def once() -> Progress:
        return indexing.index(folder, database, private=private, report=report, stopped=stop.is_set)

    try:
        return once()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{database}{suffix}").unlink(missing_ok=True)
        return once()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StorageFailed(_message(error)) from error


def _message(error: BaseException) -> str:
    """What to tell people of an index that cannot be used; nothing but the time to make it is ever lost with one."""
    if "unable to open" in str(error):
        return "The index of this repository is not here. Load the repository again."
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return "The index of this repository is damaged, or an older one. Load the repository again: it is made anew."
    return unusable_message(error) or f"The index of this repository cannot be used ({error}). Load it again."
