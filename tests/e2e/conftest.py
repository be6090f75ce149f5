"""A real server process and a real browser."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Playwright,
    TimeoutError,
    expect,
    sync_playwright,
)

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "test-results"
START_SECONDS = 90  # on a machine that does much else; a start takes six
TEST_SECONDS = 360
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
             "--disable-component-update", "--no-first-run", "--disable-quic"]  # fmt: skip
expect.set_options(timeout=30_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test here starts a server and a browser, some of them twice."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """``tooloo serve`` in a process of its own, which can be stopped, killed and started again."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.port = int(environment.get("PORT") or free_port())
        self.url = f"http://localhost:{self.port}"
        self.log = folder / "server.log"
        self.environment = {
            **os.environ, "TOOLOO_DATA_DIR": str(folder / "data"), "PORT": str(self.port), "LOG_FORMAT": "json",
            "TOOLOO_REPO_ROOTS": str(folder), "OLLAMA_BASE_URL": "http://127.0.0.1:9", **environment,
        }  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start and wait until it answers; returns the seconds that took."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli.main", "serve"], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        while time.monotonic() - began < START_SECONDS:
            assert self.process.poll() is None, self.log.read_text()
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=1).close()
                return time.monotonic() - began
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise AssertionError(f"not ready after {START_SECONDS} s:\n{self.log.read_text()}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal and wait for the end; returns the seconds that took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(timeout=15)
        return time.monotonic() - began

    def kill(self) -> None:
        """End it, if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.stop(signal.SIGKILL)


@pytest.fixture
def playwright_instance() -> Iterator[Playwright]:
    """For each test its own: while one is open, its event loop keeps asynchronous tests of the same process out."""
    with sync_playwright() as opened:
        yield opened


@pytest.fixture
def browser(playwright_instance: Playwright) -> Iterator[Browser]:
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    opened = playwright_instance.chromium.launch(executable_path=found, args=ARGUMENTS)
    yield opened
    opened.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers in the test's folder; all are ended with the test."""
    started: list[Server] = []

    def start(**environment: str) -> Server:
        started.append(Server(tmp_path, **environment))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve()


in_light_and_dark = pytest.mark.parametrize("context", ["light", "dark"], indirect=True)


@pytest.fixture
def context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A browser's window in Berlin, in light unless the test is for both."""
    opened = browser.new_context(
        viewport={"width": 1200, "height": 900}, color_scheme=getattr(request, "param", "light"), locale="en-US",
        timezone_id="Europe/Berlin",
    )  # fmt: skip
    yield opened
    opened.close()


def serious_findings(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.1, A and AA."""
    page.wait_for_timeout(800)  # until what fades in is there
    found = Axe().run(
        page,
        context={"exclude": [["#thread-options"]]},
        options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]},
    )  # the excluded one is the chat library's own: a div that it gives the attributes of a button
    return [
        f"{violation['id']}: {[(node['target'], node['html'][:200]) for node in violation['nodes']][:3]}"
        for violation in found.response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]


QUIET = """() => new Promise((done) => {
  let quiet = setTimeout(done, 900);
  const watcher = new MutationObserver(() => {
    clearTimeout(quiet);
    quiet = setTimeout(done, 900);
  });
  watcher.observe(document.getElementById("root"), { childList: true, subtree: true });
  setTimeout(done, 20000);
})"""


class Chat:
    """The page as a learner uses it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, path: str = "/") -> "Chat":
        self.page.goto(self.url + path)
        expect(self.page.locator("#chat-input")).to_be_visible()
        self.page.wait_for_load_state("networkidle")
        self.page.evaluate(QUIET)  # the library draws its composer anew once it is connected: what stood there is gone
        return self

    def say(self, text: str) -> None:
        said = self.page.locator("[data-step-type=user_message]")
        before = said.count()
        self.page.locator("#chat-input").click()
        self.page.keyboard.insert_text(text)
        expect(self.page.locator("#chat-submit")).to_be_enabled()  # once the websocket is open
        self.page.keyboard.press("Enter")
        expect(said).to_have_count(before + 1)

    def command(self, name: str) -> None:
        """Type a command, pick it from the menu with Enter, and send it."""
        before = self.page.locator("[data-step-type=user_message]").count()
        self.page.locator("#chat-input").click()
        self.page.keyboard.type(f"/{name}")
        expect(self.page.get_by_text(f"/{name}").first).to_be_visible()
        self.page.keyboard.press("Enter")
        expect(self.page.locator("#chat-submit")).to_be_enabled()
        self.page.keyboard.press("Enter")
        expect(self.page.locator("[data-step-type=user_message]")).to_have_count(before + 1)

    def card(self, name: str) -> Locator:
        return self.page.get_by_test_id(name).last

    def shot(self, name: str) -> None:
        """The page as it is, in light and in dark: the page follows the system's scheme while it is open."""
        SHOTS.mkdir(exist_ok=True)
        is_dark = self.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark") if is_dark else ("dark", "light")
        for scheme in schemes:  # the last one is the one it was in
            self.page.emulate_media(color_scheme=scheme)
            expect(self.page.locator("html")).to_have_class(re.compile(rf"\b{scheme}\b"))
            self.page.wait_for_timeout(200)  # colours fade into each other
            self.page.screenshot(path=SHOTS / f"{name}-{scheme}.png")


def settle(chat: Chat) -> None:
    """Wait for the end of a turn, and until the page is drawn: the library draws a message anew then, which would
    swallow a click."""
    expect(chat.page.locator("#stop-button")).to_have_count(0)
    chat.page.evaluate(QUIET)


def press(button: Locator, shows: Locator) -> None:
    """Click until it shows: the library draws a message anew and scrolls as its turn ends, which can swallow a click."""
    last = time.monotonic() + 40
    while time.monotonic() < last and not shows.is_visible():
        with contextlib.suppress(TimeoutError):
            button.click(timeout=2000)  # while the card is busy, the button is off
        with contextlib.suppress(TimeoutError):
            shows.wait_for(timeout=3000)
    expect(shows).to_be_visible()


RIGHT = "return ' '.join(reversed(text.split()))"  # what the challenge about reversed words asks for


def start_challenge(chat: Chat) -> None:
    chat.say("give me an easy python challenge about strings")
    expect(chat.card("challenge-card")).to_contain_text("Reverse the words")
    settle(chat)


def write(chat: Chat, line: str) -> None:
    editor = chat.card("challenge-card").get_by_label("Your solution")
    editor.click()
    editor.press("Control+End")
    chat.page.keyboard.insert_text(line)


def submit(chat: Chat) -> None:
    """Press Submit for the first time."""
    card = chat.card("challenge-card")
    press(card.get_by_role("button", name="Submit"), card.get_by_test_id("result"))


@pytest.fixture
def chat(context: BrowserContext, server: Server) -> Chat:
    return Chat(context.new_page(), server.url).open()
