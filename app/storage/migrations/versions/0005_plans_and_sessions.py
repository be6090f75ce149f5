"""Plans, sessions whose items are chosen one by one, and cards that may be for one language."""

import sqlalchemy as sa
from alembic import op

from app.storage.tables.base import UtcDateTime

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('plans',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('goal', sa.String(length=120), nullable=False),
    sa.Column('goal_day', sa.String(length=10), nullable=False),
    sa.Column('concepts', sa.JSON(), nullable=False),
    sa.Column('created_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('ended_at', UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_plans_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_plans'))
    )
    with op.batch_alter_table('plans', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_plans_user_id'), ['user_id'], unique=False)

    op.create_table('plan_sessions',
    sa.Column('plan_id', sa.String(length=64), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('day', sa.String(length=10), nullable=False),
    sa.Column('concepts', sa.JSON(), nullable=False),
    sa.Column('session_id', sa.String(length=64), nullable=True),
    sa.ForeignKeyConstraint(['plan_id'], ['plans.id'], name=op.f('fk_plan_sessions_plan_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('plan_id', 'number', name=op.f('pk_plan_sessions'))
    )
    with op.batch_alter_table('plan_sessions', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_plan_sessions_session_id'), ['session_id'], unique=False)

    for table in ('cards', 'reviews'):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.alter_column(
                'concept', new_column_name='card_id', existing_type=sa.String(length=48), type_=sa.String(length=64),
                existing_nullable=False,
            )

    with op.batch_alter_table('started_challenges', schema=None) as batch_op:
        batch_op.add_column(sa.Column('session_id', sa.String(length=64), nullable=True))

    with op.batch_alter_table('training_sessions', schema=None) as batch_op:
        batch_op.add_column(sa.Column('items', sa.JSON(), nullable=False, server_default='[]'))
        batch_op.add_column(sa.Column('asked', sa.Integer(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('length', sa.Integer(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('with_challenges', sa.Boolean(), nullable=False, server_default=sa.false()))
    _take_over_sessions(op.get_bind())
    with op.batch_alter_table('training_sessions', schema=None) as batch_op:
        batch_op.drop_column('question_ids')
        for name in ('items', 'asked', 'length', 'with_challenges'):
            batch_op.alter_column(name, server_default=None)


def _take_over_sessions(connection: sa.Connection) -> None:
    """A session used to be drawn in advance; what was asked is what was answered, and the next in an open one."""
    sessions = sa.table(
        'training_sessions', sa.column('id'), sa.column('concepts', sa.JSON), sa.column('question_ids', sa.JSON),
        sa.column('items', sa.JSON), sa.column('asked'), sa.column('length'), sa.column('status'),
    )  # fmt: skip
    answers = sa.table('training_answers', sa.column('session_id'), sa.column('question_id'))
    answered = {(row.session_id, row.question_id) for row in connection.execute(sa.select(answers))}
    for row in connection.execute(sa.select(sessions)).all():
        asked = [one for one in row.question_ids if (row.id, one) in answered]
        waiting = [one for one in row.question_ids if (row.id, one) not in answered]
        if row.status == 'open':
            asked += waiting[:1]
        items = [{"kind": "question", "id": one, "concept": _concept_of(one, row.concepts)} for one in asked]
        connection.execute(
            sessions.update()
            .where(sessions.c.id == row.id)
            .values(items=items, asked=len(items), length=len(row.question_ids))
        )


def _concept_of(question_id: str, concepts: list[str]) -> str:
    return max((one for one in concepts if question_id.startswith(one)), key=len, default=concepts[0])
