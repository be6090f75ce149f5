"""Brings a database to the tables this code knows, forward only, one transaction for each migration."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

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


def config_for(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: sa.Connection, to: str) -> None:
    config = config_for(connection)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7304161)")
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise StorageFailed(
            f"The database was written by a newer version of TooLoo (revision {current!r}). "
            "Nothing was changed. Update TooLoo, or point TOOLOO_DATA_DIR or DATABASE_URL elsewhere."
        )
    command.upgrade(config, to)
