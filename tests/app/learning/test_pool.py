"""The pool is sound: every reference solution passes in every language, and no solution passes by luck."""

import pytest

from app.learning.curriculum import Challenge, load_curriculum, shuffled
from app.learning.grading import grade
from app.learning.languages import LANGUAGES
from app.learning.sandbox.probe import Isolation

CURRICULUM = load_curriculum()
WRONG = {
    "python": "def {name}(*args):\n    return args[0]\n",
    "javascript": "function {name}(...args) {{ return args[0]; }}\n",
}


def test_there_are_twenty_four_challenges_over_eight_concepts() -> None:
    assert len(CURRICULUM.challenges) == 24
    assert len({challenge.concept for challenge in CURRICULUM.challenges}) == 8
    assert {challenge.concept for challenge in CURRICULUM.challenges} <= {concept.id for concept in CURRICULUM.concepts}
    assert CURRICULUM.questions.keys() == {concept.id for concept in CURRICULUM.concepts}


@pytest.mark.parametrize("language", ["python", "javascript"])
@pytest.mark.parametrize("challenge", CURRICULUM.challenges, ids=lambda challenge: challenge.id)
async def test_the_reference_solution_passes_and_echoing_does_not(
    isolation: Isolation, challenge: Challenge, language: str
) -> None:
    spoken, sandbox = LANGUAGES[language], isolation.require()
    cases = challenge.all_cases()

    right = await grade(sandbox, spoken, challenge.solutions[language], signature=challenge.signature, cases=cases)
    name = spoken.declaration(challenge.signature).split("(")[0].split()[-1]
    wrong = await grade(sandbox, spoken, WRONG[language].format(name=name), signature=challenge.signature, cases=cases)

    assert (right.verdict, right.message) == ("passed", f"All {len(cases)} cases pass.")
    assert wrong.verdict != "passed"


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=lambda language: language.name)
async def test_the_stub_is_valid_code_that_does_not_pass(isolation: Isolation, language: object) -> None:
    challenge = CURRICULUM.challenges[0]
    stub = language.stub(challenge.signature)  # type: ignore[attr-defined]

    graded = await grade(
        isolation.require(), language, stub + ("pass" if "def " in stub else ""),  # type: ignore[arg-type]
        signature=challenge.signature, cases=challenge.all_cases(),
    )  # fmt: skip

    assert graded.verdict in ("failed", "error")


def test_questions_show_the_right_answer_among_the_wrong() -> None:
    question = CURRICULUM.questions["sql"][0]

    assert sorted(shuffled(question, [3, 1, 0, 2])) == sorted([question.answer, *question.wrong])


@pytest.mark.parametrize(
    ("text", "concept"),
    [("explain recursion", "recursion"), ("what is a hash map", "dictionaries"), ("weather tomorrow", None),
     ("why does pop from an empty stack fail", "stacks"), ("left join keeps every row of the left table", "sql")],
)  # fmt: skip
def test_the_best_match_of_a_question(text: str, concept: str | None) -> None:
    found = CURRICULUM.best_match(text)

    assert (found.id if found else None) == concept
