"""The chat library's data layer over our own tables: everything is stored in order, and only for its owner."""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast
from weakref import WeakValueDictionary

import sqlalchemy as sa
from chainlit.data.base import BaseDataLayer
from chainlit.data.utils import queue_until_user_message
from chainlit.element import Element
from chainlit.step import StepDict
from chainlit.types import Feedback, PageInfo, PaginatedResponse, Pagination, ThreadDict, ThreadFilter
from chainlit.user import PersistedUser, User
from sqlalchemy.ext.asyncio import AsyncConnection

from app.chat import snapshots
from app.chat.documents import (
    MESSAGE_TYPES,
    Json,
    copied_document,
    framed,
    is_frame,
    kept_metadata,
    step_document,
    text_of,
    thread_head,
    time_of,
    title_of,
)
from app.chat.elements import ElementStore
from app.chat.ownership import caller_id, own_thread, require_owner
from app.errors import NotAllowed, NotFound
from app.identity.accounts import AccountService
from app.storage.database import Database
from app.storage.tables.history import elements, feedbacks, steps, threads
from app.storage.tables.identity import users

GROWING = "growing"  # in the metadata of an answer that is not whole


class History(BaseDataLayer):
    """``folder`` holds the files of elements; ``forget`` is told of deleted threads, ``judged`` of thumbs for the call
    of a model (1 up, 0 down, None taken back)."""

    def __init__(
        self,
        *,
        database: Database,
        accounts: AccountService,
        folder: Path,
        clock: Callable[[], datetime],
        forget: Callable[[str, str], Awaitable[None]],
        judged: Callable[[str, float | None], Awaitable[None]],
    ) -> None:
        self._database = database
        self._accounts = accounts
        self.elements = ElementStore(database=database, folder=folder, clock=clock)
        self._clock = clock
        self._forget = forget
        self._judged = judged
        self._step_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._growing: set[str] = set()

    # -- people ------------------------------------------------------------------------------------------------

    async def get_user(self, identifier: str) -> PersistedUser | None:
        user = await self._accounts.find(identifier)
        if user is None:
            return None
        created = self._clock().isoformat()
        return PersistedUser(id=user.id, createdAt=created, identifier=user.name, metadata={"role": user.role})

    async def create_user(self, user: User) -> PersistedUser | None:
        """Accounts are made by an administrator; signing in never makes one."""
        return await self.get_user(user.identifier)

    # -- threads -----------------------------------------------------------------------------------------------

    async def get_thread_author(self, thread_id: str) -> str:
        owner = await self._owner_name(thread_id)
        return owner or ""

    async def update_thread(
        self,
        thread_id: str,
        name: str | None = None,
        user_id: str | None = None,
        metadata: Json | None = None,
        tags: list[str] | None = None,
    ) -> None:
        owner = user_id or caller_id()
        if name is None and not await self._owner_name(thread_id):
            return  # the page of a thread that was deleted says goodbye: that must not bring it back
        values: Json = {"updated_at": self._clock()}
        if name is not None:
            values["name"] = title_of(name)
        if metadata is not None:
            values["metadata"] = kept_metadata(metadata)
        if tags is not None:
            values["tags"] = tags
        async with self._database.write() as connection:
            await own_thread(self._database, connection, thread_id, owner, now=self._clock())
            await connection.execute(threads.update().where(threads.c.id == thread_id).values(**values))

    async def delete_thread(self, thread_id: str) -> None:
        async with self._database.write() as connection:
            await require_owner(connection, thread_id)
            await connection.execute(threads.delete().where(threads.c.id == thread_id))
        await self.elements.forget(thread_id)
        await self._forget(caller_id(), thread_id)

    async def list_threads(self, pagination: Pagination, filters: ThreadFilter) -> PaginatedResponse[ThreadDict]:
        query = sa.select(threads).where(threads.c.user_id == caller_id())
        if filters.search:
            query = query.where(_mentions(filters.search))
        if filters.feedback is not None:
            query = query.where(
                threads.c.id.in_(sa.select(feedbacks.c.thread_id).where(feedbacks.c.value == filters.feedback))
            )
        if pagination.cursor:
            query = query.where(threads.c.updated_at < time_of(pagination.cursor))
        first = min(max(pagination.first, 1), 100)
        query = query.order_by(threads.c.updated_at.desc()).limit(first + 1)
        async with self._database.read() as connection:
            rows = list(await connection.execute(query))
        shown = rows[:first]
        page = PageInfo(
            hasNextPage=len(rows) > first,
            startCursor=text_of(shown[0].updated_at) if shown else None,
            endCursor=text_of(shown[-1].updated_at) if shown else None,
        )
        return PaginatedResponse(pageInfo=page, data=[thread_head(row, caller_id()) for row in shown])

    async def get_thread(self, thread_id: str) -> ThreadDict | None:
        """The caller's thread. Of somebody else's only whose it is: by that the library refuses its reader."""
        thread = await self.thread_of(caller_id(), thread_id)
        if thread is not None:
            frames = await self._frames_of(thread_id)
            thread["steps"] = framed(thread["steps"], frames, running=self._growing)
        if thread is None and (owner := await self._owner_name(thread_id)) is not None:
            foreign: Json = {"id": thread_id, "userIdentifier": owner, "steps": []}
            return cast(ThreadDict, foreign)
        return thread

    async def _frames_of(self, thread_id: str) -> dict[str, str]:
        """The runs around our answers, by answer."""
        query = sa.select(steps.c.id, steps.c.parent_id).where(
            steps.c.thread_id == thread_id, steps.c.type == "assistant_message", steps.c.parent_id.is_not(None)
        )
        async with self._database.read() as connection:
            return {row.id: row.parent_id for row in await connection.execute(query)}

    async def thread_of(self, user_id: str, thread_id: str) -> ThreadDict | None:
        """A user's thread with its messages; None when it is not there, or somebody else's."""
        is_own = sa.and_(threads.c.id == thread_id, threads.c.user_id == user_id)
        async with self._database.read() as connection:
            row = (await connection.execute(sa.select(threads).where(is_own))).first()
            if row is None:
                return None
            step_rows = await connection.execute(
                sa.select(steps.c.document).where(steps.c.thread_id == thread_id).order_by(steps.c.created_at)
            )
            documents = [dict(step.document) for step in step_rows]
            element_rows = await connection.execute(
                sa.select(elements.c.document).where(elements.c.thread_id == thread_id).order_by(elements.c.created_at)
            )
            found = [dict(element.document) for element in element_rows]
            thumbs = {
                thumb.step_id: {"forId": thumb.step_id, "id": thumb.id, "value": thumb.value, "comment": thumb.comment}
                for thumb in await connection.execute(sa.select(feedbacks).where(feedbacks.c.thread_id == thread_id))
            }
        for document in documents:
            document["feedback"] = thumbs.get(document["id"])
            if (document.get("metadata") or {}).get(GROWING) and document["id"] not in self._growing:
                document["output"] = f"{document.get('output') or ''}\n\n*Interrupted: the server was stopped.*".strip()
        thread = thread_head(row, await self._owner_name(thread_id))
        thread["steps"], thread["elements"] = documents, found  # type: ignore[typeddict-item]  # as it was stored
        return thread

    # -- steps -------------------------------------------------------------------------------------------------

    @queue_until_user_message()
    async def create_step(self, step_dict: StepDict) -> None:
        await self._store_step(step_dict, creating=True)

    @queue_until_user_message()
    async def update_step(self, step_dict: StepDict) -> None:
        await self._store_step(step_dict, creating=False)

    async def keep(self, step: StepDict) -> None:
        """Store a message before it is answered; the library's own create of it, which nobody awaits, changes nothing.

        Raises:
            StorageFailed: the database cannot be used.
        """
        await self._store_step(step, creating=True)

    async def keep_growing(self, step: StepDict) -> None:
        """Store how far an answer has come. If its process dies, its readers find that much, and that it was cut off.

        Raises:
            StorageFailed: the database cannot be used.
        """
        self._growing.add(step["id"])
        grown = {**step, "metadata": {**step["metadata"], GROWING: True}}
        await self._store_step(cast(StepDict, grown), creating=False)

    def has_grown(self, step_id: str) -> None:
        """The answer is whole, and about to be stored so."""
        self._growing.discard(step_id)

    async def _store_step(self, step: StepDict, *, creating: bool) -> None:
        """Creates and updates arrive as unordered tasks: one at a time for each step, and an update never loses to
        the create that it overtook."""
        if is_frame(step):
            return
        step_id, thread_id = step["id"], step["threadId"]
        lock = self._step_locks.setdefault(step_id, asyncio.Lock())
        async with lock, self._database.write() as connection:
            owner = caller_id()
            await own_thread(self._database, connection, thread_id, owner, now=self._clock())
            old = (await connection.execute(sa.select(steps).where(steps.c.id == step_id))).first()
            if old is not None and old.thread_id != thread_id:
                raise NotAllowed("This message belongs to another conversation.")
            document = step_document(
                step, old.document if old is not None else None, creating=creating, now=text_of(self._clock())
            )
            values = {
                "thread_id": thread_id,
                "parent_id": step.get("parentId") or (old.parent_id if old is not None else None),
                "type": document["type"],
                "output": document.get("output") or "",
                "document": document,
                "created_at": time_of(document["createdAt"]),
            }
            statement = self._database.insert(steps).values(id=step_id, **values)
            await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))
            await connection.execute(threads.update().where(threads.c.id == thread_id).values(updated_at=self._clock()))

    @queue_until_user_message()
    async def delete_step(self, step_id: str) -> None:
        async with self._database.write() as connection:
            thread_id = await connection.scalar(sa.select(steps.c.thread_id).where(steps.c.id == step_id))
            if thread_id is None:
                return
            await require_owner(connection, thread_id)
            await connection.execute(feedbacks.delete().where(feedbacks.c.step_id == step_id))
            await connection.execute(elements.delete().where(elements.c.for_id == step_id))
            await connection.execute(steps.delete().where(steps.c.id == step_id))

    async def get_favorite_steps(self, user_id: str) -> list[StepDict]:  # noqa: ARG002  # the feature is off
        return []

    async def earlier(self, thread_id: str, *, most: int) -> list[dict[str, str]]:
        """The newest messages of a thread of the caller's, up to its last answer: ``role`` and ``content``, oldest
        first."""
        kinds = {"user_message": "user", "assistant_message": "assistant"}
        query = (
            sa.select(steps.c.type, steps.c.document)
            .join(threads, threads.c.id == steps.c.thread_id)
            .where(threads.c.id == thread_id, threads.c.user_id == caller_id(), steps.c.type.in_(kinds))
            .order_by(steps.c.created_at.desc())
            .limit(most)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        said = [{"role": kinds[row.type], "content": snapshots.text_in(row.document)} for row in reversed(rows)]
        said = [message for message in said if message["content"]]
        while said and said[-1]["role"] == "user":
            said.pop()
        return said

    async def add_copy(self, user_id: str, name: str, messages: Sequence[Mapping[str, str]]) -> str:
        """A new thread of this user that begins with these messages (``by`` and ``text``); returns its id."""
        thread_id, now = str(uuid.uuid4()), self._clock()
        async with self._database.write() as connection:
            await connection.execute(
                threads.insert().values(
                    id=thread_id, user_id=user_id, name=title_of(name), metadata={}, created_at=now, updated_at=now
                )
            )
            for place, message in enumerate(messages):
                document = copied_document(thread_id, message, text_of(now + timedelta(milliseconds=place)))
                await connection.execute(
                    steps.insert().values(
                        id=document["id"], thread_id=thread_id, type=document["type"], output=document["output"],
                        document=document, created_at=time_of(document["createdAt"]),
                    )
                )  # fmt: skip
        return thread_id

    # -- elements ----------------------------------------------------------------------------------------------

    @queue_until_user_message()
    async def create_element(self, element: Element) -> None:
        await self.elements.store(element)

    async def get_element(self, thread_id: str, element_id: str) -> Any:  # Any: an ElementDict as it was stored
        return await self.elements.document(thread_id, element_id)

    @queue_until_user_message()
    async def delete_element(
        self,
        element_id: str,
        thread_id: str | None = None,  # noqa: ARG002  # the stored thread is the one that counts
    ) -> None:
        await self.elements.delete(element_id)

    # -- feedback ----------------------------------------------------------------------------------------------

    async def upsert_feedback(self, feedback: Feedback) -> str:
        user_id = caller_id()
        async with self._database.write() as connection:
            step = await _judged_step(connection, feedback.forId)
            thread_id = step.thread_id
            await require_owner(connection, thread_id)
            values = {"value": feedback.value, "comment": (feedback.comment or "")[:2000] or None}
            statement = self._database.insert(feedbacks).values(
                id=uuid.uuid4().hex, thread_id=thread_id, step_id=step.id, user_id=user_id,
                created_at=self._clock(), **values,
            )  # fmt: skip
            stored = await connection.execute(
                statement.on_conflict_do_update(index_elements=["step_id"], set_=values).returning(feedbacks.c.id)
            )
            feedback_id = str(stored.scalar_one())
        await self._tell_judged(step.document, float(feedback.value))
        return feedback_id

    async def delete_feedback(self, feedback_id: str) -> bool:
        async with self._database.write() as connection:
            own = sa.and_(feedbacks.c.id == feedback_id, feedbacks.c.user_id == caller_id())
            document = await connection.scalar(
                sa.select(steps.c.document).join(feedbacks, feedbacks.c.step_id == steps.c.id).where(own)
            )
            deleted = await connection.execute(feedbacks.delete().where(own))
        await self._tell_judged(document, None)
        return deleted.rowcount > 0

    async def _tell_judged(self, document: Mapping[str, Any] | None, value: float | None) -> None:  # Any: JSON
        call_id = ((document or {}).get("metadata") or {}).get("callId")
        if isinstance(call_id, str):
            await self._judged(call_id, value)

    # -- the rest ----------------------------------------------------------------------------------------------

    async def build_debug_url(self) -> str:
        return ""

    async def close(self) -> None:
        return None

    async def _owner_name(self, thread_id: str) -> str | None:
        query = sa.select(users.c.name).join(threads, threads.c.user_id == users.c.id).where(threads.c.id == thread_id)
        async with self._database.read() as connection:
            name: str | None = await connection.scalar(query)
            return name


async def _judged_step(connection: AsyncConnection, judged_id: str) -> sa.Row[Any]:  # Any: columns of several types
    """The message that a thumb is for; the page names the frame around an answer instead, and frames are not kept.

    Raises:
        NotFound: there is none.
    """
    is_answer = sa.and_(steps.c.parent_id == judged_id, steps.c.type == "assistant_message")
    query = sa.select(steps).where(sa.or_(steps.c.id == judged_id, is_answer)).order_by(steps.c.created_at.desc())
    step = (await connection.execute(query.limit(1))).first()
    if step is None:
        raise NotFound("This message is not there.")
    return step


def _mentions(words: str) -> sa.ColumnElement[bool]:
    pattern = "%" + re.sub(r"([%_\\])", r"\\\1", words.strip()[:200]) + "%"
    said = sa.select(steps.c.thread_id).where(
        steps.c.output.ilike(pattern, escape="\\"), steps.c.type.in_(MESSAGE_TYPES)
    )
    return sa.or_(threads.c.name.ilike(pattern, escape="\\"), threads.c.id.in_(said))
