"""Cards, skills, challenges in hand and training sessions, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from app.errors import Conflict, InvalidInput, NotFound
from app.identity.accounts import User
from app.learning import mastery, scheduler
from app.learning.challenges import ChallengeService, choose
from app.learning.curriculum import load_curriculum
from app.learning.mastery import Skill
from app.learning.sandbox.probe import Isolation
from app.learning.training import TrainingService, chosen_of, draw
from app.storage.database import Database
from tests.fakes.clock import Clock

CURRICULUM = load_curriculum()
NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def challenges(database: Database, clock: Clock, isolation: Isolation) -> ChallengeService:
    return ChallengeService(
        database=database, curriculum=CURRICULUM, isolation=isolation, clock=clock, wake=lambda: None
    )


@pytest.fixture
def training(database: Database, clock: Clock) -> TrainingService:
    return TrainingService(database=database, curriculum=CURRICULUM, clock=clock, wake=lambda: None)


def solution(challenge_id: str) -> str:
    challenge = CURRICULUM.challenge(challenge_id)
    assert challenge is not None
    return challenge.solutions["python"]


async def test_the_first_attempt_alone_moves_mastery(challenges: ChallengeService, ada: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")

    first = await challenges.submit(ada.id, started.id, "def running_total(numbers): return []")
    second = await challenges.submit(ada.id, started.id, solution("running-total"))

    assert first.change is not None
    assert first.graded.verdict == "failed"
    assert second.change is None
    assert (second.graded.verdict, second.score, second.started.status) == ("passed", 95, "passed")


async def test_a_solve_raises_mastery_and_is_due_later_than_a_failure(
    challenges: ChallengeService, ada: User, eve: User
) -> None:
    good = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    bad = await challenges.start(eve.id, thread_id="t", challenge_id="running-total")

    solved = await challenges.submit(ada.id, good.id, solution("running-total"))
    failed = await challenges.submit(eve.id, bad.id, "def running_total(numbers): return None")

    assert solved.change is not None
    assert failed.change is not None
    assert solved.change.after > failed.change.after
    assert solved.change.due_at > failed.change.due_at


async def test_hints_come_one_by_one_and_end(challenges: ChallengeService, ada: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")

    shown = [len((await challenges.hint(ada.id, started.id)).hints) for _ in range(4)]

    assert shown == [1, 2, 3, 3]


async def test_a_skipped_challenge_takes_no_code(challenges: ChallengeService, ada: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    await challenges.skip(ada.id, started.id)

    with pytest.raises(Conflict):
        await challenges.submit(ada.id, started.id, solution("running-total"))
    with pytest.raises(Conflict):
        await challenges.skip(ada.id, started.id)


async def test_nobody_touches_anothers_challenge(challenges: ChallengeService, ada: User, eve: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")

    for touch in (
        challenges.get(eve.id, started.id),
        challenges.submit(eve.id, started.id, "x = 1"),
        challenges.run_examples(eve.id, started.id, "x = 1"),
        challenges.hint(eve.id, started.id),
        challenges.skip(eve.id, started.id),
    ):
        with pytest.raises(NotFound):
            await touch
    assert await challenges.open_in_thread(eve.id, "t") is None
    assert await challenges.attempts_of(eve.id) == []


@pytest.mark.parametrize(
    "wanted",
    [{"language": "cobol"}, {"concept": "cooking"}, {"difficulty": "impossible"}],
)
async def test_what_is_not_there_is_named(challenges: ChallengeService, ada: User, wanted: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wanted.values()))):
        await challenges.start(ada.id, thread_id="t", **wanted)


async def test_the_next_challenge_is_another(challenges: ChallengeService, ada: User, clock: Clock) -> None:
    seen = []
    for _ in range(4):
        seen.append((await challenges.start(ada.id, thread_id="t", concept="strings")).challenge.id)
        clock.move(minutes=1)

    assert len(set(seen[:3])) == 3
    assert seen[3] == seen[0]


def test_the_choice_aims_at_a_fair_chance_and_prefers_what_is_due() -> None:
    strong = {concept.id: Skill(rating=1900, deviation=50, outcomes=9) for concept in CURRICULUM.concepts}

    for_beginner = choose(CURRICULUM.challenges, skills={}, recent=[], due=[], aim_by_rating=True)
    for_expert = choose(CURRICULUM.challenges, skills=strong, recent=[], due=[], aim_by_rating=True)
    due = choose(CURRICULUM.challenges, skills={}, recent=[], due=["stacks"], aim_by_rating=True)

    assert for_beginner.difficulty == "easy"
    assert for_expert.difficulty == "hard"
    assert due.concept == "stacks"


async def test_a_session_of_five_ends_with_a_summary(training: TrainingService, ada: User) -> None:
    session = await training.start(ada.id, thread_id="t", concepts=["sql"], count=5)
    marks = []
    for _ in range(5):
        current = session.current
        assert current is not None
        found = CURRICULUM.question(current.question_id)
        assert found is not None
        marked = await training.answer(ada.id, session.id, found[1].answer)
        session = marked.session
        marks.append(marked.correct)

    assert marks == [True] * 5
    assert (session.status, session.correct, session.current) == ("ended", 5, None)
    assert [change.concept for change in marked.changes] == ["sql"]


async def test_an_answer_counts_once_and_must_be_a_choice(training: TrainingService, ada: User) -> None:
    session = await training.start(ada.id, thread_id="t", concepts=["sql"], count=2)
    assert session.current is not None
    first = session.current.question_id

    with pytest.raises(InvalidInput, match="A, B, C, D"):
        await training.answer(ada.id, session.id, "perhaps")
    await training.answer(ada.id, session.id, "a", question_id=first)

    with pytest.raises(Conflict, match="answered already"):
        await training.answer(ada.id, session.id, "b", question_id=first)


async def test_nobody_answers_anothers_session(training: TrainingService, ada: User, eve: User) -> None:
    session = await training.start(ada.id, thread_id="t", concepts=["sql"], count=2)

    with pytest.raises(NotFound):
        await training.answer(eve.id, session.id, "a")
    with pytest.raises(NotFound):
        await training.finish(eve.id, session.id)


async def test_an_ended_session_takes_no_answer(training: TrainingService, ada: User) -> None:
    session = await training.start(ada.id, thread_id="t", concepts=["sql"], count=2)
    ended = await training.finish(ada.id, session.id)

    with pytest.raises(Conflict, match="ended"):
        await training.answer(ada.id, session.id, "a")
    assert ended.status == "ended"


@pytest.mark.parametrize("count", [0, -1, 21, 100000])
async def test_a_session_has_one_to_twenty_questions(training: TrainingService, ada: User, count: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 20"):
        await training.start(ada.id, thread_id="t", concepts=["sql"], count=count)


def test_questions_are_drawn_from_the_concepts_in_turn() -> None:
    drawn = draw(CURRICULUM, ["sql", "lists"], 4, seed="x")

    assert [question.split("-")[0] for question in drawn] == ["sql", "lists", "sql", "lists"]
    assert drawn == draw(CURRICULUM, ["sql", "lists"], 4, seed="x")


@pytest.mark.parametrize(
    ("text", "place"),
    [("a", 0), ("B", 1), ("c)", 2), (" 2 ", 1), ("Two words", 1), ("z", None), ("9", None), ("", None), ("hm", None)],
)
def test_how_people_name_a_choice(text: str, place: int | None) -> None:
    assert chosen_of(text, ["one", "two words", "three"]) == place


def test_glicko_gives_the_numbers_of_its_paper() -> None:
    """The paper's player meets three opponents in one period; against the first alone the direction must agree."""
    skill = Skill(rating=1500, deviation=200, volatility=0.06, outcomes=1)

    won = mastery.update(skill, challenge_rating=1400, outcome=1)
    lost = mastery.update(skill, challenge_rating=1400, outcome=0)

    assert won.rating > 1500 > lost.rating
    assert won.deviation < 200
    assert won.volatility == pytest.approx(0.06, abs=0.001)


def test_mastery_needs_evidence() -> None:
    assert mastery.mastery(Skill()) == 0
    once = mastery.update(Skill(), challenge_rating=1250, outcome=1)
    often = once
    for _ in range(10):
        often = mastery.update(often, challenge_rating=1250, outcome=1)
    assert 0 < mastery.mastery(once) < mastery.mastery(often) <= 100


def test_a_failure_comes_back_sooner_than_a_success() -> None:
    good = scheduler.review(None, "good", NOW)
    again = scheduler.review(None, "again", NOW)

    assert scheduler.due_at(again) < scheduler.due_at(good)
    assert scheduler.due_at(scheduler.review(good, "good", scheduler.due_at(good))) - scheduler.due_at(
        good
    ) > timedelta(3)


def test_a_clock_that_goes_back_is_no_review_in_the_past() -> None:
    card = scheduler.review(None, "good", NOW)

    later = scheduler.review(card, "good", NOW - timedelta(days=400))

    assert scheduler.due_at(later) > NOW


@pytest.mark.parametrize(
    ("passed", "points", "first_try", "grade"),
    [(False, 90, True, "again"), (True, 50, True, "again"), (True, 70, True, "hard"), (True, 85, False, "good"),
     (True, 100, True, "easy")],
)  # fmt: skip
def test_the_grade_of_a_sitting(passed: bool, points: int, first_try: bool, grade: str) -> None:
    assert scheduler.grade_of(passed=passed, score=points, first_try=first_try) == grade
