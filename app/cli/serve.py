"""``tooloo serve``: check what can be checked before anything opens, then run the server."""

import asyncio
import contextlib
import errno
import socket
import sqlite3

import typer
import uvicorn

from app.errors import SettingsError, StorageFailed
from app.identity.accounts import AccountService
from app.opening import no_accounts, open_database, read_catalog, utc_now
from app.settings import Settings, load_settings

STOP_SECONDS = 3


def serve() -> None:
    """Start the server on HOST and PORT."""
    settings = load_settings()
    listening = _listen(settings)
    asyncio.run(_check(settings))
    config = uvicorn.Config(
        "app.main:create_app", factory=True,
        host=settings.host, port=settings.port, log_config=None, timeout_graceful_shutdown=STOP_SECONDS,
        ws_max_size=5 * 1024 * 1024, server_header=False, proxy_headers=False, lifespan="on",
    )  # fmt: skip
    server = _Server(config, settings.base_url)
    server.run(sockets=[listening])
    if not server.started:
        raise typer.Exit(1)


async def _check(settings: Settings) -> None:
    """What would keep the server from starting, said before it starts."""
    await asyncio.to_thread(_check_files, settings)
    await asyncio.to_thread(read_catalog, settings)
    async with open_database(settings) as database:
        accounts = AccountService(database=database, clock=utc_now)
        if not settings.is_single_user and not await accounts.has_accounts():
            raise SettingsError(no_accounts(settings))


def _check_files(settings: Settings) -> None:
    """The files beside the application's own, which others open without a sentence of ours."""
    for name in ("checkpoints.sqlite", "workflows.sqlite"):
        file = settings.tooloo_data_dir / name
        if settings.database_url or not file.exists():
            continue
        try:
            with contextlib.closing(sqlite3.connect(file, timeout=5)) as connection:
                connection.execute("PRAGMA schema_version")
                connection.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.Error as error:
            raise StorageFailed(
                f"{str(file)!r} cannot be used ({error}). Put back a copy of it, or move it away: it is made anew, and "
                "only what chats and running workflows were in the middle of is lost."
            ) from error


class _Server(uvicorn.Server):
    """Says where it can be reached once it can."""

    def __init__(self, config: uvicorn.Config, base_url: str) -> None:
        super().__init__(config)
        self._base_url = base_url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            typer.echo(f"TooLoo is ready: {self._base_url}")


def _listen(settings: Settings) -> socket.socket:
    """Take the port before the slow imports, so that a port in use is said at once."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
        listening.listen(256)
    except socket.gaierror as error:
        raise SettingsError(f"HOST={settings.host!r} is no address of this machine.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"Port {settings.port} is in use by another program. Stop it, or choose another: PORT=8001 make run"
            ) from error
        raise SettingsError(f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}.") from error
    return listening
