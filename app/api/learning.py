"""Challenges, training and the sandbox over REST."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from app.api.identity import Reader, Using, Writer
from app.api.wire import Body, page
from app.errors import NotFound
from app.learning import progress, views
from app.learning.languages import language_named

router = APIRouter(tags=["learning"])
Json = dict[str, Any]  # Any: JSON


class Start(Body):
    language: str = "python"


class Submission(Body):
    language: str
    code: str


class TrainingStart(Body):
    concepts: list[str] = Field(default_factory=list, max_length=10)
    count: int | None = None


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


@router.get("/challenges/attempts")
async def attempts(user: Reader, using: Using) -> Json:
    rows = await using.deps.challenges.attempts_of(user.id)
    return page(
        [
            {
                "attemptId": row["id"], "challengeId": row["challenge_id"], "language": row["language"],
                "verdict": row["verdict"], "score": row["score"], "wallMs": row["wall_ms"],
                "createdAt": row["created_at"].isoformat(),
            }
            for row in rows
        ]
    )  # fmt: skip


@router.get("/challenges/{challenge_id}")
async def challenge(challenge_id: str, _user: Reader, using: Using) -> Json:
    found = using.deps.curriculum.challenge(challenge_id)
    if found is None:
        raise NotFound(f"There is no challenge {challenge_id!r}. See GET /api/v1/challenges.")
    return views.challenge_view(found)


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


@router.post("/training/start", status_code=201)
async def training_start(body: TrainingStart, user: Writer, using: Using) -> Json:
    session = await using.deps.training.start(user.id, thread_id=None, concepts=body.concepts, count=body.count)
    return views.session_view(session, using.deps.curriculum)


@router.get("/training/due")
async def due(user: Reader, using: Using) -> Json:
    tried = await progress.overview(using.database, user.id)
    now = using.deps.clock()
    return page([_progress(row) for row in tried if row.due_at is not None and row.due_at <= now])


@router.get("/training/mastery")
async def mastery(user: Reader, using: Using) -> Json:
    return page([_progress(row) for row in await progress.overview(using.database, user.id)])


@router.get("/training/{session_id}")
async def training(session_id: str, user: Reader, using: Using) -> Json:
    return views.session_view(await using.deps.training.get(user.id, session_id), using.deps.curriculum)


@router.post("/training/{session_id}/answer")
async def answer(session_id: str, body: TrainingAnswer, user: Writer, using: Using) -> Json:
    marked = await using.deps.training.answer(user.id, session_id, body.answer, question_id=body.question_id)
    return views.marked_view(marked, using.deps.curriculum)


@router.post("/training/{session_id}/finish")
async def finish(session_id: str, user: Writer, using: Using) -> Json:
    return views.session_view(await using.deps.training.finish(user.id, session_id), using.deps.curriculum)


@router.get("/languages")
async def languages(_user: Reader) -> Json:
    found = [language_named(name) for name in ("python", "javascript")]
    return page(
        [
            {"name": language.name, "title": language.title, "usable": chain.path is not None, "remedy": chain.remedy}
            for language in found
            if language is not None and (chain := language.toolchain())
        ]
    )


def _progress(row: progress.ConceptProgress) -> Json:
    return {
        "concept": row.concept,
        "mastery": row.mastery,
        "outcomes": row.outcomes,
        "dueAt": row.due_at.isoformat() if row.due_at else None,
    }
