"""The pool is sound: every file keeps what it says of itself, and every concept has enough to practise with."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from app.errors import SettingsError
from app.learning.challenge_files import CHALLENGE, AnswerChallenge, Challenge
from app.learning.checking import check
from app.learning.curriculum import POOL, load_curriculum, read_challenge, shuffled
from app.learning.kinds import same_rows
from app.learning.languages import FUNCTION_LANGUAGES
from app.learning.languages.base import LanguageName
from app.learning.mutants import mutants
from app.learning.sandbox.probe import Isolation
from app.learning.sandbox.program import Sandbox
from app.learning.templates import KINDS, template

CURRICULUM = load_curriculum()


def test_every_concept_has_variants_questions_and_more_than_one_level() -> None:
    variants = Counter(challenge.concept for challenge in CURRICULUM.challenges)
    concepts = {concept.id for concept in CURRICULUM.concepts}

    assert len(CURRICULUM.challenges) >= 160
    assert variants.keys() == concepts == CURRICULUM.questions.keys()
    assert min(variants.values()) >= 5
    assert min(len(questions) for questions in CURRICULUM.questions.values()) >= 5
    assert {challenge.kind for challenge in CURRICULUM.challenges} == set(KINDS)
    assert {challenge.level for challenge in CURRICULUM.challenges} == {1, 2, 3, 4, 5}
    for concept in (concept for concept in CURRICULUM.concepts if concept.by_language):
        offered = Counter(name for c in CURRICULUM.challenges_about(concept.id) for name in c.languages)
        assert [name for name in FUNCTION_LANGUAGES if offered[name] < 5] == []
    levels = {id_: {c.level for c in CURRICULUM.challenges_about(id_)} for id_ in concepts}
    assert [concept for concept, found in levels.items() if len(found) < 2] == []


QUICK: frozenset[LanguageName] = frozenset({"python", "javascript", "ruby", "sql", "bash"})
# In turns, one for each challenge; those that take a second or two to compile less often.
COMPILED: tuple[LanguageName, ...] = ("c", "go", "java", "c", "go", "rust", "c", "go", "cpp")


@pytest.mark.parametrize(
    ("place", "challenge"), list(enumerate(CURRICULUM.challenges)), ids=[c.id for c in CURRICULUM.challenges]
)
async def test_its_solutions_pass_and_its_mistakes_do_not(
    isolation: Isolation, place: int, challenge: Challenge
) -> None:
    """``make pool`` does it in all languages, which takes half an hour."""
    languages = QUICK | {COMPILED[place % len(COMPILED)]}
    report = await check(isolation.require(), challenge, languages=languages)

    assert report.problems == ()
    assert {*getattr(challenge, "solutions", {})} & languages == {*report.languages}


def test_what_can_be_written_in_every_language_has_a_solution_in_each() -> None:
    missing = {
        challenge.id: sorted(set(challenge.languages) - challenge.solutions.keys() - {"typescript"})
        for challenge in CURRICULUM.challenges
        if not isinstance(challenge, AnswerChallenge)
    }

    assert [id_ for id_, languages in missing.items() if languages] == []


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("def f(a):\n    return a < 5\n", ["`<=` for `<` in line 2", "`6` for `5` in line 2"]),
        ("# 5 < 6\nreturn ' '.join(words)\n", ["`' x'` for `' '` in line 2"]),
        ("return max(a - 1, 0)", ["`+` for `-` in line 1", "`min(` for `max(` in line 1", "`2` for `1` in line 1",
                                  "`1` for `0` in line 1"]),
        ("SELECT DISTINCT a\nFROM b LEFT JOIN c\nORDER BY a DESC", [
            "`ASC` for `DESC` in line 3", "`` for `DISTINCT` in line 1", "`JOIN` for `LEFT JOIN` in line 2"]),
        ("", []),
    ],
)  # fmt: skip
def test_a_solution_is_changed_in_one_place_at_a_time(code: str, changes: list[str]) -> None:
    found = list(mutants(code))

    assert [mutant.change for mutant in found] == changes
    assert all(mutant.code != code for mutant in found)


async def test_a_case_that_is_missing_is_found_by_changing_the_solution(sandbox: Sandbox) -> None:
    document = yaml.safe_load(template("x", "write", "strings"))
    document["solutions"] = {"python": "def twice(number):\n    return 2 * number if number < 9000 else 0\n"}
    challenge = CHALLENGE.validate_python(document)

    report = await check(sandbox, challenge)

    assert "passes with `<=` for `<` in line 2" in str(report.advice)


async def test_a_query_whose_order_no_case_shows_is_named(sandbox: Sandbox) -> None:
    document = yaml.safe_load(template("x", "sql", "sql"))
    document["solutions"] = {"sql": "SELECT title FROM books WHERE pages > 100 ORDER BY title DESC"}
    challenge = CHALLENGE.validate_python({**document, "ordered": False})

    report = await check(sandbox, challenge)

    assert "passes with `ASC` for `DESC`" in str(report.advice)


@pytest.mark.parametrize("challenge", CURRICULUM.challenges, ids=lambda challenge: challenge.id)
def test_hints_are_a_ladder_that_grows(challenge: Challenge) -> None:
    lengths = [len(hint.split()) for hint in challenge.hints]

    assert lengths == sorted(lengths)
    assert lengths[-1] <= 160


@pytest.mark.parametrize("kind", KINDS)
async def test_a_new_file_of_each_kind_is_sound(isolation: Isolation, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "count-vowels.yaml"
    await asyncio.to_thread(file.write_text, template("count-vowels", kind, "strings"))

    challenge = await asyncio.to_thread(read_challenge, file)
    report = await check(isolation.require(), challenge)

    assert (challenge.kind, report.problems) == (kind, ())


BROKEN = {
    "no yaml": "id: [",
    "no challenge": "- 1",
    "kind": template("x", "write", "strings").replace("kind: write", "kind: sing"),
    "unknown field": template("x", "write", "strings") + "colour: blue\n",
    "arguments": template("x", "write", "strings").replace("arguments: [1]", "arguments: [one]"),
    "expected": template("x", "write", "strings").replace("expected: 42", "expected: '42'"),
    "type": template("x", "write", "strings").replace("returns: int", "returns: integer"),
    "half a short form": template("x", "write", "strings").replace("arguments: [1000]", "arguments: [{range: 5}]"),
    "words for numbers": template("x", "write", "strings").replace(
        "arguments: [1000]", "arguments: [{repeat: [5, 3]}]"
    ),
    "no such day": template("x", "write", "strings").replace("expected: 42", "expected: 2023-02-30"),
    "no number": template("x", "write", "strings").replace("expected: 42", "expected: !!int abc"),
    "no truth": template("x", "write", "strings").replace("expected: 42", "expected: !!bool x"),
    "no time": template("x", "write", "strings").replace("expected: 42", "expected: !!timestamp x"),
    "a number too long": template("x", "write", "strings").replace("expected: 42", "expected: " + "9" * 5000),
    "a name twice": template("x", "write", "strings") + "level: 2\n",
    "a word of Java's": template("x", "write", "strings").replace("name: number", "name: default"),
    "too large an int": template("x", "write", "strings").replace(
        "[1000], expected: 2000", "[9007199254740993], expected: 0"
    ),
    "no list": template("x", "write", "strings").replace("arguments: [1000]", "arguments: 5"),
    "an alias to itself": template("x", "write", "strings").replace("arguments: [1000]", "arguments: &a [*a]"),
    "too large": template("x", "write", "strings").replace("arguments: [1000]", "arguments: [{zeros: 99999999}]"),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_of_ones_own_is_named_and_left_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.yaml").write_text(text)
    (tmp_path / "good.yaml").write_text(template("good", "sql", "sql"))
    (tmp_path / "twice.yaml").write_text(template("two-sum", "write", "strings"))
    (tmp_path / "strange.yaml").write_text(template("strange", "write", "cooking"))

    curriculum = load_curriculum(own=tmp_path)

    assert len(curriculum.challenges) == len(CURRICULUM.challenges) + 1
    assert curriculum.challenge("good") is not None
    assert {Path(file).name for file in curriculum.left_out} == {"broken.yaml", "twice.yaml", "strange.yaml"}
    with pytest.raises(SettingsError, match=r"broken\.yaml"):
        read_challenge(tmp_path / "broken.yaml")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"a": [1, None], "b": []}, None),
        ({"a": [1, True]}, "case 4 is True, which is no int"),
        ({"a": [1, [2]]}, r"case 4 is \[2\], which is no int"),
        ({"a": 1}, "case 4 is 1, which is no list"),
        ({1: [1]}, "a key in an argument of case 4 is 1, which is no str"),
        (None, "case 4 is None, which is no map"),
    ],
)
def test_a_value_fits_its_type_to_the_last_item(value: object, problem: str | None) -> None:
    document = yaml.safe_load(template("x", "write", "strings"))
    document["signature"]["params"][0]["type"] = "map[list[optional[int]]]"
    for case in (*document["examples"], *document["cases"]):
        case["arguments"] = [{"a": [1, None]}]
    document["cases"][1]["arguments"] = [value]

    with pytest.raises(ValidationError, match=problem) if problem else nullcontext():
        CHALLENGE.validate_python(document)


MISTAKEN = {
    "solution": ("return 2 * number\nmistakes", "return 3 * number\nmistakes", "does not pass"),
    "mistake passes": ("return number + 2\n  means", "return number * 2\n  means", "passes in Python"),
    "repeated": ("arguments: [0], expected: 0", "arguments: [1], expected: 2", "repeats an earlier one"),
    "contradicts": ("arguments: [0], expected: 0", "arguments: [1], expected: 3", "contradicts an earlier one"),
}


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [
        (5_000_000, 5_000_001, False), (5, 5, True), (1, 1.0, True), (0.3, 0.1 + 0.2, True), (1, "1", False),
        (1, True, False), (None, None, True), (5_000_000.0, 5_000_000, True),
    ],
)  # fmt: skip
def test_whole_numbers_of_a_query_are_compared_exactly(expected: object, got: object, same: bool) -> None:
    assert same_rows([[expected]], [[got]], ordered=True) is same


def _repeat(document: dict[str, Any], expected: object = None) -> None:
    again = dict(document["cases"][0])
    document["cases"].append(again if expected is None else {**again, "expected": expected})


REPEATED: dict[str, tuple[str, Callable[[dict[str, Any]], None], str]] = {
    "rows": ("sql", _repeat, "repeats an earlier one"),
    "rows with another result": ("sql", lambda document: _repeat(document, [["x"]]), "contradicts an earlier one"),
    "files": ("shell", _repeat, "repeats an earlier one"),
    "files with another result": ("shell", lambda document: _repeat(document, "x"), "contradicts an earlier one"),
    "a broken version": (
        "test", lambda document: document["broken"][1].update(code=document["broken"][0]["code"]),
        "repeats an earlier one",
    ),
    "a broken version that is right": (
        "test", lambda document: document["broken"][0].update(code=document["right"]), "repeats an earlier one",
    ),
    "a wrong answer": (
        "predict", lambda document: document["wrong"].append(dict(document["wrong"][0])), "repeats an earlier one",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "change", "problem"), REPEATED.values(), ids=REPEATED.keys())
async def test_a_check_finds_what_is_said_twice_in_every_kind(
    isolation: Isolation, kind: str, change: Callable[[dict[str, Any]], None], problem: str
) -> None:
    document = yaml.safe_load(template("x", kind, "strings"))
    sound = await check(isolation.require(), CHALLENGE.validate_python(document))
    change(document)

    report = await check(isolation.require(), CHALLENGE.validate_python(document))

    assert sound.problems == ()
    assert any(problem in found for found in report.problems), report


@pytest.mark.parametrize(("old", "new", "problem"), MISTAKEN.values(), ids=MISTAKEN.keys())
async def test_a_check_finds(isolation: Isolation, tmp_path: Path, old: str, new: str, problem: str) -> None:
    text = template("count-vowels", "write", "strings")
    assert old in text
    file = tmp_path / "one.yaml"
    await asyncio.to_thread(file.write_text, text.replace(old, new))

    report = await check(isolation.require(), await asyncio.to_thread(read_challenge, file))

    assert any(problem in found for found in report.problems), report


def test_a_path_through_the_concepts_never_asks_for_what_comes_later() -> None:
    order = [concept.id for concept in CURRICULUM.concepts]
    edges = [(before, concept.id) for concept in CURRICULUM.concepts for before in concept.requires]

    assert edges
    assert [edge for edge in edges if order.index(edge[0]) >= order.index(edge[1])] == []
    assert (POOL / "concepts.yaml").is_file()


def test_questions_show_the_right_answer_among_the_wrong() -> None:
    question = CURRICULUM.questions["sql"][0]

    assert sorted(shuffled(question, [3, 1, 0, 2])) == sorted([question.answer, *question.wrong])


@pytest.mark.parametrize(
    ("text", "concept"),
    [("explain recursion", "recursion"), ("what is a hash map", "dictionaries"), ("weather tomorrow", None),
     ("why does pop from an empty stack fail", "stacks"), ("left join keeps every row of the left table", "sql-joins")],
)  # fmt: skip
def test_the_best_match_of_a_question(text: str, concept: str | None) -> None:
    found = CURRICULUM.best_match(text)

    assert (found.id if found else None) == concept
