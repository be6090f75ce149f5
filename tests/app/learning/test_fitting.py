"""FSRS is fitted to a learner, and the fit is used only where it predicts better what it has not seen."""

import uuid
from datetime import timedelta

import pytest

from app.identity.accounts import User
from app.learning import progress
from app.learning.fitting import ENOUGH_REVIEWS, FittingService, fit_of, log_loss
from app.learning.scheduler import DEFAULT_WEIGHTS
from app.storage.database import Database
from app.storage.tables.learning import reviews
from tests.fakes.clock import Clock
from tests.fakes.learners import FORGETFUL, practise


async def store(database: Database, user: User, history: dict[str, list[tuple[object, int]]]) -> None:
    rows = [
        {"id": uuid.uuid4().hex, "user_id": user.id, "card_id": concept, "rating": rating, "reviewed_at": at}
        for concept, card in history.items()
        for at, rating in card
    ]
    async with database.write() as connection:
        await connection.execute(reviews.insert(), rows)


@pytest.fixture
def fitting(database: Database, clock: Clock) -> FittingService:
    return FittingService(database=database, clock=clock)


async def test_a_forgetful_learner_gets_weights_of_their_own(
    fitting: FittingService, database: Database, ada: User, eve: User
) -> None:
    await store(database, ada, practise(concepts=26, reviews=14, memory=FORGETFUL, seed=1))
    await store(database, eve, practise(concepts=3, reviews=5, memory=FORGETFUL, seed=1))

    kept = await fitting.fit_everybody()
    again = await fitting.fit_everybody()

    async with database.read() as connection:
        adas, eves = [await progress.weights_of(connection, user.id) for user in (ada, eve)]
    assert (kept, again) == (1, 0)
    assert adas != DEFAULT_WEIGHTS
    assert eves == DEFAULT_WEIGHTS


def test_a_fit_predicts_a_forgetful_learner_better_than_the_published_weights() -> None:
    history = practise(concepts=26, reviews=14, memory=FORGETFUL, seed=2)

    fit = fit_of(history)

    assert fit.reviews == 26 * 14 >= ENOUGH_REVIEWS
    assert fit.is_better
    assert fit.log_loss < 0.98 * fit.default_log_loss


def test_the_true_weights_predict_best() -> None:
    history = practise(concepts=40, reviews=14, memory=FORGETFUL, seed=3)

    assert log_loss(history, FORGETFUL) < log_loss(history, DEFAULT_WEIGHTS)


async def test_a_fit_that_is_no_better_is_not_kept(fitting: FittingService, database: Database, ada: User) -> None:
    await store(database, ada, practise(concepts=26, reviews=14, memory=DEFAULT_WEIGHTS, seed=4))

    fit = await fitting.fit(ada.id)

    assert fit is None or fit.is_better
    async with database.read() as connection:
        assert (await progress.weights_of(connection, ada.id) != DEFAULT_WEIGHTS) == (fit is not None)


def test_log_loss_of_no_reviews_is_nothing() -> None:
    assert log_loss({}, DEFAULT_WEIGHTS) == 0.0


async def test_a_learner_of_one_day_keeps_nobody_from_being_fitted(
    fitting: FittingService, database: Database, ada: User, eve: User, clock: Clock
) -> None:
    hours = {f"concept-{n}": [(clock() + timedelta(hours=m), 3 if m % 3 else 1) for m in range(10)] for n in range(24)}
    await store(database, eve, hours)
    await store(database, ada, practise(concepts=26, reviews=14, memory=FORGETFUL, seed=1))

    await fitting.fit_everybody()

    async with database.read() as connection:
        assert await progress.weights_of(connection, ada.id) != DEFAULT_WEIGHTS
