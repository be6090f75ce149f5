"""Whose request and whose conversation it is: checked where something is read or changed."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from chainlit.context import ChainlitContextException, context
from chainlit.user import PersistedUser
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import InvalidInput, NotAllowed, NotFound
from app.identity.caller import current_caller
from app.storage.database import Database
from app.storage.tables.history import threads


def caller_id() -> str:
    """Whose request this is: the websocket session's user, else who came through the door.

    Raises:
        NotAllowed: nobody is known.
    """
    try:
        user = context.session.user
    except ChainlitContextException:
        user = None
    if isinstance(user, PersistedUser):
        return user.id
    caller = current_caller.get().user
    if caller is None:
        raise NotAllowed("Nobody is signed in.")
    return caller.id


async def own_thread(
    database: Database, connection: AsyncConnection, thread_id: str, user_id: str, *, now: datetime
) -> None:
    """Make the thread if it is new.

    Raises:
        InvalidInput: its id, which the page chooses, is none.
        NotAllowed: it is somebody else's.
    """
    check_thread_id(thread_id)
    statement = database.insert(threads).values(
        id=thread_id, user_id=user_id, metadata={}, created_at=now, updated_at=now
    )
    await connection.execute(statement.on_conflict_do_nothing(index_elements=["id"]))
    await require_owner(connection, thread_id, user_id)


def check_thread_id(thread_id: str) -> None:
    """Refuse what is no UUID: the ids of other doors' threads must not be taken by a page.

    Raises:
        InvalidInput: it is none.
    """
    try:
        uuid.UUID(thread_id)
    except ValueError as error:
        raise InvalidInput("This is no conversation. Start a new chat.") from error


async def require_owner(connection: AsyncConnection, thread_id: str, user_id: str | None = None) -> None:
    """Raises:
    NotFound: there is no such thread.
    NotAllowed: it is not this user's (the caller's, unless said otherwise).
    """
    owner = await connection.scalar(sa.select(threads.c.user_id).where(threads.c.id == thread_id))
    if owner is None:
        raise NotFound("This conversation is not there.")
    if owner != (user_id or caller_id()):
        raise NotAllowed("This conversation belongs to somebody else.")
