"""The score says what it is made of, and nothing a learner does better lowers it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.learning.challenge_files import FunctionChallenge
from app.learning.code_quality import measure
from app.learning.curriculum import load_curriculum
from app.learning.score import Score, Signals, repeated_lines, score

CURRICULUM = load_curriculum()
CLEAN = Signals(
    lines=5, branches=2, repeated_lines=0, lints=(), reference_lines=5, reference_branches=2
)  # fmt: skip


def of(**changes: object) -> Score:
    values = {"passed": 8, "cases": 8, "hints": 0, "attempts": 1, "seconds": 60.0, "minutes": 5, "signals": CLEAN}
    return score(**{**values, **changes})  # type: ignore[arg-type]  # a table's values


@pytest.mark.parametrize(
    ("changes", "total"),
    [
        pytest.param({}, 100, id="all there is"),
        pytest.param({"signals": None}, 100, id="what was not measured costs nothing"),
        pytest.param({"hints": 1}, 95, id="a hint"),
        pytest.param({"hints": 3}, 85, id="all hints"),
        pytest.param({"coached": 1}, 95, id="a question of the coach"),
        pytest.param({"hints": 2, "coached": 2}, 85, id="more help than there are points for"),
        pytest.param({"attempts": 2}, 97, id="second attempt"),
        pytest.param({"attempts": 9}, 90, id="many attempts"),
        pytest.param({"seconds": 600.0}, 98, id="twice the time"),
        pytest.param({"seconds": 1e9}, 95, id="for ever"),
        pytest.param({"passed": 4}, 30, id="half the cases"),
        pytest.param({"passed": 7}, 52, id="all but one"),
        pytest.param({"cases": 0, "passed": 0}, 0, id="nothing to count"),
        pytest.param({"signals": replace(CLEAN, lines=40)}, 97, id="very long"),
        pytest.param({"signals": replace(CLEAN, branches=20)}, 97, id="many branches"),
        pytest.param({"signals": replace(CLEAN, repeated_lines=9)}, 98, id="repeats itself"),
        pytest.param({"signals": replace(CLEAN, lints=("a", "b", "c", "d"))}, 98, id="a linter complains"),
    ],
)
def test_the_score_of(changes: dict[str, object], total: int) -> None:
    assert of(**changes).total == total


def test_help_is_named() -> None:
    said = [
        part.why for given in ({}, {"hints": 1, "coached": 2}) for part in of(**given).parts if part.name == "hints"
    ]

    assert said == ["no hints", "1 hint and 2 questions of the coach"]


def test_no_failed_attempt_reaches_a_passing_score() -> None:
    assert max(of(passed=99, cases=100, signals=signals).total for signals in (CLEAN, None)) < 67


@given(st.integers(0, 20), st.integers(0, 4), st.integers(1, 9), st.floats(0, 1e5))
def test_more_cases_fewer_hints_and_attempts_never_cost(passed: int, hints: int, attempts: int, seconds: float) -> None:
    base = of(passed=passed, cases=20, hints=hints, attempts=attempts, seconds=seconds).total

    assert 0 <= base <= 100
    assert of(passed=min(20, passed + 1), cases=20, hints=hints, attempts=attempts, seconds=seconds).total >= base
    assert of(passed=passed, cases=20, hints=hints + 1, attempts=attempts, seconds=seconds).total <= base
    assert of(passed=passed, cases=20, hints=hints, attempts=attempts + 1, seconds=seconds).total <= base


def test_repeated_lines_are_those_of_substance() -> None:
    lines = ["total += numbers[0]", "}", "total += numbers[0]", "  total += numbers[0]", "}", "# a comment of words"]

    assert repeated_lines(lines) == 2


async def test_a_solution_is_measured_beside_the_reference() -> None:
    challenge = CURRICULUM.challenge("running-total")
    assert isinstance(challenge, FunctionChallenge)
    clumsy = "def running_total(numbers):\n    import os\n    l = []\n" + "".join(
        f"    if len(numbers) > {place}:\n        l.append(sum(numbers[:{place + 1}]))\n" for place in range(20)
    )

    own = await measure(challenge, "python", challenge.solutions["python"])
    other = await measure(challenge, "python", clumsy + "    return l\n")

    assert own is not None
    assert other is not None
    assert (own.lines, own.branches) == (own.reference_lines, own.reference_branches)
    assert other.branches > own.branches + 15
    assert any("imported but unused" in lint for lint in other.lints or ())


@pytest.mark.parametrize("code", ["(" * 5000, "\x00", "def f(", "", "}" * 999])
async def test_what_cannot_be_read_is_still_measured_or_left_out(code: str) -> None:
    challenge = CURRICULUM.challenge("running-total")
    assert challenge is not None

    signals = await measure(challenge, "python", code)

    assert signals is None or signals.lines >= 0
