"""What the event log says about learners, counted: projections that the log alone builds, and badges of one's own."""

import sqlalchemy as sa

from app.storage.tables.base import UtcDateTime, at_column, id_column, metadata, user_column


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default="0", info={"counts": True})


def _offset() -> sa.Column[int | None]:
    """How far the learner's clock was from UTC at that time; none until a zone was known."""
    return sa.Column("utc_offset_minutes", sa.Integer, nullable=True)


# Who is counted, and by what clock: none until a browser or a choice has named one.
learners = sa.Table(
    "learners",
    metadata,
    user_column(primary_key=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("timezone", sa.String(64), nullable=True),
)

# Quarters of an hour in UTC: every time zone's days and hours are made of whole ones.
learner_activity = sa.Table(
    "learner_activity",
    metadata,
    user_column(primary_key=True),
    sa.Column("slot_at", UtcDateTime(), primary_key=True),
    _offset(),
    _count("submitted"),
    _count("passed"),
    _count("answered"),
    _count("correct"),
    _count("hints"),
    _count("score_sum"),
    _count("ended_alone"),
    _count("solved_alone"),
    _count("sessions"),
    _count("logged_minutes"),
)

learner_concepts = sa.Table(
    "learner_concepts",
    metadata,
    user_column(primary_key=True),
    sa.Column("concept", sa.String(48), primary_key=True),
    _count("tried"),
    _count("succeeded"),
    sa.Column("best_score", sa.Integer, nullable=False, server_default="0"),
    _count("alone_ended"),
    _count("alone_solved"),
    _count("aided_ended"),
    _count("aided_solved"),
    sa.Column("mastery", sa.Integer, nullable=False, server_default="0"),
    at_column("last_at"),
)

# A challenge's first pass by a learner; ``score`` is the best since. ``alone``: without help, and never seen before.
learner_passes = sa.Table(
    "learner_passes",
    metadata,
    user_column(primary_key=True),
    sa.Column("challenge_id", sa.String(80), primary_key=True),
    at_column("passed_at", index=True),
    _offset(),
    sa.Column("seconds", sa.Integer, nullable=False),
    sa.Column("score", sa.Integer, nullable=False),
    sa.Column("alone", sa.Boolean, nullable=False),
)

# What a learner used at least once: languages passed in, providers that answered.
learner_used = sa.Table(
    "learner_used",
    metadata,
    user_column(primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
)

# Learners of whom something new is known since their badges were last looked at.
badge_checks = sa.Table("badge_checks", metadata, user_column(primary_key=True))

earned_badges = sa.Table(
    "earned_badges",
    metadata,
    user_column(primary_key=True),
    sa.Column("badge_id", sa.String(64), primary_key=True),
    sa.Column("evidence", sa.JSON, nullable=False),
    at_column("awarded_at", index=True),
    at_column("revoked_at", nullable=True),
    sa.Column("revoked_why", sa.Text, nullable=True),
)

custom_badges = sa.Table(
    "custom_badges",
    metadata,
    id_column(),
    sa.Column("title", sa.String(80), nullable=False),
    sa.Column("description", sa.String(300), nullable=False),
    sa.Column("rule", sa.String(300), nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    at_column("created_at"),
    at_column("retired_at", nullable=True),
)
