"""The proof: 200 calls at once from three processes, in every way a call can go, never pass a budget for 20."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.bootstrap import open_database
from app.models.budget import Purse
from tests.bench.spender import FREE, KINDS, PAID, Order, fire_from, prepare, scripted_tokens, settings_of
from tests.fakes.providers import FakeProviders, Script


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))])
async def test_three_processes_never_pass_a_budget(
    kind: str, request: pytest.FixtureRequest, providers: FakeProviders, tmp_path: Path
) -> None:
    url = request.getfixturevalue("postgres") if kind == "postgres" else None
    order = Order(data_dir=str(tmp_path), database_url=url, fake_url=providers.url, kinds=KINDS, calls=200, starts_at=0)
    providers.ollama_models = (FREE,)
    providers.scripts[FREE] = Script(status=401)
    providers.scripts[PAID] = Script(**scripted_tokens(), pause_seconds=0.01)
    limit = await prepare(order, budget_for=20)

    went_out = await asyncio.to_thread(fire_from, 3, order)

    billed_calls = [call for call in providers.calls if call["model"] == PAID]
    async with open_database(settings_of(order)) as database:
        budget = (await Purse(database).budgets(datetime.now(UTC), ids=["provider:openai"]))[0]
    assert went_out == len(billed_calls) == 20
    assert (budget.spent_microusd, budget.held_microusd) == (limit, 0)
