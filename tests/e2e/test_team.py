"""What people of a team meet: the login form, a connection that drops, and two servers on one database."""

import contextlib
import json
import re
import select
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.e2e.conftest import ROOT, Chat, Server, free_port, serious_findings
from tests.fakes.providers import FakeProviders, Script

PASSWORD = "correct horse battery"


class Wire:
    """A TCP relay to a server that can be cut and mended, as a bad connection is."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._is_cut = True
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._is_cut = False

    def close(self) -> None:
        self.cut()
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                if self._is_cut:
                    near.close()
                    continue
                pair = (near, socket.create_connection(("127.0.0.1", self._target)))
                self._pairs.append(pair)
                threading.Thread(target=self._relay, args=pair, daemon=True).start()

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError), near, far:
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    chunk = ready.recv(65536)
                    if not chunk:
                        return
                    (far if ready is near else near).sendall(chunk)


@pytest.fixture
def wire_to() -> Iterator[Callable[[Server], Wire]]:
    opened: list[Wire] = []

    def connect(server: Server) -> Wire:
        opened.append(Wire(server.port))
        return opened[-1]

    yield connect
    for wire in opened:
        wire.close()


def test_an_answer_is_whole_after_the_connection_dropped_in_its_middle(
    context: BrowserContext, serve: Callable[..., Server], providers: FakeProviders,
    wire_to: Callable[[Server], Wire],
) -> None:  # fmt: skip
    server = serve(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=f"{providers.url}/v1")
    words = tuple(f" word{number}" for number in range(20))
    providers.scripts["*"] = Script(words=words, pause_seconds=0.1)
    wire = wire_to(server)
    chat = Chat(context.new_page(), f"http://localhost:{wire.port}").open()

    chat.say("tell me about the history of unix")
    expect(chat.page.get_by_text("word3").first).to_be_visible()
    wire.cut()
    chat.page.wait_for_timeout(3000)  # the answer ends meanwhile
    expect(chat.page.get_by_text("word19")).to_have_count(0)
    wire.mend()

    expect(chat.page.get_by_text("".join(words).strip())).to_be_visible(timeout=20_000)
    expect(chat.page.locator("[data-step-type=user_message]")).to_have_count(1)


def add_account(server: Server, name: str, *options: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "app.cli.main", "user", "add", name, *options], cwd=ROOT, env=server.environment,
        input=f"{PASSWORD}\n{PASSWORD}\n", text=True, check=True, capture_output=True,
    )  # fmt: skip


def test_after_signing_in_the_page_that_was_asked_for_opens(
    browser: Browser, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    port = free_port()
    server = Server(tmp_path, PORT=str(port), TOOLOO_PUBLIC_URL=f"http://coach.localhost:{port}")
    add_account(server, "ada", "--admin")
    request.addfinalizer(server.kill)
    server.start()
    context = browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme="light", bypass_csp=True)
    page = context.new_page()

    def sign_in() -> None:
        page.locator("#email, input[name=email], input[name=username]").first.fill("ada")
        page.locator("input[type=password]").fill(PASSWORD)
        page.locator("button[type=submit]").click()

    page.goto(f"http://coach.localhost:{port}/")
    expect(page.locator("input[type=password]")).to_be_visible()
    page.wait_for_timeout(500)
    Chat(page, "").shot("login")
    findings = serious_findings(page)
    sign_in()
    expect(page.locator("#chat-input")).to_be_visible()
    chat = Chat(page, f"http://coach.localhost:{port}").open()
    chat.say("what have I spent")
    expect(chat.card("budget-gauge")).to_be_visible()
    thread = page.url
    page.goto("about:blank")  # the page itself would go to the sign-in as soon as it is refused
    context.clear_cookies()
    page.goto(thread)
    expect(page.locator("input[type=password]")).to_be_visible()
    sign_in()

    expect(page).to_have_url(thread)
    expect(page.get_by_test_id("budget-gauge")).to_be_visible()
    assert findings == []
    context.close()
    server.stop()


def test_two_servers_share_one_database(
    postgres: str, tmp_path: Path, context: BrowserContext, request: pytest.FixtureRequest
) -> None:
    servers = [Server(tmp_path / name, DATABASE_URL=postgres, TOOLOO_SECRET_KEY="s" * 40) for name in ("one", "two")]
    for server in servers:
        server.folder.mkdir()
        request.addfinalizer(server.kill)
        server.start()
    first = Chat(context.new_page(), servers[0].url).open()
    first.say("give me an easy python challenge about strings")
    expect(first.card("challenge-card")).to_contain_text("Reverse the words")
    expect(first.page).to_have_url(re.compile("/thread/"))
    address = first.page.url.removeprefix(servers[0].url)
    code = "def reverse_words(text):\n    return ' '.join(reversed(text.split()))"
    submission = urllib.request.Request(
        f"{servers[1].url}/api/v1/challenges/reverse-words/submit",
        json.dumps({"language": "python", "code": code}).encode(), {"Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(submission) as answer:
        verdict = json.load(answer)["verdict"]

    second = Chat(context.new_page(), servers[1].url).open(address)
    second.say("how am I doing")

    expect(second.card("challenge-card")).to_contain_text("Reverse the words")
    expect(second.card("stats-chart")).to_contain_text("1 of 1 right")
    assert verdict == "passed"
    for server in servers:
        server.stop()


def test_the_log_holds_no_secret_no_code_and_no_message(chat: Chat, server: Server) -> None:
    chat.say("tell me about quixotic-words please")
    expect(chat.page.locator(".ai-message").last).not_to_be_empty()
    for path, body in (
        ("/challenges/reverse-words/start", {"language": "python"}),
        ("/challenges/reverse-words/submit", {"language": "python", "code": "def reverse_words(t): return 'quixotic-code'"}),
        ("/intent/execute", {"text": "explain quixotic-rest to me"}),
    ):  # fmt: skip
        request = urllib.request.Request(
            f"{server.url}/api/v1{path}", json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request) as answer:
            assert answer.status in (200, 201)
    stranger = urllib.request.Request(f"{server.url}/api/v1/badges", headers={"Authorization": "Bearer quixotic-token"})
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(stranger)
    server.stop()

    written = server.log.read_text().splitlines()
    written.remove(f"TooLoo is ready: {server.url}")  # said to whoever started it
    lines = [json.loads(line) for line in written]

    assert "quixotic" not in server.log.read_text()
    assert len(lines) > 2
    assert [line for line in lines if not line.get("request_id")] == []
