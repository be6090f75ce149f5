"""Pages of a list whose newest comes first: the cursor is the id of the last row of the page before."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import InvalidInput

UNKNOWN_CURSOR = "This cursor belongs to no row of the list. Begin again without one."


async def older_than(
    connection: AsyncConnection, at: sa.Column[Any], row_id: sa.Column[Any], cursor: str, *among: sa.ColumnElement[bool]
) -> sa.ColumnElement[bool]:  # Any: as the columns are declared
    """The condition for the rows after the cursor in the order ``at`` falling, ``row_id`` rising.

    Raises:
        InvalidInput: no row of those ``among`` which it must be has this id.
    """
    last = await connection.scalar(sa.select(at).where(row_id == cursor, *among))
    if last is None:
        raise InvalidInput(UNKNOWN_CURSOR)
    return sa.or_(at < last, sa.and_(at == last, row_id > cursor))
