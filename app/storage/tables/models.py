"""Money and model calls: budgets, holds, charges, and the log of every call."""

import sqlalchemy as sa

from app.storage.tables.base import at_column, id_column, metadata, microusd_column, user_column

budgets = sa.Table(
    "budgets",
    metadata,
    id_column(),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    microusd_column("limit_microusd"),
    microusd_column("spent_microusd"),
    microusd_column("held_microusd"),
    sa.Column("active", sa.Boolean, nullable=False),
    at_column("warned_at", nullable=True),
    at_column("exceeded_at", nullable=True),
    sa.UniqueConstraint("kind", "owner"),
)

# One row for each budget that a hold lies on, so that a budget's sums can be checked against its rows.
holds = sa.Table(
    "holds",
    metadata,
    sa.Column("call_id", sa.String(64), primary_key=True),
    sa.Column("budget_id", sa.String(64), sa.ForeignKey("budgets.id"), primary_key=True),
    microusd_column("amount_microusd"),
    at_column("created_at"),
    at_column("expires_at", index=True),
)

charges = sa.Table(
    "charges",
    metadata,
    sa.Column("call_id", sa.String(64), primary_key=True),
    sa.Column("budget_id", sa.String(64), sa.ForeignKey("budgets.id"), primary_key=True),
    microusd_column("amount_microusd"),
    at_column("charged_at", index=True),
    at_column("rolled_off_at", nullable=True),
)

provider_logs = sa.Table(
    "provider_logs",
    metadata,
    id_column(),
    user_column(nullable=True),
    sa.Column("thread_id", sa.String(64), nullable=True, index=True),
    sa.Column("task", sa.String(16), nullable=False),
    sa.Column("provider", sa.String(32), nullable=False),
    sa.Column("model", sa.String(120), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("error_kind", sa.String(24), nullable=True),
    sa.Column("input_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("output_tokens", sa.Integer, nullable=False, server_default="0"),
    microusd_column("held_microusd"),
    microusd_column("cost_microusd"),
    sa.Column("first_token_ms", sa.Integer, nullable=True),
    sa.Column("total_ms", sa.Integer, nullable=False),
    sa.Column("selection", sa.JSON, nullable=False),
    at_column("created_at", index=True),
)
