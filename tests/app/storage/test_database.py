"""The database: nothing is lost under concurrency, what fails leaves nothing, and both kinds have the same tables."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from app.errors import StorageFailed
from app.storage.database import Database, sqlite_url
from app.storage.migrate import migrate
from app.storage.tables import metadata
from app.storage.tables.models import budgets


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


async def test_migrating_twice_changes_nothing(database: Database) -> None:
    await _add_budget(database)

    await migrate(database)

    assert await _spent(database) == 0


async def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StorageFailed, match="newer version"):
        await migrate(database)


async def test_a_read_only_file_gets_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "x.sqlite"
    database = Database(sqlite_url(file))

    with pytest.raises(StorageFailed, match="cannot be reached"):
        await migrate(database)
    await database.close()


async def test_a_damaged_file_gets_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "x.sqlite"
    file.write_bytes(b"this is no database at all, but long enough to look like one" * 50)
    database = Database(sqlite_url(file))

    with pytest.raises(StorageFailed, match="damaged"):
        await migrate(database)
    await database.close()
