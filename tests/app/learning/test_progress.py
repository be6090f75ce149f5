"""Cards, skills, challenges in hand and training sessions, on both databases."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.errors import Conflict, InvalidInput, NotFound
from app.events import log as event_log
from app.identity.accounts import User
from app.learning import grading, kinds, mastery, progress, scheduler
from app.learning.challenge_files import AnswerChallenge, Challenge, FunctionChallenge, ShellChallenge
from app.learning.challenge_files import TestChallenge as WrittenTest
from app.learning.challenges import ChallengeService
from app.learning.choosing import Learner, choose
from app.learning.curriculum import load_curriculum
from app.learning.grading import Verdict
from app.learning.languages.base import LanguageName
from app.learning.mastery import Skill
from app.learning.sandbox.probe import Isolation
from app.learning.sandbox.program import Program, Run, Sandbox
from app.learning.sessions import Asked, chosen_of
from app.learning.training import TrainingService
from app.storage.database import Database
from app.storage.tables.learning import cards, reviews, started_challenges, unaided_checks
from tests.fakes.clock import Clock

CURRICULUM = load_curriculum()
NOW = datetime(2026, 3, 2, tzinfo=UTC)


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


def solution(challenge_id: str) -> str:
    challenge = CURRICULUM.challenge(challenge_id)
    assert isinstance(challenge, FunctionChallenge)
    return challenge.solutions["python"]


def right_answer(challenge: Challenge) -> str:
    return challenge.answer if isinstance(challenge, AnswerChallenge) else solution(challenge.id)


WRONG = "def running_total(numbers): return []"


async def test_a_sitting_counts_once_when_it_is_solved(challenges: ChallengeService, ada: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")

    first = await challenges.submit(ada.id, started.id, WRONG)
    second = await challenges.submit(ada.id, started.id, solution("running-total"))
    third = await challenges.submit(ada.id, started.id, solution("running-total"))

    assert (first.graded.verdict, first.change.after, first.change.due_at) == ("failed", 0, None)
    assert (second.graded.verdict, second.score.total, second.started.status) == ("passed", 97, "passed")
    assert second.change.after > 0
    assert (third.change.before, third.change.after) == (second.change.after, second.change.after)


async def test_a_solve_raises_mastery_and_is_due_later_than_giving_up(
    challenges: ChallengeService, ada: User, eve: User
) -> None:
    good = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    bad = await challenges.start(eve.id, thread_id="t", challenge_id="running-total")

    solved = await challenges.submit(ada.id, good.id, solution("running-total"))
    await challenges.submit(eve.id, bad.id, WRONG)
    given_up = await challenges.reveal(eve.id, bad.id)

    assert solved.change.due_at is not None
    assert given_up.change.due_at is not None
    assert solved.change.after > given_up.change.after
    assert solved.change.due_at > given_up.change.due_at


async def test_help_leaves_mastery_and_asks_for_a_check_without_help(
    challenges: ChallengeService, ada: User, clock: Clock
) -> None:
    helped = await challenges.start(ada.id, thread_id="t", challenge_id="reverse-words")
    await challenges.hint(ada.id, helped.id)
    aided = await challenges.submit(ada.id, helped.id, solution("reverse-words"))
    early = await challenges.start(ada.id, thread_id="t", concept="lists")
    clock.move(minutes=25)

    check = await challenges.start(ada.id, thread_id="t")
    with pytest.raises(Conflict, match="without help"):
        await challenges.hint(ada.id, check.id)
    clock.move(hours=5)
    alone = await challenges.submit(ada.id, check.id, right_answer(check.challenge))
    after = await challenges.start(ada.id, thread_id="t", concept="strings")

    assert (aided.change.before, aided.change.after) == (0, 0)
    assert aided.change.due_at is not None
    assert "with help" in aided.change.why
    assert not early.is_check
    assert (check.is_check, check.challenge.concept) == (True, "strings")
    assert check.challenge.id != "reverse-words"
    assert alone.change.after > 0
    assert not after.is_check


async def test_a_revealed_challenge_takes_no_code_and_counts_as_failed(challenges: ChallengeService, ada: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="running-total", language="javascript")

    revealed = await challenges.reveal(ada.id, started.id)
    again = await challenges.reveal(ada.id, started.id)

    assert (revealed.language, revealed.started.status) == ("javascript", "revealed")
    assert "function runningTotal" in revealed.solution
    assert (again.solution, again.change.why) == (revealed.solution, "counted already")
    with pytest.raises(Conflict, match="given up"):
        await challenges.submit(ada.id, started.id, solution("running-total"))


async def test_what_was_tried_and_left_counts_as_given_up(
    challenges: ChallengeService, ada: User, clock: Clock
) -> None:
    left = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    untouched = await challenges.start(ada.id, thread_id="t", challenge_id="two-sum")
    await challenges.submit(ada.id, left.id, WRONG)
    clock.move(hours=5)

    await challenges.start(ada.id, thread_id="t", concept="strings")

    assert (await challenges.get(ada.id, left.id)).status == "skipped"
    assert (await challenges.get(ada.id, untouched.id)).status == "open"


async def test_what_is_being_worked_on_is_not_given_up(challenges: ChallengeService, ada: User, clock: Clock) -> None:
    mine = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    await challenges.submit(ada.id, mine.id, WRONG)
    clock.move(hours=5)
    await challenges.submit(ada.id, mine.id, WRONG + "\n")
    clock.move(minutes=1)

    await challenges.start(ada.id, thread_id="u", concept="strings")

    assert (await challenges.submit(ada.id, mine.id, solution("running-total"))).graded.verdict == "passed"


async def test_a_card_is_rated_once_a_sitting(challenges: ChallengeService, ada: User, clock: Clock) -> None:
    due = []
    for challenge_id, hours in (("reverse-words", 1), ("caesar-shift", 5), ("longest-palindrome", 0)):
        started = await challenges.start(ada.id, thread_id="t", challenge_id=challenge_id)
        due.append((await challenges.submit(ada.id, started.id, solution(challenge_id))).change.due_at)
        clock.move(hours=hours)

    assert due[0] == due[1]
    assert due[1] is not None
    assert due[2] is not None
    assert due[2] > due[1]


async def test_challenges_earn_a_rating_of_their_own(
    challenges: ChallengeService, database: Database, ada: User
) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="two-sum")
    await challenges.reveal(ada.id, started.id)

    async with database.read() as connection:
        ratings = await progress.ratings_of(connection)

    challenge = CURRICULUM.challenge("two-sum")
    assert challenge is not None
    assert ratings["two-sum"].rating > challenge.rating


async def test_an_answer_may_be_tried_twice(challenges: ChallengeService, ada: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="slices-of-a-word")
    challenge = started.challenge
    assert isinstance(challenge, AnswerChallenge)

    first = await challenges.submit(ada.id, started.id, challenge.wrong[0].answer)
    second = await challenges.submit(ada.id, started.id, "no idea")

    assert (first.graded.message, first.started.status) == (challenge.wrong[0].means, "open")
    assert challenge.answer not in str(first.graded)
    assert second.started.status == "failed"
    with pytest.raises(Conflict):
        await challenges.submit(ada.id, started.id, challenge.answer)


async def test_a_known_mistake_is_named(challenges: ChallengeService, ada: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="drop-branch-code")
    challenge = started.challenge
    assert isinstance(challenge, FunctionChallenge)
    own_words = "def drop_prefix(label, prefix):\n    return label.replace(prefix, '', 1)"
    in_javascript = "function dropPrefix(label, prefix) { return label.replace(prefix, ''); }"

    python = await challenges.submit(ada.id, started.id, own_words)
    javascript = await challenges.submit(ada.id, started.id, in_javascript, language="javascript")
    other = await challenges.submit(ada.id, started.id, "def drop_prefix(label, prefix): return 'x'")

    assert python.feedback == challenge.mistakes[1].means.strip() == javascript.feedback
    assert other.feedback not in [mistake.means.strip() for mistake in challenge.mistakes]


@pytest.mark.parametrize(
    ("challenge_id", "place"),
    [("csv-column-sum", 1), ("drop-cancelled-orders", 1), ("fewest-ferries", 1), ("join-wrapped-lines", 1),
     ("page-ranges", 1), ("split-the-bill", 2), ("undo-redo", 0)],
)  # fmt: skip
async def test_a_known_mistake_that_raises_is_named_too(
    challenges: ChallengeService, ada: User, challenge_id: str, place: int
) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id=challenge_id, language="python")
    challenge = started.challenge
    assert isinstance(challenge, FunctionChallenge)
    mistake = challenge.mistakes[place]

    named = await challenges.submit(ada.id, started.id, mistake.code)

    assert named.graded.verdict == "error"
    assert named.feedback == mistake.means.strip()


IN_GO = {  # the first listed mistake of each: a map's keys come in another order there, and errors have other names
    "count-words": """package main
import "strings"
func countWords(text string) map[string]int {
	counts := map[string]int{}
	for _, word := range strings.Fields(text) { counts[word]++ }
	return counts
}""",
    "undo-redo": """package main
func afterUndo(actions []string) []string {
	var standing []string
	for _, action := range actions {
		if action == "undo" { standing = standing[:len(standing)-1] } else { standing = append(standing, action) }
	}
	return standing
}""",
}


@pytest.mark.parametrize("challenge_id", IN_GO)
async def test_a_known_mistake_is_named_in_a_language_of_another_kind(
    challenges: ChallengeService, ada: User, challenge_id: str
) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id=challenge_id, language="go")
    challenge = started.challenge
    assert isinstance(challenge, FunctionChallenge)

    named = await challenges.submit(ada.id, started.id, IN_GO[challenge_id])

    assert named.feedback == challenge.mistakes[0].means.strip()


FEE = "def delivery_fee(total):\n    return 0 if total == 0 or total >= 50 else 5\n"
OWN_TESTS: list[tuple[LanguageName, str, Verdict, str]] = [
    ("python", FEE + "def test(f):\n    for t in range(99): assert f(t) == delivery_fee(t)", "passed", ""),
    ("python", "def test(f):\n    if [f(n) for n in (0, 1, 49, 50)] != [0, 5, 5, 0]: raise Exception('no')", "passed", ""),
    ("python", "def test(f):\n    assert [f(n) for n in (0, 1, 49, 50)] == [0, 5, 5, 0]\ntest(delivery_fee)", "passed", ""),
    ("python", "def test(f): return f(0) == 0", "error", "is not looked at"),
    ("python", "async def test(f): assert f(0) == 0", "error", "do not make it async"),
    ("python", "def test_fee(f): assert f(0) == 0", "compile_error", "no function named test"),
    ("python", "def test(f): assert f(-1) == 5", "error", "ValueError in line 1 of your test"),
    ("python", "def test(f): nobody()", "error", "NameError in line 1 of your test"),
    ("javascript", "const assert = require('assert');\nfunction deliveryFee(t) { return t === 0 || t >= 50 ? 0 : 5; }\n"
     "function test(fn) { for (let t = 0; t < 99; t++) assert.strictEqual(fn(t), deliveryFee(t)); }", "passed", ""),
    ("javascript", "function test(fn) { assert.deepEqual([0, 1, 49, 50].map(fn), [0, 5, 5, 0]); }\ntest(deliveryFee);", "passed", ""),
    ("javascript", "function test(fn) { fn(0).x.y; }", "error", "TypeError in line 1 of your test"),
    ("javascript", "async function test(fn) { assert(fn(0) === 0); }", "error", "do not make it async"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "code", "verdict", "part"), OWN_TESTS)
async def test_a_test_is_judged_as_it_would_be_elsewhere(
    isolation: Isolation, language: LanguageName, code: str, verdict: Verdict, part: str
) -> None:
    challenge = load_curriculum().challenge("test-delivery-fee")
    assert challenge is not None

    graded = await kinds.grade_challenge(isolation.require, challenge, language, code)

    said = " ".join([graded.message, *(str(case.error) for case in graded.cases if not case.passed)])
    assert (graded.verdict, part in said) == (verdict, True), said


SCRIPTS: list[tuple[str, Verdict, str]] = [
    ("\ufeffsort -u visitors.txt |\r\nwc -l\r\n", "passed", ""),
    ("srot visitors.txt | uniq | wc -l", "failed", "line 1: srot: command not found"),
    ("srot visitors.txt", "error", "line 1: srot: command not found"),
    ("set -e\nfalse\necho 3", "error", "it printed nothing and ended with exit status 1"),
    ("while true; do :; done", "timeout", "after 0 of 4 cases"),
]


@pytest.mark.parametrize(("code", "verdict", "part"), SCRIPTS)
async def test_a_script_is_told_what_it_complained_of(
    isolation: Isolation, code: str, verdict: Verdict, part: str
) -> None:
    challenge = load_curriculum().challenge("count-unique-visitors")
    assert challenge is not None

    graded = await kinds.grade_challenge(isolation.require, challenge, "bash", code)

    said = " ".join([graded.message, *(f"{c.error} {' '.join(c.trace)}" for c in graded.cases if not c.passed)])
    assert (graded.verdict, part in said) == (verdict, True), said
    assert "/box/" not in said


async def test_who_reveals_in_go_reads_go(challenges: ChallengeService, ada: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="two-sum", language="go")

    revealed = await challenges.reveal(ada.id, started.id)

    assert revealed.language == "go"
    assert "func pairWithSum(" in revealed.solution


async def test_who_prints_nothing_made_none_of_the_known_mistakes(challenges: ChallengeService, ada: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="books-per-member")
    challenge = started.challenge
    assert isinstance(challenge, ShellChallenge)

    empty = await challenges.submit(ada.id, started.id, "true")

    assert empty.graded.verdict == "failed"
    assert empty.feedback not in [mistake.means.strip() for mistake in challenge.mistakes]


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
    variants = len(CURRICULUM.challenges_about("strings"))
    seen = []
    for _ in range(variants + 1):
        seen.append((await challenges.start(ada.id, thread_id="t", concept="strings")).challenge.id)
        clock.move(minutes=1)

    assert len(set(seen[:variants])) == variants
    assert seen[variants] == seen[0]


def test_the_choice_aims_at_a_fair_chance_and_prefers_what_is_due() -> None:
    strong = {concept.id: Skill(rating=1900, deviation=50, outcomes=9) for concept in CURRICULUM.concepts}
    nobody = Learner(skills={}, ratings={}, recent=[], due=[], checks={})
    harder = {c.id: Skill(rating=2300) for c in CURRICULUM.challenges if c.concept != "stacks"}

    for_beginner = choose(CURRICULUM.challenges, nobody).challenge
    for_expert = choose(CURRICULUM.challenges, replace(nobody, skills=strong)).challenge
    due = choose(CURRICULUM.challenges, replace(nobody, due=["stacks"])).challenge
    by_what_it_earned = choose(CURRICULUM.challenges, replace(nobody, ratings=harder)).challenge
    check = choose(CURRICULUM.challenges, replace(nobody, due=["stacks"], checks={"trees": "folder-totals"}))

    assert for_beginner.difficulty == "easy"
    assert for_expert.difficulty == "hard"
    assert due.concept == "stacks"
    assert by_what_it_earned.concept == "stacks"
    assert (check.is_check, check.challenge.concept) == (True, "trees")


async def test_a_newcomer_is_given_nothing_that_requires_what_they_do_not_know(
    challenges: ChallengeService, ada: User
) -> None:
    reachable = {concept.id for concept in CURRICULUM.concepts if not concept.requires}
    given = []
    for _ in range(12):
        started = await challenges.start(ada.id, thread_id="t")
        given.append(started.challenge.concept)

    assert set(given) <= reachable


@pytest.mark.parametrize(
    ("concept", "language"),
    [(concept.id, language) for concept in CURRICULUM.concepts if concept.by_language
     for language in ("python", "javascript", "go", "rust", "java", "c")
     if any(language in challenge.languages for challenge in CURRICULUM.challenges_about(concept.id))],
)  # fmt: skip
def test_what_is_due_in_a_language_comes_in_that_language(concept: str, language: LanguageName) -> None:
    learner = Learner(
        skills={}, ratings={}, recent=[], due=[concept], checks={}, due_languages={concept: language}
    )  # fmt: skip

    choice = choose(CURRICULUM.challenges, learner)

    assert (choice.challenge.concept, language in choice.challenge.languages) == (concept, True)


async def test_a_check_is_one_also_where_it_is_asked_for_by_name(
    challenges: ChallengeService, ada: User, clock: Clock
) -> None:
    helped = await challenges.start(ada.id, thread_id=None, challenge_id="reverse-words")
    await challenges.hint(ada.id, helped.id)
    await challenges.submit(ada.id, helped.id, solution("reverse-words"))
    clock.move(minutes=25)
    following = await challenges.following(ada.id)

    named = await challenges.start(ada.id, thread_id=None, challenge_id=following.challenge.id)
    same = await challenges.start(ada.id, thread_id=None, challenge_id="reverse-words")

    assert (following.is_check, named.is_check, same.is_check) == (True, True, False)
    with pytest.raises(Conflict, match="without help"):
        await challenges.hint(ada.id, named.id)


@pytest.mark.parametrize(
    ("challenge_id", "code"),
    [("running-total", "def running_total(numbers): return numbers"), ("slices-of-a-word", "no idea")],
)
async def test_the_same_sent_twice_counts_once(
    challenges: ChallengeService, ada: User, database: Database, challenge_id: str, code: str
) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id=challenge_id, language="python")

    sent = await asyncio.gather(
        *(challenges.submit(ada.id, started.id, code) for _ in range(2)), return_exceptions=True
    )
    again = await challenges.get(ada.id, started.id)

    assert sorted(type(one).__name__ for one in sent) == ["Conflict", "Submission"]
    assert (again.attempts, again.status) == (1, "open")
    with pytest.raises(Conflict, match="Change something first"):
        await challenges.submit(ada.id, started.id, code)


async def test_what_was_left_is_given_up_as_of_then(
    challenges: ChallengeService, ada: User, clock: Clock, database: Database
) -> None:
    left = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    await challenges.submit(ada.id, left.id, "def running_total(numbers): return numbers")
    clock.move(days=20)

    started = await challenges.start(ada.id, thread_id="t", challenge_id="two-sum")
    async with database.read() as connection:
        ended = await connection.scalar(
            sa.select(started_challenges.c.ended_at).where(started_challenges.c.id == left.id)
        )

    assert started.status == "open"
    assert ended is not None
    assert clock() - ended > timedelta(days=19)


async def test_to_start_anew_gives_no_third_answer(challenges: ChallengeService, ada: User) -> None:
    """Which of four it is would be found by trying them one after the other."""
    one = next(c for c in CURRICULUM.challenges if isinstance(c, AnswerChallenge))
    ended = []
    for answer in ("no", "nor that", right_answer(one)):
        started = await challenges.start(ada.id, thread_id="t", challenge_id=one.id)
        ended.append(await challenges.submit(ada.id, started.id, answer))

    assert [found.started.status for found in ended] == ["open", "failed", "passed"]
    assert ended[1].change.after == ended[2].change.after == 0
    assert "you know this one already" in ended[2].change.why


async def test_a_challenge_that_was_begun_twice_ends_once(
    challenges: ChallengeService, ada: User, clock: Clock, database: Database
) -> None:
    first = await challenges.start(ada.id, thread_id="t1", challenge_id="running-total")
    await challenges.submit(ada.id, first.id, WRONG)
    second = await challenges.start(ada.id, thread_id="t2", challenge_id="running-total")
    solved = await challenges.submit(ada.id, second.id, solution("running-total"))
    clock.move(hours=5)
    await challenges.start(ada.id, thread_id="t3", challenge_id="reverse-words")

    async with database.read() as connection:
        kinds = [event.type for event in await event_log.newest(connection, limit=50)]
    now = await progress.overview(database, ada.id)
    assert kinds.count("challenge.finished") == 1
    assert now[0].mastery == solved.change.after
    assert (await challenges.get(ada.id, first.id)).status == "skipped"


async def test_a_review_is_rated_by_what_was_done_in_it(
    challenges: ChallengeService, ada: User, clock: Clock, database: Database
) -> None:
    first = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    await challenges.submit(ada.id, first.id, WRONG)
    await challenges.submit(ada.id, first.id, solution("running-total"))
    for number in range(3):  # practice after it counts for nothing
        await challenges.submit(ada.id, first.id, solution("running-total") + f"\n# {number}")
    clock.move(days=20)
    again = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    clock.move(seconds=30)
    await challenges.submit(ada.id, again.id, solution("running-total"))

    async with database.read() as connection:
        (newest, *_) = [
            event for event in await event_log.newest(connection, limit=50) if event.type == "challenge.finished"
        ]
        ratings = list(await connection.scalars(sa.select(reviews.c.rating).order_by(reviews.c.reviewed_at)))
    assert (newest.payload["attempts"], newest.payload["seconds"]) == (1, 30)
    assert ratings[-1] >= 3


async def test_a_session_of_five_ends_with_a_summary(training: TrainingService, ada: User) -> None:
    session = await training.start(ada.id, thread_id="t", concepts=["sql"], count=5)
    marks = []
    for _ in range(5):
        current = session.current
        assert isinstance(current, Asked)
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
    assert isinstance(session.current, Asked)
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
    ended = (await training.finish(ada.id, session.id)).session

    with pytest.raises(Conflict, match="ended"):
        await training.answer(ada.id, session.id, "a")
    assert ended.status == "ended"


@pytest.mark.parametrize("count", [0, -1, 21, 100000])
async def test_a_session_has_one_to_twenty_questions(training: TrainingService, ada: User, count: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 20"):
        await training.start(ada.id, thread_id="t", concepts=["sql"], count=count)


@pytest.mark.parametrize(
    ("text", "place"),
    [("a", 0), ("B", 1), ("c)", 2), (" 2 ", 1), ("Two words", 1), ("z", None), ("9", None), ("", None), ("hm", None)],
)
def test_how_people_name_a_choice(text: str, place: int | None) -> None:
    assert chosen_of(text, ["one", "two words", "three"]) == place


def test_glicko_gives_the_numbers_of_its_paper() -> None:
    """The paper's player meets three opponents in one period; against the first alone the direction must agree."""
    skill = Skill(rating=1500, deviation=200, volatility=0.06, outcomes=1)

    won = mastery.update(skill, opponent=mastery.of_rating(1400), outcome=1)
    lost = mastery.update(skill, opponent=mastery.of_rating(1400), outcome=0)

    assert won.rating > 1500 > lost.rating
    assert won.deviation < 200
    assert won.volatility == pytest.approx(0.06, abs=0.001)


def test_mastery_needs_evidence() -> None:
    assert mastery.mastery(Skill()) == 0
    assert mastery.mastery(mastery.update(Skill(), opponent=mastery.of_rating(1250), outcome=0)) == 0
    once = mastery.update(Skill(), opponent=mastery.of_rating(1250), outcome=1)
    often = once
    for _ in range(10):
        often = mastery.update(often, opponent=mastery.of_rating(1250), outcome=1)
    assert 0 < mastery.mastery(once) < mastery.mastery(often) <= 100


def test_a_failure_comes_back_sooner_than_a_success() -> None:
    good = scheduler.review(None, "good", NOW)
    again = scheduler.review(None, "again", NOW)

    assert scheduler.due_at(again) < scheduler.due_at(good)
    assert scheduler.due_at(scheduler.review(good, "good", scheduler.due_at(good))) - scheduler.due_at(
        good
    ) > timedelta(3)


def test_a_clock_that_was_ahead_leaves_no_card_in_its_future() -> None:
    ahead = NOW + timedelta(days=3650)
    card = scheduler.review(None, "good", ahead)

    later = scheduler.review(card, "good", NOW)

    assert NOW < scheduler.due_at(later) < NOW + timedelta(days=30)


BEST = {"solved": True, "score": 100, "attempts": 1, "any_hint": False, "deep_hint": False, "quick": True, "earlier_successes": 2}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "grade"),
    [
        pytest.param({}, "easy", id="best"),
        pytest.param({"solved": False}, "again", id="unsolved"),
        pytest.param({"score": 59}, "again", id="below 60"),
        pytest.param({"score": 60}, "hard", id="60"),
        pytest.param({"score": 79}, "hard", id="79"),
        pytest.param({"score": 80}, "good", id="80"),
        pytest.param({"score": 94}, "good", id="94"),
        pytest.param({"attempts": 2}, "good", id="two attempts"),
        pytest.param({"attempts": 3}, "hard", id="three attempts"),
        pytest.param({"any_hint": True}, "good", id="a hint"),
        pytest.param({"any_hint": True, "deep_hint": True}, "hard", id="a deep hint"),
        pytest.param({"quick": False}, "good", id="slow"),
        pytest.param({"earlier_successes": 1}, "good", id="the second success"),
    ],
)
def test_the_grade_of_a_sitting(changes: dict[str, object], grade: str) -> None:
    assert scheduler.grade_of(**{**BEST, **changes}) == grade  # type: ignore[arg-type]  # a table's values


async def test_two_submissions_at_once_count_once(challenges: ChallengeService, database: Database, ada: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")

    right = solution("running-total")
    both = await asyncio.gather(*(challenges.submit(ada.id, started.id, code) for code in (right, f"{right}\n")))

    async with database.read() as connection:
        skill = (await progress.skills_of(connection, ada.id))["lists"]
    assert skill.outcomes == 1
    assert sorted(submission.change.why == "counted already" for submission in both) == [False, True]
    assert len(await challenges.attempts_of(ada.id, concept="lists")) == 2


async def test_the_same_sent_twice_at_once_is_graded_once(challenges: ChallengeService, ada: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    endless = "def running_total(numbers):\n    while True: pass"

    first, second = await asyncio.gather(
        *(challenges.submit(ada.id, started.id, endless) for _ in range(2)), return_exceptions=True
    )
    again = await challenges.submit(ada.id, started.id, endless)

    assert {type(first).__name__, type(second).__name__} == {"Submission", "Conflict"}
    assert again.started.attempts == 2


async def test_what_is_started_is_the_newest_though_the_clock_was_ahead_before(
    challenges: ChallengeService, ada: User, clock: Clock
) -> None:
    clock.move(days=5)
    ahead = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    await challenges.skip(ada.id, ahead.id)
    clock.move(days=-5)

    started = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    latest = await challenges.latest(ada.id, "running-total")
    in_hand = await challenges.open_in_thread(ada.id, "t")
    solved = await challenges.submit(ada.id, started.id, solution("running-total"))

    assert latest is not None
    assert in_hand is not None
    assert latest.id == in_hand.id == started.id
    assert 0 < solved.score.total <= 100


async def test_a_clock_that_jumps_back_harms_nothing(challenges: ChallengeService, ada: User, clock: Clock) -> None:
    first = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    clock.move(hours=-48)

    solved = await challenges.submit(ada.id, first.id, solution("running-total"))
    following = await challenges.start(ada.id, thread_id="t", concept="lists")

    assert solved.score.total == 100
    assert following.challenge.id != "running-total"


OTHER_LANGUAGES = {
    "Ruby": "def running_total(numbers)\n  numbers.sum\nend",
    "C": "#include <stdio.h>\nint running_total(int *n) { return 0; }",
    "Java": "class Solution {\n    static List<Long> runningTotal(List<Long> n) { return n; }\n}",
    "TypeScript": "function runningTotal(numbers: number[]): number[] { return numbers; }",
    "Bash": "#!/bin/bash\necho 1",
    "SQL": "SELECT total\nFROM numbers;",
    "Go": "package main\nfunc runningTotal(numbers []int) []int { return nil }",
    "Rust": "fn running_total(numbers: Vec<i64>) -> Vec<i64> { numbers }",
}


@pytest.mark.parametrize(
    ("code_of", "said"),
    [
        pytest.param(lambda challenge: f"\n{challenge.statement}", "the task itself", id="the statement"),
        pytest.param(lambda challenge: kinds.stub(challenge, "python"), "the start as it was given", id="the start"),
        pytest.param(
            lambda _: "function runningTotal(numbers) { return []; }", "looks like JavaScript", id="another language"
        ),
        *(
            pytest.param(lambda _, code=code: code, f"looks like {title}", id=title)
            for title, code in OTHER_LANGUAGES.items()
        ),
    ],
)
async def test_what_is_sent_by_mistake_is_no_attempt(
    challenges: ChallengeService, ada: User, code_of: Callable[[Challenge], str], said: str
) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")

    with pytest.raises(InvalidInput, match=said):
        await challenges.submit(ada.id, started.id, code_of(started.challenge))

    assert (await challenges.get(ada.id, started.id)).attempts == 0


async def test_the_task_itself_costs_no_try_at_an_answer(challenges: ChallengeService, ada: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="slices-of-a-word")

    with pytest.raises(InvalidInput, match="the task itself"):
        await challenges.submit(ada.id, started.id, started.challenge.statement)

    assert (await challenges.get(ada.id, started.id)).attempts == 0


async def test_a_clock_that_is_set_back_mixes_up_no_attempts(
    challenges: ChallengeService, ada: User, clock: Clock
) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    await challenges.submit(ada.id, started.id, WRONG)
    clock.move(hours=-1)
    await challenges.submit(ada.id, started.id, WRONG + "\n# again")

    with pytest.raises(Conflict, match="just this already"):
        await challenges.submit(ada.id, started.id, WRONG + "\n# again")
    assert (await challenges.newest_attempts(ada.id, started.id, limit=1))[0].code == WRONG + "\n# again"


async def test_an_answer_on_one_line_is_read_as_one(challenges: ChallengeService, ada: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="predict-count-steps")

    assert (await challenges.submit(ada.id, started.id, "15, 6")).graded.verdict == "passed"


async def test_nobody_can_tell_which_version_a_test_is_run_on_by_when_it_is(
    challenges: ChallengeService, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await challenges.start(ada.id, thread_id="t", challenge_id="test-delivery-fee")
    assert isinstance(one.challenge, WrittenTest)
    right, number = one.challenge.right["python"], len((*one.challenge.also_right, *one.challenge.broken))
    orders = []

    async def watched(sandbox: Sandbox, program: Program) -> Run:
        orders[-1].append(any(right.strip().encode() in held for held in program.files.values()))
        return await sandbox.run(program)

    monkeypatch.setattr(grading, "run_program", watched)
    for round_ in range(2):
        orders.append([])
        await challenges.submit(ada.id, one.id, f"def test(function):\n    assert True  # {round_}")

    assert orders == [[True, *[False] * number, True]] * 2


@pytest.mark.parametrize("assertion", ["console.assert(fn(0) === 1, 'no')", "assert(fn(0) === 1)"])
async def test_assert_is_there_in_javascript(challenges: ChallengeService, ada: User, assertion: str) -> None:
    one = await challenges.start(ada.id, thread_id="t", challenge_id="test-delivery-fee", language="javascript")

    wrong = await challenges.submit(ada.id, one.id, f"function test(fn) {{ {assertion}; }}")
    misspelt = await challenges.submit(ada.id, one.id, "function test(fn) { asert(fn(0) === 0); }")

    assert wrong.graded.cases[0].got == "rejected"
    assert (misspelt.graded.cases[0].got, misspelt.graded.cases[0].error) == (
        None,
        "ReferenceError in line 1 of your test",
    )


BAD = {
    "deeply nested": lambda _: "x = " + "(" * 3000 + ")" * 3000,
    "a bomb of a literal": lambda _: "def running_total(numbers): return 10 ** 10 ** 10",
}


@pytest.mark.parametrize("code_of", BAD.values(), ids=BAD.keys())
async def test_what_is_no_solution_gets_a_verdict_and_is_an_attempt(
    challenges: ChallengeService, ada: User, code_of: Callable[[Challenge], str]
) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")

    submission = await challenges.submit(ada.id, started.id, code_of(started.challenge))

    assert submission.graded.verdict in ("failed", "error", "compile_error", "timeout", "killed")
    assert submission.graded.message
    assert submission.started.attempts == 1


async def test_a_challenge_that_is_not_offered_in_a_language_says_so(challenges: ChallengeService, ada: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="drop-branch-code")

    with pytest.raises(InvalidInput, match=r"not offered in Java\. Use: Python, JavaScript"):
        await challenges.submit(ada.id, started.id, "x", language="java")


async def test_the_same_challenge_again_raises_nothing(challenges: ChallengeService, ada: User) -> None:
    first = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    await challenges.reveal(ada.id, first.id)

    second = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    solved = await challenges.submit(ada.id, second.id, solution("running-total"))

    assert solved.graded.verdict == "passed"
    assert (solved.change.before, solved.change.after) == (0, 0)
    assert "know this one" in solved.change.why


ODD = {
    "too large a number": ("standard-deviation", "def standard_deviation(*a): return 2 ** 2000"),
    "half a character": ("reverse-words", "def reverse_words(text):\n    print(chr(0xd800))\n    return chr(0xd800)"),
    "deep": ("running-total", "def running_total(n):\n    x = []\n    for _ in range(950): x = [x]\n    return x"),
    "an error of half a character": ("reverse-words", "def reverse_words(text): raise ValueError(chr(0xd800))"),
}


@pytest.mark.parametrize(("challenge_id", "code"), ODD.values(), ids=ODD.keys())
async def test_odd_results_are_wrong_and_recorded(
    challenges: ChallengeService, ada: User, challenge_id: str, code: str
) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id=challenge_id)

    submission = await challenges.submit(ada.id, started.id, code)

    assert submission.graded.verdict in ("failed", "error")
    assert json.dumps(submission.graded.to_json(), ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize(
    "code",
    ["import threading, time\ndef test(f): threading.Thread(target=time.sleep, args=(60,)).start()",
     "import os\ndef test(f): os._exit(0)", "def test(f): pass", "def test(f): assert False",
     "import json\ndef test(f): assert json.load(open('job.json'))['inputs'][0][0] == 1",
     "import sys\ndef test(f): assert sys._getframe(1).f_locals['number'] == 1"],
    ids=["hangs", "ends", "accepts everything", "rejects everything", "reads its input", "reads its caller's frame"],
)  # fmt: skip
async def test_no_trick_passes_a_challenge_to_write_a_test(challenges: ChallengeService, ada: User, code: str) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="test-median-reading")

    submission = await challenges.submit(ada.id, started.id, code)

    assert submission.graded.verdict != "passed"
    assert submission.started.status == "open"


LEAKS = {
    "raises what it read": "def test(f): raise ValueError(open('solution.py').read())",
    "raises at its start": "raise ValueError(open('solution.py').read())",
    "names an error so": "def test(f): raise type(open('solution.py').read(), (Exception,), {})('x')",
    "a wrong line of code": "exec(open('solution.py').read() + '\\n)')",
    "prints it": "def test(f): print(open('solution.py').read()); raise ValueError",
}


@pytest.mark.parametrize("code", LEAKS.values(), ids=LEAKS.keys())
async def test_a_test_cannot_show_the_version_that_it_is_run_on(
    challenges: ChallengeService, ada: User, code: str
) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="test-median-reading")
    assert isinstance(started.challenge, WrittenTest)

    submission = await challenges.submit(ada.id, started.id, code)

    told = json.dumps(submission.graded.to_json())
    right = started.challenge.right["python"]
    assert submission.graded.verdict != "passed"
    assert not [line for line in right.splitlines() if len(line.strip()) > 8 and line.strip() in told]


async def test_a_test_that_fails_is_told_where(challenges: ChallengeService, ada: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="test-median-reading")

    submission = await challenges.submit(ada.id, started.id, "def test(f):\n    return nothing_here")

    assert submission.graded.cases[0].error == "NameError in line 2 of your test"


async def test_two_sittings_of_a_concept_that_end_at_once_both_count(
    challenges: ChallengeService, database: Database, ada: User
) -> None:
    about = [one for one in CURRICULUM.challenges_about("lists") if isinstance(one, FunctionChallenge)]
    ones = [await challenges.start(ada.id, thread_id=None, challenge_id=one.id) for one in about[:2]]

    await asyncio.gather(
        *(challenges.submit(ada.id, one.id, solution(one.challenge.id), language="python") for one in ones)
    )

    (after,) = await progress.overview(database, ada.id)
    assert after.outcomes == 2


async def test_a_concept_of_syntax_has_a_card_for_each_language(
    challenges: ChallengeService, database: Database, clock: Clock, ada: User
) -> None:
    async def solve(challenge_id: str, language: str) -> None:
        challenge = CURRICULUM.challenge(challenge_id)
        assert isinstance(challenge, FunctionChallenge)
        one = await challenges.start(ada.id, thread_id=None, challenge_id=challenge_id, language=language)
        await challenges.submit(ada.id, one.id, challenge.solutions[one.language.name])

    await solve("reverse-words", "javascript")
    clock.move(hours=5)
    await solve("caesar-shift", "python")
    clock.move(hours=5)
    await solve("running-total", "python")
    async with database.read() as connection:
        rated = set(await connection.scalars(sa.select(cards.c.card_id)))
    (strings,) = [row for row in await progress.overview(database, ada.id) if row.concept == "strings"]
    assert strings.due_at is not None
    clock.now = strings.due_at
    following = await challenges.following(ada.id, concept="strings")

    assert rated == {"strings:javascript", "strings:python", "lists"}
    assert following.language == "javascript"


async def test_practice_in_a_language_serves_the_card_of_the_concept_too(
    challenges: ChallengeService, training: TrainingService, database: Database, clock: Clock, ada: User
) -> None:
    session = await training.start(ada.id, thread_id="t", concepts=["strings"], count=1)
    await training.answer(ada.id, session.id, "a")
    clock.move(days=30)
    one = await challenges.start(ada.id, thread_id=None, challenge_id="reverse-words", language="python")
    await challenges.submit(ada.id, one.id, solution("reverse-words"))

    (strings,) = await progress.overview(database, ada.id)

    assert strings.due_at is not None
    assert strings.due_at > clock()


async def test_a_test_in_javascript_learns_nothing_from_its_caller(challenges: ChallengeService, ada: User) -> None:
    started = await challenges.start(ada.id, thread_id="t", challenge_id="test-median-reading", language="javascript")

    submission = await challenges.submit(
        ada.id, started.id, "function test(f) { if (test.caller.arguments[0] !== 1) throw new Error('broken'); }"
    )

    assert submission.graded.verdict != "passed"


async def test_starting_anew_makes_no_first_try_of_a_later_one(
    challenges: ChallengeService, ada: User, clock: Clock
) -> None:
    for _ in range(2):
        one = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
        await challenges.submit(ada.id, one.id, WRONG)
        clock.move(minutes=20)
    last = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")

    solved = await challenges.submit(ada.id, last.id, solution("running-total"))

    assert solved.change.why == "solved alone, 3 attempts"


async def test_a_challenge_that_was_revealed_late_is_known(
    challenges: ChallengeService, ada: User, clock: Clock
) -> None:
    old = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    clock.move(days=61)
    await challenges.reveal(ada.id, old.id)
    anew = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")

    solved = await challenges.submit(ada.id, anew.id, solution("running-total"))

    assert (solved.change.before, solved.change.after) == (0, 0)
    assert "know this one already" in solved.change.why


async def test_a_reveal_costs_the_card_also_after_a_solve_in_the_same_sitting(
    challenges: ChallengeService, ada: User, clock: Clock
) -> None:
    first = await challenges.start(ada.id, thread_id="t", challenge_id="running-total")
    solved = await challenges.submit(ada.id, first.id, solution("running-total"))
    clock.move(minutes=10)
    second = await challenges.start(ada.id, thread_id="t", concept=first.challenge.concept)

    revealed = await challenges.reveal(ada.id, second.id)

    assert second.challenge.id != first.challenge.id
    assert solved.change.due_at is not None
    assert revealed.change.due_at is not None
    assert revealed.change.due_at < solved.change.due_at


async def test_an_answer_with_nul_bytes_is_refused(challenges: ChallengeService, ada: User) -> None:
    answered = next(c for c in CURRICULUM.challenges if isinstance(c, AnswerChallenge))
    started = await challenges.start(ada.id, thread_id="t", challenge_id=answered.id)

    with pytest.raises(InvalidInput, match="NUL"):
        await challenges.submit(ada.id, started.id, "4\x002")


async def test_what_is_due_comes_though_all_of_it_was_seen(
    challenges: ChallengeService, ada: User, clock: Clock
) -> None:
    for one in CURRICULUM.challenges_about("strings"):
        started = await challenges.start(ada.id, thread_id="t", challenge_id=one.id)
        await challenges.reveal(ada.id, started.id)
    clock.move(days=40)
    async with challenges._database.write() as connection:
        await connection.execute(unaided_checks.delete())

    following = await challenges.following(ada.id)

    assert following.challenge.concept == "strings"


async def _reviews(database: Database) -> list[int]:
    async with database.read() as connection:
        return list(await connection.scalars(sa.select(reviews.c.rating).order_by(reviews.c.reviewed_at)))


async def test_hints_that_were_read_are_help_also_after_beginning_anew(
    challenges: ChallengeService, ada: User, clock: Clock
) -> None:
    first = await challenges.start(ada.id, thread_id="t", challenge_id="two-sum")
    await challenges.submit(ada.id, first.id, "def two_sum(numbers, target):\n    return []")
    for _ in first.challenge.hints:
        await challenges.hint(ada.id, first.id)
    clock.move(hours=1)

    again = await challenges.start(ada.id, thread_id="u", challenge_id="two-sum")
    solved = await challenges.submit(ada.id, again.id, solution("two-sum"))
    clock.move(minutes=30)

    parts = {part.name: part.why for part in solved.score.parts}
    assert again.hints == first.challenge.hints
    assert (parts["attempts"], parts["hints"]) == ("attempt 2", f"{len(again.hints)} hints")
    assert parts["time"].startswith("60 of")
    assert "with help" in solved.change.why
    assert (await challenges.start(ada.id, thread_id="t", concept="dictionaries")).is_check


async def test_a_solution_that_was_shown_and_is_typed_is_no_good_recall(
    challenges: ChallengeService, database: Database, ada: User, clock: Clock
) -> None:
    shown = await challenges.start(ada.id, thread_id="t", challenge_id="two-sum")
    await challenges.reveal(ada.id, shown.id)
    clock.move(hours=25)

    again = await challenges.start(ada.id, thread_id="t", challenge_id="two-sum")
    typed = await challenges.submit(ada.id, again.id, solution("two-sum"))

    assert typed.change.before == typed.change.after
    assert await _reviews(database) == [1, 2]


async def test_several_reveals_in_a_sitting_cost_the_card_once(
    challenges: ChallengeService, database: Database, ada: User, clock: Clock
) -> None:
    for challenge_id in ("two-sum", "count-words", "group-anagrams"):
        one = await challenges.start(ada.id, thread_id="t", challenge_id=challenge_id)
        await challenges.reveal(ada.id, one.id)
        clock.move(minutes=5)

    concepts = {CURRICULUM.challenge(name).concept for name in ("two-sum", "count-words", "group-anagrams")}
    assert len(await _reviews(database)) == len(concepts)


async def test_what_is_known_is_no_check_and_clears_none(challenges: ChallengeService, ada: User, clock: Clock) -> None:
    known = await challenges.start(ada.id, thread_id="t", challenge_id="caesar-shift")
    await challenges.submit(ada.id, known.id, solution("caesar-shift"))
    helped = await challenges.start(ada.id, thread_id="t", challenge_id="reverse-words")
    await challenges.hint(ada.id, helped.id)
    await challenges.submit(ada.id, helped.id, solution("reverse-words"))
    clock.move(minutes=25)

    again = await challenges.start(ada.id, thread_id="t", challenge_id="caesar-shift")
    await challenges.submit(ada.id, again.id, solution("caesar-shift"))

    assert not again.is_check
    assert (await challenges.start(ada.id, thread_id="t", concept="strings")).is_check


async def test_what_is_known_takes_no_mastery_and_counts_again_after_two_weeks(
    challenges: ChallengeService, ada: User, clock: Clock
) -> None:
    first = await challenges.start(ada.id, thread_id="t", challenge_id="two-sum")
    solved = await challenges.submit(ada.id, first.id, solution("two-sum"))
    clock.move(days=1)
    second = await challenges.start(ada.id, thread_id="t", challenge_id="two-sum")
    await challenges.submit(ada.id, second.id, "def two_sum(numbers, target):\n    return []")
    given_up = await challenges.reveal(ada.id, second.id)
    clock.move(days=90)
    third = await challenges.start(ada.id, thread_id="t", challenge_id="two-sum")
    kept = await challenges.submit(ada.id, third.id, solution("two-sum"))

    assert given_up.change.after == solved.change.after
    assert kept.change.after > kept.change.before


async def test_a_challenge_that_had_help_before_is_no_check(
    challenges: ChallengeService, ada: User, clock: Clock
) -> None:
    others = [c.id for c in CURRICULUM.challenges_about("dictionaries") if c.id != "two-sum"]
    for challenge_id in others[1:]:
        one = await challenges.start(ada.id, thread_id="t", challenge_id=challenge_id)
        await challenges.hint(ada.id, one.id)
        await challenges.skip(ada.id, one.id)
    helped = await challenges.start(ada.id, thread_id="t", challenge_id="two-sum")
    await challenges.hint(ada.id, helped.id)
    await challenges.submit(ada.id, helped.id, solution("two-sum"))
    clock.move(minutes=30)

    check = await challenges.start(ada.id, thread_id="t", concept="dictionaries")
    again = await challenges.start(ada.id, thread_id="t", challenge_id=others[1])

    assert (check.challenge.id, check.is_check, check.hints_shown) == (others[0], True, 0)
    assert (again.is_check, again.hints_shown) == (False, 1)
