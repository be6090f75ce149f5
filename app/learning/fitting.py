"""Fits FSRS to a learner's own reviews; the fit is kept only where it better predicts reviews that it has not seen."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
import structlog
from fsrs_rs_python import FSRS, FSRSItem, FSRSReview

from app.learning import progress, scheduler
from app.learning.scheduler import DEFAULT_WEIGHTS, Weights
from app.storage.database import Database
from app.storage.tables.learning import card_weights, reviews

logger = structlog.get_logger()

ENOUGH_REVIEWS = 200  # of one learner; below that the published weights, made from 700 million reviews, know more
AGAIN_AFTER = 100  # new reviews until the next fit
HELD_BACK = 0.2  # the newest part of the reviews, by which a fit is judged
CARDS_EXPECTED = 400
LEAST_CHANCE = 1e-4

History = dict[str, list[tuple[datetime, int]]]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """``log_loss`` is that of the reviews held back, in nats, beside those of the published weights and of the ones in
    use."""

    weights: Weights
    reviews: int
    log_loss: float
    default_log_loss: float
    used_log_loss: float

    @property
    def is_better(self) -> bool:
        return self.log_loss < min(self.default_log_loss, self.used_log_loss)


class FittingService:
    def __init__(self, *, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._tried: dict[str, int] = {}  # reviews of a learner when a fit was last tried

    async def fit_everybody(self) -> int:
        """Fit whoever has enough new reviews, one after the other; returns how many weights were kept."""
        counted = sa.select(reviews.c.user_id, sa.func.count().label("reviews")).group_by(reviews.c.user_id)
        known = sa.select(card_weights.c.user_id, card_weights.c.reviews)
        async with self._database.read() as connection:
            fitted = {row.user_id: row.reviews for row in await connection.execute(known)}
            waiting = [
                row.user_id for row in await connection.execute(counted)
                if row.reviews >= max(ENOUGH_REVIEWS, self._last_tried(row.user_id, fitted) + AGAIN_AFTER)
            ]  # fmt: skip
        return sum([await self._try(user_id) for user_id in waiting])

    def _last_tried(self, user_id: str, fitted: Mapping[str, int]) -> int:
        return max(fitted.get(user_id, -AGAIN_AFTER), self._tried.get(user_id, -AGAIN_AFTER))

    async def _try(self, user_id: str) -> bool:
        """Fit one learner; one whose reviews the library cannot digest keeps no other from being fitted."""
        try:
            return await self.fit(user_id) is not None
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # what the library raises is no Exception
                raise
            logger.warning("cards.not_fitted", reason=str(error)[:200])
            return False

    async def fit(self, user_id: str) -> Fit | None:
        """Fit one learner; None when the fit is no better than what was used so far, which then stays."""
        query = sa.select(reviews).where(reviews.c.user_id == user_id).order_by(reviews.c.reviewed_at)
        history: History = defaultdict(list)
        async with self._database.read() as connection:
            for row in await connection.execute(query):
                history[row.card_id].append((row.reviewed_at, row.rating))
            used = await progress.weights_of(connection, user_id)
        self._tried[user_id] = sum(map(len, history.values()))
        fit = await asyncio.to_thread(fit_of, history, used)
        if not fit.is_better:
            return None
        values = {
            "weights": list(fit.weights), "reviews": fit.reviews, "log_loss": fit.log_loss,
            "default_log_loss": fit.default_log_loss, "fitted_at": self._clock(),
        }  # fmt: skip
        async with self._database.write() as connection:
            statement = self._database.insert(card_weights).values(user_id=user_id, **values)
            await connection.execute(statement.on_conflict_do_update(index_elements=["user_id"], set_=values))
        logger.info("cards.fitted", reviews=fit.reviews, log_loss=fit.log_loss, default_log_loss=fit.default_log_loss)
        return fit


def fit_of(history: History, used: Weights = DEFAULT_WEIGHTS) -> Fit:
    """Fit to the older reviews and judge by the newest, beside the weights in use. Takes a second or so."""
    moments = sorted(at for card in history.values() for at, _ in card)
    cut = moments[int(len(moments) * (1 - HELD_BACK))]
    older = {concept: [review for review in card if review[0] < cut] for concept, card in history.items()}
    weights = tuple(FSRS(list(DEFAULT_WEIGHTS)).compute_parameters(_items(older), enable_short_term=False))
    if len(weights) != len(DEFAULT_WEIGHTS) or not all(math.isfinite(weight) for weight in weights):
        weights = DEFAULT_WEIGHTS
    return Fit(
        weights=weights, reviews=len(moments), log_loss=log_loss(history, weights, since=cut),
        default_log_loss=log_loss(history, DEFAULT_WEIGHTS, since=cut),
        used_log_loss=log_loss(history, used, since=cut),
    )  # fmt: skip


def log_loss(history: History, weights: Weights, *, since: datetime | None = None) -> float:
    """The mean log loss, in nats, of predicted recalls: of all reviews (from ``since`` on) after each card's first."""
    losses = []
    for card in history.values():
        predicted = scheduler.predictions(card, weights)
        for (at, _), (chance, recalled) in zip(card[1:], predicted, strict=True):
            if since is None or at >= since:
                losses.append(-math.log(max(LEAST_CHANCE, chance if recalled else 1 - chance)))
    return sum(losses) / len(losses) if losses else 0.0


def _items(history: History) -> list[FSRSItem]:
    """Each review after a card's first is an item: the reviews up to it, with the days between them.

    The library leaves out what is rare by thresholds made for collections of hundreds of cards; with one card for each
    concept that would be everything. So each item counts several times. What that overfits is caught by the reviews
    held back.
    """
    items = []
    for card in history.values():
        past: list[FSRSReview] = []
        previous: datetime | None = None
        on_one_day = True
        for at, rating in card:
            days = 0 if previous is None else (at - previous).days
            past = [*past, FSRSReview(rating, days)]
            previous = at
            on_one_day = on_one_day and days == 0
            if not on_one_day:  # which would say nothing of forgetting
                items.append(FSRSItem(past))
    return items * max(1, math.ceil(CARDS_EXPECTED / max(1, len(history))))
