"""What a newcomer does, step by step, in a real browser against a real server."""

import json
import re
import signal
import sqlite3
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.e2e.conftest import (
    RIGHT,
    Chat,
    Server,
    in_light_and_dark,
    press,
    serious_findings,
    settle,
    start_challenge,
    submit,
    write,
)
from tests.fakes.providers import FakeProviders, Script


def test_the_empty_chat_says_what_it_can_do_and_that_no_model_is_connected(chat: Chat) -> None:
    welcome = chat.page.locator(".tl-welcome")

    expect(welcome.locator("p")).to_have_count(3)
    expect(welcome).to_contain_text("No model is connected yet")
    expect(welcome).to_contain_text("ANTHROPIC_API_KEY")
    expect(chat.page.locator("#starters button")).to_have_count(4)
    chat.shot("welcome")
    assert chat.errors == []


@in_light_and_dark
def test_training_stats_and_spending(chat: Chat) -> None:
    chat.say("train me on SQL for 5 questions")
    for number in range(1, 6):
        question = chat.page.get_by_label(f"Question {number} of 5")
        expect(question).to_be_visible()
        settle(chat)
        then = chat.page.get_by_label(f"Question {number + 1} of 5") if number < 5 else chat.card("session-summary")
        press(question.get_by_role("group").get_by_role("button").first, then)
    expect(chat.card("session-summary")).to_contain_text("of 5 right")
    chat.shot("training")
    chat.say("how am I doing")
    expect(chat.card("stats-chart")).to_contain_text("of 5")
    expect(chat.card("stats-chart").get_by_role("img").first).to_be_visible()
    chat.shot("stats")
    chat.say("what have I spent")

    expect(chat.card("budget-gauge")).to_contain_text("$0 of $30.00")
    chat.shot("budget")
    assert chat.errors == []


def test_what_was_practised_is_in_badges_mastery_and_the_plan(chat: Chat, server: Server) -> None:
    start_challenge(chat)
    write(chat, RIGHT)
    submit(chat)
    card = chat.card("challenge-card")
    expect(card.get_by_test_id("badge").filter(has_text="First steps")).to_be_visible()  # at some hours not alone
    chat.shot("badge-earned")
    chat.say("how am I doing")
    stats = chat.card("stats-chart")
    expect(stats).to_contain_text("By hour of the day (Europe/Berlin)")
    settle(chat)
    press(stats.get_by_role("button", name="Strings"), stats.get_by_test_id("behind"))
    expect(stats.get_by_test_id("behind")).to_contain_text("solved alone, 1 attempt")
    chat.shot("stats-open")
    chat.say("show my badges")
    expect(chat.card("badges").get_by_label("Earned")).to_contain_text("First steps")
    chat.say("I have an interview in 3 weeks on graphs and SQL")
    expect(chat.card("plan").locator("li")).to_have_count(12)
    settle(chat)
    press(chat.page.get_by_role("button", name="Start today's session"), chat.page.get_by_label("Question 1 of 6"))
    settle(chat)
    chat.say("pause")
    expect(chat.page.get_by_text("Paused after 0 of 6")).to_be_visible()
    settle(chat)
    going_on = chat.page.get_by_text("Going on after 0 of 6")
    press(chat.page.get_by_role("button", name="Go on with the session"), going_on)
    assert chat.errors == []


@in_light_and_dark
def test_a_repository_is_loaded_searched_and_asked_about(chat: Chat, server: Server) -> None:
    project = server.folder / "project"
    project.mkdir()
    for name in ("alpha", "beta", "gamma", "delta", "epsilon"):
        (project / f"{name}.py").write_text(f"def {name}_retry(attempt):\n    return attempt + 1\n")

    chat.say(f"load {project}")
    expect(chat.page.get_by_text("5 files, 5 definitions")).to_be_visible()
    chat.say("where is the gamma retry")
    expect(chat.page.get_by_text("gamma.py:1").first).to_be_visible()
    chat.shot("search")
    chat.say(f"analyse {project} and quiz me on it")
    expect(chat.card("workflow-run")).to_contain_text("completed")
    settle(chat)
    quiz = chat.card("repository-quiz")
    for number in range(1, 6):
        quiz.get_by_label(f"Choices of question {number}").get_by_role("button").first.click()
    expect(quiz).to_contain_text("of 5 right")
    chat.shot("quiz")
    chat.say("load /etc")

    expect(chat.page.get_by_text("outside the folders that may be loaded")).to_be_visible()


@in_light_and_dark
def test_history_is_searched_resumed_after_a_restart_and_deleted(
    chat: Chat, server: Server, context: BrowserContext
) -> None:
    start_challenge(chat)
    write(chat, RIGHT)
    submit(chat)
    expect(chat.card("challenge-card")).to_contain_text("All 8 cases pass")
    expect(chat.page).to_have_url(re.compile("/thread/"))
    address = chat.page.url.removeprefix(server.url)

    server.stop()
    server.start()
    resumed = Chat(context.new_page(), server.url).open(address)

    expect(resumed.card("challenge-card")).to_contain_text("All 8 cases pass")
    expect(resumed.card("challenge-card").get_by_label("Your solution")).to_have_value(re.compile("reversed"))
    resumed.say("what have I spent")
    expect(resumed.card("budget-gauge")).to_be_visible()
    resumed.page.locator("#search-chats-button").click()
    resumed.page.get_by_placeholder(re.compile("Search", re.IGNORECASE)).last.fill("easy python")
    expect(resumed.page.get_by_role("dialog").get_by_text(re.compile("give me an easy")).first).to_be_visible()


@in_light_and_dark
def test_a_share_link_opens_in_a_private_window_until_it_is_revoked(
    chat: Chat, browser: Browser, context: BrowserContext
) -> None:
    chat.say("what have I spent")
    expect(chat.card("budget-gauge")).to_be_visible()
    chat.command("share")
    card = chat.card("share-card")
    settle(chat)
    address = card.get_by_test_id("share-url").inner_text().strip()
    private = browser.new_context(java_script_enabled=False).new_page()

    assert private.goto(address).status == 404  # type: ignore[union-attr]
    preview = context.new_page()
    preview.goto(address)
    expect(preview.get_by_role("heading", level=1)).to_have_text("what have I spent")
    preview.close()
    press(card.get_by_role("button", name="Publish"), card.get_by_text("This chat is shared"))
    chat.shot("share")
    opened = private.goto(address)
    expect(private.get_by_role("heading", level=1)).to_have_text("what have I spent")
    expect(private.locator("meta[name=robots]")).to_have_attribute("content", re.compile("noindex"))
    private.screenshot(path=Path(__file__).parents[2] / "test-results" / "shared-page.png")
    expect(private.get_by_role("button")).to_have_count(0)
    reader = context.new_page()
    reader.goto(address)
    reader.get_by_role("button", name="Go on with this").click()
    expect(reader).to_have_url(re.compile("/thread/"))
    expect(reader.get_by_text("what have I spent").last).to_be_visible()
    press(card.get_by_role("button", name="Revoke"), card.get_by_text("The link is closed"))

    assert opened is not None
    assert opened.headers["x-robots-tag"].startswith("noindex")
    assert private.goto(address).status == 404  # type: ignore[union-attr]
    private.context.close()


@in_light_and_dark
def test_a_model_streams_with_cost_and_reason_and_can_be_stopped(
    context: BrowserContext, tmp_path: Path, providers: FakeProviders, serve: Callable[..., Server]
) -> None:
    server = serve(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=f"{providers.url}/v1")
    chat = Chat(context.new_page(), server.url).open()
    chat.say("tell me about the history of unix")
    expect(chat.page.get_by_text("Hello from the fake.")).to_be_visible()
    expect(chat.card("answer-cost")).to_contain_text(re.compile(r"\$0\.000\d+ · .*candidates"))
    chat.shot("answer")
    providers.scripts["*"] = Script(endless=True, pause_seconds=0.05)
    chat.say("tell me more about unix pipes")
    expect(chat.page.get_by_text("fake.HelloHello").first).to_be_visible()
    chat.page.locator("#stop-button").click()
    expect(chat.page.get_by_text("Stopped.", exact=False).first).to_be_visible()
    providers.scripts.clear()
    chat.say("tell me about the history of make")
    expect(chat.page.get_by_test_id("answer-cost")).to_have_count(2)
    chat.command("why")
    expect(chat.page.get_by_text("It cost", exact=False).last).to_be_visible()
    server.stop()

    with sqlite3.connect(tmp_path / "data" / "tooloo.sqlite") as database:
        held = database.execute("SELECT sum(held_microusd) FROM budgets").fetchone()[0]
        statuses = {row[0] for row in database.execute("SELECT status FROM provider_logs")}
    database.close()
    assert held == 0
    assert statuses == {"ok", "stopped"}


def test_bad_messages_get_a_sentence_each(chat: Chat) -> None:
    chat.say("/nonsense")
    expect(chat.page.get_by_text("There is no command /nonsense")).to_be_visible()
    chat.say("/budget lots")
    expect(chat.page.get_by_text("For example: /budget anthropic 5")).to_be_visible()
    chat.say("x" * 120_000)
    expect(chat.page.get_by_text("The message is too long")).to_be_visible()
    files = chat.page.locator("input[type=file]").first
    files.set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": b"\x89PNG"})
    files.set_input_files({"name": "huge.txt", "mimeType": "text/plain", "buffer": b"x" * 1_500_000})
    chat.page.wait_for_timeout(500)
    expect(chat.page.get_by_text(re.compile("x.png|huge.txt"))).to_have_count(0)
    chat.say("what have I spent")

    expect(chat.card("budget-gauge")).to_be_visible()


def test_the_server_stops_within_five_seconds_with_chats_open(chat: Chat, server: Server) -> None:
    chat.say("what have I spent")
    expect(chat.card("budget-gauge")).to_be_visible()

    assert server.stop() < 5


@pytest.mark.parametrize(
    ("how", "said"), [(signal.SIGTERM, "Stopped."), (signal.SIGKILL, "Interrupted: the server was stopped.")]
)
def test_an_answer_that_a_stop_cuts_off_is_there_as_far_as_it_came(
    context: BrowserContext, serve: Callable[..., Server], providers: FakeProviders, how: signal.Signals, said: str
) -> None:
    providers.scripts["*"] = Script(words=("Unix", " began", " in", " 1969", "."), endless=True, pause_seconds=0.1)
    server = serve(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=f"{providers.url}/v1")
    chat = Chat(context.new_page(), server.url).open()
    chat.say("tell me about the history of unix")
    expect(chat.page.get_by_text("in 1969").first).to_be_visible()
    chat.page.wait_for_timeout(2500)
    path = chat.page.url.removeprefix(server.url)

    seconds = server.stop(how)
    server.start()
    again = Chat(context.new_page(), server.url).open(path)

    assert seconds < 5
    expect(again.page.get_by_text("in 1969").first).to_be_visible()
    expect(again.page.get_by_text(said, exact=False).first).to_be_visible()
    again.say("what have I spent")
    expect(again.card("budget-gauge")).to_be_visible()


def test_nothing_that_was_acknowledged_is_lost_to_kill_9(chat: Chat, server: Server, context: BrowserContext) -> None:
    start_challenge(chat)
    write(chat, RIGHT)
    submit(chat)
    expect(chat.card("challenge-card")).to_contain_text("All 8 cases pass")

    server.stop(signal.SIGKILL)
    server.start()
    again = Chat(context.new_page(), server.url).open()
    again.say("how am I doing")

    expect(again.card("stats-chart")).to_contain_text("Strings")
    expect(again.card("stats-chart")).to_contain_text("1 of 1 right")


def test_a_workflow_goes_on_after_kill_9(server: Server) -> None:
    project = server.folder / "big"
    project.mkdir()
    for number in range(3000):
        (project / f"module_{number}.py").write_text(f"def function_{number}(x):\n    return x + {number}\n" * 20)

    def post(path: str, body: object) -> dict[str, object]:
        request = urllib.request.Request(
            f"{server.url}/api/v1{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    steps = [
        {"id": "index", "service": "context", "action": "index", "input": {"path": "from:input.path"}},
        {"id": "quiz", "service": "context", "action": "quiz", "input": {"repository_id": "from:index.repositoryId"}},
    ]
    workflow = post("/workflow", {"name": "big quiz", "steps": steps})["id"]
    post(f"/workflow/{workflow}/execute", {"inputs": {"path": str(project)}})
    time.sleep(0.4)
    server.stop(signal.SIGKILL)
    server.start()

    deadline, status = time.monotonic() + 60, "running"
    while status not in ("completed", "failed") and time.monotonic() < deadline:
        with urllib.request.urlopen(f"{server.url}/api/v1/workflow/{workflow}/executions") as answer:
            execution = json.load(answer)["items"][0]
        status = execution["status"]
        time.sleep(0.2)
    assert (status, [s["status"] for s in execution["steps"]]) == ("completed", ["completed", "completed"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280], ids=["narrow", "wide"])
def test_the_page_is_readable_for_everybody(browser: Browser, server: Server, scheme: str, width: int) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True
    )  # type: ignore[arg-type]
    chat = Chat(context.new_page(), server.url).open()
    expect(chat.page.locator(".tl-welcome p")).to_have_count(3)
    findings = serious_findings(chat.page)
    chat.shot(f"start-{width}")
    start_challenge(chat)
    write(chat, "return text")
    submit(chat)
    expect(chat.card("challenge-card")).to_contain_text("cases pass")
    chat.shot(f"challenge-{width}")
    chat.say("how am I doing")
    expect(chat.card("stats-chart")).to_be_visible()
    chat.shot(f"stats-{width}")
    chat.say("what have I spent")
    expect(chat.card("budget-gauge")).to_be_visible()
    findings += serious_findings(chat.page)
    overflow = chat.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    is_dark = chat.page.evaluate("document.documentElement.classList.contains('dark')")
    announced = chat.page.locator("#tl-announcer")

    expect(announced).to_contain_text("spending")
    for said, card in (
        ("show my badges", "badges"), ("what should I learn next", "learning-path"), ("show the leaderboard", "leaderboard"),
        ("I have an interview in 3 weeks on graphs and SQL", "plan"),
    ):  # fmt: skip
        chat.say(said)
        expect(chat.card(card)).to_be_visible()
        settle(chat)
        chat.shot(f"{card}-{width}")
    findings += serious_findings(chat.page)
    overflow = max(
        overflow, chat.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    )

    assert findings == []
    assert overflow <= 0
    assert is_dark is (scheme == "dark")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_other_card_is_readable_too(
    browser: Browser, serve: Callable[..., Server], providers: FakeProviders, scheme: str
) -> None:
    server = serve(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=f"{providers.url}/v1")
    project = server.folder / "project"
    project.mkdir()
    for name in ("alpha", "beta", "gamma", "delta", "epsilon"):
        (project / f"{name}.py").write_text(f"def {name}_retry(attempt):\n    return attempt + 1\n")
    context = browser.new_context(
        viewport={"width": 390, "height": 900}, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True
    )  # type: ignore[arg-type]
    chat = Chat(context.new_page(), server.url).open()
    chat.say("train me on SQL for 1 question")
    question = chat.page.get_by_label("Question 1 of 1")
    expect(question).to_be_visible()
    settle(chat)
    findings = serious_findings(chat.page)
    press(question.get_by_role("group").get_by_role("button").first, chat.card("session-summary"))
    chat.say("tell me about the history of unix")
    expect(chat.page.get_by_test_id("answer-cost").last).to_be_visible()
    chat.say(f"analyse {project} and quiz me on it")
    expect(chat.card("repository-quiz")).to_be_visible()
    chat.say("give me an easy python challenge about strings")
    expect(chat.card("challenge-card")).to_be_visible()
    chat.say("```python\ndef nothing(): return 1\n```")
    expect(chat.card("verdict")).to_be_visible()
    chat.command("keys")
    expect(chat.card("keys-card")).to_be_visible()
    chat.command("share")
    card = chat.card("share-card")
    settle(chat)
    address = card.get_by_test_id("share-url").inner_text().strip()
    press(card.get_by_role("button", name="Publish"), card.get_by_text("This chat is shared"))
    findings += serious_findings(chat.page)
    chat.shot(f"cards-{scheme}")
    overflow = chat.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    shared = context.new_page()
    shared.goto(address)
    findings += serious_findings(shared)
    overflow += shared.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    assert findings == []
    assert overflow <= 0
    context.close()


def test_the_keyboard_alone_is_enough(chat: Chat) -> None:
    chat.page.locator("#chat-input").focus()
    chat.page.keyboard.insert_text("train me on lists for 1 question")
    expect(chat.page.locator("#chat-submit")).to_be_enabled()
    chat.page.keyboard.press("Enter")
    expect(chat.card("question-card")).to_be_visible()
    settle(chat)
    first = chat.card("question-card").get_by_role("group").get_by_role("button").first
    for _ in range(60):
        chat.page.keyboard.press("Shift+Tab")
        if first.evaluate("node => node === document.activeElement"):
            break

    chat.page.keyboard.press("Enter")

    expect(chat.card("session-summary")).to_be_visible()
