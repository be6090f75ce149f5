"""Conversations: threads, their steps, elements, feedback, and share links."""

import sqlalchemy as sa

from app.storage.tables.base import at_column, id_column, metadata, user_column


def _thread_column() -> sa.Column[str]:
    return sa.Column(
        "thread_id",
        sa.String(64),
        sa.ForeignKey("threads.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    )


threads = sa.Table(
    "threads",
    metadata,
    id_column(),
    user_column(),
    sa.Column("name", sa.String(200), nullable=True),
    sa.Column("tags", sa.JSON, nullable=True),
    sa.Column("metadata", sa.JSON, nullable=False),
    at_column("created_at"),
    at_column("updated_at", index=True),
)

# A step is kept as the chat library knows it (``document``); the columns beside it are what we query.
steps = sa.Table(
    "steps",
    metadata,
    id_column(),
    _thread_column(),
    sa.Column("parent_id", sa.String(64), nullable=True),
    sa.Column("type", sa.String(32), nullable=False),
    sa.Column("output", sa.Text, nullable=False, server_default=""),
    sa.Column("document", sa.JSON, nullable=False),
    at_column("created_at", index=True),
)

elements = sa.Table(
    "elements",
    metadata,
    id_column(),
    _thread_column(),
    sa.Column("for_id", sa.String(64), nullable=True),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("object_key", sa.String(200), nullable=True),
    at_column("created_at"),
)

feedbacks = sa.Table(
    "feedbacks",
    metadata,
    id_column(),
    _thread_column(),
    sa.Column("step_id", sa.String(64), nullable=False, unique=True),
    user_column(),
    sa.Column("value", sa.Integer, nullable=False),
    sa.Column("comment", sa.Text, nullable=True),
    at_column("created_at"),
)

share_links = sa.Table(
    "share_links",
    metadata,
    id_column(),
    _thread_column(),
    user_column(),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("snapshot", sa.JSON, nullable=False),
    sa.Column("audience", sa.String(16), nullable=False),
    at_column("created_at"),
    at_column("published_at", nullable=True),
    at_column("expires_at"),
    at_column("revoked_at", nullable=True),
)
