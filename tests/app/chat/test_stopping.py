"""A turn ends once, and with the last page of whoever waits for it."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from app.api.wire import while_connected
from app.chat import stopping
from app.errors import Stopped
from app.waiting import stop_once


class Page(SimpleNamespace):
    """What a session of the chat library is here."""

    id: str
    socket_id: str


class Pages:
    """The open pages, and what is asked of the chat library about them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.known: dict[str, Any] = {}
        self.open: set[str] = set()
        monkeypatch.setattr(stopping, "GONE_SECONDS", 0.05)
        monkeypatch.setattr(stopping, "ws_sessions_id", self.known)
        connected = SimpleNamespace(is_connected=lambda socket_id, _namespace: socket_id in self.open)
        monkeypatch.setattr(stopping, "sio", SimpleNamespace(manager=connected))

    def add(self, name: str, user: str = "ada") -> Any:
        page = Page(id=name, socket_id=name, current_task=None, user=SimpleNamespace(identifier=user))
        self.known[name] = page
        self.open.add(name)
        return page

    def close(self, page: Any) -> None:
        self.open.discard(page.socket_id)
        stopping.stop_unless_back(page)


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Pages:
    return Pages(monkeypatch)


async def ended(work: "asyncio.Future[Any]", within: float = 2) -> bool:
    await asyncio.wait({work}, timeout=within)
    return work.done()


async def test_an_answer_ends_with_the_last_page_of_its_user(pages: Pages) -> None:
    first, other, theirs = pages.add("first"), pages.add("other"), pages.add("theirs", "eve")
    first.current_task = asyncio.create_task(asyncio.sleep(60))

    pages.close(first)
    went_on = not await ended(first.current_task, 0.3)
    pages.close(other)

    assert went_on
    assert await ended(first.current_task)
    assert theirs.socket_id in pages.open
    async with asyncio.timeout(2):
        while stopping._watching:
            await asyncio.sleep(0.01)


async def test_a_page_that_comes_back_keeps_its_answer(pages: Pages) -> None:
    page = pages.add("page")
    page.current_task = asyncio.create_task(asyncio.sleep(60))

    pages.close(page)
    page.socket_id = "again"
    pages.open.add("again")

    assert not await ended(page.current_task, 0.3)
    page.current_task.cancel()


async def test_the_work_of_a_card_ends_with_its_page(pages: Pages) -> None:
    page, coached = pages.add("page"), asyncio.Event()
    with stopping.stopped_by(page, coached.set):
        pages.close(page)
        async with asyncio.timeout(2):
            await coached.wait()

    assert stopping._beside == {}


@pytest.mark.parametrize("stops", [1, 2, 5])
async def test_what_ends_a_turn_is_not_stopped_itself(stops: int) -> None:
    booked = False

    async def turn() -> None:
        nonlocal booked
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.1)
            booked = True

    running = asyncio.create_task(stopping.stopped_once(turn()))
    await asyncio.sleep(0.01)
    for _ in range(stops):
        running.cancel()
        await asyncio.sleep(0.01)
    await asyncio.wait({running})

    assert running.cancelled()
    assert booked


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_request_ends_with_its_client_and_is_booked(monkeypatch: pytest.MonkeyPatch, leaves: bool) -> None:
    monkeypatch.setattr("app.api.wire.LOOK_SECONDS", 0.01)
    booked = False

    async def work() -> str:
        nonlocal booked
        try:
            await asyncio.sleep(60 if leaves else 0.1)
            return "answered"
        finally:
            await asyncio.sleep(0.1)
            booked = True

    async def is_disconnected() -> bool:
        return leaves

    request: Any = SimpleNamespace(is_disconnected=is_disconnected)  # Any: all of a request that is asked for
    if leaves:
        with pytest.raises(Stopped):
            await while_connected(request, work())
    else:
        assert await while_connected(request, work()) == "answered"
    assert booked


async def test_what_two_stop_at_once_is_stopped_once() -> None:
    booked: list[str] = []

    async def call() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            booked.append("booked")

    running = asyncio.create_task(call())
    await asyncio.sleep(0)

    await asyncio.gather(stop_once(running), stop_once(running))

    assert booked == ["booked"]
    assert running.cancelled()


async def test_a_stop_is_not_lost_to_a_time_out_that_is_at_its_end() -> None:
    went_on = False

    async def calls() -> None:
        nonlocal went_on
        try:
            async with asyncio.timeout(0.05):
                try:
                    await asyncio.sleep(60)
                finally:
                    await asyncio.sleep(0.2)  # which closes its connection
        except TimeoutError:
            await asyncio.sleep(0.05)
            went_on = True

    running = asyncio.create_task(calls())
    await asyncio.sleep(0.15)

    await stop_once(running)

    assert not went_on
