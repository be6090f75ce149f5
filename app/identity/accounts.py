"""People: who they are, their passwords, and the owner of a single-user installation."""

import asyncio
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from app.events import log as event_log
from app.events.schema import NewEvent
from app.models import audit
from app.models.tiers import TIERS, Tier
from app.storage.database import Database
from app.storage.tables.identity import users
from app.zones import zone_named

Role = Literal["user", "admin"]
TimezoneSource = Literal["default", "seen", "chosen"]

OWNER = "owner"
COMMAND_LINE = "command line"  # accounts are made and changed there alone
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._@-]{1,79}")
SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 1024


@dataclass(frozen=True, kw_only=True)
class User:
    id: str
    name: str
    role: Role

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """``timezone`` is the one that days and hours are counted by, and where it comes from; ``ranked`` says whether
    others see one's place."""

    timezone: str
    timezone_source: TimezoneSource
    ranked: bool


class AccountService:
    """``hasher`` does argon2id; hashing takes tens of milliseconds and runs in a thread."""

    def __init__(
        self, *, database: Database, clock: Callable[[], datetime], hasher: PasswordHasher | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._hasher = hasher or PasswordHasher()

    async def owner(self) -> User:
        """The one user of a single-user installation, made on first use; without a password nobody can sign in as."""
        found = await self.find(OWNER)
        if found is not None:
            return found
        try:
            return await self._insert(OWNER, role="admin", password_hash=None)
        except Conflict:
            return await self.by_name(OWNER)

    async def add(self, name: str, password: str, *, role: Role = "user") -> User:
        """Make an account.

        Raises:
            InvalidInput: the name or the password does not fit.
            Conflict: the name is taken.
        """
        wanted = name.strip().lower()
        if not NAME_PATTERN.fullmatch(wanted):
            raise InvalidInput(
                f"{name!r} is not a name for an account: 2 to 80 of a-z, 0-9, dot, dash, underscore and @."
            )
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise InvalidInput(f"The password must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")
        password_hash = await asyncio.to_thread(self._hasher.hash, password)
        return await self._insert(wanted, role=role, password_hash=password_hash)

    async def tier_of(self, user: User) -> Tier:
        """How many tasks an account may run; the owner of a single-user installation is not held back."""
        if user.name == OWNER:
            return "enterprise"
        async with self._database.read() as connection:
            tier = await connection.scalar(sa.select(users.c.tier).where(users.c.id == user.id))
        return next((known for known in TIERS if known == tier), "free")

    async def set_tier(self, name: str, tier: str) -> None:
        """How many tasks an account may run from now on.

        Raises:
            InvalidInput: no such tier.
            NotFound: no such account.
        """
        if tier not in TIERS:
            raise InvalidInput(f"{tier!r} is no tier. There are: {', '.join(TIERS)}.")
        user = await self.by_name(name)
        async with self._database.write(durable=True) as connection:
            await connection.execute(users.update().where(users.c.id == user.id).values(tier=tier))
            await connection.run_sync(audit.record, COMMAND_LINE, "user.tier", name, {"tier": tier}, at=self._clock())

    async def preferences(self, user_id: str) -> Preferences:
        async with self._database.read() as connection:
            return await _preferences(connection, user_id)

    async def prefer(
        self, user_id: str, *, timezone: str | None = None, seen_timezone: str | None = None,
        ranked: bool | None = None,
    ) -> Preferences:  # fmt: skip
        """Change what is given. ``timezone`` is a choice, or "auto" to take it back; ``seen_timezone`` is what the
        browser's clock says, which counts until somebody chooses.

        Raises:
            InvalidInput: no such time zone.
        """
        chosen = (await zone_named(timezone)).key if timezone not in (None, "auto") else None
        seen = (await zone_named(seen_timezone)).key if seen_timezone is not None else None
        async with self._database.write() as connection:
            before = await _preferences(connection, user_id, lock=True)
            after = before
            if seen is not None and before.timezone_source != "chosen":
                after = replace(after, timezone=seen, timezone_source="seen")
            if chosen is not None:
                after = replace(after, timezone=chosen, timezone_source="chosen")
            elif timezone == "auto":
                after = replace(after, timezone_source="seen")
            if ranked is not None:
                after = replace(after, ranked=ranked)
            if after != before:
                await self._store(connection, user_id, after)
        return after

    async def _store(self, connection: AsyncConnection, user_id: str, preferences: Preferences) -> None:
        changes = vars(preferences)
        if preferences.timezone_source == "default":  # nobody said what time it is there: that stays unknown
            changes = {"ranked": preferences.ranked}
        await connection.execute(users.update().where(users.c.id == user_id).values(**changes))
        await event_log.append(
            connection,
            NewEvent(
                type="user.changed", key=user_id, user_id=user_id, occurred_at=self._clock(),
                payload={
                    "timezone": None if preferences.timezone_source == "default" else preferences.timezone,
                    "ranked": preferences.ranked,
                },
            ),
        )  # fmt: skip

    async def verify(self, name: str, password: str) -> User:
        """The account that a name and password belong to; an unknown name takes as long as a wrong password.

        Raises:
            Unauthenticated: they do not fit.
        """
        async with self._database.read() as connection:
            row = (await connection.execute(sa.select(users).where(users.c.name == name.strip().lower()))).first()
        usable = row is not None and row.password_hash is not None and row.disabled_at is None
        stored = row.password_hash if row is not None and usable else None
        right = await asyncio.to_thread(self._matches, stored, password[:LONGEST_PASSWORD])
        if row is None or not usable or not right:
            raise Unauthenticated("The name or the password is wrong.")
        return User(id=row.id, name=row.name, role=row.role)

    async def by_name(self, name: str) -> User:
        """An account by its name.

        Raises:
            NotFound: there is none.
        """
        found = await self.find(name)
        if found is None:
            raise NotFound(f"There is no user {name!r}. Make one with: tooloo user add {name}")
        return found

    async def find(self, name: str) -> User | None:
        async with self._database.read() as connection:
            row = (
                await connection.execute(
                    sa.select(users).where(users.c.name == name.strip().lower(), users.c.disabled_at.is_(None))
                )
            ).first()
        return User(id=row.id, name=row.name, role=row.role) if row else None

    async def find_by_id(self, user_id: str) -> User | None:
        query = sa.select(users).where(users.c.id == user_id, users.c.disabled_at.is_(None))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return User(id=row.id, name=row.name, role=row.role) if row else None

    async def list(self) -> list[User]:
        async with self._database.read() as connection:
            rows = await connection.execute(
                sa.select(users).where(users.c.disabled_at.is_(None)).order_by(users.c.name)
            )
            return [User(id=row.id, name=row.name, role=row.role) for row in rows]

    async def has_accounts(self) -> bool:
        """Whether anybody can sign in with a password."""
        query = sa.select(users.c.id).where(users.c.password_hash.is_not(None), users.c.disabled_at.is_(None)).limit(1)
        async with self._database.read() as connection:
            return (await connection.execute(query)).first() is not None

    async def _insert(self, name: str, *, role: Role, password_hash: str | None) -> User:
        user = User(id=uuid.uuid4().hex, name=name, role=role)
        now = self._clock()
        try:
            async with self._database.write(durable=True) as connection:
                await connection.execute(
                    users.insert().values(id=user.id, name=name, role=role, password_hash=password_hash, created_at=now)
                )
                await event_log.append(
                    connection,
                    NewEvent(type="user.created", key=user.id, user_id=user.id, occurred_at=now,
                             payload={"name": name, "role": role}),
                )  # fmt: skip
                await connection.run_sync(audit.record, COMMAND_LINE, "user.add", name, {"role": role}, at=now)
        except IntegrityError as error:
            raise Conflict(f"The name {name!r} is taken. Choose another.") from error
        return user

    def _matches(self, stored: str | None, password: str) -> bool:
        if stored is None:
            self._hasher.hash(password)  # the same work as to compare with a stored one
            return False
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


async def _preferences(connection: AsyncConnection, user_id: str, *, lock: bool = False) -> Preferences:
    query = sa.select(users).where(users.c.id == user_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).one()
    return Preferences(timezone=row.timezone, timezone_source=row.timezone_source, ranked=row.ranked)
