"""A challenge in its card, as a learner works on it, in a real browser against a real server."""

import json
from collections.abc import Callable

from playwright.sync_api import BrowserContext, expect

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


@in_light_and_dark
def test_a_challenge_is_run_hinted_failed_and_passed_in_its_card(chat: Chat) -> None:
    start_challenge(chat)
    card = chat.card("challenge-card")
    write(chat, "import sys; print('seen', text, file=sys.stderr); return text[::-1]")

    press(card.get_by_role("button", name="Run", exact=True), card.get_by_text("These were the examples only"))
    expect(card.get_by_test_id("result")).to_contain_text("seen hello world")
    press(card.get_by_role("button", name="Hint"), card.get_by_text("Hint 1 of 3"))
    card.get_by_label("Your solution").press("Control+Enter")
    expect(card).to_contain_text("2 of 8 cases pass")
    for words in ("Input", "Expected", "Got", "Time", "Score", "Mastery of Strings", "Due again"):
        expect(card.get_by_test_id("result")).to_contain_text(words)
    chat.shot("challenge-failed")
    card.get_by_label("Your solution").fill(f"def reverse_words(text):\n    {RIGHT}")
    press(card.get_by_role("button", name="Submit"), card.get_by_text("All 8 cases pass"))

    expect(card.get_by_test_id("result")).to_contain_text("92 of 100")
    chat.shot("challenge-passed")
    assert chat.errors == []


@in_light_and_dark
def test_code_runs_on_the_learners_own_input_and_shows_what_came_out(chat: Chat) -> None:
    start_challenge(chat)
    card = chat.card("challenge-card")
    write(chat, "print('words:', len(text.split()))\n    return text.split()")
    own = card.get_by_test_id("own-input")
    field = own.get_by_label("text")

    press(own.get_by_text("Run it on your own input"), field)
    field.fill('"one  two three')
    press(own.get_by_role("button", name="Run on this input"), card.get_by_text("`text` must be a text"))
    field.fill("one  two three")
    field.press("Enter")
    expect(own.get_by_test_id("tried")).to_contain_text("['one', 'two', 'three']")
    for words in ("It ended.", "Printed", "words: 3"):
        expect(own.get_by_test_id("tried")).to_contain_text(words)
    own.scroll_into_view_if_needed()
    chat.shot("own-input")
    assert serious_findings(chat.page) == []
    card.get_by_label("Your solution").fill("def reverse_words(text):\n    return text[99]")
    press(own.get_by_role("button", name="Run on this input"), own.get_by_text("It ended with an error."))

    expect(own.get_by_test_id("tried")).to_contain_text("IndexError: string index out of range")
    expect(card.get_by_test_id("result")).to_have_count(0)
    chat.page.reload()
    expect(chat.card("own-input").get_by_test_id("tried")).to_contain_text("IndexError")
    expect(chat.card("own-input").get_by_label("text")).to_have_value("one  two three")
    assert chat.errors == []


def test_an_endless_loop_is_stopped_by_hand(chat: Chat) -> None:
    start_challenge(chat)
    card = chat.card("challenge-card")
    write(chat, "while True: pass")

    card.get_by_role("button", name="Submit").click()
    card.get_by_role("button", name="Stop").click()
    expect(card).to_contain_text("Stopped. Nothing was counted.")
    card.get_by_label("Your solution").fill(f"def reverse_words(text):\n    {RIGHT}")
    submit(chat)

    expect(card.get_by_test_id("result")).to_contain_text("solved alone, 1 attempt")
    assert chat.errors == []


def test_tab_indents_and_escape_lets_the_keyboard_leave(chat: Chat) -> None:
    start_challenge(chat)
    editor = chat.card("challenge-card").get_by_label("Your solution")
    editor.fill("x")

    editor.press("Tab")
    indented = editor.input_value()
    editor.press("Escape")
    editor.press("Tab")

    assert indented == "x    "
    expect(chat.card("challenge-card").get_by_role("button", name="Submit")).to_be_focused()


def test_a_challenge_in_javascript(chat: Chat) -> None:
    start_challenge(chat)
    card = chat.card("challenge-card")

    card.get_by_label("Language").select_option("javascript")
    expect(card).to_contain_text("function reverseWords(text)")
    card.get_by_label("Your solution").fill(
        "function reverseWords(text) { return text.trim().split(/\\s+/).reverse().join(' '); }"
    )
    submit(chat)

    expect(card).to_contain_text("All 8 cases pass")


def test_pasted_code_is_graded_and_a_skipped_challenge_is_put_aside(chat: Chat) -> None:
    start_challenge(chat)

    chat.say(f"```python\ndef reverse_words(text):\n    {RIGHT}\n```")
    expect(chat.card("verdict")).to_contain_text("All 8 cases pass")
    settle(chat)
    expect(chat.page.get_by_role("button", name="My badges")).to_have_count(1)
    parts = chat.card("verdict").get_by_text("How the score came about")
    press(parts, chat.card("verdict").get_by_text("8 of 8 cases"))
    chat.shot("verdict-parts")
    chat.say("give me an easy python challenge about lists")
    card = chat.card("challenge-card")
    expect(card).to_contain_text("Running total")
    settle(chat)
    press(card.get_by_role("button", name="Skip", exact=True), card.get_by_role("button", name="Skipped"))

    expect(card.get_by_role("button", name="Skipped")).to_be_disabled()


def test_the_coach_asks_and_a_solution_is_shown_when_given_up(
    context: BrowserContext, serve: Callable[..., Server], providers: FakeProviders
) -> None:
    server = serve(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=f"{providers.url}/v1")
    reply = {"observation": "You turn the letters around.", "question": "What should stay as it is inside a word?"}
    providers.scripts["*"] = Script(words=(json.dumps(reply),))
    chat = Chat(context.new_page(), server.url).open()
    start_challenge(chat)
    card = chat.card("challenge-card")
    write(chat, "return text[::-1]")
    submit(chat)

    press(card.get_by_role("button", name="Ask the coach"), card.get_by_test_id("coached"))
    expect(card.get_by_test_id("coached")).to_contain_text("What should stay as it is inside a word?")
    expect(card.get_by_test_id("coached")).to_contain_text("counts as help")
    card.get_by_test_id("coached").scroll_into_view_if_needed()
    chat.shot("coach")
    given_up = card.get_by_text("One like it will come back, for you to solve alone.")
    press(card.get_by_role("button", name="Reveal"), given_up)

    expect(card).to_contain_text("' '.join(reversed(text.split()))")
    expect(card.get_by_role("button", name="Submit")).to_be_disabled()
    given_up.scroll_into_view_if_needed()
    chat.shot("revealed")
    assert chat.errors == []


def test_code_is_read_and_a_query_is_graded(chat: Chat) -> None:
    chat.say("give me an easy challenge about concurrency")
    expect(chat.card("challenge-card").get_by_role("group", name="Choices")).to_be_visible()
    settle(chat)
    card = chat.card("challenge-card")
    card.get_by_role("group", name="Choices").get_by_role("button").first.click()
    submit(chat)
    chat.shot("read")

    chat.say("give me an easy challenge about sql")
    expect(chat.card("challenge-card")).to_contain_text("CREATE TABLE")
    settle(chat)
    card = chat.card("challenge-card")
    card.get_by_label("Your solution").fill("SELECT 1;")
    own = card.get_by_test_id("own-input")
    press(own.get_by_text("Run it on your own input"), own.get_by_label("rows"))
    press(own.get_by_role("button", name="Run on this input"), own.get_by_text("It ended."))
    own.scroll_into_view_if_needed()
    chat.shot("sql-own-rows")
    submit(chat)
    expect(card.get_by_test_id("result")).to_contain_text("cases pass")
    chat.shot("sql")
    assert chat.errors == []
