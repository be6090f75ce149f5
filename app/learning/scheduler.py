"""When a concept is due again: FSRS-6 on one card for each concept. Pure: time in, new card out."""

import json
from datetime import UTC, datetime
from typing import Any, Literal

from fsrs import Card, Rating, Scheduler

Grade = Literal["again", "hard", "good", "easy"]

_RATINGS: dict[Grade, Rating] = {
    "again": Rating.Again,
    "hard": Rating.Hard,
    "good": Rating.Good,
    "easy": Rating.Easy,
}

# No learning steps of minutes: a concept is met once a sitting. No fuzz: it would draw from the global random.
_SCHEDULER = Scheduler(learning_steps=(), relearning_steps=(), enable_fuzzing=False)


def grade_of(*, passed: bool, score: int, first_try: bool) -> Grade:
    """The rating of a sitting by its first outcome. "Hard" counts as recalled, so a failure is never mapped to it."""
    if not passed or score < 60:
        return "again"
    if score < 80:
        return "hard"
    return "easy" if first_try and score >= 95 else "good"


def review(card: dict[str, Any] | None, grade: Grade, now: datetime) -> dict[str, Any]:  # Any: FSRS's own JSON
    """The card after a review. A clock that went back is taken as no time passed, never as a review in the past."""
    old = Card.from_json(json.dumps(card)) if card else Card(card_id=1, due=now.astimezone(UTC))
    at = now.astimezone(UTC)
    if old.last_review is not None and at < old.last_review:
        at = old.last_review
    new, _ = _SCHEDULER.review_card(old, _RATINGS[grade], review_datetime=at)
    document: dict[str, Any] = json.loads(new.to_json())
    return document


def due_at(card: dict[str, Any]) -> datetime:  # Any: FSRS's own JSON
    return datetime.fromisoformat(card["due"]).astimezone(UTC)


def retrievability(card: dict[str, Any], now: datetime) -> float:  # Any: FSRS's own JSON
    """The chance, from 0 to 1, that the concept is still remembered."""
    return float(_SCHEDULER.get_card_retrievability(Card.from_json(json.dumps(card)), now.astimezone(UTC)))
