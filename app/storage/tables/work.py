"""Repositories that were loaded, workflows, their executions, and schedules."""

import sqlalchemy as sa

from app.storage.tables.base import at_column, id_column, metadata, user_column

repositories = sa.Table(
    "repositories",
    metadata,
    id_column(),
    user_column(),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("files", sa.Integer, nullable=False),
    sa.Column("symbols", sa.Integer, nullable=False),
    at_column("indexed_at"),
    sa.UniqueConstraint("user_id", "path"),
)

workflows = sa.Table(
    "workflows",
    metadata,
    id_column(),
    user_column(),
    sa.Column("name", sa.String(120), nullable=False),
    sa.Column("definition", sa.JSON, nullable=False),
    at_column("created_at"),
)

executions = sa.Table(
    "executions",
    metadata,
    id_column(),
    sa.Column(
        "workflow_id",
        sa.String(64),
        sa.ForeignKey("workflows.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    user_column(),
    sa.Column("thread_id", sa.String(64), nullable=True),
    sa.Column("inputs", sa.JSON, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("error", sa.Text, nullable=True),
    at_column("started_at"),
    at_column("ended_at", nullable=True),
)

execution_steps = sa.Table(
    "execution_steps",
    metadata,
    sa.Column("execution_id", sa.String(64), sa.ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("step_id", sa.String(64), primary_key=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("output", sa.JSON, nullable=True),
    sa.Column("error", sa.Text, nullable=True),
    at_column("started_at", nullable=True),
    at_column("ended_at", nullable=True),
)

schedules = sa.Table(
    "schedules",
    metadata,
    id_column(),
    user_column(),
    sa.Column("workflow_id", sa.String(64), sa.ForeignKey("workflows.id", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("local_time", sa.String(5), nullable=False),
    sa.Column("timezone", sa.String(64), nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    at_column("created_at"),
    at_column("next_at", index=True),
    sa.Column("last_slot", sa.String(40), nullable=True),
)
