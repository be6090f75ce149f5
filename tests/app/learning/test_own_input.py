"""A solution on one's own input: what came out as it is, sentences for what does not fit, and Stop."""

import asyncio
import time

import pytest

from app.errors import InvalidInput, Stopped
from app.learning.challenge_files import Challenge
from app.learning.curriculum import load_curriculum
from app.learning.languages import FUNCTION_LANGUAGES
from app.learning.languages.base import LanguageName, Parameter
from app.learning.own_input import argument, fields, run_on
from app.learning.sandbox.probe import Isolation
from app.learning.sandbox.program import Sandbox
from app.learning.stopping import Stoppable

CURRICULUM = load_curriculum()
PAIR = "def pair_with_sum(numbers, target):\n    "


def challenge(name: str) -> Challenge:
    found = CURRICULUM.challenge(name)
    assert found is not None
    return found


def solution(name: str, language: LanguageName) -> str:
    solutions = challenge(name).solutions  # type: ignore[union-attr]  # of a challenge that has some
    return str(solutions["javascript" if language == "typescript" else language])


def parameter(kind: str) -> Parameter:
    return Parameter(name="given", type=kind)


@pytest.mark.parametrize("language", FUNCTION_LANGUAGES)
async def test_a_function_gives_its_value_in_its_own_notation(isolation: Isolation, language: LanguageName) -> None:
    code = solution("two-sum", language)
    given = {"numbers": "[5, 1, 9]", "target": "10"}

    found = await run_on(isolation.require(), challenge("two-sum"), language, code, given)
    nothing = await run_on(isolation.require(), challenge("two-sum"), language, code, given | {"target": "-3"})

    shown = FUNCTION_LANGUAGES[language].show
    assert (found.status, found.value, found.stderr) == ("ok", shown([1, 2]), "")
    assert (nothing.status, nothing.value) == ("ok", shown(None))


@pytest.mark.parametrize(
    ("body", "status", "value", "stdout", "stderr"),
    [
        ("print('at', target); return [target]", "ok", "[7]", "at 7\n", ""),
        ("return 'no list'", "ok", "'no list'", "", ""),
        ("print('so far'); return numbers[9]", "error", None, "so far\n",
         "IndexError: list index out of range\nline 2 in pair_with_sum: print('so far'); return numbers[9]"),
        ("while True: pass", "timeout", None, "", "it did not end in time"),
        ("import sys; print('aside', file=sys.stderr); return []", "ok", "[]", "", "aside"),
        ("return (", "compile_error", None, "", "The code could not be loaded.\nSyntaxError: '(' was never closed\n"
         "line 2: return ("),
    ],
)  # fmt: skip
async def test_what_comes_out_is_shown_as_it_is(
    isolation: Isolation, body: str, status: str, value: str | None, stdout: str, stderr: str
) -> None:
    given = {"numbers": "[1]", "target": "7"}

    run = await run_on(isolation.require(), challenge("two-sum"), "python", PAIR + body, given)

    assert (run.status, run.value, run.stdout, run.stderr) == (status, value, stdout, stderr)


async def test_a_function_that_does_not_fit_is_told_how_it_is_called(isolation: Isolation) -> None:
    run = await run_on(isolation.require(), challenge("two-sum"), "go", "package main\n", {})

    assert run.status == "compile_error"
    assert "What is called is `func pairWithSum(numbers []int, target int) []int`" in run.stderr.replace("*", "")


async def test_a_query_runs_on_rows_of_ones_own(isolation: Isolation) -> None:
    about = next(one for one in CURRICULUM.challenges if one.kind == "sql")
    [rows] = fields(about)
    table = rows.text.split()[2].strip("(")

    async def count(text: str) -> tuple[str, str | None, str]:
        run = await run_on(isolation.require(), about, "sql", f"SELECT count(*) FROM {table};", {"rows": text})
        return run.status, run.value, run.stderr

    assert await count("") == ("ok", "0", "")
    assert (await count(rows.text))[:2] != ("ok", "0")
    status, value, stderr = await count("INSERT INTO nowhere VALUES (1);")
    assert (status, value) == ("error", None)
    assert stderr == "SQL: the rows could not be put into the tables: no such table: nowhere"


async def test_a_script_runs_over_files_of_ones_own(isolation: Isolation) -> None:
    about = challenge("books-per-member")

    run = await run_on(
        isolation.require(), about, "bash", "cat members.txt loans.txt; no-such", {"members.txt": "1:A\n"}
    )

    assert (run.status, run.exit_code, run.value) == ("error", 127, None)
    assert run.stdout == "1:A\n3:Emma\n7:Dune\n3:Ulysses\n"  # what was not given is that of the example
    assert "no-such: command not found" in run.stderr


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", " 5 ", 5),
        ("int", str(2**63 - 1), 2**63 - 1),
        ("float", "2", 2.0),
        ("list[float]", "[1, 2.5]", [1.0, 2.5]),
        ("list[optional[bool]]", "[True, None, false, nil]", [True, None, False, None]),
        ("map[str]", "{'a' => 'nil', \"b\": 'it''s'}", {"a": "nil", "b": "its"}),
        ("str", "'abc'", "abc"),
        ("str", "hello there", "hello there"),
        ("str", "", ""),
        ("str", "5", "5"),
        ("str", '" a \\"b\\" "', ' a "b" '),
        ("bool", "true", True),
        ("optional[str]", "null", None),
        ("optional[str]", "nothing", "nothing"),
        ("optional[int]", "null", None),
        ("list[optional[int]]", "[1, null]", [1, None]),
        ("map[list[str]]", '{"a": ["é"]}', {"a": ["é"]}),
    ],
)
def test_a_text_stands_for_a_value(kind: str, text: str, value: object) -> None:
    found = argument(parameter(kind), text, "python")

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("int", "", "a whole number, written as JSON, such as 5."),
        ("int", "5.0", "a whole number, written as JSON, such as 5."),
        ("int", "true", "a whole number"),
        ("int", str(2**63), "a number that is too large: whole ones have up to 63 bits here."),
        ("int", "9" * 5000, "a whole number"),
        ("float", "NaN", "a number, written as JSON, such as 2.5."),
        ("float", "1e999", "a number that is too large"),
        ("bool", "yes", "true or false"),
        ("str", '"open', 'a text, written as JSON, such as "abc".'),
        ("str", '"\\ud800"', "a text"),
        ("str", "'open", "a text"),
        ("list[int]", "(1, 2)", "a list of whole numbers"),
        ("list[int]", "[" * 1500, "a list of whole numbers"),
        ("int", "__import__('os').getpid()", "a whole number"),
        ("list[int]", "[1, 'a']", "a list of whole numbers, written as JSON, such as [5]."),
        ("list[int]", "[" * 50_000, "a list of whole numbers"),
        ("list[str]", "[1]", "a list of texts"),
        ("map[list[float]]", "[]", 'a map of lists of numbers by name, written as JSON, such as {"a": [2.5]}.'),
        ("optional[int]", '"x"', "a whole number, or null"),
    ],
)
def test_a_text_that_does_not_fit_says_what_is_wanted(kind: str, text: str, wanted: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        argument(parameter(kind), text, "python")

    assert caught.value.user_message.startswith("`given` ")
    assert wanted in caught.value.user_message


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("two-sum", {"number": "[]"}, "There is no input `number`. There is: `numbers`, `target`."),
        ("two-sum", {"numbers": "1" * 70_000}, "The input is too large: at most 64 KB in all."),
        ("two-sum", {"numbers": "\ud800"}, "half a character"),
        ("two-sum", {"numbers": "[1\0]"}, "NUL bytes"),
        ("books-per-member", {"../escape": "x"}, "There is no input `../escape`."),
    ],
)
async def test_an_input_that_is_none_is_refused(
    isolation: Isolation, name: str, given: dict[str, str], message: str
) -> None:
    language: LanguageName = "python" if name == "two-sum" else "bash"

    with pytest.raises(InvalidInput) as caught:
        await run_on(isolation.require(), challenge(name), language, "x = 1", given)

    assert message in caught.value.user_message


@pytest.mark.parametrize("kind", ["predict", "read", "test"])
async def test_where_nothing_can_be_put_in_nothing_runs(isolation: Isolation, kind: str) -> None:
    about = next(one for one in CURRICULUM.challenges if one.kind == kind)

    with pytest.raises(InvalidInput, match="no input of its own"):
        await run_on(isolation.require(), about, about.languages[0], "x = 1", {})
    assert fields(about) == []


def test_whole_numbers_are_those_that_the_language_has() -> None:
    largest = str(2**53 - 1)

    assert argument(parameter("int"), largest, "javascript") == 2**53 - 1
    with pytest.raises(InvalidInput, match="up to 53 bits"):
        argument(parameter("list[int]"), f"[{2**53}]", "typescript")


def test_every_field_begins_with_what_it_takes() -> None:
    for about in CURRICULUM.challenges:
        texts = {field.name: field.text for field in fields(about)}
        if about.kind in ("write", "fix", "complete"):
            given = [argument(p, texts[p.name], "python") for p in about.signature.params]  # type: ignore[union-attr]
            assert given == list(about.examples[0].arguments)  # type: ignore[union-attr]


async def test_what_runs_is_stopped_at_once_and_leaves_nothing(sandbox: Sandbox) -> None:
    stoppable, own = Stoppable(), ("ann", "one")
    code = PAIR + "while True: pass"
    running = asyncio.create_task(
        stoppable.run(own, run_on(sandbox, challenge("two-sum"), "python", code, {}))
    )  # what is left of it, the fixture finds
    await asyncio.sleep(0.5)

    stoppable.stop(("eve", "one"))
    stoppable.stop(("ann", "two"))
    await asyncio.sleep(0)
    began, was_running = time.monotonic(), not running.done()
    stoppable.stop(own)
    with pytest.raises(Stopped, match="Nothing was counted"):
        await running

    assert was_running
    assert time.monotonic() - began < 2
    stoppable.stop(own)  # once more does nothing


async def test_whoever_waits_and_is_cancelled_is_not_told_that_they_stopped() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    waiting = asyncio.create_task(Stoppable().run(("ann", "one"), work()))
    await asyncio.sleep(0.01)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()
