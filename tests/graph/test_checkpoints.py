"""What conversations remember: plain data only, the newest of each thread only, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint

from app.identity.accounts import User
from graph.checkpoints import SERIALIZER, Checkpoints, postgres_checkpoints, sqlite_checkpoints


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))])
async def checkpoints(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Checkpoints]:
    opening = (
        sqlite_checkpoints(tmp_path / "c.sqlite")
        if request.param == "sqlite"
        else postgres_checkpoints(request.getfixturevalue("postgres"))
    )
    async with opening as opened:
        yield opened


def config(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}


async def add(checkpoints: Checkpoints, thread: str, text: str) -> None:
    """One more checkpoint of a thread, as a turn leaves it."""
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"], checkpoint["channel_versions"] = {"text": text}, {"text": text}
    stored = await checkpoints.saver.aput(config(thread), checkpoint, {"source": "loop"}, {"text": text})
    await checkpoints.saver.aput_writes(stored, [("text", text)], task_id=text)


async def kept(checkpoints: Checkpoints, thread: str) -> list[str]:
    return [found.checkpoint["channel_values"]["text"] async for found in checkpoints.saver.alist(config(thread))]


async def test_only_the_newest_of_a_thread_stays(checkpoints: Checkpoints) -> None:
    for thread in ("ada:1", "eve:1"):
        for number in range(4):
            await add(checkpoints, thread, f"turn {number}")

    await checkpoints.prune("ada:1")

    assert await kept(checkpoints, "ada:1") == ["turn 3"]
    assert len(await kept(checkpoints, "eve:1")) == 4


async def test_a_thread_that_is_forgotten_is_gone(checkpoints: Checkpoints) -> None:
    await add(checkpoints, "ada:1", "secret")
    await add(checkpoints, "ada:2", "kept")

    await checkpoints.forget("ada:1")

    assert await checkpoints.saver.aget_tuple(config("ada:1")) is None
    assert await kept(checkpoints, "ada:2") == ["kept"]


def test_nothing_but_plain_data_is_built_from_a_checkpoint() -> None:
    stored = SERIALIZER.dumps_typed(User(id="a", name="ada", role="admin"))

    assert type(SERIALIZER.loads_typed(stored)) is dict


async def test_a_crash_of_the_machine_may_cost_a_turn_and_not_its_speed(tmp_path: Path) -> None:
    """The saver itself would wait for the disk at each write: synchronous=FULL is 2, NORMAL is 1."""
    async with sqlite_checkpoints(tmp_path / "c.sqlite") as opened:
        cursor = await opened.saver.conn.execute("PRAGMA synchronous")  # type: ignore[attr-defined]  # SQLite's
        (mode,) = await cursor.fetchone()

    assert mode == 1
