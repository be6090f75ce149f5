"""Keys of providers that an administrator sets in the chat: tested on entry, encrypted at rest, never shown again."""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
import structlog
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import InvalidInput, NotFound, ProviderFailed, SettingsError
from app.models import audit
from app.models.gateway import Gateway
from app.models.providers.wire import NAMES, Wire
from app.storage.database import Database
from app.storage.secret_file import secret_in
from app.storage.tables.models import provider_configs, provider_logs

logger = structlog.get_logger()

KEYED_PROVIDERS = ("anthropic", "openai", "gemini", "deepseek")
SECRET_FILE = "keys.key"  # noqa: S105  # a file's name
LONGEST_KEY = 500
TEST_SECONDS = 15.0
SHOWN_ENDING = 4

Source = Literal["stored", "environment", "none"]


@dataclass(frozen=True, kw_only=True)
class KeyStatus:
    """Where a provider's key comes from. ``ending`` is its last four characters, ``problem`` what is wrong with it."""

    provider: str
    source: Source
    ending: str | None = None
    updated_at: datetime | None = None
    problem: str | None = None


def cipher_of(data_dir: Path, secret: str | None) -> Fernet:
    """The cipher of TOOLOO_SECRET_KEY, or of a key file made in the data folder."""
    if secret is None:
        file = data_dir / SECRET_FILE
        try:
            return Fernet(secret_in(file, lambda: Fernet.generate_key().decode()))
        except OSError as error:
            raise SettingsError(
                f"{str(file)!r} cannot be read ({error.strerror}), and with it the stored keys. Give it back to the "
                "user that the server runs as."
            ) from error
        except ValueError as error:
            raise SettingsError(
                f"{str(file)!r} holds no key that the stored keys could be read with. Put it back from a backup; or "
                "delete it, and enter the keys anew under /keys."
            ) from error
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()))


class KeyService:
    """Stored keys win over those of the environment, so that an administrator can replace one without a restart."""

    def __init__(
        self, *, database: Database, gateway: Gateway, cipher: Fernet, make_wire: Callable[[str, str], Wire],
        environment: Mapping[str, str], clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._database = database
        self._gateway = gateway
        self._cipher = cipher
        self._make_wire = make_wire
        self._environment = environment
        self._clock = clock
        self._in_use: dict[str, datetime] = {}
        self._used_since = dict.fromkeys(KEYED_PROVIDERS, clock())
        self._unreadable: set[str] = set()
        self._refreshing = asyncio.Lock()

    async def refresh(self) -> None:
        """Take into use what was set here or by another process since the last look; one look at a time, so that the
        older of two does not come last."""
        async with self._refreshing:
            await self._refresh()

    async def _refresh(self) -> None:
        async with self._database.read() as connection:
            rows = {row.provider: row for row in await connection.execute(sa.select(provider_configs))}
        for provider in self._in_use.keys() - rows.keys():
            del self._in_use[provider]
            await self._use(provider, self._environment.get(provider))
        for provider, row in rows.items():
            if self._in_use.get(provider) == row.updated_at:
                continue
            if provider in self._in_use:  # at a start it is the key whose failures are remembered
                self._gateway.forgive(provider)
            self._in_use[provider] = row.updated_at
            try:
                await self._use(provider, self._cipher.decrypt(row.key_encrypted.encode()).decode())
                self._unreadable.discard(provider)
            except InvalidToken:
                self._unreadable.add(provider)
                logger.warning("keys.unreadable", provider=provider)

    async def set(self, provider: str, key: str, *, actor: str) -> int:
        """Test a key, store it, use it from now on; returns how many models it may use.

        Raises:
            NotFound: no such provider takes a key.
            InvalidInput: it is no key, or the provider does not accept it.
            ProviderFailed: the provider cannot be asked now; nothing was stored.
        """
        _known(provider)
        key = key.strip()
        if not key or len(key) > LONGEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
            raise InvalidInput("This is no key: paste it as the provider shows it, in one line.")
        wire = await asyncio.to_thread(self._make_wire, provider, key)
        try:
            async with asyncio.timeout(TEST_SECONDS):
                models = await wire.list_models()
        except TimeoutError as error:
            raise ProviderFailed(
                f"{NAMES[provider]} did not answer within {TEST_SECONDS:.0f} s. Nothing was stored; try again.",
                kind="timeout", before_generation=True,
            ) from error  # fmt: skip
        except ProviderFailed as error:
            if error.kind == "auth":
                raise InvalidInput(f"{NAMES[provider]} does not accept this key. Nothing was stored.") from error
            if error.kind == "invalid_request":
                raise InvalidInput(_NO_LIST.format(provider=provider)) from error
            raise
        finally:
            await wire.close()
        if not models:
            raise InvalidInput(_NO_LIST.format(provider=provider))
        await self._store(provider, key, actor=actor)
        await self.refresh()
        self._gateway.forgive(provider)
        await self._gateway.refresh(force=True)
        if self._gateway.why_unusable(provider) is not None:  # what the key before did says nothing of this one
            await self._gateway.breaker.reset(provider, actor=actor)
            await self._gateway.refresh(force=True)
        return len(models)

    async def remove(self, provider: str, *, actor: str) -> None:
        """Forget a stored key; one of the environment is used again.

        Raises:
            NotFound: none is stored.
        """
        now = self._clock()

        def delete(connection: sa.Connection) -> None:
            gone = connection.execute(provider_configs.delete().where(provider_configs.c.provider == provider))
            if gone.rowcount == 0:
                raise NotFound(f"No key for {provider!r} is stored here.")
            audit.record(connection, actor, "key.remove", provider, {}, at=now)

        await self._database.run(delete)
        await self.refresh()

    async def status(self) -> list[KeyStatus]:
        """Every provider that takes a key, and where its key comes from. Never a key itself."""
        async with self._database.read() as connection:
            rows = {row.provider: row for row in await connection.execute(sa.select(provider_configs))}
            refused = {provider: await _refused_at(connection, provider) for provider in KEYED_PROVIDERS}
        known = [self._status(provider, rows.get(provider)) for provider in KEYED_PROVIDERS]
        return [_with_refusal(one, refused[one.provider], since=self._used_since[one.provider]) for one in known]

    def _status(self, provider: str, row: sa.Row[tuple[object, ...]] | None) -> KeyStatus:
        if row is not None:
            problem = "it cannot be read with the present secret (TOOLOO_SECRET_KEY, or the key file); enter it again"
            return KeyStatus(
                provider=provider, source="stored", ending=row._mapping["key_ending"],
                updated_at=row._mapping["updated_at"], problem=problem if provider in self._unreadable else None,
            )  # fmt: skip
        if provider in self._environment:
            return KeyStatus(provider=provider, source="environment", ending=_ending(self._environment[provider]))
        return KeyStatus(provider=provider, source="none")

    async def _store(self, provider: str, key: str, *, actor: str) -> None:
        now = self._clock()
        encrypted = self._cipher.encrypt(key.encode()).decode()
        values = {"key_encrypted": encrypted, "key_ending": _ending(key), "updated_by": actor, "updated_at": now}

        def write(connection: sa.Connection) -> None:
            statement = self._database.insert(provider_configs).values(provider=provider, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["provider"], set_=values))
            audit.record(connection, actor, "key.set", provider, {"ending": _ending(key)}, at=now)

        await self._database.run(write)

    async def _use(self, provider: str, key: str | None) -> None:
        wire = None if key is None else await asyncio.to_thread(self._make_wire, provider, key)
        await self._gateway.use_wire(provider, wire)
        self._used_since[provider] = self._clock()


_NO_LIST = (
    "What answers for {provider} names no models, so that the key cannot be tested. Nothing was stored. Check the "
    "address of the provider (its …_BASE_URL)."
)


def _known(provider: str) -> None:
    if provider not in KEYED_PROVIDERS:
        raise NotFound(f"{provider!r} takes no key here. There are: {', '.join(KEYED_PROVIDERS)}.")


def _ending(key: str) -> str:
    """The last characters, to tell keys apart; nothing of a short one."""
    return key[-SHOWN_ENDING:] if len(key) >= 4 * SHOWN_ENDING else ""


async def _refused_at(connection: AsyncConnection, provider: str) -> datetime | None:
    """When a provider did not accept its key, where that was the last that was heard of it."""
    ended = sa.and_(provider_logs.c.provider == provider, provider_logs.c.status.in_(("ok", "failed")))
    query = sa.select(provider_logs.c.error_kind, provider_logs.c.created_at).where(ended)
    last = (await connection.execute(query.order_by(provider_logs.c.created_at.desc()).limit(1))).first()
    return last.created_at if last is not None and last.error_kind == "auth" else None


def _with_refusal(status: KeyStatus, at: datetime | None, *, since: datetime) -> KeyStatus:
    is_old = at is None or status.source == "none" or at < (status.updated_at or since)  # of another key
    if is_old or status.problem is not None:
        return status
    ending = f"the one ending in {status.ending} " if status.ending else ""
    return replace(status, problem=f"{ending}was not accepted at {at:%Y-%m-%d %H:%M} UTC; enter another")
