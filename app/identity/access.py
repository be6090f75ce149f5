"""Sign-ins that end on the server, API tokens with scopes, and the limit on wrong passwords."""

import hashlib
import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from app.errors import InvalidInput, NotFound, RateLimited, Unauthenticated
from app.events import log as event_log
from app.events.schema import NewEvent
from app.identity.accounts import AccountService, User
from app.models import audit
from app.storage.database import Database
from app.storage.tables.identity import api_tokens, sign_ins, users

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "write", "admin")

TOKEN_PREFIX = "tooloo_"  # noqa: S105  # so that a leaked token is recognized
SIGN_IN_LIFETIME = timedelta(days=7)
TRIES_BY_NAME = parse("5/minute")
TRIES_BY_ADDRESS = parse("30/minute")


@dataclass(frozen=True, kw_only=True)
class Token:
    id: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class AccessService:
    def __init__(self, *, database: Database, accounts: AccountService, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._accounts = accounts
        self._clock = clock
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def sign_in(self, name: str, password: str, *, address: str) -> tuple[User, str]:
        """Check a password and open a sign-in; returns the user and the sign-in's id.

        Raises:
            RateLimited: too many tries for this name or from this address.
            Unauthenticated: name and password do not fit.
        """
        key = name.strip().lower()[:80]
        if not await self._limiter.hit(TRIES_BY_NAME, "name", key) or not await self._limiter.hit(
            TRIES_BY_ADDRESS, "address", address
        ):
            raise RateLimited("Too many tries. Wait a minute, then try again.", retry_after_seconds=60)
        user = await self._accounts.verify(name, password)
        return user, await self.open_sign_in(user)

    async def prune(self) -> None:
        """Drop sign-ins that have expired."""
        async with self._database.write() as connection:
            await connection.execute(sign_ins.delete().where(sign_ins.c.expires_at <= self._clock()))

    async def open_sign_in(self, user: User) -> str:
        now = self._clock()
        sign_in_id = uuid.uuid4().hex
        async with self._database.write(durable=True) as connection:
            await connection.execute(
                sign_ins.insert().values(
                    id=sign_in_id, user_id=user.id, created_at=now, expires_at=now + SIGN_IN_LIFETIME
                )
            )
            await event_log.append(
                connection, NewEvent(type="user.signed-in", key=user.id, user_id=user.id, occurred_at=now)
            )
        return sign_in_id

    async def user_of_sign_in(self, sign_in_id: str) -> User | None:
        """Who is behind a sign-in; None when it has ended."""
        query = (
            sa.select(users)
            .join(sign_ins, sign_ins.c.user_id == users.c.id)
            .where(
                sign_ins.c.id == sign_in_id,
                sign_ins.c.ended_at.is_(None),
                sign_ins.c.expires_at > self._clock(),
                users.c.disabled_at.is_(None),
            )
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return User(id=row.id, name=row.name, role=row.role) if row else None

    async def end_sign_in(self, sign_in_id: str) -> None:
        async with self._database.write(durable=True) as connection:
            await connection.execute(
                sign_ins.update()
                .where(sign_ins.c.id == sign_in_id, sign_ins.c.ended_at.is_(None))
                .values(ended_at=self._clock())
            )

    async def add_token(
        self, user: User, name: str, scopes: Sequence[str], *, actor: str | None = None
    ) -> tuple[Token, str]:
        """Make a token for REST; its secret is returned this once and kept only as a hash. ``actor`` is who makes it,
        if not the user.

        Raises:
            InvalidInput: an empty name, or an unknown scope, or one above the user's role.
        """
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            raise InvalidInput(f"{unknown or 'no scope'!r} does not fit. Choose of: {', '.join(SCOPES)}.")
        if "admin" in scopes and not user.is_admin:
            raise InvalidInput(f"{user.name!r} is no administrator: a token with scope 'admin' is not for them.")
        if not 1 <= len(name.strip()) <= 80:
            raise InvalidInput("Give the token a name of 1 to 80 characters, to know it by.")
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        token = Token(
            id=uuid.uuid4().hex[:12], name=name.strip(), scopes=tuple(scope for scope in SCOPES if scope in scopes),
            created_at=self._clock(), last_used_at=None, revoked_at=None,
        )  # fmt: skip
        async with self._database.write(durable=True) as connection:
            await connection.execute(
                api_tokens.insert().values(
                    id=token.id, user_id=user.id, name=token.name, token_hash=_hash(secret),
                    scopes=list(token.scopes), created_at=token.created_at,
                )
            )  # fmt: skip
            detail = {"token": token.id, "scopes": list(token.scopes)}
            by, at = actor or user.id, token.created_at
            await connection.run_sync(audit.record, by, "token.add", token.name, detail, at=at)
        return token, secret

    async def user_of_token(self, secret: str) -> tuple[User, tuple[Scope, ...]]:
        """Who a token acts for, and what it may do.

        Raises:
            Unauthenticated: it is unknown or revoked.
        """
        query = (
            sa.select(users.c.id, users.c.name, users.c.role, api_tokens.c.id.label("token_id"), api_tokens.c.scopes,
                      api_tokens.c.last_used_at)
            .join(api_tokens, api_tokens.c.user_id == users.c.id)
            .where(
                api_tokens.c.token_hash == _hash(secret),
                api_tokens.c.revoked_at.is_(None),
                users.c.disabled_at.is_(None),
            )
        )  # fmt: skip
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            raise Unauthenticated("This token is not valid (any more). Make one with: tooloo token add NAME")
        now = self._clock()
        if row.last_used_at is None or now - row.last_used_at > timedelta(minutes=1):
            async with self._database.write() as connection:
                await connection.execute(
                    api_tokens.update().where(api_tokens.c.id == row.token_id).values(last_used_at=now)
                )
        return User(id=row.id, name=row.name, role=row.role), tuple(row.scopes)

    async def tokens_of(self, user: User) -> list[Token]:
        query = sa.select(api_tokens).where(api_tokens.c.user_id == user.id).order_by(api_tokens.c.created_at)
        async with self._database.read() as connection:
            return [
                Token(
                    id=row.id, name=row.name, scopes=tuple(row.scopes), created_at=row.created_at,
                    last_used_at=row.last_used_at, revoked_at=row.revoked_at,
                )
                for row in await connection.execute(query)
            ]  # fmt: skip

    async def revoke_token(self, user: User, token_id: str, *, actor: str | None = None) -> None:
        """Make a token useless at once.

        Raises:
            NotFound: this user has no such token.
        """
        async with self._database.write(durable=True) as connection:
            revoked = await connection.execute(
                api_tokens.update()
                .where(api_tokens.c.id == token_id, api_tokens.c.user_id == user.id)
                .values(revoked_at=self._clock())
            )
            if revoked.rowcount == 0:
                raise NotFound(f"{user.name!r} has no token {token_id!r}. See: tooloo token list")
            await connection.run_sync(audit.record, actor or user.id, "token.revoke", token_id, {}, at=self._clock())


def _hash(secret: str) -> str:
    """A token has 256 random bits, so that a plain hash is enough."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
