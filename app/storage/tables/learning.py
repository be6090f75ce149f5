"""Practice: started challenges, attempts, cards, skills and training sessions."""

import sqlalchemy as sa

from app.storage.tables.base import at_column, id_column, metadata, user_column

started_challenges = sa.Table(
    "started_challenges",
    metadata,
    id_column(),
    user_column(),
    sa.Column("challenge_id", sa.String(80), nullable=False),
    sa.Column("language", sa.String(16), nullable=False),
    sa.Column("thread_id", sa.String(64), nullable=True, index=True),
    sa.Column("hints_shown", sa.Integer, nullable=False, server_default="0"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("is_check", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("coached", sa.Integer, nullable=False, server_default="0"),
    sa.Column("session_id", sa.String(64), nullable=True),
    at_column("started_at"),
    at_column("ended_at", nullable=True),
    sa.Index("ix_started_challenges_open", "user_id", "status"),
)

# A concept that was solved with help, or given up, and is to be shown alone from ``due_at`` on.
unaided_checks = sa.Table(
    "unaided_checks",
    metadata,
    user_column(primary_key=True),
    sa.Column("concept", sa.String(48), primary_key=True),
    sa.Column("challenge_id", sa.String(80), nullable=False),
    at_column("due_at"),
)

# What the cards were rated, for fitting FSRS to the learner. ``rating``: 1 again, 2 hard, 3 good, 4 easy.
reviews = sa.Table(
    "reviews",
    metadata,
    id_column(),
    user_column(),
    sa.Column("card_id", sa.String(64), nullable=False),
    sa.Column("rating", sa.Integer, nullable=False),
    at_column("reviewed_at"),
)

# FSRS weights fitted to a learner, and how well they predicted reviews that the fit had not seen.
card_weights = sa.Table(
    "card_weights",
    metadata,
    user_column(primary_key=True),
    sa.Column("weights", sa.JSON, nullable=False),
    sa.Column("reviews", sa.Integer, nullable=False),
    sa.Column("log_loss", sa.Float, nullable=False),
    sa.Column("default_log_loss", sa.Float, nullable=False),
    at_column("fitted_at"),
)

# How hard challenges turned out to be, beginning with the rating of their file.
challenge_ratings = sa.Table(
    "challenge_ratings",
    metadata,
    sa.Column("challenge_id", sa.String(80), primary_key=True),
    sa.Column("rating", sa.Float, nullable=False),
    sa.Column("deviation", sa.Float, nullable=False),
    sa.Column("volatility", sa.Float, nullable=False),
    sa.Column("outcomes", sa.Integer, nullable=False),
)

attempts = sa.Table(
    "attempts",
    metadata,
    id_column(),
    user_column(),
    sa.Column("started_id", sa.String(64), sa.ForeignKey("started_challenges.id"), nullable=False),
    sa.Column("challenge_id", sa.String(80), nullable=False),
    sa.Column("language", sa.String(16), nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("verdict", sa.String(32), nullable=False),
    sa.Column("score", sa.Integer, nullable=False),
    sa.Column("wall_ms", sa.Integer, nullable=False),
    sa.Column("result", sa.JSON, nullable=False),
    at_column("created_at", index=True),
)

# ``card_id`` is a concept, or a concept and a language ("strings:go") where the language's own ways matter.
cards = sa.Table(
    "cards",
    metadata,
    user_column(primary_key=True),
    sa.Column("card_id", sa.String(64), primary_key=True),
    sa.Column("card", sa.JSON, nullable=False),
    at_column("due_at", index=True),
    at_column("reviewed_at"),
)

skills = sa.Table(
    "skills",
    metadata,
    user_column(primary_key=True),
    sa.Column("concept", sa.String(48), primary_key=True),
    sa.Column("rating", sa.Float, nullable=False),
    sa.Column("deviation", sa.Float, nullable=False),
    sa.Column("volatility", sa.Float, nullable=False),
    sa.Column("outcomes", sa.Integer, nullable=False),
    at_column("updated_at"),
)

# What was promised for a day, such as an interview, and the sessions that lead there, each on a local date.
plans = sa.Table(
    "plans",
    metadata,
    id_column(),
    user_column(),
    sa.Column("goal", sa.String(120), nullable=False),
    sa.Column("goal_day", sa.String(10), nullable=False),
    sa.Column("concepts", sa.JSON, nullable=False),
    at_column("created_at"),
    at_column("ended_at", nullable=True),
)

plan_sessions = sa.Table(
    "plan_sessions",
    metadata,
    sa.Column("plan_id", sa.String(64), sa.ForeignKey("plans.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("day", sa.String(10), nullable=False),
    sa.Column("concepts", sa.JSON, nullable=False),
    sa.Column("session_id", sa.String(64), nullable=True, index=True),
)

# ``items`` are what was asked so far ({"kind": "question" or "challenge", "id", "concept"}), ``asked`` is their number;
# the next one is chosen when the last one is done.
training_sessions = sa.Table(
    "training_sessions",
    metadata,
    id_column(),
    user_column(),
    sa.Column("thread_id", sa.String(64), nullable=True, index=True),
    sa.Column("concepts", sa.JSON, nullable=False),
    sa.Column("items", sa.JSON, nullable=False),
    sa.Column("asked", sa.Integer, nullable=False),
    sa.Column("length", sa.Integer, nullable=False),
    sa.Column("with_challenges", sa.Boolean, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    at_column("started_at"),
    at_column("ended_at", nullable=True),
)

training_answers = sa.Table(
    "training_answers",
    metadata,
    id_column(),
    sa.Column(
        "session_id",
        sa.String(64),
        sa.ForeignKey("training_sessions.id", ondelete="CASCADE"),
        nullable=False,
    ),
    sa.Column("question_id", sa.String(80), nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("correct", sa.Boolean, nullable=False),
    at_column("created_at"),
    at_column("rated_at", nullable=True),
    sa.UniqueConstraint("session_id", "question_id"),
)
