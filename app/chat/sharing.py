"""Share links: a frozen, redacted snapshot behind /s/{token}, previewed by its owner, expiring, revocable at once."""

import asyncio
import hashlib
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from jinja2 import Environment, FileSystemLoader, select_autoescape
from markdown_it import MarkdownIt
from markupsafe import Markup

from app.chat.history import History
from app.chat.snapshots import redact, snapshot
from app.errors import InvalidInput, NotFound
from app.events import log as event_log
from app.events.schema import NewEvent
from app.identity.accounts import User
from app.models import audit
from app.storage.database import Database
from app.storage.tables.history import share_links

Audience = Literal["public", "signed-in"]

DEFAULT_DAYS, MOST_DAYS = 30, 365


@dataclass(frozen=True, kw_only=True)
class ShareLink:
    """``token`` is known only while the link is made; afterwards only its hash is kept."""

    id: str
    thread_id: str
    title: str
    snapshot: dict[str, Any]  # Any: JSON
    audience: Audience
    published: bool
    expires_at: datetime


class SharingService:
    def __init__(self, *, database: Database, history: History, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._history = history
        self._clock = clock

    async def draft(self, user: User, thread_id: str, *, audience: Audience, days: int) -> tuple[ShareLink, str]:
        """Freeze a thread as it is now; only its owner sees it until it is published. Returns the link and its token.

        Raises:
            InvalidInput: the days do not fit, or there is nothing to share.
            NotFound: not this user's thread.
        """
        if not 1 <= days <= MOST_DAYS:
            raise InvalidInput(f"A link lives for 1 to {MOST_DAYS} days, not {days}.")
        thread = await self._history.thread_of(user.id, thread_id)
        if thread is None:
            raise NotFound("This conversation is not there.")
        frozen = await asyncio.to_thread(snapshot, thread)
        if not frozen["messages"]:
            raise InvalidInput("There is nothing to share yet. Say something first.")
        token = secrets.token_urlsafe(24)
        now = self._clock()
        link = ShareLink(
            id=uuid.uuid4().hex[:12], thread_id=thread_id, title=redact(thread["name"] or "A conversation"),
            snapshot=frozen, audience=audience, published=False, expires_at=now + timedelta(days=days),
        )  # fmt: skip
        async with self._database.write() as connection:
            await connection.execute(
                share_links.insert().values(
                    id=link.id, thread_id=thread_id, user_id=user.id, token_hash=_hash(token), title=link.title,
                    snapshot=frozen, audience=audience, created_at=now, expires_at=link.expires_at,
                )
            )  # fmt: skip
        return link, token

    async def publish(self, user: User, link_id: str) -> None:
        """Let others read it.

        Raises:
            NotFound: not this user's link, or revoked.
        """
        await self._change(user, link_id, "thread.shared", published_at=self._clock())

    async def revoke(self, user: User, link_id: str) -> None:
        """Close it at once and for good.

        Raises:
            NotFound: not this user's link, or revoked before.
        """
        await self._change(user, link_id, "thread.unshared", revoked_at=self._clock())

    async def read(self, token: str, reader: User | None) -> ShareLink:
        """What a link shows to this reader; a draft only to its owner.

        Raises:
            NotFound: no such link, expired, revoked, or not for this reader. All look the same.
        """
        query = sa.select(share_links).where(
            share_links.c.token_hash == _hash(token),
            share_links.c.revoked_at.is_(None),
            share_links.c.expires_at > self._clock(),
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        if row is not None:
            is_owner = reader is not None and reader.id == row.user_id
            open_to_reader = row.published_at is not None and (row.audience == "public" or reader is not None)
            if is_owner or open_to_reader:
                return _link_of(row)
        raise NotFound("This link does not exist, or not any more.")

    async def copy(self, token: str, reader: User) -> str:
        """Let a reader go on with a shared conversation as a thread of their own; returns its id.

        Raises:
            NotFound: as ``read``.
        """
        link = await self.read(token, reader)
        return await self._history.add_copy(reader.id, link.title, link.snapshot["messages"])

    async def _change(self, user: User, link_id: str, event_type: str, **values: datetime) -> None:
        async with self._database.write() as connection:
            row = (
                await connection.execute(
                    share_links.update()
                    .where(
                        share_links.c.id == link_id,
                        share_links.c.user_id == user.id,
                        share_links.c.revoked_at.is_(None),
                    )
                    .values(**values)
                    .returning(share_links.c.thread_id, share_links.c.audience)
                )
            ).first()
            if row is None:
                raise NotFound("This link does not exist, or not any more.")
            payload = {"audience": row.audience} if event_type == "thread.shared" else {}
            action, now = {"thread.shared": "share.publish"}.get(event_type, "share.revoke"), self._clock()
            await connection.run_sync(audit.record, user.id, action, link_id, payload, at=now)
            await event_log.append(
                connection,
                NewEvent(type=event_type, key=row.thread_id, user_id=user.id, occurred_at=self._clock(),
                         payload=payload),
            )  # fmt: skip


class SharePages:
    """The pages behind links: plain HTML that needs no script. HTML in messages is shown as text."""

    def __init__(self, templates: Path) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(templates), autoescape=select_autoescape(default=True), enable_async=False
        )
        self._markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")

    def page(self, link: ShareLink, *, copy_to: str | None = None) -> str:
        """``copy_to`` is where a reader who is signed in may go on with it."""
        messages = [
            {"by": message["by"], "html": Markup(self._markdown.render(message["text"]))}  # noqa: S704  # html is off
            for message in link.snapshot["messages"]
        ]
        return self._environment.get_template("share.html").render(
            title=link.title,
            messages=messages,
            more=link.snapshot.get("more", 0),
            is_draft=not link.published,
            expires=link.expires_at.date(),
            copy_to=copy_to,
        )

    def missing(self) -> str:
        return self._environment.get_template("missing.html").render()


def _link_of(row: sa.Row[tuple[object, ...]]) -> ShareLink:
    fields = row._mapping
    return ShareLink(
        id=fields["id"], thread_id=fields["thread_id"], title=fields["title"], snapshot=fields["snapshot"],
        audience=fields["audience"], published=fields["published_at"] is not None, expires_at=fields["expires_at"],
    )  # fmt: skip


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
