"""Learners take turns in the sandbox: nobody's endless loops delay another's verdict."""

import asyncio
import time

import pytest

from app.errors import RateLimited
from app.learning.challenge_files import Case
from app.learning.grading import grade
from app.learning.languages import FUNCTION_LANGUAGES
from app.learning.languages.base import Parameter, Signature
from app.learning.sandbox.probe import Isolation
from app.learning.sandbox.queue import MOST_WAITING, FairQueue

PYTHON = FUNCTION_LANGUAGES["python"]
ADD = Signature(name="add", params=(Parameter(name="a", type="int"), Parameter(name="b", type="int")), returns="int")
CASES = [Case(arguments=(1, 2), expected=3, hidden=False)]
RIGHT = "def add(a, b): return a + b"


async def _until(condition: object) -> None:
    for _ in range(200):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came true")


async def test_one_owner_has_one_place_and_the_others_come_in() -> None:
    queue = FairQueue(at_once=3)
    running: list[str] = []
    go = asyncio.Event()

    async def work(owner: str) -> None:
        async with queue.turn(owner):
            running.append(owner)
            await go.wait()

    tasks = [asyncio.create_task(work(owner)) for owner in ("eve", "eve", "eve", "ada", "bob", "cyd")]
    await _until(lambda: len(running) == 3)

    assert running == ["eve", "ada", "bob"]
    go.set()
    await asyncio.gather(*tasks)
    assert sorted(running) == ["ada", "bob", "cyd", "eve", "eve", "eve"]


async def test_free_places_go_round() -> None:
    queue = FairQueue(at_once=1)
    order: list[str] = []

    async def work(owner: str) -> None:
        async with queue.turn(owner):
            order.append(owner)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(owner) for owner in ("eve", "eve", "eve", "ada", "bob")))

    assert order == ["eve", "ada", "bob", "eve", "eve"]


async def test_who_leaves_while_waiting_or_running_takes_no_place_along() -> None:
    queue = FairQueue(at_once=1)
    go = asyncio.Event()

    async def work(owner: str) -> str:
        async with queue.turn(owner):
            await go.wait()
            return owner

    first, second, third = (asyncio.create_task(work(owner)) for owner in ("eve", "ada", "bob"))
    await asyncio.sleep(0)
    second.cancel()
    first.cancel()
    await asyncio.sleep(0)
    go.set()

    assert await asyncio.wait_for(third, 1) == "bob"
    assert await asyncio.wait_for(work("eve"), 1) == "eve"
    assert await asyncio.wait_for(work("ada"), 1) == "ada"


async def test_too_many_of_one_owner_are_refused() -> None:
    queue = FairQueue(at_once=1)
    go = asyncio.Event()

    async def work(owner: str) -> None:
        async with queue.turn(owner):
            await go.wait()

    tasks = [asyncio.create_task(work("eve")) for _ in range(MOST_WAITING + 1)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited, match="waiting"):
        await work("eve")
    go.set()
    await asyncio.gather(*tasks, work("ada"))


async def test_an_endless_loop_of_one_delays_anothers_verdict_by_less_than_a_second(isolation: Isolation) -> None:
    async def verdict(owner: str, code: str) -> float:
        began = time.monotonic()
        await grade(isolation.for_owner(owner), PYTHON, code, signature=ADD, cases=CASES)
        return time.monotonic() - began

    endless = [asyncio.create_task(verdict("eve", "def add(a, b):\n    while True: pass")) for _ in range(3)]
    await asyncio.sleep(0.5)
    beside = [await verdict("ada", RIGHT) for _ in range(3)]
    running = sum(not task.done() for task in endless)
    for task in endless:
        task.cancel()
    await asyncio.gather(*endless, return_exceptions=True)
    alone = [await verdict("ada", RIGHT) for _ in range(3)]

    assert running >= 2  # one of them runs, and one waits at least
    assert min(beside) - min(alone) < 1
