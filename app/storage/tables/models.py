"""Money and model calls: budgets, holds, charges, the log of every call, and what is known about providers."""

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
    sa.Index("ix_charges_budget_rolling", "budget_id", "rolled_off_at", "charged_at"),
)

# What each call may cost (while it is not final) and did cost, and for whom: a cap set later counts from it, and a call
# whose process died is logged from it. What was spent elsewhere, or is not to be logged, has no model.
call_costs = sa.Table(
    "call_costs",
    metadata,
    sa.Column("call_id", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("thread_id", sa.String(64), nullable=True, index=True),
    sa.Column("intent", sa.String(48), nullable=True),
    sa.Column("provider", sa.String(32), nullable=False),
    sa.Column("model", sa.String(120), nullable=True),
    sa.Column("task", sa.String(16), nullable=True),
    microusd_column("amount_microusd"),
    sa.Column("is_final", sa.Boolean, nullable=False),
    at_column("at", index=True),
    sa.Index("ix_call_costs_user_at", "user_id", "at"),
)

# Who was told of a budget's warning or end, so that each is told once, whoever's call raised it.
told_alerts = sa.Table(
    "told_alerts",
    metadata,
    user_column(primary_key=True),
    sa.Column("budget_id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    at_column("raised_at"),
)

# One row for each call that left, and for each request that no model was asked for (provider "none"); the calls of one
# request share its id. Of a call that was "lost", since its process died, the time is not known.
provider_logs = sa.Table(
    "provider_logs",
    metadata,
    id_column(),
    sa.Column("request_id", sa.String(64), nullable=True, index=True),
    user_column(nullable=True),
    sa.Column("thread_id", sa.String(64), nullable=True, index=True),
    sa.Column("task", sa.String(16), nullable=False),
    sa.Column("intent", sa.String(48), nullable=True),
    sa.Column("provider", sa.String(32), nullable=False),
    sa.Column("model", sa.String(120), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("states", sa.String(400), nullable=False, server_default=""),
    sa.Column("error_kind", sa.String(24), nullable=True),
    sa.Column("input_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("cached_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("output_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("tokens_counted", sa.Boolean, nullable=False, server_default=sa.false()),
    microusd_column("held_microusd"),
    microusd_column("cost_microusd"),
    sa.Column("first_token_ms", sa.Integer, nullable=True),
    sa.Column("total_ms", sa.Integer, nullable=True),
    sa.Column("selection", sa.JSON, nullable=False),
    at_column("created_at", index=True),
    sa.Index("ix_provider_logs_provider_created", "provider", "created_at"),
)

# The numbers of each row alone, for the views; kept longer than the log, and holding nothing of a person.
provider_metrics = sa.Table(
    "provider_metrics",
    metadata,
    sa.Column("call_id", sa.String(64), primary_key=True),
    sa.Column("provider", sa.String(32), nullable=False),
    sa.Column("model", sa.String(120), nullable=False),
    sa.Column("task", sa.String(16), nullable=False),
    sa.Column("succeeded", sa.Boolean, nullable=False),
    sa.Column("error_kind", sa.String(24), nullable=True),
    sa.Column("first_token_ms", sa.Integer, nullable=True),
    sa.Column("total_ms", sa.Integer, nullable=True),
    sa.Column("tokens_per_second", sa.Float, nullable=True),
    microusd_column("cost_microusd"),
    at_column("created_at", index=True),
)

provider_rate_limits = sa.Table(
    "provider_rate_limits",
    metadata,
    sa.Column("provider", sa.String(32), primary_key=True),
    at_column("limited_until"),
    sa.Column("retry_after_seconds", sa.Float, nullable=True),
    sa.Column("hits", sa.Integer, nullable=False, server_default="1"),
    at_column("updated_at"),
)

provider_configs = sa.Table(
    "provider_configs",
    metadata,
    sa.Column("provider", sa.String(32), primary_key=True),
    sa.Column("key_encrypted", sa.Text, nullable=False),
    sa.Column("key_ending", sa.String(8), nullable=False),
    sa.Column("updated_by", sa.String(64), nullable=False),
    at_column("updated_at"),
)

provider_circuits = sa.Table(
    "provider_circuits",
    metadata,
    sa.Column("provider", sa.String(32), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    at_column("opened_at", nullable=True),
    at_column("retry_at", nullable=True),
    at_column("updated_at"),
)

# Sums of the observations below, so that a decision reads one row for each model and kind of task.
model_quality = sa.Table(
    "model_quality",
    metadata,
    sa.Column("model_id", sa.String(160), primary_key=True),
    sa.Column("task", sa.String(16), primary_key=True),
    sa.Column("good", sa.Float, nullable=False),
    sa.Column("total", sa.Float, nullable=False),
    at_column("updated_at"),
)

quality_observations = sa.Table(
    "quality_observations",
    metadata,
    sa.Column("call_id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("model_id", sa.String(160), nullable=False),
    sa.Column("task", sa.String(16), nullable=False),
    sa.Column("value", sa.Float, nullable=False),
    at_column("created_at"),
)

audit_log = sa.Table(
    "audit_log",
    metadata,
    id_column(),
    at_column("at", index=True),
    sa.Column("actor", sa.String(80), nullable=False),
    sa.Column("action", sa.String(48), nullable=False),
    sa.Column("subject", sa.String(160), nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("request_id", sa.String(64), nullable=True),
)
