"""Brings a database to the tables this code knows, forward only, one transaction for each migration."""

from pathlib import Path

import sqlalchemy as sa

from app.errors import StorageFailed
from app.storage.database import Database

FOLDER = Path(__file__).parent / "migrations"


async def migrate(database: Database, *, to: str = "head") -> None:
    """Apply what is missing, up to a revision.

    Raises:
        StorageFailed: the database was written by a newer version, or cannot be used.
    """
    async with database.migrating() as connection:
        await connection.run_sync(_upgrade, to)


def _upgrade(connection: sa.Connection, to: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7304161)")
    current = _current_revision(connection)
    known = revisions()
    if current is not None and current not in known:
        raise StorageFailed(
            f"The database was written by a newer version of TooLoo (revision {current!r}). "
            "Nothing was changed. Update TooLoo, or point TOOLOO_DATA_DIR or DATABASE_URL elsewhere."
        )
    if current != (known[-1] if to == "head" else to):
        _run_alembic(connection, to)


def _run_alembic(connection: sa.Connection, to: str) -> None:
    """It takes a third of a second to import, for which a start with nothing to migrate need not wait."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def revisions() -> list[str]:
    """All revisions that this code knows, oldest first: a migration's file is named by its own."""
    return sorted(file.name.partition("_")[0] for file in (FOLDER / "versions").glob("[0-9]*.py"))


def _current_revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
