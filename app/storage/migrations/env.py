"""Alembic's entry: runs on the connection that ``app.storage.migrate`` hands over."""

from alembic import context

from app.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=True,
    compare_type=True,
    user_module_prefix="",
)
context.run_migrations()
