"""Models and money: circuits, rate limits, keys, learned quality, metrics, the audit trail, and their views."""

import sqlalchemy as sa
from alembic import op

from app.storage.tables.base import UtcDateTime

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('audit_log',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('actor', sa.String(length=80), nullable=False),
    sa.Column('action', sa.String(length=48), nullable=False),
    sa.Column('subject', sa.String(length=160), nullable=False),
    sa.Column('detail', sa.JSON(), nullable=False),
    sa.Column('request_id', sa.String(length=64), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_log'))
    )
    with op.batch_alter_table('audit_log', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_audit_log_at'), ['at'], unique=False)

    op.create_table('model_quality',
    sa.Column('model_id', sa.String(length=160), nullable=False),
    sa.Column('task', sa.String(length=16), nullable=False),
    sa.Column('good', sa.Float(), nullable=False),
    sa.Column('total', sa.Float(), nullable=False),
    sa.Column('updated_at', UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('model_id', 'task', name=op.f('pk_model_quality'))
    )
    op.create_table('provider_circuits',
    sa.Column('provider', sa.String(length=32), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('opened_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('retry_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('updated_at', UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('provider', name=op.f('pk_provider_circuits'))
    )
    op.create_table('provider_configs',
    sa.Column('provider', sa.String(length=32), nullable=False),
    sa.Column('key_encrypted', sa.Text(), nullable=False),
    sa.Column('key_ending', sa.String(length=8), nullable=False),
    sa.Column('updated_by', sa.String(length=64), nullable=False),
    sa.Column('updated_at', UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('provider', name=op.f('pk_provider_configs'))
    )
    op.create_table('provider_metrics',
    sa.Column('call_id', sa.String(length=64), nullable=False),
    sa.Column('provider', sa.String(length=32), nullable=False),
    sa.Column('model', sa.String(length=120), nullable=False),
    sa.Column('task', sa.String(length=16), nullable=False),
    sa.Column('succeeded', sa.Boolean(), nullable=False),
    sa.Column('error_kind', sa.String(length=24), nullable=True),
    sa.Column('first_token_ms', sa.Integer(), nullable=True),
    sa.Column('total_ms', sa.Integer(), nullable=False),
    sa.Column('tokens_per_second', sa.Float(), nullable=True),
    sa.Column('cost_microusd', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('call_id', name=op.f('pk_provider_metrics'))
    )
    with op.batch_alter_table('provider_metrics', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_provider_metrics_created_at'), ['created_at'], unique=False)

    op.create_table('provider_rate_limits',
    sa.Column('provider', sa.String(length=32), nullable=False),
    sa.Column('limited_until', UtcDateTime(timezone=True), nullable=False),
    sa.Column('retry_after_seconds', sa.Float(), nullable=True),
    sa.Column('hits', sa.Integer(), server_default='1', nullable=False),
    sa.Column('updated_at', UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('provider', name=op.f('pk_provider_rate_limits'))
    )
    op.create_table('quality_observations',
    sa.Column('call_id', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('model_id', sa.String(length=160), nullable=False),
    sa.Column('task', sa.String(length=16), nullable=False),
    sa.Column('value', sa.Float(), nullable=False),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('call_id', 'kind', name=op.f('pk_quality_observations'))
    )
    with op.batch_alter_table('charges', schema=None) as batch_op:
        batch_op.create_index('ix_charges_budget_rolling', ['budget_id', 'rolled_off_at', 'charged_at'], unique=False)

    with op.batch_alter_table('provider_logs', schema=None) as batch_op:
        batch_op.add_column(sa.Column('request_id', sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column('intent', sa.String(length=48), nullable=True))
        batch_op.add_column(sa.Column('states', sa.String(length=400), server_default='', nullable=False))
        batch_op.add_column(sa.Column('cached_tokens', sa.Integer(), server_default='0', nullable=False))
        batch_op.add_column(sa.Column('tokens_counted', sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.create_index('ix_provider_logs_provider_created', ['provider', 'created_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_provider_logs_request_id'), ['request_id'], unique=False)

    with op.batch_alter_table('users', schema=None) as batch_op:
        batch_op.add_column(sa.Column('tier', sa.String(length=16), server_default='free', nullable=False))

    _create_views()


def _create_views() -> None:
    """Success over a week, performance by the hour, and what failed; the databases differ in how they tell time."""
    if op.get_bind().dialect.name == "sqlite":
        week_ago = "datetime('now', '-7 days')"
        hour = "strftime('%Y-%m-%d %H:00', created_at)"
    else:
        week_ago = "now() - interval '7 days'"
        hour = "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:00')"
    share = "avg(CASE WHEN succeeded THEN 1.0 ELSE 0.0 END)"
    numbers = (
        f"count(*) AS calls, {share} AS success_rate, avg(first_token_ms) AS first_token_ms, "
        "avg(total_ms) AS total_ms, sum(cost_microusd) AS cost_microusd"
    )
    op.execute(
        f"CREATE VIEW provider_success_7d AS SELECT provider, model, {numbers} FROM provider_metrics "
        f"WHERE created_at >= {week_ago} GROUP BY provider, model"
    )
    op.execute(
        f"CREATE VIEW provider_hourly AS SELECT {hour} AS hour, provider, {numbers} FROM provider_metrics "
        f"GROUP BY {hour}, provider"
    )
    op.execute(
        "CREATE VIEW provider_failures AS SELECT id, request_id, provider, model, task, error_kind, total_ms, created_at "
        "FROM provider_logs WHERE status = 'failed'"
    )
