"""Sessions whose items follow how the learner does, plans with dates, and the path they are made from."""

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from app.errors import Conflict, InvalidInput, NotFound
from app.identity.accounts import User
from app.learning import interleaving, plans, progress
from app.learning.challenge_files import AnswerChallenge, FunctionChallenge
from app.learning.challenges import ChallengeService
from app.learning.curriculum import load_curriculum
from app.learning.interleaving import Done, Offer, next_item
from app.learning.path import path_of
from app.learning.plans import PlanService, dated, session_days, with_required
from app.learning.progress import ConceptProgress
from app.learning.sandbox.probe import Isolation
from app.learning.sessions import Asked, InHand, Session
from app.learning.training import TrainingService
from app.storage.database import Database
from app.storage.tables.learning import reviews
from tests.fakes.clock import Clock

CURRICULUM = load_curriculum()
TODAY = date(2026, 3, 2)


@pytest.fixture
def challenges(database: Database, clock: Clock, isolation: Isolation) -> ChallengeService:
    return ChallengeService(
        database=database, curriculum=CURRICULUM, isolation=isolation, clock=clock, wake=lambda: None
    )


@pytest.fixture
def training(database: Database, clock: Clock, challenges: ChallengeService) -> TrainingService:
    return TrainingService(
        database=database, curriculum=CURRICULUM, challenges=challenges, clock=clock, wake=lambda: None
    )


@pytest.fixture
def planning(database: Database, clock: Clock) -> PlanService:
    return PlanService(database=database, curriculum=CURRICULUM, clock=clock)


def right_choice(asked: Asked) -> str:
    found = CURRICULUM.question(asked.question_id)
    assert found is not None
    return found[1].answer


def wrong_choice(asked: Asked) -> str:
    return next(choice for choice in asked.choices if choice != right_choice(asked))


def question_of(session: Session) -> Asked:
    assert isinstance(session.current, Asked)
    return session.current


def challenge_of(session: Session) -> InHand:
    assert isinstance(session.current, InHand)
    return session.current


def offers(*concepts: str, questions: int = 6, challenge: bool = False, known: bool = False) -> list[Offer]:
    return [
        Offer(
            concept=name, questions=[f"{name}-{n}" for n in range(questions)], has_challenge=challenge, known=known
        )
        for name in concepts
    ]  # fmt: skip


def played(outcomes: str, *, concepts: Sequence[str], length: int = 9, challenge: bool = False) -> list[str]:
    """What is asked when the learner's answers are these ("r" right, "w" wrong); a challenge ends with "!"."""
    done: list[Done] = []
    asked = []
    for outcome in outcomes:
        item = next_item(done, offers(*concepts, challenge=challenge), length=length)
        assert item is not None
        kind: interleaving.Kind = "question" if item.question_id else "challenge"
        asked.append(item.concept + ("" if item.question_id else "!"))
        done.append(Done(kind=kind, concept=item.concept, correct=outcome == "r"))
    return asked


@pytest.mark.parametrize(
    ("outcomes", "asked"),
    [
        pytest.param("rrrrrr", "a b c a b c", id="in turn when all goes well"),
        pytest.param("wrrrrr", "a b a c a b", id="what went wrong comes back sooner and more often"),
        pytest.param("wwwwww", "a b a b a b", id="never the same twice running"),
    ],
)
def test_a_session_follows_how_the_learner_does(outcomes: str, asked: str) -> None:
    assert " ".join(played(outcomes, concepts=["a", "b", "c"])) == asked


def test_a_right_answer_is_followed_by_a_challenge_and_two_are_enough() -> None:
    assert played("rrrrrrr", concepts=["a", "b", "c"], challenge=True) == ["a", "b", "c", "a!", "b!", "c", "a"]


def test_a_known_concept_begins_with_its_challenge() -> None:
    item = next_item([], offers("a", challenge=True, known=True), length=3)

    assert item is not None
    assert item.question_id is None


def test_a_session_ends_when_it_is_full_or_nothing_is_left() -> None:
    right = Done(kind="question", concept="a", correct=True)

    assert next_item([right] * 3, offers("a"), length=3) is None
    assert next_item([right], offers("a", questions=0), length=3) is None


def progress_of(concept: str, mastery: int, *, due_in_days: int) -> ConceptProgress:
    due_at = Clock()() + timedelta(days=due_in_days)
    return ConceptProgress(concept=concept, mastery=mastery, outcomes=1, due_at=due_at)


def test_the_path_puts_due_before_weak_before_new_before_locked() -> None:
    tried = [
        progress_of("strings", 80, due_in_days=-1), progress_of("basics", 60, due_in_days=-2),
        progress_of("lists", 20, due_in_days=3), progress_of("numbers", 90, due_in_days=9),
    ]  # fmt: skip

    steps = path_of(CURRICULUM.concepts, tried, Clock()())

    order = [step.why for step in steps]
    assert [(step.concept.id, step.why) for step in steps[:3]] == [
        ("basics", "due"), ("strings", "due"), ("lists", "weak"),
    ]  # fmt: skip
    assert order == sorted(order, key=["due", "weak", "new", "kept", "locked"].index)
    assert all(step.missing for step in steps if step.why == "locked")
    assert interleaving.mixed(steps, offered=CURRICULUM.questions.keys())[:3] == ["basics", "strings", "lists"]
    assert len(interleaving.mixed(steps, offered=CURRICULUM.questions.keys())) == 4


async def test_a_mixed_session_holds_questions_and_a_challenge_and_ends_with_dates(
    training: TrainingService, challenges: ChallengeService, ada: User
) -> None:
    session = await training.start(ada.id, thread_id="t", concepts=["strings", "lists"])
    kinds = []
    changes: tuple[object, ...] = ()
    while session.status == "open":
        if isinstance(session.current, InHand):
            kinds.append("challenge")
            one = session.current.started
            with pytest.raises(Conflict, match="challenge comes first"):
                await training.answer(ada.id, session.id, "a")
            await challenges.submit(ada.id, one.id, _solution(one.challenge.id), language="python")
            moved = await training.go_on(ada.id, session.id)
            session, changes = moved.session, moved.changes
        else:
            kinds.append("question")
            marked = await training.answer(ada.id, session.id, right_choice(question_of(session)))
            session, changes = marked.session, marked.changes

    assert (len(kinds), kinds.count("challenge"), session.correct) == (6, 2, 6)
    assert len(changes) == 2
    assert {item.concept for item in session.done} == {"strings", "lists"}


def _solution(challenge_id: str) -> str:
    challenge = CURRICULUM.challenge(challenge_id)
    if isinstance(challenge, AnswerChallenge):
        return challenge.answer
    assert isinstance(challenge, FunctionChallenge)
    return challenge.solutions["python"]


async def test_a_session_that_ends_lets_its_challenge_go_on_by_itself(
    training: TrainingService, challenges: ChallengeService, ada: User
) -> None:
    session = await training.start(ada.id, thread_id="t", concepts=["strings", "lists"])
    solved = False
    while not (solved and isinstance(session.current, InHand)):
        if isinstance(session.current, InHand):
            one = session.current.started
            await challenges.submit(ada.id, one.id, _solution(one.challenge.id), language="python")
            session, solved = (await training.go_on(ada.id, session.id)).session, True
        else:
            session = (await training.answer(ada.id, session.id, right_choice(question_of(session)))).session

    moved = await training.finish(ada.id, session.id)
    left = await challenges.get(ada.id, session.current.started.id)

    assert (left.status, left.session_id) == ("open", None)
    assert {change.concept for change in moved.changes} == {"strings", "lists"}
    assert all(change.due_at for change in moved.changes)


async def test_a_skipped_challenge_lets_the_session_go_on(
    training: TrainingService, challenges: ChallengeService, ada: User
) -> None:
    session = await training.start(ada.id, thread_id="t", concepts=["strings"])
    session = (await training.answer(ada.id, session.id, right_choice(question_of(session)))).session
    waiting = await training.go_on(ada.id, session.id)
    await challenges.skip(ada.id, challenge_of(session).started.id)

    after = (await training.go_on(ada.id, session.id)).session

    assert waiting.session == session
    assert [item.correct for item in after.done] == [True, False]
    assert question_of(after).number == 3


async def test_a_sessions_challenge_that_is_solved_elsewhere_counts(
    training: TrainingService, challenges: ChallengeService, ada: User
) -> None:
    session = await training.start(ada.id, thread_id="t", concepts=["strings"])
    session = (await training.answer(ada.id, session.id, right_choice(question_of(session)))).session
    in_hand = challenge_of(session).started.challenge
    await training.pause(ada.id, session.id)

    elsewhere = await challenges.start(ada.id, thread_id="u", challenge_id=in_hand.id)
    await challenges.submit(ada.id, elsewhere.id, _solution(in_hand.id))
    await training.resume(ada.id, session.id, thread_id="t")
    after = (await training.go_on(ada.id, session.id)).session

    assert [(item.kind, item.correct) for item in after.done] == [("question", True), ("challenge", True)]


async def test_two_who_go_on_at_once_ask_one_item(
    training: TrainingService, challenges: ChallengeService, ada: User
) -> None:
    session = await training.start(ada.id, thread_id="t", concepts=["strings"])
    session = (await training.answer(ada.id, session.id, right_choice(question_of(session)))).session
    await challenges.skip(ada.id, challenge_of(session).started.id)

    moved = await asyncio.gather(*(training.go_on(ada.id, session.id) for _ in range(5)))

    assert len({question_of(one.session).question_id for one in moved}) == 1
    assert len((await training.get(ada.id, session.id)).done) == 2


async def test_a_paused_session_takes_no_answer_and_goes_on_anywhere(
    training: TrainingService, ada: User, eve: User
) -> None:
    session = await training.start(ada.id, thread_id="one", concepts=["sql"], count=3)
    await training.answer(ada.id, session.id, right_choice(question_of(session)))
    paused = await training.pause(ada.id, session.id)
    with pytest.raises(Conflict, match="paused"):
        await training.answer(ada.id, session.id, "a")

    resumed = await training.resume(ada.id, session.id, thread_id="two")

    assert (paused.status, resumed.status, len(resumed.done)) == ("paused", "open", 1)
    assert await training.open_in_thread(ada.id, "one") is None
    assert await training.open_in_thread(ada.id, "two") == resumed
    assert [one.id for one in await training.unfinished(ada.id)] == [session.id]
    for act in (training.pause, training.resume, training.go_on):
        with pytest.raises(NotFound):
            await act(eve.id, session.id)


async def test_a_new_session_in_the_same_chat_pauses_the_old_one(training: TrainingService, ada: User) -> None:
    first = await training.start(ada.id, thread_id="t", concepts=["sql"], count=3)

    second = await training.start(ada.id, thread_id="t", concepts=["lists"], count=3)

    assert (await training.get(ada.id, first.id)).status == "paused"
    assert await training.open_in_thread(ada.id, "t") == second


async def test_an_ended_session_cannot_go_on(training: TrainingService, ada: User) -> None:
    session = await training.start(ada.id, thread_id="t", concepts=["sql"], count=3)
    await training.answer(ada.id, session.id, right_choice(question_of(session)))
    first = await training.finish(ada.id, session.id)
    again = await training.finish(ada.id, session.id)

    assert (len(first.changes), again.changes) == (1, ())
    with pytest.raises(Conflict, match="ended"):
        await training.resume(ada.id, session.id)
    with pytest.raises(Conflict, match="ended"):
        await training.pause(ada.id, session.id)


@pytest.mark.parametrize(("days", "sessions"), [(1, 1), (2, 2), (7, 7), (8, 5), (21, 12), (60, 35), (180, 60)])
def test_a_plan_has_a_session_every_day_in_a_short_week_and_four_a_week_else(days: int, sessions: int) -> None:
    found = session_days(TODAY, TODAY + timedelta(days=days))

    assert len(found) == len(set(found)) == sessions
    assert (found[0], found[-1]) == (TODAY, TODAY + timedelta(days=days - 1 if days > 1 else 0))
    assert found == sorted(found)


def test_a_plan_begins_with_what_its_topics_require_and_ends_with_what_was_asked_for() -> None:
    wanted = with_required(CURRICULUM.concepts, ["graphs", "sql"], {"basics": 60}, most_required=20)
    sessions = dated(
        wanted, asked_for=["graphs", "sql"], levels={"basics": 60, "sql": 30}, today=TODAY,
        goal_day=TODAY + timedelta(days=21),
    )  # fmt: skip

    first_met = {name: next(s.number for s in sessions if name in s.concepts) for name in wanted}
    assert "basics" not in wanted
    assert set(wanted) > {"graphs", "sql"}
    assert [first_met[name] for name in wanted] == sorted(first_met[name] for name in wanted)
    assert sessions[-1].concepts == ("graphs", "sql")
    assert all(1 <= len(session.concepts) <= 4 for session in sessions)


def test_a_plan_of_one_day_holds_everything() -> None:
    sessions = dated(["sql"], asked_for=["sql"], levels={}, today=TODAY, goal_day=TODAY + timedelta(days=1))

    assert [(one.day, one.concepts) for one in sessions] == [(TODAY, ("sql",))]


async def test_a_plans_session_is_what_training_begins_with_and_a_missed_one_comes_first(
    planning: PlanService, training: TrainingService, ada: User, eve: User
) -> None:
    goal_day = TODAY + timedelta(days=5)
    plan = await planning.make(ada.id, goal="interview", goal_day=goal_day, concepts=["sql"], today=TODAY)
    later = TODAY + timedelta(days=1)
    missed = await planning.current(ada.id, later)
    session = await training.start(ada.id, thread_id="t", today=later)
    begun = await planning.current(ada.id, later)
    await training.finish(ada.id, session.id)
    empty = await planning.current(ada.id, later)
    again = await training.start(ada.id, thread_id="t", today=later)
    await training.answer(ada.id, again.id, right_choice(question_of(again)))
    await training.finish(ada.id, again.id)
    done = await planning.current(ada.id, later)

    assert (len(plan.sessions), plan.sessions[0].status) == (5, "today")
    assert missed is not None
    assert missed.next is not None
    assert (missed.next.number, missed.next.status) == (1, "missed")
    assert session.concepts == plan.sessions[0].concepts
    assert begun is not None
    assert begun.sessions[0].status == "started"
    assert empty is not None
    assert empty.sessions[0].status == "missed"
    assert done is not None
    assert [one.status for one in done.sessions[:3]] == ["done", "today", "coming"]
    assert await planning.current(eve.id, later) is None
    assert await planning.current(ada.id, goal_day + timedelta(days=1)) is None


async def test_a_session_that_was_begun_and_left_does_not_hold_up_the_plan(
    planning: PlanService, training: TrainingService, database: Database, ada: User
) -> None:
    await planning.make(ada.id, goal="exam", goal_day=TODAY + timedelta(days=5), concepts=["sql"], today=TODAY)
    await training.start(ada.id, thread_id="t", today=TODAY)

    next_day = await plans.due(database, ada.id, TODAY + timedelta(days=1))

    assert next_day is not None
    assert next_day.number == 2


async def test_a_planned_session_is_taken_by_whoever_comes_first(
    planning: PlanService, database: Database, ada: User
) -> None:
    await planning.make(ada.id, goal="exam", goal_day=TODAY + timedelta(days=5), concepts=["sql"], today=TODAY)
    planned = await plans.due(database, ada.id, TODAY)
    assert planned is not None

    async with database.write() as connection:
        await plans.take(connection, planned, "first")
        await plans.take(connection, planned, "second")

    plan = await planning.current(ada.id, TODAY)
    assert plan is not None
    assert plan.sessions[0].session_id == "first"


async def test_a_challenge_that_a_session_waits_for_is_there_when_it_goes_on(
    training: TrainingService, challenges: ChallengeService, ada: User, clock: Clock
) -> None:
    session = await training.start(ada.id, thread_id="t", concepts=["dictionaries"])
    while not isinstance(session.current, InHand):
        marked = await training.answer(ada.id, session.id, right_choice(question_of(session)))
        session = marked.session
    in_hand = session.current.started
    await challenges.submit(ada.id, in_hand.id, "wrong: nothing")
    await training.pause(ada.id, session.id)
    clock.move(hours=20)

    resumed = await training.resume(ada.id, session.id, thread_id="u")

    assert challenge_of(resumed).started.id == in_hand.id


async def test_a_short_plan_practises_all_that_was_asked_for(
    planning: PlanService, training: TrainingService, ada: User
) -> None:
    wanted = ["graphs", "trees", "sql", "recursion", "sorting", "searching", "stacks", "dates", "parsing", "regex"]
    topics = [name for name in wanted if name in CURRICULUM.questions]

    plan = await planning.make(ada.id, goal="exam", goal_day=TODAY + timedelta(days=1), concepts=topics, today=TODAY)
    session = await training.start(ada.id, thread_id="t", today=TODAY)

    assert set(plan.sessions[0].concepts) == set(topics)
    assert session.length >= len(topics)


async def test_a_new_plan_ends_the_old_one_and_a_plan_can_be_dropped(planning: PlanService, ada: User) -> None:
    goal_day = TODAY + timedelta(days=5)
    await planning.make(ada.id, goal="interview", goal_day=goal_day, concepts=["sql"], today=TODAY)
    await planning.make(ada.id, goal="exam", goal_day=goal_day, concepts=["lists"], today=TODAY)
    second = await planning.current(ada.id, TODAY)

    await planning.end(ada.id)

    assert second is not None
    assert second.goal == "exam"
    assert await planning.current(ada.id, TODAY) is None
    with pytest.raises(NotFound, match="no plan"):
        await planning.end(ada.id)


@pytest.mark.parametrize(
    ("goal", "days", "concepts", "says"),
    [
        ("exam", 0, ["sql"], "between tomorrow"), ("exam", -3, ["sql"], "between tomorrow"),
        ("exam", 181, ["sql"], "180 days"), ("exam", 5, [], "1 to 10 topics"), ("exam", 5, [concept.id for concept in CURRICULUM.concepts][:11], "1 to 10"),
        ("exam", 5, ["cooking"], "'cooking' is not a topic"), (" ", 5, ["sql"], "1 to 120"), ("x" * 121, 5, ["sql"], "120"),
    ],
)  # fmt: skip
async def test_a_plan_that_does_not_fit_gets_a_sentence(
    planning: PlanService, ada: User, goal: str, days: int, concepts: list[str], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        await planning.make(ada.id, goal=goal, goal_day=TODAY + timedelta(days=days), concepts=concepts, today=TODAY)
    assert await planning.current(ada.id, TODAY) is None


async def test_what_is_due_today_is_taken_once(planning: PlanService, database: Database, ada: User) -> None:
    await planning.make(ada.id, goal="exam", goal_day=TODAY + timedelta(days=5), concepts=["sql"], today=TODAY)

    first = await plans.due(database, ada.id, TODAY)
    assert first is not None
    async with database.write() as connection:
        await plans.take(connection, first, "some-session")

    assert await plans.due(database, ada.id, TODAY) is None


async def _all_right(training: TrainingService, user: User, *, right: bool = True) -> tuple[progress.Change, ...]:
    session = await training.start(user.id, thread_id="t", concepts=["sql"], count=6)
    changes: tuple[progress.Change, ...] = ()
    while session.status == "open":
        asked = question_of(session)
        marked = await training.answer(user.id, session.id, right_choice(asked) if right else wrong_choice(asked))
        session, changes = marked.session, marked.changes
    return changes


async def test_answers_that_were_just_shown_raise_no_mastery(
    training: TrainingService, ada: User, clock: Clock
) -> None:
    questions = len(CURRICULUM.questions["sql"])
    await _all_right(training, ada, right=False)
    clock.move(days=1)

    again = [await _all_right(training, ada) for _ in range(questions)]

    last = again[-1][0]
    assert (last.before, last.after) == (again[2][0].after, again[2][0].after)
    assert "known already" in last.why


async def test_the_right_answer_given_later_elsewhere_takes_no_mistake_back(
    training: TrainingService, ada: User, clock: Clock
) -> None:
    first = await training.start(ada.id, thread_id="t1", concepts=["sql"], count=6)
    second = await training.start(ada.id, thread_id="t2", concepts=["sql"], count=6)
    while first.status == "open":
        clock.move(seconds=10)
        marked = await training.answer(ada.id, first.id, wrong_choice(question_of(first)))
        first, mistaken = marked.session, marked.changes
    while second.status == "open":
        clock.move(seconds=10)
        marked = await training.answer(ada.id, second.id, right_choice(question_of(second)))
        second, copied = marked.session, marked.changes

    assert "0 of 6 questions right" in mistaken[0].why
    assert "known already" not in mistaken[0].why
    assert "known already" in copied[0].why


async def test_mistakes_in_a_session_that_was_left_count_when_something_new_begins(
    training: TrainingService, challenges: ChallengeService, database: Database, ada: User, clock: Clock
) -> None:
    left = await training.start(ada.id, thread_id="t1", concepts=["sql"], count=3)
    await training.answer(ada.id, left.id, wrong_choice(question_of(left)))
    left_at = clock()
    before = await progress.overview(database, ada.id)
    clock.move(days=1)

    await challenges.start(ada.id, thread_id="t2")

    (rated,) = await progress.overview(database, ada.id)
    async with database.read() as connection:
        (reviewed,) = (await connection.execute(sa.select(reviews))).all()
    assert (before, rated.concept, rated.outcomes) == ([], "sql", 1)
    assert (reviewed.rating, reviewed.reviewed_at) == (1, left_at)


async def test_a_session_that_was_left_goes_on_and_rates_each_sitting_once(
    training: TrainingService, database: Database, ada: User, clock: Clock
) -> None:
    session = await training.start(ada.id, thread_id="t1", concepts=["sql"], count=3)
    marked = await training.answer(ada.id, session.id, wrong_choice(question_of(session)))
    clock.move(days=1)
    marked = await training.answer(ada.id, session.id, right_choice(question_of(marked.session)))
    marked = await training.answer(ada.id, session.id, right_choice(question_of(marked.session)))

    (change,) = marked.changes
    async with database.read() as connection:
        ratings = list(await connection.scalars(sa.select(reviews.c.rating).order_by(reviews.c.reviewed_at)))
    assert (change.why, ratings) == ("2 of 2 questions right", [1, 3])


async def test_a_concept_that_was_rated_when_it_was_left_is_named_at_the_end(
    training: TrainingService, ada: User, clock: Clock
) -> None:
    session = await training.start(ada.id, thread_id="t1", concepts=["sql"], count=3)
    await training.answer(ada.id, session.id, wrong_choice(question_of(session)))
    clock.move(days=1)
    await training.resume(ada.id, session.id)

    moved = await training.finish(ada.id, session.id)

    assert [(change.concept, change.why) for change in moved.changes] == [("sql", "rated when you left it")]


async def test_what_was_left_does_not_set_back_a_card_that_was_reviewed_since(
    training: TrainingService, challenges: ChallengeService, database: Database, ada: User, clock: Clock
) -> None:
    in_hand = await challenges.start(ada.id, thread_id="t1", challenge_id="two-sum")
    left = await training.start(ada.id, thread_id="t2", concepts=["dictionaries"], count=3)
    await training.answer(ada.id, left.id, wrong_choice(question_of(left)))
    clock.move(days=1)
    await challenges.submit(ada.id, in_hand.id, _solution("two-sum"))
    (solved,) = await progress.overview(database, ada.id)

    await challenges.start(ada.id, thread_id="t1")

    (after,) = await progress.overview(database, ada.id)
    assert (solved.concept, after.due_at, after.outcomes) == ("dictionaries", solved.due_at, 2)


async def test_questions_never_seen_come_first(training: TrainingService, ada: User, clock: Clock) -> None:
    first = await training.start(ada.id, thread_id="a", concepts=["sql"], count=1)
    seen = question_of(first).question_id
    await training.answer(ada.id, first.id, right_choice(question_of(first)))
    clock.move(minutes=1)

    later = [await training.start(ada.id, thread_id=f"b{n}", concepts=["sql"], count=1) for n in range(6)]

    assert seen not in {question_of(session).question_id for session in later}


async def test_what_was_solved_with_help_comes_first_and_alone(
    training: TrainingService, challenges: ChallengeService, database: Database, ada: User, clock: Clock
) -> None:
    helped = await challenges.start(ada.id, thread_id=None, challenge_id="reverse-words")
    await challenges.hint(ada.id, helped.id)
    await challenges.submit(ada.id, helped.id, _solution("reverse-words"))
    clock.move(minutes=25)

    path = path_of(CURRICULUM.concepts, await progress.overview(database, ada.id), clock())
    session = await training.start(ada.id, thread_id="t")

    assert (path[0].concept.id, path[0].why) == ("strings", "check")
    first = challenge_of(session)
    assert (first.concept, first.started.is_check) == ("strings", True)
    assert first.started.challenge.id != "reverse-words"
