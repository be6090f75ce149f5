"""Models and money as people meet them: a key set in the chat, cost under each answer, alerts, thumbs."""

import json
import re
import sqlite3
import time
import urllib.request
from collections.abc import Callable

from playwright.sync_api import BrowserContext, expect

from tests.e2e.conftest import Chat, Server, press, serious_findings, settle
from tests.fakes.providers import FakeProviders, Script

GOOD = "sk-good-0123456789abcdef"
TYPED = "sk-typed-0123456789abcdef"


def put(server: Server, path: str, body: object) -> None:
    request = urllib.request.Request(
        f"{server.url}/api/v1{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}, method="PUT"
    )
    urllib.request.urlopen(request).close()


def test_a_key_is_set_in_the_chat_and_a_model_answers_at_once(
    context: BrowserContext, serve: Callable[..., Server], providers: FakeProviders
) -> None:
    providers.accepted_keys = frozenset({GOOD})
    server = serve(OPENAI_BASE_URL=f"{providers.url}/v1", ANTHROPIC_BASE_URL=providers.url)
    chat = Chat(context.new_page(), server.url).open()
    chat.say(f"/keys openai {TYPED}")
    openai = chat.card("keys-card").get_by_test_id("key-openai")
    expect(chat.card("keys-card").get_by_role("status").first).to_contain_text("this chat keeps it nowhere")
    expect(openai).to_contain_text("no key")
    settle(chat)

    openai.get_by_label("OpenAI").fill("sk-wrong-0123456789")
    press(openai.get_by_role("button", name="Test and save"), openai.get_by_role("alert"))
    expect(openai.get_by_role("alert")).to_contain_text("does not accept this key")
    openai.get_by_label("OpenAI").fill(GOOD)
    openai.get_by_label("OpenAI").press("Enter")
    expect(openai).to_contain_text("It works: 2 models")
    expect(openai).to_contain_text("ending in cdef")
    expect(openai.get_by_label("OpenAI")).to_have_value("")
    chat.shot("keys")
    chat.say("tell me about the history of unix")
    expect(chat.page.get_by_text("Hello from the fake.")).to_be_visible()
    expect(chat.page).to_have_url(re.compile("/thread/"))
    settle(chat)
    chat.page.reload()
    expect(chat.page.get_by_role("link", name="/keys")).to_be_visible()
    expect(chat.page.get_by_text(TYPED)).to_have_count(0)

    again = chat.card("keys-card").get_by_test_id("key-openai")
    expect(again).to_contain_text("stored here ending in cdef")
    press(again.get_by_role("button", name="Remove"), again.get_by_role("status"))
    expect(again).to_contain_text("no key")
    settle(chat)
    chat.page.reload()
    expect(chat.card("keys-card").get_by_test_id("key-openai")).to_contain_text("no key")
    server.stop()
    stored = b"".join(file.read_bytes() for file in (server.folder / "data").glob("tooloo.sqlite*"))
    assert GOOD.encode() not in stored
    assert TYPED.encode() not in stored
    assert GOOD not in server.log.read_text()
    assert chat.errors == []


def test_cost_alerts_and_thumbs(
    context: BrowserContext, serve: Callable[..., Server], providers: FakeProviders
) -> None:  # fmt: skip
    providers.scripts["*"] = Script(input_tokens=2000, output_tokens=1000)
    server = serve(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=f"{providers.url}/v1")
    put(server, "/budget/own", {"monthlyUsd": 0.004})
    chat = Chat(context.new_page(), server.url).open()

    chat.say("tell me about the history of unix")
    expect(chat.card("answer-cost")).to_contain_text("in this chat")
    settle(chat)
    chat.page.get_by_role("button", name="Bad answer").last.click()
    chat.page.get_by_role("button", name="Submit feedback").click()
    chat.say("tell me about the history of make")
    expect(chat.page.get_by_text("Your budget has no room for a call of").first).to_be_visible()
    chat.shot("budget-spent")
    chat.say("what have I spent")
    expect(chat.card("budget-gauge")).to_contain_text("your own cap")
    chat.command("why")
    expect(chat.page.get_by_text("Score = (0.30 cost").first).to_be_visible()
    expect(chat.page.get_by_text("† Left out because:").first).to_be_visible()
    chat.shot("why")
    chat.page.set_viewport_size({"width": 390, "height": 844})
    expect(chat.page.get_by_text("Feedback updated")).to_have_count(0)  # a list that is the library's own
    assert serious_findings(chat.page) == []
    chat.shot("why-narrow")
    chat.page.set_viewport_size({"width": 1200, "height": 900})
    chat.say("/budget openai off")
    expect(chat.page.get_by_text("openai is not asked any more")).to_be_visible()
    expect(chat.card("budget-gauge")).to_contain_text("(switched off)")
    chat.shot("provider-off")
    server.stop()

    with sqlite3.connect(server.folder / "data" / "tooloo.sqlite") as database:
        learned = database.execute("SELECT good, total FROM model_quality").fetchall()
    database.close()
    assert learned == [(0.0, 1.0)]
    assert chat.errors == []


def test_an_answer_that_is_long_in_coming_is_waited_for_and_goes_on_after_a_reload(
    context: BrowserContext, serve: Callable[..., Server], providers: FakeProviders
) -> None:
    words = tuple(f" word{number}" for number in range(80))
    providers.scripts["*"] = Script(words=words, first_pause_seconds=6, pause_seconds=0.1)
    server = serve(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=f"{providers.url}/v1")
    chat = Chat(context.new_page(), server.url).open()
    began = time.monotonic()

    chat.say("tell me about the history of unix")
    answer = chat.page.locator("[data-step-type=assistant_message]")
    expect(answer.last).to_contain_text("Thinking …")
    assert time.monotonic() - began < 3
    chat.shot("waiting")
    expect(chat.page.get_by_text("word12", exact=False).first).to_be_visible()
    expect(answer.last).not_to_contain_text("Thinking …")
    chat.page.reload()
    expect(chat.page.locator("#stop-button")).to_be_visible()
    expect(chat.page.get_by_text("word40", exact=False).first).to_be_visible()
    chat.shot("followed")
    expect(chat.card("answer-cost")).to_contain_text("in this chat")
    settle(chat)
    press(
        chat.page.get_by_role("button", name="Good answer").last,
        chat.page.get_by_role("button", name="Submit feedback"),
    )
    chat.page.get_by_role("button", name="Submit feedback").click()
    expect(chat.page.get_by_text("Feedback updated")).to_be_visible()

    chat.say("tell me about the history of make")
    expect(chat.page.get_by_text("word12", exact=False).nth(1)).to_be_visible()
    chat.page.reload()
    expect(chat.page.locator("#stop-button")).to_be_visible()
    expect(chat.page.get_by_role("button", name="Good answer").first).to_be_visible()
    press(chat.page.locator("#stop-button"), chat.page.get_by_text("Stopped.", exact=False).first)
    settle(chat)
    chat.shot("stopped-after-a-reload")
    chat.page.reload()
    expect(chat.page.get_by_text("Stopped.", exact=False).first).to_be_visible()
    expect(chat.page.get_by_role("button", name="Good answer")).to_have_count(2)
    server.stop()

    with sqlite3.connect(server.folder / "data" / "tooloo.sqlite") as database:
        statuses = [row[0] for row in database.execute("SELECT status FROM provider_logs ORDER BY created_at")]
        learned = database.execute("SELECT good, total FROM model_quality").fetchall()
    database.close()
    assert statuses == ["ok", "stopped"]
    assert learned == [(1.0, 1.0)]
    assert chat.errors == []
