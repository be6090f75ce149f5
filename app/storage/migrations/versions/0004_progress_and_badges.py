"""Progress and badges: new projections, which the log fills again from its first event, and people's preferences."""

import sqlalchemy as sa
from alembic import op

from app.storage.tables.base import UtcDateTime

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('custom_badges',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('title', sa.String(length=80), nullable=False),
    sa.Column('description', sa.String(length=300), nullable=False),
    sa.Column('rule', sa.String(length=300), nullable=False),
    sa.Column('created_by', sa.String(length=64), nullable=False),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('retired_at', UtcDateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_custom_badges'))
    )
    op.create_table('badge_checks',
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_badge_checks_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_badge_checks'))
    )
    op.create_table('earned_badges',
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('badge_id', sa.String(length=64), nullable=False),
    sa.Column('evidence', sa.JSON(), nullable=False),
    sa.Column('awarded_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('revoked_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('revoked_why', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_earned_badges_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'badge_id', name=op.f('pk_earned_badges'))
    )
    with op.batch_alter_table('earned_badges', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_earned_badges_awarded_at'), ['awarded_at'], unique=False)

    op.create_table('learner_activity',
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('slot_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('submitted', sa.Integer(), server_default='0', nullable=False),
    sa.Column('passed', sa.Integer(), server_default='0', nullable=False),
    sa.Column('answered', sa.Integer(), server_default='0', nullable=False),
    sa.Column('correct', sa.Integer(), server_default='0', nullable=False),
    sa.Column('hints', sa.Integer(), server_default='0', nullable=False),
    sa.Column('score_sum', sa.Integer(), server_default='0', nullable=False),
    sa.Column('ended_alone', sa.Integer(), server_default='0', nullable=False),
    sa.Column('solved_alone', sa.Integer(), server_default='0', nullable=False),
    sa.Column('sessions', sa.Integer(), server_default='0', nullable=False),
    sa.Column('logged_minutes', sa.Integer(), server_default='0', nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_learner_activity_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'slot_at', name=op.f('pk_learner_activity'))
    )
    op.create_table('learner_passes',
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('challenge_id', sa.String(length=80), nullable=False),
    sa.Column('passed_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('seconds', sa.Integer(), nullable=False),
    sa.Column('score', sa.Integer(), nullable=False),
    sa.Column('alone', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_learner_passes_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'challenge_id', name=op.f('pk_learner_passes'))
    )
    with op.batch_alter_table('learner_passes', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_learner_passes_passed_at'), ['passed_at'], unique=False)

    op.create_table('learner_used',
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_learner_used_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'kind', 'name', name=op.f('pk_learner_used'))
    )
    op.create_table('learners',
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('timezone', sa.String(length=64), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_learners_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_learners'))
    )
    op.drop_table('learner_days')
    with op.batch_alter_table('users', schema=None) as batch_op:
        batch_op.add_column(sa.Column('timezone_source', sa.String(length=8), server_default='default', nullable=False))
        batch_op.add_column(sa.Column('ranked', sa.Boolean(), server_default=sa.true(), nullable=False))

    # The tables above are empty: the consumer behind them begins again at the first event.
    for table in ('consumer_cursors', 'consumer_retries'):
        op.execute(sa.text(f"DELETE FROM {table} WHERE consumer = 'learner-stats'"))  # noqa: S608  # our own names
    op.execute(sa.text("DELETE FROM learner_concepts"))
