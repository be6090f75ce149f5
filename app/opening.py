"""What the server and single commands open alike: the database, the gateway, the stored keys."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import structlog

from app.errors import SettingsError
from app.learning.sandbox.probe import REMEDY
from app.models.breaker import Breaker
from app.models.budget import Purse
from app.models.call import TimeLimits
from app.models.catalog import Catalog, load_catalog
from app.models.chooser import Taste
from app.models.gateway import Gateway, Rules
from app.models.keys import KeyService, cipher_of
from app.models.log import CallLog
from app.models.ollama import LocalOllama
from app.models.prices import price_of
from app.models.wires import environment_keys, make_wire, wires
from app.settings import Settings
from app.storage.database import Database, postgres_url, sqlite_url
from app.storage.migrate import migrate

logger = structlog.get_logger()


def utc_now() -> datetime:
    return datetime.now(UTC)


def may_run_unisolated(settings: Settings) -> bool:
    """Whether code may run where nothing isolates it.

    Raises:
        SettingsError: it is asked for where others can sign in.
    """
    if settings.tooloo_allow_unisolated_code and not settings.is_single_user:
        raise SettingsError(
            "TOOLOO_ALLOW_UNISOLATED_CODE is for a machine of one's own: here others could run code as this server's "
            f"user. Take it out. {REMEDY}"
        )
    return settings.tooloo_allow_unisolated_code


def no_accounts(settings: Settings) -> str:
    """Why the server does not start on an address that others can reach."""
    address = f"TOOLOO_PUBLIC_URL={settings.tooloo_public_url}" if settings.is_loopback else f"HOST={settings.host}"
    return (
        f"{address} can be reached by others, and there are no accounts yet. "
        "Make one first: tooloo user add NAME --admin"
    )


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The migrated database alone, for commands that need no more.

    Raises:
        SettingsError: the data folder cannot be made or written to.
        StorageFailed: the database cannot be used.
    """
    await asyncio.to_thread(_make_data_dir, settings.tooloo_data_dir)
    database = Database(_database_url(settings))
    try:
        await migrate(database)
        yield database
    finally:
        await database.close()


def read_catalog(settings: Settings) -> Catalog:
    """The catalog as the settings want it.

    Raises:
        SettingsError: its file does not fit, or a provider is named that there is not.
    """
    catalog = load_catalog(settings.tooloo_catalog, _preferred(settings), today=utc_now().date())
    known = {*_providers(catalog), *(model_id.partition("/")[0] for model_id in catalog.refused)}
    if unknown := next((name for name in settings.tie_order if name not in known), None):
        raise SettingsError(
            f"PRIMARY_PROVIDER or FALLBACK_CHAIN names {unknown!r}. There are: {', '.join(sorted(known))}."
        )
    return catalog


async def open_gateway(settings: Settings, database: Database, purse: Purse) -> Gateway:
    """The gateway with a wire for each provider that has a key in the environment; Ollama needs none.

    Raises:
        SettingsError: the catalog does not fit.
    """
    catalog = await asyncio.to_thread(read_catalog, settings)
    variables = {f"{provider}/{name}": variable for variable, provider, name in _named(settings)}
    for model_id, reason in catalog.refused.items():
        logger.warning("model.refused", model=model_id, reason=reason, named_by=variables.get(model_id))
    await purse.open(_providers(catalog))
    gateway = Gateway(
        database=database, purse=purse, catalog=catalog, clock=utc_now,
        wires=await asyncio.to_thread(wires, settings, catalog),
        log=CallLog(database, enabled=settings.provider_logging_enabled),
        breaker=Breaker(
            database, threshold=settings.provider_circuit_threshold,
            cooldown_seconds=settings.provider_circuit_timeout / 1000, clock=utc_now,
            probe_seconds=settings.total_timeout_seconds,
        ),
        rules=Rules(
            limits=TimeLimits(
                first_token_seconds=settings.first_token_timeout_seconds,
                between_tokens_seconds=settings.between_tokens_timeout_seconds,
                total_seconds=settings.total_timeout_seconds,
            ),
            taste=Taste(
                tie_order=settings.tie_order, exploration_share=settings.tooloo_exploration_share,
                default_models=frozenset(f"{provider}/{name}" for provider, name in _preferred(settings)),
            ),
            fallback=settings.provider_fallback_enabled, hedging=settings.tooloo_hedging,
        ),
        ollama=LocalOllama(settings.ollama_base_url, lambda: make_wire(settings, "ollama", "ollama")),
    )  # fmt: skip
    await gateway.open()
    return gateway


async def open_keys(settings: Settings, database: Database, gateway: Gateway) -> KeyService:
    """Stored keys, taken into use."""
    secret = settings.tooloo_secret_key.get_secret_value() if settings.tooloo_secret_key else None
    keys = KeyService(
        database=database, gateway=gateway, clock=utc_now, environment=environment_keys(settings),
        cipher=await asyncio.to_thread(cipher_of, settings.tooloo_data_dir, secret),
        make_wire=lambda provider, key: make_wire(settings, provider, key),
    )  # fmt: skip
    await keys.refresh()
    return keys


def _preferred(settings: Settings) -> Sequence[tuple[str, str]]:
    return [(provider, name) for _, provider, name in _named(settings)]


def _named(settings: Settings) -> Sequence[tuple[str, str, str]]:
    """Variables that name a model, with its provider and its name."""
    named = (
        ("CLAUDE_DEFAULT_MODEL", "anthropic", settings.claude_default_model),
        ("OPENAI_DEFAULT_MODEL", "openai", settings.openai_default_model),
        ("GEMINI_DEFAULT_MODEL", "gemini", settings.gemini_default_model),
    )
    return [(variable, provider, _plain(provider, name)) for variable, provider, name in named if name and name.strip()]


def _plain(provider: str, name: str) -> str:
    """A model's name without that of its provider, where it is known so: some have such a name of their own."""
    wanted = name.strip()
    plain = wanted.removeprefix(f"{provider}/")
    return plain if plain and price_of(provider, plain) else wanted


def _providers(catalog: Catalog) -> list[str]:
    return sorted({"ollama", *(model.provider for model in catalog.models)})


def _make_data_dir(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass  # it can be written to; the name is its own, for servers may start together
    except OSError as error:
        raise SettingsError(
            f"The data folder {str(folder)!r} cannot be written to ({error.strerror}). "
            "Give it write access, or choose another with TOOLOO_DATA_DIR."
        ) from error


def _database_url(settings: Settings) -> str:
    if settings.database_url:
        return postgres_url(settings.database_url.get_secret_value(), "asyncpg")
    return sqlite_url(settings.tooloo_data_dir / "tooloo.sqlite")
