"""When each answer of a training session was rated, so that a session that was left can be rated and gone on with."""

import sqlalchemy as sa
from alembic import op

from app.storage.tables.base import UtcDateTime

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('training_answers', schema=None) as batch_op:
        batch_op.add_column(sa.Column('rated_at', UtcDateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE training_answers SET rated_at = created_at "
        "WHERE session_id IN (SELECT id FROM training_sessions WHERE status = 'ended')"
    )
