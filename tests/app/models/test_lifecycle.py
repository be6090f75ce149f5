"""The states of a request: every legal transition goes, every other one is a mistake of ours."""

import itertools
from typing import get_args

import pytest

from app.models.lifecycle import LONGEST_PATH, TRANSITIONS, IllegalTransition, Life, RequestState

STATES = get_args(RequestState)
# A way to each state from the start.
WAYS: dict[str, tuple[RequestState, ...]] = {
    "Idle": (),
    "Validating": ("Validating",),
    "Requesting": ("Validating", "Requesting"),
    "Streaming": ("Validating", "Requesting", "Streaming"),
    "RateLimited": ("Validating", "Requesting", "RateLimited"),
    "Retrying": ("Validating", "Requesting", "Retrying"),
    "Completed": ("Validating", "Requesting", "Completed"),
    "Failed": ("Validating", "Failed"),
}


def life_in(state: str) -> Life:
    life = Life()
    for step in WAYS[state]:
        life.to(step)
    return life


@pytest.mark.parametrize(("source", "target"), list(itertools.product(STATES, STATES)))
def test_a_transition_goes_if_the_table_has_it(source: RequestState, target: RequestState) -> None:
    life = life_in(source)

    try:
        life.to(target)
        went = True
    except IllegalTransition:
        went = False

    assert went is (target in TRANSITIONS[source])
    assert life.state == (target if went else source)


def test_every_state_is_in_the_table_and_can_be_reached() -> None:
    assert set(TRANSITIONS) == set(STATES) == set(WAYS)
    assert {state for state in STATES if life_in(state).is_over} == {"Completed", "Failed"}


def test_a_long_life_keeps_its_beginning_and_its_newest_states() -> None:
    life = life_in("Requesting")
    for _ in range(100):
        life.to("Retrying")
        life.to("Requesting")

    assert len(life.path) <= 30
    assert (life.path[0], life.state) == ("Idle", "Requesting")


def test_what_is_kept_of_a_long_life_is_legal_from_the_first_cut_on() -> None:
    life = Life()
    life.to("Validating")
    lives = []
    for _ in range(40):
        for state in ("Requesting", "RateLimited", "Retrying"):
            life.to(state)
            lives.append(list(life.path))

    assert max(map(len, lives)) == LONGEST_PATH
    assert [path for path in lives if any(b not in TRANSITIONS[a] for a, b in itertools.pairwise(path))] == []
