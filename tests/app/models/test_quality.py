"""What answers turned out to be worth moves a model's quality for that kind of task."""

import asyncio

import pytest

from app.identity.accounts import User
from app.models import quality
from app.models.gateway import Gateway
from app.models.selector import Learned
from app.storage.database import Database
from tests.app.models.conftest import MODELS, request_to
from tests.fakes.clock import Clock


@pytest.fixture
async def call_id(gateway: Gateway, learner: User) -> str:
    answer = await gateway.complete(request_to(learner, MODELS["openai"]))
    await gateway.log.flush()
    return answer.call_id


async def test_a_thumb_counts_once_can_change_and_be_taken_back(sqlite: Database, call_id: str, clock: Clock) -> None:
    key = (MODELS["openai"], "chat")

    await quality.observe(sqlite, call_id, "thumb", 1.0, now=clock())
    await quality.observe(sqlite, call_id, "thumb", 1.0, now=clock())
    up = (await quality.learned(sqlite))[key]
    await quality.observe(sqlite, call_id, "thumb", 0.0, now=clock())
    down = (await quality.learned(sqlite))[key]
    await quality.observe(sqlite, call_id, "thumb", None, now=clock())
    gone = (await quality.learned(sqlite))[key]

    assert (up, down, gone) == (Learned(good=1, total=1), Learned(good=0, total=1), Learned(good=0, total=0))


async def test_hints_weigh_less_than_thumbs(sqlite: Database, call_id: str, clock: Clock) -> None:
    await quality.observe(sqlite, call_id, "asked-again", 0.0, now=clock())
    await quality.observe(sqlite, call_id, "graded", 0.8, now=clock())

    assert (await quality.learned(sqlite))[MODELS["openai"], "chat"] == Learned(good=0.4, total=1.0)


async def test_what_is_no_answer_is_not_judged(sqlite: Database, clock: Clock) -> None:
    assert not await quality.observe(sqlite, "nothing", "thumb", 1.0, now=clock())
    assert await quality.learned(sqlite) == {}


async def test_thumbs_move_the_ranking(gateway: Gateway, learner: User, sqlite: Database, clock: Clock) -> None:
    best = (await gateway.preview("chat")).ranking[0]
    for _ in range(25):
        answer = await gateway.complete(request_to(learner, best.model_id))
        await gateway.log.flush()
        await quality.observe(sqlite, answer.call_id, "thumb", 0.0, now=clock())
    await gateway.refresh(force=True)

    after = (await gateway.preview("chat")).ranking

    now = next(scored for scored in after if scored.model_id == best.model_id)
    assert after[0].model_id != best.model_id
    assert (now.quality_prior, now.observations) == (best.quality, 25)
    assert now.quality == pytest.approx(best.quality * 20 / 45)


async def test_a_thumb_that_is_taken_back_by_several_at_once_is_taken_back_once(
    sqlite: Database, call_id: str, clock: Clock
) -> None:
    await quality.observe(sqlite, call_id, "thumb", 1.0, now=clock())

    await asyncio.gather(*(quality.observe(sqlite, call_id, "thumb", None, now=clock()) for _ in range(8)))
    await asyncio.gather(*(quality.observe(sqlite, call_id, "thumb", 1.0, now=clock()) for _ in range(8)))

    assert (await quality.learned(sqlite))[MODELS["openai"], "chat"] == Learned(good=1.0, total=1.0)
