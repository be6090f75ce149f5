"""The event log: append in the transaction of the change, give positions after commit, read in order."""

import dataclasses
import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import InvalidInput
from app.events.schema import Event, NewEvent
from app.storage.database import Database
from app.storage.paging import UNKNOWN_CURSOR
from app.storage.prepared import Prepared
from app.storage.tables.events import events

SEQUENCER_LOCK = 7304162
SEQUENCER_BATCH = 1000
_NEW_EVENT = Prepared(events.insert().inline(), ["id", *(field.name for field in dataclasses.fields(NewEvent))])


async def append(connection: AsyncConnection, *new_events: NewEvent) -> int:
    """Write events in the caller's transaction and return how many were new (see ``dedupe_key``)."""
    return await connection.run_sync(append_in, *new_events)


def append_in(connection: sa.Connection, *new_events: NewEvent) -> int:
    """The same inside ``Database.run``."""
    fresh = [event for event in new_events if event.dedupe_key is None or not _is_there(connection, event.dedupe_key)]
    if fresh:
        _NEW_EVENT.run(connection, *({"id": uuid.uuid4().hex, **vars(event)} for event in fresh))
    return len(fresh)


def _is_there(connection: sa.Connection, dedupe_key: str) -> bool:
    return connection.execute(sa.select(events.c.seq).where(events.c.dedupe_key == dedupe_key)).first() is not None


async def sequence(database: Database) -> int:
    """Give committed events their positions and return how many got one.

    A position is given after the commit, by one sequencer at a time: a transaction that commits late can therefore
    never slip in behind a cursor.
    """
    async with database.read() as connection:
        waiting = await connection.execute(sa.select(events.c.seq).where(events.c.position.is_(None)).limit(1))
        if waiting.first() is None:
            return 0
    async with database.write() as connection:
        if not database.is_sqlite:
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SEQUENCER_LOCK)))
        last = await connection.scalar(sa.select(sa.func.coalesce(sa.func.max(events.c.position), 0)))
        rows = await connection.scalars(
            sa.select(events.c.seq).where(events.c.position.is_(None)).order_by(events.c.seq).limit(SEQUENCER_BATCH)
        )
        updates = [{"row": seq, "new_position": position} for position, seq in enumerate(rows, int(last or 0) + 1)]
        if updates:
            await connection.execute(
                events.update()
                .where(events.c.seq == sa.bindparam("row"))
                .values(position=sa.bindparam("new_position")),
                updates,
            )
        return len(updates)


async def read_after(
    connection: AsyncConnection, position: int, *, types: Sequence[str] | None = None, limit: int = 200
) -> list[Event]:
    """Events behind ``position``, oldest first; all types when ``types`` is None."""
    query = sa.select(events).where(events.c.position > position).order_by(events.c.position).limit(limit)
    if types is not None:
        query = query.where(events.c.type.in_(types))
    return [event_of(row) for row in await connection.execute(query)]


async def newest(
    connection: AsyncConnection, *, type_prefix: str | None = None, types: Sequence[str] | None = None,
    of_user: str | None = None, before: str | None = None, limit: int = 50,
) -> list[Event]:  # fmt: skip
    """The newest events first, of all types, of ``types``, or of those that begin with ``type_prefix``.

    With ``of_user``, without those of other people; with ``before``, an event's id, those that were written before it.

    Raises:
        InvalidInput: no event of those asked for has this id.
    """
    query = sa.select(events).order_by(events.c.seq.desc()).limit(limit)
    if types is not None:
        query = query.where(events.c.type.in_(types))
    if type_prefix:
        query = query.where(events.c.type.startswith(type_prefix, autoescape=True))
    if of_user is not None:
        query = query.where(sa.or_(events.c.user_id.is_(None), events.c.user_id == of_user))
    if before is not None:
        last = await connection.scalar(query.with_only_columns(events.c.seq).where(events.c.id == before))
        if last is None:
            raise InvalidInput(UNKNOWN_CURSOR)
        query = query.where(events.c.seq < last)
    return [event_of(row) for row in await connection.execute(query)]


def event_of(row: sa.Row[tuple[object, ...]]) -> Event:
    fields = row._mapping
    return Event(
        id=fields["id"],
        position=fields["position"],
        type=fields["type"],
        key=fields["key"],
        user_id=fields["user_id"],
        occurred_at=fields["occurred_at"],
        payload=fields["payload"],
    )
