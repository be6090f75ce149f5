"""What comes through the page's websocket when no page sends it."""

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import socketio
from socketio.exceptions import ConnectionError as Refused

from app.chat.stopping import GONE_SECONDS
from tests.e2e.conftest import Server, free_port
from tests.e2e.test_team import PASSWORD, add_account
from tests.fakes.providers import FakeProviders, Script

MESSAGES = 200


class Page:
    """The browser's side of the websocket, for one session on one thread."""

    def __init__(self, server: Server, cookie: str, thread_id: str | None = None) -> None:
        self._server = server
        self._cookie = cookie
        self._thread_id = thread_id
        self.client = socketio.AsyncClient(reconnection=False)

    async def open(self, **headers: str) -> "Page":
        """Connect.

        Raises:
            Refused: the server does not let it in.
        """
        auth = {"sessionId": str(uuid.uuid4()), "clientType": "webapp", "threadId": self._thread_id, "userEnv": "{}"}
        try:
            await self.client.connect(
                self._server.url, headers={"Cookie": self._cookie, **headers}, auth=auth, transports=["websocket"],
                socketio_path="/ws/socket.io", wait_timeout=20,
            )  # fmt: skip
        except Refused:
            if self.client.eio.http is not None:
                await self.client.eio.http.close()
            raise
        await self.client.emit("connection_successful")
        return self

    async def say(self, text: str) -> None:
        message = {
            "id": str(uuid.uuid4()), "threadId": self._thread_id or "", "name": "me", "type": "user_message",
            "output": text, "createdAt": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        await self.client.emit("client_message", {"message": message, "fileReferences": None})


async def cookie_of(client: httpx.AsyncClient) -> str:
    await client.get("/", headers={"accept": "text/html"})
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


async def test_two_hundred_messages_at_once_are_all_kept_and_all_answered(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        page = await Page(server, await cookie_of(client)).open()
        await asyncio.gather(*(page.say(f"tell me about lists, number {number}") for number in range(MESSAGES)))

        said: list[str] = []
        answers: list[str] = []
        for _ in range(240):
            await asyncio.sleep(0.5)
            found = await client.post("/project/threads", json={"pagination": {"first": 5}, "filter": {}})
            threads = found.json()["data"]
            if not threads:
                continue
            steps = (await client.get(f"/project/thread/{threads[0]['id']}")).json()["steps"]
            said = [step["output"] for step in steps if step["type"] == "user_message"]
            answers = [step["output"] for step in steps if step["type"] == "assistant_message"]
            if len(answers) == MESSAGES and all(answers):
                break
        health = await client.get("/health")
        await page.client.disconnect()

    assert sorted(said) == sorted(f"tell me about lists, number {number}" for number in range(MESSAGES))
    assert len(answers) == MESSAGES
    assert all(answers)
    assert any("send it again in a moment" in answer for answer in answers)  # few may wait, and who may not is told
    assert health.status_code == 200


async def answers_of(client: httpx.AsyncClient) -> list[str]:
    """What was answered in the newest thread."""
    found = await client.post("/project/threads", json={"pagination": {"first": 5}, "filter": {}})
    threads = found.json()["data"]
    if not threads:
        return []
    steps = (await client.get(f"/project/thread/{threads[0]['id']}")).json()["steps"]
    return [step["output"] for step in steps if step["type"] == "assistant_message"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param("  \n\t ", "empty", id="blank"),
        pytest.param("x" * 1_000_000, "too long", id="a megabyte"),
        pytest.param("a\x00b\x00c", "looks like a binary file", id="NUL"),
    ],
)
async def test_a_message_that_is_none_gets_a_sentence(server: Server, text: str, told: str) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        page = await Page(server, await cookie_of(client)).open()
        await page.say(text)
        for _ in range(60):
            await asyncio.sleep(0.5)
            if any(answers := await answers_of(client)):
                break
        await page.client.disconnect()

    assert told in answers[0]


@pytest.mark.parametrize("stops", [1, 2, 3])
async def test_a_stop_that_comes_more_than_once_ends_the_call_and_says_what_it_cost(
    serve: Callable[..., Server], providers: FakeProviders, stops: int
) -> None:
    providers.scripts["*"] = Script(endless=True, pause_seconds=0.05)
    server = serve(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=f"{providers.url}/v1")
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        page = await Page(server, await cookie_of(client)).open()
        await asyncio.sleep(1)  # what the library does at a chat's start would be stopped in place of the answer
        await page.say("tell me about the history of unix")
        async with asyncio.timeout(60):
            while not providers.calls:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        for _ in range(stops):
            await page.client.emit("stop")
        async with asyncio.timeout(10):
            while not providers.closed_early or not any("Stopped" in said for said in await answers_of(client)):
                await asyncio.sleep(0.1)
        answers = await answers_of(client)
        budget = (await client.get("/api/v1/budget/status")).json()
        await page.client.disconnect()

    assert len(answers) == 1
    assert "*Stopped. It cost $0." in answers[0]
    openai = next(one for one in budget["items"] if one["provider"] == "openai")
    assert openai["heldUsd"] == 0
    assert openai["spentUsd"] > 0


@pytest.mark.parametrize("comes_back", [False, True])
async def test_a_tab_that_is_closed_ends_the_call_and_a_connection_that_drops_does_not(
    serve: Callable[..., Server], providers: FakeProviders, comes_back: bool
) -> None:
    providers.scripts["*"] = Script(endless=True, pause_seconds=0.1)
    server = serve(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=f"{providers.url}/v1")
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        cookie = await cookie_of(client)
        page = await Page(server, cookie).open()
        await asyncio.sleep(1)
        await page.say("tell me about the history of unix")
        async with asyncio.timeout(60):
            while not providers.calls:
                await asyncio.sleep(0.05)
        await page.client.disconnect()
        back = await Page(server, cookie).open() if comes_back else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GONE_SECONDS + 10):
                while not providers.closed_early:
                    await asyncio.sleep(0.2)
        is_over = bool(providers.closed_early)
        answers = await answers_of(client)
        if back is not None:
            await back.client.disconnect()

    assert is_over is not comes_back
    assert ("*Stopped. It cost $0." in answers[0]) is not comes_back


@pytest.mark.parametrize("path", ["tasks/submit", "intent/execute"])
async def test_a_program_that_leaves_ends_its_call(
    serve: Callable[..., Server], providers: FakeProviders, path: str
) -> None:
    providers.scripts["*"] = Script(first_pause_seconds=20)
    server = serve(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=f"{providers.url}/v1")
    body = {"type": "generate", "input": {"content": "Go."}} if path == "tasks/submit" else {"text": "what is a monad?"}
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", timeout=60) as client:
        leaving = asyncio.create_task(client.post(f"/{path}", json=body))
        async with asyncio.timeout(60):
            while not providers.calls:
                await asyncio.sleep(0.05)
        leaving.cancel()
        async with asyncio.timeout(8):
            while not (calls := (await client.get("/providers/costs")).json()["items"]):
                await asyncio.sleep(0.2)
        budgets = (await client.get("/budget/status")).json()["items"]

    assert [(call["status"], call["costUsd"] > 0) for call in calls] == [("stopped", True)]
    assert all(budget["heldUsd"] == 0 for budget in budgets)


async def test_what_no_page_would_send_harms_nobody(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        page = await Page(server, await cookie_of(client)).open()
        for payload in (
            None, [], "text", 7, b"\xff\x00", {}, {"message": None}, {"message": {"output": b"\xff\x00"}},
            {"message": {"id": "../../x", "type": "user_message", "output": ["a"], "name": "x"}},
            {"message": {"id": "x", "type": "run", "output": "x", "name": "x", "createdAt": "never"}},
        ):  # fmt: skip
            await page.client.emit("client_message", payload)
        await page.client.emit("no_such_event", {"a": 1})
        await page.say("hello")
        for _ in range(60):
            await asyncio.sleep(0.5)
            answers = await answers_of(client)
            if any("I can set you challenges" in answer for answer in answers):
                break
        health = await client.get("/health")
        await page.client.disconnect()

    assert any("I can set you challenges" in answer for answer in answers), answers
    assert health.status_code == 200


async def test_anothers_thread_is_not_opened_by_its_id(tmp_path: Path, serve: Callable[..., Server]) -> None:
    port = free_port()
    prepared = Server(tmp_path, PORT=str(port), TOOLOO_PUBLIC_URL=f"http://coach.localhost:{port}")
    for name in ("ada", "eve"):
        await asyncio.to_thread(add_account, prepared, name, "--admin")
    server = await asyncio.to_thread(serve, PORT=str(port), TOOLOO_PUBLIC_URL=f"http://coach.localhost:{port}")
    cookies = {}
    for name in ("ada", "eve"):
        async with httpx.AsyncClient(base_url=server.url) as client:
            signed_in = await client.post("/login", data={"username": name, "password": PASSWORD})
            assert signed_in.status_code == 200
            cookies[name] = "; ".join(f"{key}={value}" for key, value in client.cookies.items())
    thread_id = str(uuid.uuid4())
    page = await Page(server, cookies["ada"], thread_id).open()
    await page.say("hers alone")
    await asyncio.sleep(3)
    await page.client.disconnect()

    heard: list[str] = []
    eve = Page(server, cookies["eve"], thread_id)
    eve.client.on("*", lambda event, *data: heard.append(f"{event} {data}"))
    with contextlib.suppress(Refused):
        await eve.open()
        await asyncio.sleep(3)
        await eve.client.disconnect()
    hers: list[str] = []
    again = Page(server, cookies["ada"], thread_id)
    again.client.on("*", lambda event, *data: hers.append(f"{event} {data}"))
    await again.open()
    await asyncio.sleep(3)
    await again.client.disconnect()

    other = await Page(server, cookies["eve"]).open()  # she is let in, but not there
    await other.client.disconnect()

    assert "hers alone" in str(hers)
    assert "hers alone" not in str(heard)


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_another_sites_page_is_not_let_in(server: Server, headers: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        cookie = await cookie_of(client)
    own = await Page(server, cookie).open()
    await own.client.disconnect()

    with pytest.raises(Refused):
        await Page(server, cookie).open(**headers)


async def test_only_a_websocket_is_answered(server: Server) -> None:
    """Polling would need each of its requests to reach the same server of several."""
    async with httpx.AsyncClient(base_url=server.url) as client:
        polled = await client.get("/ws/socket.io/?EIO=4&transport=polling", headers={"cookie": await cookie_of(client)})

    assert polled.status_code == 400
