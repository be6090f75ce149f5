"""Prepared statements take and give what SQLAlchemy's own execution does, on both databases."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, StatementError

from app.storage.database import Database
from app.storage.prepared import Prepared
from app.storage.tables.events import events
from app.storage.tables.models import budgets

AT = datetime(2026, 3, 2, 9, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
COLUMNS = ["id", "kind", "owner", "limit_microusd", "active", "warned_at"]
NEW_BUDGET = Prepared(budgets.insert(), COLUMNS)
NEW_EVENT = Prepared(events.insert().inline(), ["id", "type", "key", "user_id", "payload", "occurred_at"])


def budget(name: str, **more: object) -> dict[str, Any]:
    return {
        "id": name,
        "kind": "user",
        "owner": name,
        "limit_microusd": 2**53,
        "active": False,
        "warned_at": AT,
        **more,
    }


async def test_what_is_written_is_what_anybody_reads(database: Database) -> None:
    event = {
        "id": "e", "type": "user.created", "key": "100 % :of ?it", "user_id": None, "occurred_at": AT,
        "payload": {"name": "Zoë \"o'\" 漢", "parts": [1, None, {"a": True}]},
    }  # fmt: skip
    both = Prepared(sa.select(budgets).order_by(budgets.c.id))

    await database.run(lambda c: NEW_BUDGET.run(c, budget("a"), budget("b", active=True, warned_at=None)))
    assert await database.run(lambda c: NEW_EVENT.run(c, event)) == 1

    async with database.read() as connection:
        usual = (await connection.execute(both._statement)).mappings().all()
        said = (await connection.execute(sa.select(events))).mappings().one()
        assert await connection.run_sync(both.rows, {}) == [dict(row) for row in usual]
    assert [(row["active"], row["warned_at"]) for row in usual] == [(False, AT.astimezone(UTC)), (True, None)]
    assert {name: said[name] for name in event} == event


async def test_a_parameter_may_stand_in_several_places_and_beside_constants(database: Database) -> None:
    add = sa.bindparam("amount")
    raising = Prepared(
        budgets.update()
        .where(budgets.c.id == sa.bindparam("wanted"), sa.or_(add == 0, budgets.c.spent_microusd + add <= 10))
        .values(spent_microusd=budgets.c.spent_microusd + add, kind="intent")
        .returning(budgets.c.spent_microusd, budgets.c.kind)
    )
    await database.run(lambda c: NEW_BUDGET.run(c, budget("a")))

    fits = await database.run(lambda c: raising.rows(c, {"wanted": "a", "amount": 7}))
    does_not = await database.run(lambda c: raising.rows(c, {"wanted": "a", "amount": 7}))
    is_nobody = await database.run(lambda c: raising.run(c, {"wanted": "b", "amount": 0}))

    assert (fits, does_not, is_nobody) == ([{"spent_microusd": 7, "kind": "intent"}], [], 0)


async def test_errors_are_those_of_any_statement_and_nothing_is_kept(database: Database) -> None:
    with pytest.raises(IntegrityError) as caught:
        await database.run(lambda c: NEW_BUDGET.run(c, budget("a"), budget("a", owner="sk-secret")))
    with pytest.raises(KeyError, match="warned_at"):
        await database.run(lambda c: NEW_BUDGET.run(c, budget("a"), {"id": "b"} | dict.fromkeys(COLUMNS[1:5], 0)))

    with pytest.raises(StatementError, match="without a zone"):
        await database.run(lambda c: NEW_BUDGET.run(c, budget("a", warned_at=datetime(2026, 3, 2))))

    async with database.read() as connection:
        assert (await connection.execute(sa.select(budgets.c.id))).all() == []
    assert "hidden" in str(caught.value)


async def test_a_list_of_any_length_is_refused(sqlite: Database) -> None:
    anybody = Prepared(sa.select(budgets).where(budgets.c.id.in_(["a", "b"])))

    with pytest.raises(AssertionError, match="length is not known"):
        await sqlite.run(lambda c: anybody.rows(c, {}))
