"""The model and the task of each call with its cost, so that one whose process died can be logged; nobody measured how
long it took."""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('call_costs', schema=None) as batch_op:
        batch_op.add_column(sa.Column('task', sa.String(length=16), nullable=True))
        batch_op.add_column(sa.Column('model', sa.String(length=120), nullable=True))
        batch_op.create_index(batch_op.f('ix_call_costs_at'), ['at'], unique=False)
    for view in ("provider_success_7d", "provider_hourly", "provider_failures"):  # SQLite makes their tables anew
        op.execute(f"DROP VIEW {view}")
    for table in ('provider_logs', 'provider_metrics'):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.alter_column('total_ms', existing_type=sa.Integer(), nullable=True)
    _create_views()


def _create_views() -> None:
    if op.get_bind().dialect.name == "sqlite":
        week_ago = "datetime('now', '-7 days')"
        hour = "strftime('%Y-%m-%d %H:00', created_at)"
    else:
        week_ago = "now() - interval '7 days'"
        hour = "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:00')"
    success = "CASE WHEN succeeded THEN 1.0 WHEN error_kind IS NULL THEN NULL ELSE 0.0 END"
    numbers = (
        f"count(*) AS calls, avg({success}) AS success_rate, avg(first_token_ms) AS first_token_ms, "
        "avg(total_ms) AS total_ms, sum(cost_microusd) AS cost_microusd"
    )
    op.execute(
        f"CREATE VIEW provider_success_7d AS SELECT provider, model, {numbers} FROM provider_metrics "
        f"WHERE provider <> 'none' AND created_at >= {week_ago} GROUP BY provider, model"
    )
    op.execute(
        f"CREATE VIEW provider_hourly AS SELECT {hour} AS hour, provider, {numbers} FROM provider_metrics "
        f"WHERE provider <> 'none' GROUP BY {hour}, provider"
    )
    op.execute(
        "CREATE VIEW provider_failures AS SELECT id, request_id, provider, model, task, error_kind, total_ms, created_at "
        "FROM provider_logs WHERE status = 'failed'"
    )
