"""Who may come in: people, their sign-ins, and tokens for REST."""

import sqlalchemy as sa

from app.storage.tables.base import at_column, id_column, metadata, user_column

users = sa.Table(
    "users",
    metadata,
    id_column(),
    sa.Column("name", sa.String(80), nullable=False, unique=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("password_hash", sa.Text, nullable=True),
    sa.Column("timezone", sa.String(64), nullable=False, server_default="UTC"),
    sa.Column("timezone_source", sa.String(8), nullable=False, server_default="default"),
    sa.Column("ranked", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("tier", sa.String(16), nullable=False, server_default="free"),
    at_column("created_at"),
    at_column("disabled_at", nullable=True),
)

sign_ins = sa.Table(
    "sign_ins",
    metadata,
    id_column(),
    user_column(),
    at_column("created_at"),
    at_column("expires_at"),
    at_column("ended_at", nullable=True),
)

api_tokens = sa.Table(
    "api_tokens",
    metadata,
    id_column(),
    user_column(),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("scopes", sa.JSON, nullable=False),
    at_column("created_at"),
    at_column("last_used_at", nullable=True),
    at_column("revoked_at", nullable=True),
)
