"""The database: nothing is lost under concurrency, what fails leaves nothing, and both kinds have the same tables."""

import asyncio
import contextlib
import contextvars
import json
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event

from app.errors import StorageFailed
from app.storage import migrate as migrations
from app.storage.database import Database, postgres_url, sqlite_url, unusable_message
from app.storage.migrate import migrate
from app.storage.tables import metadata
from app.storage.tables.models import budgets
from tests.fakes.privileges import unprivileged

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ASKED_BY: contextvars.ContextVar[str] = contextvars.ContextVar("asked_by", default="nobody")


async def test_a_transaction_knows_the_request_that_it_is_part_of(database: Database) -> None:
    ASKED_BY.set("ann")

    assert await database.run(lambda _connection: ASKED_BY.get()) == "ann"


async def _add_budget(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(budgets.insert().values(id="a", kind="user", owner="a", active=True))


async def _spent(database: Database) -> int:
    async with database.read() as connection:
        return await connection.scalar(sa.select(budgets.c.spent_microusd)) or 0


async def test_a_hundred_writers_lose_no_increment(database: Database) -> None:
    await _add_budget(database)

    async def increment() -> None:
        for _ in range(4):
            async with database.write() as connection:
                row = await connection.execute(sa.select(budgets.c.spent_microusd).with_for_update())
                await connection.execute(budgets.update().values(spent_microusd=row.scalar_one() + 1))

    await asyncio.gather(*(increment() for _ in range(100)))

    assert await _spent(database) == 400


async def test_what_raises_is_rolled_back(database: Database) -> None:
    await _add_budget(database)

    with pytest.raises(RuntimeError, match="on purpose"):
        async with database.write() as connection:
            await connection.execute(budgets.update().values(spent_microusd=7))
            raise RuntimeError("on purpose")

    assert await _spent(database) == 0


async def test_a_reader_cannot_write_on_sqlite(sqlite: Database) -> None:
    with pytest.raises((StorageFailed, sa.exc.OperationalError)):
        async with sqlite.read() as connection:
            await connection.execute(budgets.insert().values(id="a", kind="user", owner="a", active=True))


async def test_migrations_make_the_tables_of_the_code(database: Database) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, metadata)

    async with database.read() as connection:
        found = await connection.run_sync(differences)

    assert found == []


def test_a_migrations_file_is_named_by_its_revision() -> None:
    """Whether there is something to migrate is told by these names."""
    config = Config()
    config.set_main_option("script_location", str(migrations.FOLDER))

    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]

    assert migrations.revisions() == list(reversed(known))


async def test_migrating_twice_changes_nothing(database: Database) -> None:
    await _add_budget(database)

    await migrate(database)

    assert await _spent(database) == 0


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))])
async def old_database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database as an older version made it."""
    if request.param == "sqlite":
        url = sqlite_url(tmp_path / "old.sqlite")
    else:
        url = postgres_url(request.getfixturevalue("postgres"), "asyncpg")
    opened = Database(url)
    await migrate(opened, to="0003")
    yield opened
    await opened.close()


OLD_ROWS = {
    "users": {"id": "u", "name": "ada", "role": "admin", "timezone": "UTC", "tier": "free", "created_at": NOW},
    "sign_ins": {"id": "i", "user_id": "u", "created_at": NOW, "expires_at": NOW},
    "threads": {"id": "t", "user_id": "u", "metadata": "{}", "created_at": NOW, "updated_at": NOW},
    "cards": {"user_id": "u", "concept": "sql", "card": "{}", "due_at": NOW, "reviewed_at": NOW},
    "reviews": {"id": "r", "user_id": "u", "concept": "sql", "rating": 3, "reviewed_at": NOW},
    "training_sessions": {
        "id": "s", "user_id": "u", "concepts": '["sql"]', "question_ids": '["sql-1", "sql-2", "sql-3"]', "status": "open",
        "started_at": NOW,
    },
    "training_answers": {
        "id": "a", "session_id": "s", "question_id": "sql-1", "answer": "x", "correct": True, "created_at": NOW,
    },
    "events": {
        "id": "e", "position": 1, "type": "user.created", "key": "u", "user_id": "u", "occurred_at": NOW,
        "payload": '{"name": "ada", "role": "admin"}',
    },
}  # fmt: skip


async def test_what_an_older_version_stored_is_still_there(old_database: Database) -> None:
    async with old_database.write() as connection:
        await connection.run_sync(_insert_old)

    await migrate(old_database)

    async with old_database.read() as connection:
        counts = {
            name: await connection.scalar(sa.text(f"SELECT count(*) FROM {name}")) for name in OLD_ROWS
        }  # our own names
        session = (await connection.execute(sa.select(metadata.tables["training_sessions"]))).one()
        card = await connection.scalar(sa.select(metadata.tables["cards"].c.card_id))
    assert counts == dict.fromkeys(OLD_ROWS, 1)
    assert card == "sql"
    assert (session.asked, session.length, session.with_challenges) == (2, 3, False)
    assert [item["id"] for item in session.items] == ["sql-1", "sql-2"]
    assert await _dangling(old_database) == []


def _insert_old(connection: sa.Connection) -> None:
    """By the tables as they are found, since the code's own are those of today."""
    for name, row in OLD_ROWS.items():
        table = sa.Table(name, sa.MetaData(), autoload_with=connection)
        fitting = {
            key: json.loads(value) if isinstance(table.c[key].type, sa.JSON) and isinstance(value, str) else value
            for key, value in row.items()
        }
        connection.execute(table.insert().values(**fitting))


async def _dangling(database: Database) -> list[tuple[object, ...]]:
    if not database.is_sqlite:
        return []  # PostgreSQL lets none be
    async with database.read() as connection:
        return [tuple(row) for row in await connection.exec_driver_sql("PRAGMA foreign_key_check")]


async def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StorageFailed, match="newer version"):
        await migrate(database)


async def test_a_locked_database_gets_a_sentence_and_nothing_is_changed(
    sqlite: Database, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _add_budget(sqlite)
    monkeypatch.setattr("app.storage.database.BUSY_TIMEOUT_MS", 100)
    impatient = Database(sqlite.url)

    with contextlib.closing(sqlite3.connect(data_dir / "tooloo.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageFailed, match="busy with another program"):
            async with impatient.write() as connection:
                await connection.execute(budgets.update().values(spent_microusd=7))

    await impatient.close()
    assert await _spent(sqlite) == 0


async def test_nobody_waits_without_end_for_another_server(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await _add_budget(database)
    monkeypatch.setattr("app.storage.database.BUSY_TIMEOUT_MS", 200)
    impatient = Database(database.url)

    async with database.write() as connection:
        await connection.execute(budgets.update().values(spent_microusd=1))
        with pytest.raises(StorageFailed, match="busy with another program"):
            async with impatient.write() as other:
                await other.execute(budgets.update().values(spent_microusd=7))

    await impatient.close()
    assert await _spent(database) == 1


@pytest.mark.xdist_group("postgres")
async def test_a_server_that_is_halted_in_a_transaction_lets_go_of_it(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.storage.database.HALTED_TIMEOUT_MS", 300)
    halted, other = (Database(postgres_url(postgres, "asyncpg")) for _ in range(2))
    await migrate(other)
    await _add_budget(other)

    with pytest.raises(StorageFailed, match="cannot be reached"):
        async with halted.write() as connection:
            await connection.execute(budgets.update().values(spent_microusd=1))
            async with other.write() as waiting:
                await waiting.execute(budgets.update().values(spent_microusd=7))
            await connection.execute(budgets.update().values(spent_microusd=2))

    assert await _spent(other) == 7
    await halted.close()
    await other.close()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("sorry, too many clients already", "busy with another program"),
        ("remaining connection slots are reserved for roles", "busy with another program"),
        ("the database system is starting up", "cannot be reached"),
        ("[Errno 2] No such file or directory", "cannot be reached"),
        ("Connection reset by peer", "cannot be reached"),
    ],
)
def test_a_database_that_takes_nobody_now_gets_a_sentence(said: str, told: str) -> None:
    assert told in (unusable_message(OSError(said)) or "")


@pytest.mark.parametrize("kind", ["write", "durable", "run"])
async def test_who_queued_behind_a_locked_database_does_not_wait_as_long_again(
    sqlite: Database, data_dir: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("app.storage.database.BUSY_TIMEOUT_MS", 1500)
    monkeypatch.setattr("app.storage.database.QUEUED_TIMEOUT_MS", 20)
    impatient = Database(sqlite.url)

    async def write() -> str:
        try:
            if kind == "run":
                await impatient.run(lambda connection: connection.execute(sa.text("SELECT 1")))
            else:
                async with impatient.write(durable=kind == "durable") as connection:
                    await connection.execute(sa.text("SELECT 1"))
        except StorageFailed as error:
            return error.user_message
        return ""

    with contextlib.closing(sqlite3.connect(data_dir / "tooloo.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        told = await asyncio.gather(*(write() for _ in range(20)))
        seconds = time.monotonic() - began
        stopped = asyncio.create_task(write())
        await asyncio.sleep(0.1)
        other.rollback()
        patient = await write()
        await stopped
    await impatient.close()

    assert all("busy with another program" in message for message in told)
    assert 1.4 < seconds < 10  # and not twenty times a second and a half
    assert patient == ""  # whoever asks later waits as long as ever


async def test_a_write_that_was_stopped_in_a_statement_leaves_no_lock(sqlite: Database) -> None:
    """Though something still refers to its cursor, which keeps the transaction of a closed connection open."""
    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) SELECT i FROM n"
    kept: list[object] = []
    event.listen(
        sqlite._writer.sync_engine, "before_cursor_execute", lambda *told: kept.append(told[1]._cursor._cursor)
    )  # sqlite3.Cursor

    async def stopped() -> None:
        async with sqlite.write() as connection:
            await connection.execute(budgets.update().values(spent_microusd=7))
            await connection.exec_driver_sql(f"SELECT max(i) FROM ({slow}) UNION ALL SELECT 1")

    await _add_budget(sqlite)
    task = asyncio.create_task(stopped())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait({task})
    began = time.monotonic()
    await sqlite.run(lambda connection: connection.execute(budgets.update().values(held_microusd=3)))

    assert task.cancelled()
    assert kept
    assert time.monotonic() - began < 5
    assert await _spent(sqlite) == 0


async def test_a_full_disk_gets_a_sentence_and_nothing_is_changed(sqlite: Database) -> None:
    await _add_budget(sqlite)

    with pytest.raises(StorageFailed, match="disk is full"):
        async with sqlite.write() as connection:
            await connection.exec_driver_sql("PRAGMA max_page_count=1")
            await connection.execute(budgets.update().values(spent_microusd=7))
            await connection.execute(
                budgets.insert().values(id="b" * 1_000_000, kind="user", owner="b" * 1_000_000, active=True)
            )

    assert await _spent(sqlite) == 0


async def test_a_read_only_database_gets_a_sentence() -> None:
    with unprivileged() as folder:
        database = Database(sqlite_url(folder / "x.sqlite"))
        await migrate(database)
        await database.close()
        for file in folder.iterdir():
            file.chmod(0o400)

        read_only = Database(sqlite_url(folder / "x.sqlite"))
        with pytest.raises(StorageFailed, match="read-only"):
            await _add_budget(read_only)
        await read_only.close()


async def test_a_missing_folder_gets_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "x.sqlite"
    database = Database(sqlite_url(file))

    with pytest.raises(StorageFailed, match="cannot be reached"):
        await migrate(database)
    await database.close()


@pytest.mark.xdist_group("postgres")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: re.sub(r"/test_\w+", "/not_there", url), "does not let us in"),
        (lambda url: url.replace("//postgres", "//nobody"), "does not let us in"),
        (lambda _: "postgresql://ada@nowhere.invalid/x", "cannot be reached"),
    ],
)
async def test_a_wrong_address_of_postgresql_gets_a_sentence(
    postgres: str, change: Callable[[str], str], words: str
) -> None:
    database = Database(postgres_url(change(postgres), "asyncpg"))

    with pytest.raises(StorageFailed, match=words):
        await migrate(database)
    await database.close()


async def test_a_damaged_file_gets_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "x.sqlite"
    file.write_bytes(b"this is no database at all, but long enough to look like one" * 50)
    database = Database(sqlite_url(file))

    with pytest.raises(StorageFailed, match="damaged"):
        await migrate(database)
    await database.close()
