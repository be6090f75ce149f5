"""When a concept is due again: FSRS-6 on one card for each concept. Pure: time in, new card out."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from fsrs import Card, Rating, Scheduler
from fsrs.scheduler import DEFAULT_PARAMETERS

Grade = Literal["again", "hard", "good", "easy"]
Weights = tuple[float, ...]

RATINGS: dict[Grade, Rating] = {
    "again": Rating.Again,
    "hard": Rating.Hard,
    "good": Rating.Good,
    "easy": Rating.Easy,
}
DEFAULT_WEIGHTS: Weights = tuple(DEFAULT_PARAMETERS)
SITTING = timedelta(hours=4)  # a concept's card is rated once in it
MANY_ATTEMPTS, EASY_SCORE, GOOD_SCORE, PASSING_SCORE, EARLIER_SUCCESSES = 3, 95, 80, 60, 2


def grade_of(
    *, solved: bool, score: int, attempts: int, deep_hint: bool, any_hint: bool, quick: bool, earlier_successes: int
) -> Grade:
    """The rating of a sitting. "Hard" counts as recalled, so a failure is never mapped to it.

    Again if unsolved, revealed, or below 60 points. Hard with three or more attempts, a deep hint, or below 80.
    Easy on the first try without a hint, with 95 points or more, within the expected time, after two earlier successes.
    Good otherwise.
    """
    if not solved or score < PASSING_SCORE:
        return "again"
    if attempts >= MANY_ATTEMPTS or deep_hint or score < GOOD_SCORE:
        return "hard"
    practised = earlier_successes >= EARLIER_SUCCESSES
    if attempts == 1 and not any_hint and score >= EASY_SCORE and quick and practised:
        return "easy"
    return "good"


def review(
    card: dict[str, Any] | None, grade: Grade, now: datetime, weights: Weights = DEFAULT_WEIGHTS
) -> dict[str, Any]:  # Any: FSRS's own JSON
    """The card after a review. A clock that went back is taken as no time passed, and the new one counts."""
    at = now.astimezone(UTC)
    old = Card.from_json(json.dumps(card)) if card else Card(card_id=1, due=at)
    if old.last_review is not None and at < old.last_review:
        old.last_review = at
    new, _ = _scheduler(weights).review_card(old, RATINGS[grade], review_datetime=at)
    document: dict[str, Any] = json.loads(new.to_json())
    return document


def due_at(card: dict[str, Any]) -> datetime:  # Any: FSRS's own JSON
    return datetime.fromisoformat(card["due"]).astimezone(UTC)


def retrievability(card: dict[str, Any], now: datetime, weights: Weights = DEFAULT_WEIGHTS) -> float:  # Any: as above
    """The chance, from 0 to 1, that the concept is still remembered."""
    return float(_scheduler(weights).get_card_retrievability(Card.from_json(json.dumps(card)), now.astimezone(UTC)))


def predictions(
    history: Sequence[tuple[datetime, int]], weights: Weights = DEFAULT_WEIGHTS
) -> list[tuple[float, bool]]:
    """For each review of one card after its first: the chance of recall that was predicted, and whether it came."""
    card: dict[str, Any] | None = None  # Any: as above
    predicted = []
    for at, rating in history:
        if card is not None:
            predicted.append((retrievability(card, at, weights), rating > Rating.Again))
        card = review(card, GRADES[rating], at, weights)
    return predicted


AGAIN = int(Rating.Again)
GRADES: dict[int, Grade] = {int(rating): grade for grade, rating in RATINGS.items()}


@lru_cache(maxsize=64)
def _scheduler(weights: Weights) -> Scheduler:
    # No learning steps of minutes: a concept is met once a sitting. No fuzz: it would draw from the global random.
    return Scheduler(parameters=weights, learning_steps=(), relearning_steps=(), enable_fuzzing=False)
