"""How well recall is predicted: FSRS fitted and as published, a constant, and SM-2, on simulated learners."""

import math
from datetime import datetime

from app.learning.fitting import LEAST_CHANCE, History, fit_of, log_loss
from app.learning.scheduler import DEFAULT_WEIGHTS
from tests.fakes.learners import FORGETFUL, practise

LEARNERS = 8
LATENESS = (0.5, 4.0)  # people come half a wait early, or four times too late
SM2_RECALL = 0.9  # what SM-2's intervals aim at; before and after, forgetting is taken as exponential


def rows() -> list[tuple[str, str]]:
    histories = [
        practise(concepts=26, reviews=14, memory=FORGETFUL, seed=seed, lateness=LATENESS) for seed in range(LEARNERS)
    ]
    fits = [fit_of(history) for history in histories]
    reviews = sum(len(card) for history in histories for card in history.values())
    losses = [
        ("FSRS-6 as used here: fitted, where that was better before", [_as_used(history) for history in histories]),
        ("FSRS-6, fitted to the learner", [fit.log_loss for fit in fits]),
        ("FSRS-6, published weights", [fit.default_log_loss for fit in fits]),
        ("a constant", [_constant(history) for history in histories]),
        ("SM-2", [_sm2(history) for history in histories]),
    ]
    return [
        (f"log loss of recall, {name} ({LEARNERS} simulated learners, {reviews:,} reviews, newest fifth)",
         f"{sum(found) / len(found):.3f}")
        for name, found in losses
    ]  # fmt: skip


def _as_used(history: History) -> float:
    """Fitted and chosen by what was known before the newest fifth."""
    cut = _cut(history)
    fit = fit_of({concept: [review for review in card if review[0] < cut] for concept, card in history.items()})
    return log_loss(history, fit.weights if fit.is_better else DEFAULT_WEIGHTS, since=cut)


def _cut(history: History) -> datetime:
    moments = sorted(at for card in history.values() for at, _ in card)
    return moments[int(len(moments) * 0.8)]


def _constant(history: History) -> float:
    cut = _cut(history)
    older = [rating > 1 for card in history.values() for at, rating in card[1:] if at < cut]
    chance = sum(older) / len(older)
    return _mean([(chance, rating > 1) for card in history.values() for at, rating in card[1:] if at >= cut])


def _sm2(history: History) -> float:
    """SM-2 (Wozniak, 1990): interval 1, 6, then times the ease, which moves with the grade; a lapse starts again."""
    cut, predicted = _cut(history), []
    for card in history.values():
        ease, interval, repetitions = 2.5, 1.0, 0
        previous: datetime | None = None
        for at, rating in card:
            if previous is not None and at >= cut:
                elapsed = (at - previous).total_seconds() / 86_400
                predicted.append((SM2_RECALL ** (elapsed / interval), rating > 1))
            quality = {1: 1, 2: 3, 3: 4, 4: 5}[rating]
            ease = max(1.3, ease + 0.1 - (5 - quality) * (0.08 + (5 - quality) * 0.02))
            repetitions = 0 if quality < 3 else repetitions + 1
            interval = 1.0 if repetitions <= 1 else 6.0 if repetitions == 2 else interval * ease
            previous = at
    return _mean(predicted)


def _mean(predicted: list[tuple[float, bool]]) -> float:
    losses = [-math.log(max(LEAST_CHANCE, chance if recalled else 1 - chance)) for chance, recalled in predicted]
    return sum(losses) / len(losses)
