"""Practice and its memory: unaided checks, reviews and fitted weights, ratings that challenges earned."""

import sqlalchemy as sa
from alembic import op

from app.storage.tables.base import UtcDateTime

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('challenge_ratings',
    sa.Column('challenge_id', sa.String(length=80), nullable=False),
    sa.Column('rating', sa.Float(), nullable=False),
    sa.Column('deviation', sa.Float(), nullable=False),
    sa.Column('volatility', sa.Float(), nullable=False),
    sa.Column('outcomes', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('challenge_id', name=op.f('pk_challenge_ratings'))
    )
    op.create_table('card_weights',
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('weights', sa.JSON(), nullable=False),
    sa.Column('reviews', sa.Integer(), nullable=False),
    sa.Column('log_loss', sa.Float(), nullable=False),
    sa.Column('default_log_loss', sa.Float(), nullable=False),
    sa.Column('fitted_at', UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_card_weights_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_card_weights'))
    )
    op.create_table('reviews',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('concept', sa.String(length=48), nullable=False),
    sa.Column('rating', sa.Integer(), nullable=False),
    sa.Column('reviewed_at', UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_reviews_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_reviews'))
    )
    with op.batch_alter_table('reviews', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_reviews_user_id'), ['user_id'], unique=False)

    op.create_table('unaided_checks',
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('concept', sa.String(length=48), nullable=False),
    sa.Column('challenge_id', sa.String(length=80), nullable=False),
    sa.Column('due_at', UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_unaided_checks_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'concept', name=op.f('pk_unaided_checks'))
    )
    with op.batch_alter_table('learner_concepts', schema=None) as batch_op:
        for name in ('alone_ended', 'alone_solved', 'aided_ended', 'aided_solved'):
            batch_op.add_column(sa.Column(name, sa.Integer(), server_default='0', nullable=False))

    with op.batch_alter_table('started_challenges', schema=None) as batch_op:
        batch_op.add_column(sa.Column('is_check', sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column('coached', sa.Integer(), server_default='0', nullable=False))
        batch_op.create_index('ix_started_challenges_open', ['user_id', 'status'], unique=False)
