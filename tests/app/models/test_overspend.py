"""The proof: 200 calls at once from three processes, in every way a call can go, never pass a budget for 20."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.models import log as call_log
from app.models.budget import HOLD_LIFETIME, Purse
from app.models.log import CallLog
from app.opening import open_database
from tests.bench.spender import (
    FREE,
    KINDS,
    PAID,
    Order,
    billed_microusd,
    fire_from,
    prepare,
    scripted_tokens,
    settings_of,
    start,
)
from tests.fakes.providers import FakeProviders, Script


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))])
async def test_three_processes_never_pass_a_budget(
    kind: str, request: pytest.FixtureRequest, providers: FakeProviders, tmp_path: Path
) -> None:
    url = request.getfixturevalue("postgres") if kind == "postgres" else None
    order = Order(data_dir=str(tmp_path), database_url=url, fake_url=providers.url, kinds=KINDS, calls=200, starts_at=0)
    providers.ollama_models = (FREE,)
    providers.scripts[FREE] = Script(status=401)
    providers.scripts["*"] = Script(**scripted_tokens(), pause_seconds=0.01)
    limit = await prepare(order, budget_for=20)

    went_out = await asyncio.to_thread(fire_from, 3, order)

    billed = await asyncio.to_thread(billed_microusd, providers.calls)
    async with open_database(settings_of(order)) as database:
        budget = (await Purse(database).budgets(datetime.now(UTC), ids=["provider:openai"]))[0]
    assert went_out >= 20  # some fall to models that cost less than the one that the budget was made for
    assert limit * 0.9 < billed <= limit
    assert (budget.spent_microusd, budget.held_microusd) == (billed, 0)


async def test_the_calls_of_a_process_that_was_killed_are_charged_and_logged(
    providers: FakeProviders, tmp_path: Path
) -> None:
    order = Order(
        data_dir=str(tmp_path),
        database_url=None,
        fake_url=providers.url,
        kinds=("plain", "streamed"),
        calls=6,
        starts_at=0,
    )
    providers.scripts["*"] = Script(first_pause_seconds=60)
    limit = await prepare(order, budget_for=6)
    process = await asyncio.to_thread(start, order)
    for _ in range(600):
        if len(providers.calls) == order.calls:
            break
        await asyncio.sleep(0.1)
    process.kill()
    await asyncio.to_thread(process.communicate)
    later = datetime.now(UTC) + HOLD_LIFETIME

    async with open_database(settings_of(order)) as database:
        before = await call_log.newest(database)
        await Purse(database).sweep(later)
        await CallLog(database).log_lost(later + timedelta(seconds=1))
        logged = await call_log.newest(database)
        budget = (await Purse(database).budgets(later, ids=["provider:openai"]))[0]

    assert (len(providers.calls), before) == (order.calls, [])
    assert [(row["model"], row["status"]) for row in logged] == [(PAID, "lost")] * order.calls
    assert sum(row["cost_microusd"] for row in logged) == budget.spent_microusd == limit
    assert budget.held_microusd == 0
