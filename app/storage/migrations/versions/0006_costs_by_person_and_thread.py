"""What each call cost and for whom, who was told of alerts, and views in which a stopped call is no failure."""

import sqlalchemy as sa
from alembic import op

from app.storage.tables.base import UtcDateTime

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('call_costs',
    sa.Column('call_id', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('thread_id', sa.String(length=64), nullable=True),
    sa.Column('intent', sa.String(length=48), nullable=True),
    sa.Column('provider', sa.String(length=32), nullable=False),
    sa.Column('amount_microusd', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('is_final', sa.Boolean(), nullable=False),
    sa.Column('at', UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('call_id', name=op.f('pk_call_costs'))
    )
    with op.batch_alter_table('call_costs', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_call_costs_thread_id'), ['thread_id'], unique=False)
        batch_op.create_index('ix_call_costs_user_at', ['user_id', 'at'], unique=False)

    op.create_table('told_alerts',
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('budget_id', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('raised_at', UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_told_alerts_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'budget_id', 'kind', name=op.f('pk_told_alerts'))
    )
    op.execute(
        "INSERT INTO call_costs (call_id, user_id, thread_id, intent, provider, amount_microusd, is_final, at) "
        "SELECT id, user_id, thread_id, intent, provider, cost_microusd, true, created_at FROM provider_logs "
        "WHERE user_id IS NOT NULL"
    )
    _create_views("CASE WHEN succeeded THEN 1.0 WHEN error_kind IS NULL THEN NULL ELSE 0.0 END")


def downgrade() -> None:
    _create_views("CASE WHEN succeeded THEN 1.0 ELSE 0.0 END")
    op.drop_table('told_alerts')
    op.drop_table('call_costs')


def _create_views(success: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        week_ago = "datetime('now', '-7 days')"
        hour = "strftime('%Y-%m-%d %H:00', created_at)"
    else:
        week_ago = "now() - interval '7 days'"
        hour = "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:00')"
    numbers = (
        f"count(*) AS calls, avg({success}) AS success_rate, avg(first_token_ms) AS first_token_ms, "
        "avg(total_ms) AS total_ms, sum(cost_microusd) AS cost_microusd"
    )
    op.execute("DROP VIEW provider_success_7d")
    op.execute("DROP VIEW provider_hourly")
    op.execute(
        f"CREATE VIEW provider_success_7d AS SELECT provider, model, {numbers} FROM provider_metrics "
        f"WHERE created_at >= {week_ago} GROUP BY provider, model"
    )
    op.execute(
        f"CREATE VIEW provider_hourly AS SELECT {hour} AS hour, provider, {numbers} FROM provider_metrics "
        f"GROUP BY {hour}, provider"
    )
