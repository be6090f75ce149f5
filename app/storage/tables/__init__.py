"""Importing this package fills ``metadata`` with every table."""

from app.storage.tables import analytics, events, history, identity, learning, models, work
from app.storage.tables.base import metadata

TABLE_MODULES = (identity, history, learning, models, events, analytics, work)
__all__ = ["TABLE_MODULES", "metadata"]
