"""Challenges, training and the sandbox over REST."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field

from app.api.identity import Reader, Using, Writer
from app.api.wire import Body, page, while_connected
from app.bootstrap import Services
from app.errors import InvalidInput, NotFound
from app.learning import path, progress, views
from app.learning.challenge_files import Challenge
from app.learning.code_text import LARGEST_CODE_BYTES, encoded
from app.learning.languages import LANGUAGES, known_language
from app.learning.sandbox.raw import MOST_STDIN_BYTES, run_script
from graph.overview import behind_mastery, step_view

router = APIRouter(tags=["learning"])
Json = dict[str, Any]  # Any: JSON


class Start(Body):
    language: str | None = None


class Submission(Body):
    language: str
    code: str


class Coach(Body):
    challenge_id: str


class Program(Body):
    """A program with its standard input; or a solution of a challenge with an ``input`` for it: a function's arguments
    by name as JSON texts, the ``rows`` of a query, the files of a script. What is not given is the first example's."""

    language: str
    code: str = Field(max_length=LARGEST_CODE_BYTES)
    stdin: str = Field("", max_length=MOST_STDIN_BYTES)
    challenge_id: str | None = None
    input: dict[str, str] = Field(default_factory=dict, max_length=50)


class TrainingStart(Body):
    """Without concepts: what a plan has for today, or a mix of due, weak and new. ``challenges`` decides whether they
    are among the items; a count without it means questions only."""

    concepts: list[str] = Field(default_factory=list, max_length=10)
    count: int | None = None
    challenges: bool | None = None


class NewPlan(Body):
    goal: str = Field(max_length=120)
    goal_day: date
    concepts: list[str] = Field(max_length=20)


class TrainingAnswer(Body):
    answer: str = Field(max_length=2000)
    question_id: str | None = None


@router.get("/challenges")
async def challenges(
    _user: Reader, using: Using, concept: str | None = None, difficulty: str | None = None
) -> Json:  # fmt: skip
    found = [
        views.challenge_view(challenge)
        for challenge in using.deps.curriculum.challenges
        if concept in (None, challenge.concept) and difficulty in (None, challenge.difficulty)
    ]
    return page(found)


@router.get("/concepts")
async def concepts(user: Reader, using: Using) -> Json:  # noqa: ARG001  # whoever may read
    """What challenges and questions can be about, in the order of the graph."""
    return page(
        [
            {"id": concept.id, "title": concept.title, "requires": list(concept.requires),
             "byLanguage": concept.by_language}
            for concept in using.deps.curriculum.concepts
        ]
    )  # fmt: skip


@router.get("/challenges/attempts")
async def attempts(
    user: Reader, using: Using, concept: str | None = None, cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Json:  # fmt: skip
    """Attempts, newest first; with ``concept`` those behind its mastery."""
    if concept is not None and using.deps.curriculum.concept(concept) is None:
        raise NotFound(f"There is no concept {concept!r}. See GET /api/v1/concepts.")
    rows = await using.deps.challenges.attempts_of(user.id, concept=concept, before=cursor, limit=limit + 1)
    more = len(rows) > limit
    return page(
        [
            {
                "attemptId": row["id"], "challengeId": row["challenge_id"], "language": row["language"],
                "verdict": row["verdict"], "score": row["score"], "wallMs": row["wall_ms"],
                "hints": row["hints_shown"], "check": row["is_check"],
                "createdAt": row["created_at"].isoformat(),
            }
            for row in rows[:limit]
        ],
        rows[limit - 1]["id"] if more else None,
    )  # fmt: skip


@router.get("/challenges/next")
async def following(
    user: Reader, using: Using, concept: str | None = None, difficulty: str | None = None, language: str | None = None
) -> Json:
    """What would be started now; nothing is started."""
    choice = await using.deps.challenges.following(user.id, concept=concept, difficulty=difficulty, language=language)
    return {**views.challenge_view(choice.challenge), "isCheck": choice.is_check}


@router.get("/challenges/{challenge_id}")
async def challenge(challenge_id: str, _user: Reader, using: Using) -> Json:
    return views.challenge_view(_found(using, challenge_id))


@router.post("/challenges/{challenge_id}/start", status_code=201)
async def start(challenge_id: str, body: Start, user: Writer, using: Using) -> Json:
    started = await using.deps.challenges.start(
        user.id, thread_id=None, challenge_id=challenge_id, language=body.language
    )
    return views.started_view(started)


@router.post("/challenges/{challenge_id}/submit")
async def submit(challenge_id: str, body: Submission, user: Writer, using: Using) -> Json:
    """Grade a solution of a challenge that was started before."""
    started = await using.deps.challenges.latest(user.id, challenge_id)
    if started is None:
        raise NotFound(f"Start the challenge first: POST /api/v1/challenges/{challenge_id}/start")
    submission = await using.deps.challenges.submit(user.id, started.id, body.code, language=body.language)
    return views.submission_view(submission, using.deps.curriculum)


@router.post("/challenges/{challenge_id}/hint")
async def hint(challenge_id: str, user: Writer, using: Using) -> Json:
    started = await using.deps.challenges.latest(user.id, challenge_id)
    if started is None:
        raise NotFound(f"Start the challenge first: POST /api/v1/challenges/{challenge_id}/start")
    after = await using.deps.challenges.hint(user.id, started.id)
    return {"hints": list(after.hints), "hintsTotal": len(after.challenge.hints)}


@router.post("/challenges/{challenge_id}/reveal")
async def reveal(challenge_id: str, user: Writer, using: Using) -> Json:
    """Show a solution. It costs the card, and a challenge like it comes back."""
    started = await using.deps.challenges.latest(user.id, challenge_id)
    if started is None:
        raise NotFound(f"Start the challenge first: POST /api/v1/challenges/{challenge_id}/start")
    return views.revealed_view(await using.deps.challenges.reveal(user.id, started.id), using.deps.curriculum)


@router.post("/coach/feedback")
async def coach_feedback(body: Coach, request: Request, user: Writer, using: Using) -> Json:
    """One question about the newest attempt at a challenge, by a model where there is one. It counts as help."""
    started = await using.deps.challenges.latest(user.id, body.challenge_id)
    if started is None:
        raise NotFound(f"Start the challenge first: POST /api/v1/challenges/{body.challenge_id}/start")
    return views.coached_view(await while_connected(request, using.deps.coach.ask(user.id, started.id)))


@router.post("/training/start", status_code=201)
async def training_start(body: TrainingStart, user: Writer, using: Using) -> Json:
    session = await using.deps.training.start(
        user.id, thread_id=None, concepts=body.concepts, count=body.count, with_challenges=body.challenges,
        today=await using.deps.today(user.id),
    )  # fmt: skip
    return views.session_view(session, using.deps.curriculum)


SHOWN_STEPS: tuple[path.Why, ...] = ("check", "due", "weak", "new", "kept")


@router.get("/training/overview")
async def training_overview(user: Reader, using: Using) -> Json:
    """Where one stands: what is to be shown without help, due, weak and new, sessions to go on with, and the plan."""
    deps = using.deps
    tried = await progress.overview(using.database, user.id)
    steps = path.path_of(deps.curriculum.concepts, tried, deps.clock())
    plan = await deps.plans.current(user.id, await deps.today(user.id))
    return {
        **{why: [step_view(step) for step in steps if step.why == why] for why in SHOWN_STEPS},
        "unfinished": [views.session_view(one, deps.curriculum) for one in await deps.training.unfinished(user.id)],
        "plan": views.plan_view(plan, deps.curriculum) if plan else None,
    }


@router.get("/training/plan")
async def plan(user: Reader, using: Using) -> Json:
    found = await using.deps.plans.current(user.id, await using.deps.today(user.id))
    if found is None:
        raise NotFound("There is no plan. Make one: POST /api/v1/training/plan")
    return views.plan_view(found, using.deps.curriculum)


@router.post("/training/plan", status_code=201)
async def new_plan(body: NewPlan, user: Writer, using: Using) -> Json:
    """Dated sessions up to a day; a plan that was there is ended."""
    made = await using.deps.plans.make(
        user.id, goal=body.goal, goal_day=body.goal_day, concepts=body.concepts, today=await using.deps.today(user.id)
    )
    return views.plan_view(made, using.deps.curriculum)


@router.delete("/training/plan", status_code=204)
async def drop_plan(user: Writer, using: Using) -> None:
    await using.deps.plans.end(user.id)


@router.get("/training/due")
async def due(user: Reader, using: Using) -> Json:
    tried = await progress.overview(using.database, user.id)
    now = using.deps.clock()
    return page([_progress(row) for row in tried if row.due_at is not None and row.due_at <= now])


@router.get("/training/mastery")
async def mastery(user: Reader, using: Using) -> Json:
    return page([_progress(row) for row in await progress.overview(using.database, user.id)])


@router.get("/training/mastery/{concept}")
async def mastery_of(
    concept: str, user: Reader, using: Using, cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Json:  # fmt: skip
    """What is behind a concept's mastery: each outcome with what it moved and why, newest first."""
    if using.deps.curriculum.concept(concept) is None:
        raise NotFound(f"There is no concept {concept!r}. See GET /api/v1/training/mastery.")
    return await behind_mastery(using.deps, user.id, concept, before=cursor, limit=limit)


@router.get("/training/{session_id}")
async def training(session_id: str, user: Reader, using: Using) -> Json:
    return views.session_view(await using.deps.training.get(user.id, session_id), using.deps.curriculum)


@router.post("/training/{session_id}/answer")
async def answer(session_id: str, body: TrainingAnswer, user: Writer, using: Using) -> Json:
    marked = await using.deps.training.answer(user.id, session_id, body.answer, question_id=body.question_id)
    return views.marked_view(marked, using.deps.curriculum)


@router.post("/training/{session_id}/finish")
async def finish(session_id: str, user: Writer, using: Using) -> Json:
    return views.moved_view(await using.deps.training.finish(user.id, session_id), using.deps.curriculum)


@router.post("/training/{session_id}/next")
async def following_item(session_id: str, user: Writer, using: Using) -> Json:
    """Go on after a challenge of the session has ended."""
    return views.moved_view(await using.deps.training.go_on(user.id, session_id), using.deps.curriculum)


@router.post("/training/{session_id}/pause")
async def pause(session_id: str, user: Writer, using: Using) -> Json:
    return views.session_view(await using.deps.training.pause(user.id, session_id), using.deps.curriculum)


@router.post("/training/{session_id}/resume")
async def resume(session_id: str, user: Writer, using: Using) -> Json:
    return views.session_view(await using.deps.training.resume(user.id, session_id), using.deps.curriculum)


@router.post("/sandbox/run")
async def sandbox_run(body: Program, user: Writer, using: Using) -> Json:
    """Run a program, or a solution on an input of one's own, without a verdict; nothing is recorded."""
    if body.challenge_id is not None:
        if body.stdin:
            raise InvalidInput("A solution is given its input by name: leave out stdin, or the challengeId.")
        about = _found(using, body.challenge_id)
        run = await using.deps.challenges.run_on(user.id, about, body.code, body.input, language=body.language)
        return run.to_json()
    if body.input:
        raise InvalidInput("Of which challenge is this the input? Give its challengeId, or stdin for a program.")
    language = LANGUAGES[known_language(body.language)]
    if language.toolchain().path is None:
        raise InvalidInput(f"{language.title} is not installed here. {language.toolchain().remedy}")
    run = await run_script(using.isolation.for_owner(user.id), language, body.code, encoded(body.stdin))
    return run.to_json()


@router.get("/languages")
async def languages(_user: Reader) -> Json:
    return page(
        [
            {"name": language.name, "title": language.title, "usable": chain.path is not None, "remedy": chain.remedy}
            for language in LANGUAGES.values()
            if (chain := language.toolchain())
        ]
    )


def _found(using: Services, challenge_id: str) -> Challenge:
    found = using.deps.curriculum.challenge(challenge_id)
    if found is None:
        raise NotFound(f"There is no challenge {challenge_id!r}. See GET /api/v1/challenges.")
    return found


def _progress(row: progress.ConceptProgress) -> Json:
    return {
        "concept": row.concept,
        "mastery": row.mastery,
        "outcomes": row.outcomes,
        "dueAt": row.due_at.isoformat() if row.due_at else None,
    }
