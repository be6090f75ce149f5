"""Views that leave out requests that no provider was asked for: these have metrics too, and measure nobody."""

from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_views("WHERE provider <> 'none'")


def downgrade() -> None:
    op.execute("DELETE FROM provider_metrics WHERE provider = 'none'")
    _create_views("WHERE 1 = 1")


def _create_views(asked: str) -> None:
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
    op.execute("DROP VIEW provider_success_7d")
    op.execute("DROP VIEW provider_hourly")
    op.execute(
        f"CREATE VIEW provider_success_7d AS SELECT provider, model, {numbers} FROM provider_metrics "
        f"{asked} AND created_at >= {week_ago} GROUP BY provider, model"
    )
    op.execute(
        f"CREATE VIEW provider_hourly AS SELECT {hour} AS hour, provider, {numbers} FROM provider_metrics "
        f"{asked} GROUP BY {hour}, provider"
    )
