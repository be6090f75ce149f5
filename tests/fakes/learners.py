"""Simulated learners: they forget by the FSRS law with weights of their own, which nobody is told."""

import random
from datetime import UTC, datetime, timedelta

from app.learning import scheduler
from app.learning.fitting import History
from app.learning.scheduler import DEFAULT_WEIGHTS, Weights

START = datetime(2025, 1, 1, tzinfo=UTC)
FORGETFUL: Weights = tuple(
    weight * {0: 0.3, 1: 0.3, 2: 0.3, 3: 0.3, 8: 0.5}.get(place, 1.0) for place, weight in enumerate(DEFAULT_WEIGHTS)
)  # memories begin weak, and grow slowly (the ninth weight is the exponent of growth)


def practise(
    *, concepts: int, reviews: int, memory: Weights, seed: int, lateness: tuple[float, float] = (0.7, 1.5)
) -> History:
    """Each concept is reviewed when the published weights say so, times something between the two of ``lateness``."""
    generator = random.Random(seed)
    history: History = {}
    for concept in range(concepts):
        at = START + timedelta(days=generator.randrange(30))
        card = truth = None
        past: list[tuple[datetime, int]] = []
        for _ in range(reviews):
            recalled = truth is None or generator.random() < scheduler.retrievability(truth, at, memory)
            grade = scheduler.GRADES[generator.choice((2, 3, 3, 3, 4)) if recalled else 1]
            past.append((at, int(scheduler.RATINGS[grade])))
            card, truth = scheduler.review(card, grade, at), scheduler.review(truth, grade, at, memory)
            wait = (scheduler.due_at(card) - at) * generator.uniform(*lateness)
            at += max(timedelta(days=1), wait)
        history[f"concept-{concept}"] = past
    return history
