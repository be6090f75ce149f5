"""What hangs on messages: cards in the database, files on disk, served only to their owner."""

import asyncio
import mimetypes
import re
import shutil
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from chainlit.element import Element
from sqlalchemy.ext.asyncio import AsyncConnection

from app.chat.documents import Json, storable
from app.chat.ownership import caller_id, own_thread, require_owner
from app.errors import InvalidInput, NotAllowed, NotFound
from app.storage.database import Database
from app.storage.tables.history import elements, threads

ELEMENT_NAME = re.compile(r"[\w][\w .()+-]{0,119}")
CARDS = frozenset(path.stem for path in (Path(__file__).parent.parent.parent / "public" / "elements").glob("*.jsx"))


class ElementStore:
    """``folder`` holds the files, in a folder for each thread."""

    def __init__(self, *, database: Database, folder: Path, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._folder = folder
        self._clock = clock

    async def store(self, element: Element) -> None:
        """Keep an element, and its file on disk.

        Raises:
            InvalidInput: a card that is none of ours.
            NotAllowed: the thread or the element is somebody else's.
        """
        document: Json = dict(element.to_dict())
        thread_id = document.get("threadId") or ""
        if element.type == "custom" and element.name not in CARDS:
            raise InvalidInput(f"There is no card named {element.name!r}.")
        if not ELEMENT_NAME.fullmatch(element.name):
            document["name"] = "file" + (mimetypes.guess_extension(element.mime or "") or "")
        element_id = str(document["id"])
        uuid.UUID(element_id)  # it becomes a file's name: nothing but a UUID may pass
        object_key = None
        async with self._database.write() as connection:  # before a file is written into the thread's folder
            await own_thread(self._database, connection, thread_id, caller_id(), now=self._clock())
            await _check_element(connection, element_id, thread_id)
        if element.type != "custom" and not document.get("url"):
            object_key = await self._store_file(thread_id, element_id, element)
            document |= {"url": f"/elements/{element_id}", "chainlitKey": None}
        async with self._database.write() as connection:
            await require_owner(connection, thread_id)
            await _check_element(connection, element_id, thread_id)
            values = {
                "thread_id": thread_id, "for_id": document.get("forId"), "document": document,
                "object_key": object_key,
            }  # fmt: skip
            statement = self._database.insert(elements).values(id=element_id, created_at=self._clock(), **values)
            await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))

    async def change_card(self, thread_id: str, where: Json, changes: Json) -> None:
        """Change the properties of the thread's card that has these ones; a card that is not there is left alone.
        Drafts are kept beside those in other languages."""
        changes = storable(changes)
        is_it = [elements.c.document["props"][name].as_string() == value for name, value in where.items()]
        async with self._database.write() as connection:
            await require_owner(connection, thread_id)
            query = sa.select(elements.c.id, elements.c.document).where(elements.c.thread_id == thread_id, *is_it)
            for row in (await connection.execute(query)).all():
                props = {**row.document["props"], **changes}
                if "drafts" in changes:
                    props["drafts"] = {**(row.document["props"].get("drafts") or {}), **changes["drafts"]}
                document = {**row.document, "props": props}
                await connection.execute(elements.update().where(elements.c.id == row.id).values(document=document))

    async def document(self, thread_id: str, element_id: str) -> Any:  # Any: an ElementDict as it was stored
        async with self._database.read() as connection:
            return await connection.scalar(
                sa.select(elements.c.document)
                .join(threads, threads.c.id == elements.c.thread_id)
                .where(elements.c.id == element_id, threads.c.id == thread_id, threads.c.user_id == caller_id())
            )

    async def delete(self, element_id: str) -> None:
        async with self._database.write() as connection:
            row = (await connection.execute(sa.select(elements).where(elements.c.id == element_id))).first()
            if row is None:
                return
            await require_owner(connection, row.thread_id)
            await connection.execute(elements.delete().where(elements.c.id == element_id))
        if row.object_key:
            await asyncio.to_thread((self._folder / row.object_key).unlink, missing_ok=True)

    async def file(self, element_id: str, user_id: str) -> tuple[Path, str, str]:
        """Path, media type and name of an element's file, for its owner.

        Raises:
            NotFound: it is not there, or somebody else's.
        """
        query = (
            sa.select(elements)
            .join(threads, threads.c.id == elements.c.thread_id)
            .where(elements.c.id == element_id, threads.c.user_id == user_id)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        if row is None or not row.object_key:
            raise NotFound("This file is not there.")
        return (
            self._folder / row.object_key,
            row.document.get("mime") or "application/octet-stream",
            row.document["name"],
        )

    async def _store_file(self, thread_id: str, element_id: str, element: Element) -> str:
        uuid.UUID(thread_id)
        target = self._thread_folder(thread_id) / element_id
        await asyncio.to_thread(_write_file, target, element.path, element.content)
        return str(target.relative_to(self._folder))

    async def forget(self, thread_id: str) -> None:
        """Delete the files of a thread that is deleted."""
        await asyncio.to_thread(shutil.rmtree, self._thread_folder(thread_id), ignore_errors=True)

    def _thread_folder(self, thread_id: str) -> Path:
        return self._folder / re.sub(r"[^\w-]", "_", thread_id)


async def _check_element(connection: AsyncConnection, element_id: str, thread_id: str) -> None:
    old = (await connection.execute(sa.select(elements.c.thread_id).where(elements.c.id == element_id))).first()
    if old is not None and old.thread_id != thread_id:
        raise NotAllowed("This element belongs to another conversation.")


def _write_file(target: Path, path: str | None, content: bytes | str | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if path is not None:
        shutil.copyfile(path, target)
    else:
        target.write_bytes(content.encode() if isinstance(content, str) else content or b"")
