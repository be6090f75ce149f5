"""How far a learner's clock was from UTC, kept with what was done by it; the log fills the projections again."""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ('learner_activity', 'learner_passes'):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column('utc_offset_minutes', sa.Integer(), nullable=True))

    # What only the log knows is read from it again: the consumer begins at the first event.
    for table in ('consumer_cursors', 'consumer_retries'):
        op.execute(sa.text(f"DELETE FROM {table} WHERE consumer = 'learner-stats'"))  # noqa: S608  # our own names
    for table in ('learners', 'learner_activity', 'learner_concepts', 'learner_passes', 'learner_used'):
        op.execute(sa.text(f"DELETE FROM {table}"))  # noqa: S608  # our own names
