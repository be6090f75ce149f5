"""The event log, its consumers' cursors, and their failures."""

import sqlalchemy as sa

from app.storage.tables.base import at_column, metadata, user_column

events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("position", sa.BigInteger, nullable=True, unique=True),
    sa.Column("type", sa.String(48), nullable=False, index=True),
    sa.Column("key", sa.String(120), nullable=False),
    user_column(nullable=True),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("dedupe_key", sa.String(160), nullable=True, unique=True),
    at_column("occurred_at", index=True),
    sqlite_autoincrement=True,
)

consumer_cursors = sa.Table(
    "consumer_cursors",
    metadata,
    sa.Column("consumer", sa.String(48), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)

# A failing event holds back its key: later events of the key are parked here too, so that order is kept.
consumer_retries = sa.Table(
    "consumer_retries",
    metadata,
    sa.Column("consumer", sa.String(48), primary_key=True),
    sa.Column("event_id", sa.String(64), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("key", sa.String(120), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("error", sa.Text, nullable=True),
    at_column("next_at", index=True),
    at_column("dead_at", nullable=True),
)
