"""A second model is asked when the first is slow to begin; whatever happens then, both are booked and nothing is left."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import BudgetExceeded, ProviderFailed
from app.identity.accounts import User
from app.models import log as call_log
from app.models.budget import Purse
from app.models.gateway import Gateway
from app.models.run import Answered, Switched
from app.storage.database import Database
from app.storage.tables.events import events
from tests.app.models.conftest import OpenGateway, request_to
from tests.fakes.clock import Clock
from tests.fakes.providers import REASONS, FakeProviders, Script

Hedge = Callable[[Script, Script], Awaitable[tuple[Gateway, str, str]]]


@pytest.fixture
def hedge(open_one: OpenGateway, providers: FakeProviders, learner: User, monkeypatch: pytest.MonkeyPatch) -> Hedge:
    """Opens a gateway whose models usually begin in a tenth of a second, and scripts what the first two do."""
    monkeypatch.setattr("app.models.standing.Standing.usual_first_token_seconds", lambda _self, _model_id: 0.1)

    async def prepared(first_does: Script, second_does: Script) -> tuple[Gateway, str, str]:
        gateway = await open_one(tooloo_hedging=True)
        ranking = [scored.model_id for scored in (await gateway.preview("chat")).ranking if scored.provider == "openai"]
        first, second = ranking[:2]
        providers.scripts[first.partition("/")[2]] = first_does
        providers.scripts[second.partition("/")[2]] = second_does
        return gateway, first, second

    return prepared


async def rows_of(gateway: Gateway, sqlite: Database) -> dict[str, dict[str, object]]:
    await gateway.log.flush()
    newest = await call_log.newest(sqlite, limit=2)
    return {f"{row['provider']}/{row['model']}": row for row in newest}


async def held(purse: Purse) -> int:
    return sum(budget.held_microusd for budget in await purse.budgets(Clock()()))


@pytest.mark.parametrize(
    "second_does",
    [
        pytest.param(Script(first_pause_seconds=9), id="slower still"),
        pytest.param(Script(words=(), finish="content_filter", usage=False), id="only says that it broke off"),
    ],
)
async def test_the_first_may_still_win(
    hedge: Hedge, purse: Purse, learner: User, sqlite: Database, monkeypatch: pytest.MonkeyPatch, second_does: Script
) -> None:
    monkeypatch.setitem(REASONS["openai"], "content_filter", "insufficient_system_resource")
    gateway, first, second = await hedge(Script(first_pause_seconds=0.8), second_does)

    answer = await gateway.complete(request_to(learner, providers=("openai",)))

    rows = await rows_of(gateway, sqlite)
    assert answer.model_id == first
    assert (rows[first]["status"], rows[second]["status"]) == ("ok", "stopped")
    assert rows[second]["cost_microusd"] == rows[second]["held_microusd"]
    assert await held(purse) == 0


async def test_where_the_second_fails_the_first_is_waited_for(
    hedge: Hedge, purse: Purse, learner: User, sqlite: Database
) -> None:
    gateway, first, second = await hedge(Script(first_pause_seconds=0.8), Script(status=503))

    answer = await gateway.complete(request_to(learner, providers=("openai",)))

    rows = await rows_of(gateway, sqlite)
    assert answer.model_id == first
    assert (rows[second]["status"], rows[second]["cost_microusd"]) == ("failed", 0)
    assert await held(purse) == 0


async def test_where_the_second_does_not_fit_nothing_is_said_of_it(
    hedge: Hedge, providers: FakeProviders, purse: Purse, learner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, first, _ = await hedge(Script(first_pause_seconds=0.4), Script())
    reserve = purse.reserve

    async def no_room_for_a_second(call_id: str, **more: Any) -> None:
        if any(budget.held_microusd for budget in await purse.budgets(Clock()())):
            raise BudgetExceeded("There is no room.")
        await reserve(call_id, **more)

    monkeypatch.setattr(purse, "reserve", no_room_for_a_second)
    answer = await gateway.complete(request_to(learner, providers=("openai",)))

    assert (answer.model_id, answer.spent) == (first, ())
    assert {call["model"] for call in providers.calls} == {first.partition("/")[2]}


async def test_how_fast_a_model_usually_is_is_known_after_a_restart(
    open_one: OpenGateway, learner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.models.standing.FEWEST_FIRST_TOKENS", 3)
    first = await open_one()
    for _ in range(3):
        answer = await first.complete(request_to(learner))
    await first.log.flush()

    again = await open_one()

    usual = again._standing.usual_first_token_seconds(answer.model_id)
    assert usual is not None
    assert usual == first._standing.usual_first_token_seconds(answer.model_id)


async def test_where_both_fail_both_are_settled(
    hedge: Hedge, providers: FakeProviders, purse: Purse, learner: User
) -> None:
    broken = Script(first_pause_seconds=0.6, finish=None, words=())
    gateway, *_ = await hedge(broken, broken)
    providers.scripts = {"*": broken}

    with pytest.raises(ProviderFailed):
        await gateway.complete(request_to(learner, providers=("openai",)))

    assert await held(purse) == 0


async def test_the_one_that_broke_off_is_named_and_not_the_one_that_was_slower(
    hedge: Hedge, providers: FakeProviders, learner: User, sqlite: Database
) -> None:
    gateway, _, second = await hedge(Script(first_pause_seconds=9), Script(cut_after=2))

    said = [chunk async for chunk in gateway.stream(request_to(learner, providers=("openai",)))]

    [switched] = [chunk for chunk in said if isinstance(chunk, Switched)]
    answer = said[-1]
    assert isinstance(answer, Answered)
    assert (switched.from_model_id, switched.to_model_id) == (second, answer.model_id)
    await gateway.log.flush()
    async with sqlite.read() as connection:
        query = sa.select(events.c.payload).where(events.c.type == "provider.fallback")
        fallbacks = [payload["from"] for payload in await connection.scalars(query)]
    assert fallbacks == [second]


async def test_who_stops_while_both_run_stops_and_books_both(
    hedge: Hedge, providers: FakeProviders, purse: Purse, learner: User, sqlite: Database
) -> None:
    gateway, first, second = await hedge(Script(first_pause_seconds=9), Script(first_pause_seconds=9))
    before = len(providers.calls)
    task: asyncio.Task[Answered] = asyncio.create_task(gateway.complete(request_to(learner, providers=("openai",))))
    for _ in range(200):
        if len(providers.calls) >= before + 2:
            break
        await asyncio.sleep(0.02)

    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    rows = await rows_of(gateway, sqlite)
    assert {rows[first]["status"], rows[second]["status"]} == {"stopped"}
    assert all(row["cost_microusd"] == row["held_microusd"] for row in rows.values())
    assert await held(purse) == 0


@pytest.mark.parametrize(
    "second_does",
    [
        pytest.param(Script(words=(), finish="content_filter"), id="declines"),
        pytest.param(Script(words=()), id="says nothing"),
    ],
)
async def test_a_second_that_has_no_answer_does_not_win(
    hedge: Hedge, providers: FakeProviders, learner: User, second_does: Script
) -> None:
    gateway, first, second = await hedge(Script(first_pause_seconds=0.8), second_does)

    answer = await gateway.complete(request_to(learner, providers=("openai",)))

    assert answer.model_id == first
    assert [call["model"] for call in providers.calls] == [one.partition("/")[2] for one in (first, second)]
