"""Slash commands: what they mean, and a sentence with an example for what does not fit."""

import pytest

from app.errors import InvalidInput
from app.learning.curriculum import load_curriculum
from graph.build import NODE_OF
from graph.commands import COMMANDS, KEY_NOT_USED, parse

CURRICULUM = load_curriculum()


@pytest.mark.parametrize(
    ("text", "intent", "parameters"),
    [
        (
            "/challenge python strings easy",
            "learn.start-challenge",
            {"topics": ["strings"], "language": "python", "difficulty": "easy"},
        ),
        ("/train sql 5", "learn.review-topic", {"topics": ["sql"], "count": 5}),
        ("/budget anthropic 5", "provider.check-budget", {"provider": "anthropic", "amount_usd": 5.0}),
        ("/budget $7.50", "provider.check-budget", {"amount_usd": 7.5}),
        ("/budget 50¢", "provider.check-budget", {"amount_usd": 0.5}),
        ("/budget .5", "provider.check-budget", {"amount_usd": 0.5}),
        ("/budget openai $.50.", "provider.check-budget", {"amount_usd": 0.5, "provider": "openai"}),
        ("/budget", "provider.check-budget", {}),
        ("/budget general.chat 2", "provider.check-budget", {"capped_intent": "general.chat", "amount_usd": 2.0}),
        ("/budget 1,000 dollars", "provider.check-budget", {"amount_usd": 1000.0}),
        ("/budget groq 3", "provider.check-budget", {"provider": "groq", "amount_usd": 3.0}),
        ("/budget off", "provider.check-budget", {"lifts": True}),
        ("/budget general.chat off", "provider.check-budget", {"capped_intent": "general.chat", "lifts": True}),
        ("/budget burst", "provider.check-budget", {"burst": True}),
        ("/budget burst off", "provider.check-budget", {"burst": False}),
        ("/budget openai off", "provider.check-budget", {"provider": "openai", "is_burst": False, "active": False}),
        ("/budget claude on", "provider.check-budget", {"provider": "anthropic", "is_burst": False, "active": True}),
        (
            "/budget openai burst off",
            "provider.check-budget",
            {"provider": "openai", "is_burst": True, "active": False},
        ),
        ("/budget cap off", "provider.check-budget", {"lifts": True}),
        ("/budget chat off", "provider.check-budget", {"lifts": True, "capped_intent": "general.chat"}),
        ("/model best", "provider.change", {"do": "prefer", "prefer": "quality"}),
        ("/keys", "chat.keys", {}),
        *(
            (text, "chat.keys", {"note": KEY_NOT_USED})
            for text in (
                "/keys anthropic sk-ant-SECRET",
                "/KEYS sk-ant-SECRET",
                "/keys: sk-ant-SECRET",
                "/keys=sk-ant-SECRET",
                "/key sk-ant-SECRET",
            )
        ),
        ("/BUDGET 5", "provider.check-budget", {"amount_usd": 5.0}),
        ("/model auto", "provider.change", {"do": "auto"}),
        ("/model claude", "provider.change", {"do": "pin", "provider": "anthropic"}),
        ("/repo ~/my project", "context.load-repo", {"path": "~/my project"}),
        ("/search retry logic", "context.search", {"query": "retry logic"}),
        (
            "/schedule weekly-report at 9:30 Europe/Berlin",
            "workflow.create",
            {"time": "9:30", "timezone": "Europe/Berlin"},
        ),
        ("/hint", "learn.start-challenge", {"do": "hint"}),
        ("/share", "chat.share", {}),
        ("/train pause", "learn.review-topic", {"do": "pause"}),
        ("/train resume", "learn.review-topic", {"do": "resume"}),
        ("/plan", "learn.review-topic", {"do": "show-plan"}),
        ("/plan stop", "learn.review-topic", {"do": "drop-plan"}),
        (
            "/plan interview in 3 weeks on graphs and SQL",
            "learn.review-topic",
            {"do": "plan", "goal": "interview", "topics": ["graphs", "sql"]},
        ),
        (
            "/plan replace exam on 2026-05-01 about trees",
            "learn.review-topic",
            {"do": "plan", "goal": "exam", "topics": ["trees"], "replace": True},
        ),
        ("/badges", "analytics.show-stats", {"do": "badges"}),
        ("/path", "analytics.show-stats", {"do": "path"}),
        ("/leaderboard month", "analytics.show-stats", {"do": "leaderboard", "period": "month"}),
        ("/leaderboard off", "analytics.show-stats", {"do": "leaderboard", "ranked": False}),
        ("help", "general.help", {}),
        ("What can you do?", "general.help", {}),
        ("please show me all commands", "general.help", {}),
        ("Which models are there?", "provider.change", {"do": "list"}),
        ("add an API key", "chat.keys", {}),
        ("submit my solution", "learn.start-challenge", {"do": "submit"}),
        ("share this chat", "chat.share", {}),
        ("share this chat with my team", "chat.share", {"arguments": "my team"}),
        ("make a link to this conversation please", "chat.share", {}),
        ("export this chat", "chat.export", {"format": "markdown"}),
        ("Download our conversation as a JSON file.", "chat.export", {"format": "json"}),
        ("/timezone Asia/Tokyo", "analytics.show-stats", {"do": "timezone", "timezone": "Asia/Tokyo"}),
    ],
)
def test_what_commands_mean(text: str, intent: str, parameters: dict[str, object]) -> None:
    parsed = parse(text, CURRICULUM)

    assert parsed is not None
    assert parsed.intent == intent
    assert parsed.parameters.items() >= parameters.items()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/nonsense", "no command /nonsense"),
        ("/budget lots", "For example: /budget anthropic 5"),
        ("/budget 5 6", "For example"),
        ("/budget lift to 10", "lifts a cap and sets one"),
        ("/budget remove 10", "lifts a cap and sets one"),
        ("/budget −5", "less than nothing"),
        ("/budget anthropic general.chat 2", "For example"),
        ("/budget burst on fire", "For example"),
        ("/budget openai on fire", "For example"),
        ("/budget openai unlimited", "/budget openai off"),
        ("/challenge basket weaving", "For example: /challenge"),
        ("/leaderboard sideways", "For example: /leaderboard month"),
        ("/train basket weaving", "not a topic"),
        ("/train " + "9" * 5000, "not a topic"),
        ("/model", "For example: /model auto"),
        ("/repo", "For example: /repo"),
        ("/search", "For example: /search"),
        ("/schedule weekly-report", "no time of day"),
        ("/workflow make coffee", "no workflow"),
    ],
)
def test_what_does_not_fit_gets_a_sentence(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse(text, CURRICULUM)


@pytest.mark.parametrize(
    "text",
    ["hello", "what does /budget do", "/home/ada is my folder", "a /b", "/ x", "how does this work?", "remove the key",
     "add a key", "what do you do"],
)  # fmt: skip
def test_plain_words_are_no_command(text: str) -> None:
    assert parse(text, CURRICULUM) is None


def test_a_picked_command_takes_the_whole_message() -> None:
    parsed = parse("sql 5", CURRICULUM, picked="train")

    assert parsed is not None
    assert parsed.parameters["topics"] == ["sql"]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_example_parses_and_leads_somewhere(command: object) -> None:
    parsed = parse(command.example, CURRICULUM)  # type: ignore[attr-defined]

    assert parsed is not None
    assert parsed.intent in NODE_OF or parsed.intent.startswith("chat.")
