"""What stands in two places is the same: intents and nodes, prompts and calls, the graph and its drawing."""

import re
from datetime import date
from pathlib import Path

import pytest
import yaml

from graph.build import NODE_OF, mermaid
from graph.intents.classifier import INTENTS, NONE, UTTERANCES, load_classifier
from graph.intents.goals import asks_for_plan, goal_day_of, goal_of, unknown_topics
from graph.intents.slots import slots_of
from graph.prompts import FOLDER, render
from tests.app.learning.test_pool import CURRICULUM

ROOT = Path(__file__).parents[2]


def test_every_intent_has_a_node_and_utterances() -> None:
    utterances = yaml.safe_load(UTTERANCES.read_text(encoding="utf-8"))

    assert set(INTENTS) <= NODE_OF.keys()
    assert utterances.keys() == {*INTENTS, NONE}
    assert min(len(texts) for texts in utterances.values()) >= 40


def test_architecture_holds_the_graph_as_it_is() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    drawn = re.search(r"```mermaid\n(.*?)```", text, re.DOTALL)

    assert drawn is not None
    assert drawn[1].strip() == mermaid().strip()


def test_every_prompt_is_rendered_somewhere_with_its_placeholders() -> None:
    rendering = [*(ROOT / "graph").rglob("*.py"), ROOT / "app/models/tasks.py", ROOT / "app/learning/coaching.py"]
    sources = "\n".join(path.read_text(encoding="utf-8") for path in rendering)
    for prompt in FOLDER.glob("*.md"):
        call = re.search(rf'(?:render|_prompt)\("{prompt.stem}"((?:, \w+=[^,)]+(?:\([^)]*\))?)*)', sources)
        assert call, prompt.stem
        given = set(re.findall(r"(\w+)=", call[1]))
        assert given == set(re.findall(r"\{\{(\w+)\}\}", prompt.read_text(encoding="utf-8")))


def test_a_prompt_is_filled_strictly() -> None:
    with pytest.raises(KeyError):
        render("chat")
    with pytest.raises(KeyError):
        render("chat", in_hand="x", more="y")
    assert "{{" not in render("chat", in_hand="x {{y}}").replace("x {{y}}", "")


CLASSIFIER = load_classifier()
MONDAY = date(2026, 3, 2)


@pytest.mark.parametrize(
    ("text", "wants"),
    [
        ("I have an interview in 3 weeks on graphs and SQL", True),
        ("my coding interview is in ten days", True),
        ("make me a study plan for trees within a month", True),
        ("can you make me a plan until my exam on 2026-05-01", True),
        ("give me a sql challenge, I have an interview tomorrow", False),
        ("Explain hash tables, my exam is tomorrow", False),
        ("How do I test that a session expires in 30 days?", False),
        ("what is asked in an interview in a month", False),
        ("Help me prepare for an interview in 3 weeks on graphs and SQL", True),
        ("We have an interview next Friday on graphs", True),
        ("I have a coding test in 3 weeks", True),
        ("my interview on graphs went badly", False),
    ],
)
def test_a_plan_is_made_only_where_one_is_wanted(text: str, wants: bool) -> None:
    assert asks_for_plan(text) is wants


@pytest.mark.parametrize(
    ("text", "goal", "day"),
    [
        ("I have an interview in 3 weeks on graphs and SQL", "interview", "2026-03-23"),
        ("my coding interview is in ten days", "coding interview", "2026-03-12"),
        ("exam tomorrow about recursion", "exam", "2026-03-03"),
        ("make me a study plan for trees within a month", "plan", "2026-04-01"),
        ("certification on 2026-05-01", "certification", "2026-05-01"),
        ("certification on 2026-02-30", "certification", None),
        ("what is an interview like", "interview", None),
        ("translate 'I have an exam in 3 weeks'", None, None),
        ("I have an interview tomorrow morning at nine", "interview", "2026-03-03"),
        ("weekly report in 3 weeks", None, "2026-03-23"),
        ("I have an interview next Friday on graphs", "interview", "2026-03-06"),
        ("I have an exam on Monday", "exam", "2026-03-09"),
        ("interview on March 20", "interview", "2026-03-20"),
        ("interview on the 20th of March", "interview", "2026-03-20"),
        ("exam on 1 March", "exam", "2027-03-01"),
        ("exam on Feb 30", "exam", None),
        ("interview 3 weeks from now", "interview", "2026-03-23"),
        ("interview in a couple of weeks", "interview", "2026-03-16"),
        ("interview in twelve days", "interview", "2026-03-14"),
        ("interview in 2 years", "interview", "2028-03-01"),
    ],
)
def test_a_goal_and_its_day_are_found_in_words(text: str, goal: str | None, day: str | None) -> None:
    found = goal_day_of(text, MONDAY)

    assert goal_of(text) == goal
    assert (found.isoformat() if found else None) == day


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("I have an interview in 3 weeks on Kubernetes and SQL", ["Kubernetes"]),
        ("I have an interview on graphs and SQL in 3 weeks", []),
        ("I have an interview on Friday on graphs, docker", ["docker"]),
        ("interview on March 20 about recursion", []),
        ("I have an exam in 3 weeks", []),
    ],
)
def test_topics_that_we_have_nothing_about_are_named(text: str, unknown: list[str]) -> None:
    assert unknown_topics(text, CURRICULUM) == unknown


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("give me an easy python challenge about strings", "learn.start-challenge"),
        ("train me on SQL for 5 questions", "learn.review-topic"),
        ("how am I doing", "analytics.show-stats"),
        ("what have I spent", "provider.check-budget"),
        ("load ~/project", "context.load-repo"),
        ("where is the retry logic", "context.search"),
        ("use claude", "provider.change"),
        ("weekly report every day at 9", "workflow.create"),
        ("what is the difference between a process and a thread", "general.chat"),
        ("order me a pizza", "general.chat"),
        ("please quiz me with a hard challenge on recursion", "learn.start-challenge"),
        ("could you show me my progress please", "analytics.show-stats"),
    ],
)
def test_plain_words_find_their_intent(text: str, intent: str) -> None:
    assert CLASSIFIER.classify(text).guesses[0].type == intent


def test_the_classifier_knows_what_it_was_told() -> None:
    utterances = yaml.safe_load(UTTERANCES.read_text(encoding="utf-8"))
    pairs = [(label, text) for label, texts in utterances.items() if label != NONE for text in texts]

    right = sum(CLASSIFIER.classify(text).guesses[0].type == label for label, text in pairs)

    assert right / len(pairs) > 0.95


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("train me on SQL for 5 questions", {"topics": ["sql"], "count": 5}),
        (
            "a hard javascript challenge on stacks",
            {"topics": ["stacks"], "language": "javascript", "difficulty": "hard"},
        ),
        ("ten questions about joins", {"topics": ["sql-joins"], "count": 10}),
        ("set the anthropic budget to $12.50", {"provider": "anthropic", "amount_usd": 12.5}),
        ("load ~/project.", {"path": "~/project"}),
        ("load ../lib and search", {"path": "../lib"}),
        ("weekly report every day at 9:30 pm", {"time": "9:30 pm"}),
        ("use gpt-4o", {"model": "gpt-4o", "provider": "openai"}),
        ("nothing of the kind", {}),
    ],
)
def test_parameters_are_taken_from_the_words(text: str, slots: dict[str, object]) -> None:
    assert dict(slots_of(text, CURRICULUM)) == slots
