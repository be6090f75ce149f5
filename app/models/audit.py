"""The trail of who changed what and of every task; rows are only ever added."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog

from app.storage.database import Database
from app.storage.paging import older_than
from app.storage.tables.models import audit_log


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    id: str
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]  # Any: JSON
    request_id: str | None


def record(
    connection: sa.Connection, actor: str, action: str, subject: str, detail: dict[str, Any], *, at: datetime
) -> None:  # Any: JSON
    """Add an entry in the transaction of the change. ``detail`` holds no secret and no message text."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    row = {"id": uuid.uuid4().hex, "at": at, "actor": actor, "action": action, "subject": subject[:160],
           "detail": detail, "request_id": request_id}  # fmt: skip
    connection.execute(audit_log.insert().values(row))


async def newest(
    database: Database, *, actor: str | None = None, before: str | None = None, limit: int = 100
) -> list[AuditEntry]:
    """The newest entries first, of everybody or of one actor; ``before`` is the id of the last one of the page before.

    Raises:
        InvalidInput: there is no such entry.
    """
    query = sa.select(audit_log).order_by(audit_log.c.at.desc(), audit_log.c.id).limit(limit)
    if actor is not None:
        query = query.where(audit_log.c.actor == actor)
    async with database.read() as connection:
        if before is not None:
            query = query.where(await older_than(connection, audit_log.c.at, audit_log.c.id, before))
        return [
            AuditEntry(id=row.id, at=row.at, actor=row.actor, action=row.action, subject=row.subject, detail=row.detail,
                       request_id=row.request_id)
            for row in await connection.execute(query)
        ]  # fmt: skip
