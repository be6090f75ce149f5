"""A solution is handed in in a fence or pasted as it is; talk about code is not."""

import pytest

from app.learning.curriculum import load_curriculum
from graph.intents.handed_in import handed_in, may_be_code
from graph.nodes.classify import _answer_in

CURRICULUM = load_curriculum()
CODE = "def reverse_words(text):\n    return text"


@pytest.mark.parametrize(
    ("challenge_id", "text", "language"),
    [
        pytest.param("reverse-words", f"```python\n{CODE}\n```", "python", id="a fence"),
        pytest.param("reverse-words", f"here is my solution:\n```\n{CODE}\n```", "", id="a fence with few words"),
        pytest.param("reverse-words", CODE, "", id="pasted"),
        pytest.param("reverse-words", f"import re\n\n{CODE}", "", id="pasted with an import"),
        pytest.param("reverse-words", "function reverseWords(text) {\n  return text;\n}", "", id="another language"),
        pytest.param("reverse-words", f"# my solution\n@cache\n{CODE}", "", id="with a comment and a decorator"),
        pytest.param("reverse-words", "const reverseWords = (text) => text;", "", id="an arrow function"),
        pytest.param("reverse-words", "std::string reverse_words(std::string t) { return t; }", "", id="C++"),
        pytest.param("never-borrowed", "SELECT name FROM members", "", id="a query"),
        pytest.param("count-unique-visitors", "#!/bin/bash\nsort visitors.txt", "", id="a script"),
        pytest.param("slices-of-a-word", "```\nabc\n```", "", id="an answer in a fence"),
    ],
)
def test_a_solution_is_handed_in(challenge_id: str, text: str, language: str) -> None:
    challenge = CURRICULUM.challenge(challenge_id)
    assert challenge is not None

    found = handed_in(text, challenge)

    assert may_be_code(text)
    assert found is not None
    assert found[0] == language


@pytest.mark.parametrize(
    ("challenge_id", "text"),
    [
        pytest.param("reverse-words", f"explain this ```python\n{CODE}\n```", id="explain"),
        pytest.param("reverse-words", f"```python\n{CODE}\n```\nwhy does this fail?", id="a question"),
        pytest.param("reverse-words", "```\nTraceback (most recent call last):\n  File x\n```", id="a traceback"),
        pytest.param("reverse-words", "def other(text):\n    return text", id="another function"),
        pytest.param("reverse-words", "select the words from the text", id="prose"),
        pytest.param("reverse-words", "import the module and call reverse_words", id="prose with the name"),
        pytest.param("never-borrowed", "select from which table?", id="a question about a query"),
        pytest.param(
            "reverse-words", "Using a loop, would reverse_words('a') return 'a'?", id="a question with a call"
        ),
        pytest.param("reverse-words", "let n = 3, what does reverse_words(n) give", id="prose that begins like code"),
        pytest.param("reverse-words", f"translate this to Rust\n```python\n{CODE}\n```", id="an order"),
        pytest.param("reverse-words", f"I don't want to submit this yet\n```python\n{CODE}\n```", id="not yet"),
        pytest.param("reverse-words", "it says\n```\nTypeError: bad operand\n```", id="an error"),
        pytest.param(
            "never-borrowed", "Select the rows from both tables that match, then what", id="prose like a query"
        ),
        pytest.param("slices-of-a-word", "what about ```\nword[1:]\n```", id="talk about a question"),
    ],
)
def test_talk_about_code_hands_nothing_in(challenge_id: str, text: str) -> None:
    challenge = CURRICULUM.challenge(challenge_id)
    assert challenge is not None

    assert handed_in(text, challenge) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("answer: 42", "42"), ("the answer is BGDX", "BGDX"), ("I think the answer is 3", "3"), ("it prints 4", "4"),
        ("prints what exactly?", None), ("answer is confusing, can you explain it", None), ("what is the answer", None),
    ],
)  # fmt: skip
def test_an_answer_is_told_from_a_question(text: str, answer: str | None) -> None:
    assert _answer_in(text) == answer
