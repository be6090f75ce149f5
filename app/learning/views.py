"""Challenges, verdicts and sessions as JSON for cards, REST and the command line. Never a solution or a hidden case
that has not failed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.learning import kinds, own_input, progress
from app.learning.challenge_files import Challenge
from app.learning.coaching import Coached
from app.learning.curriculum import Curriculum
from app.learning.grading import CaseResult, Graded, first_failing
from app.learning.languages import LANGUAGES
from app.learning.plans import Plan
from app.learning.sessions import Asked, InHand, Session
from app.learning.started import Started
from app.learning.submission import Revealed, Submission
from app.learning.training import Marked, Moved

Json = dict[str, Any]  # Any: JSON


def challenge_view(challenge: Challenge) -> Json:
    return {
        "id": challenge.id,
        "title": challenge.title,
        "concept": challenge.concept,
        "kind": challenge.kind,
        "level": challenge.level,
        "difficulty": challenge.difficulty,
        "minutes": challenge.minutes,
        "statement": challenge.statement,
    }


def started_view(started: Started) -> Json:
    """Everything the card needs, for each language that the challenge is offered in and that can be used here."""
    challenge, shown_in = started.challenge, started.language.name
    usable = [LANGUAGES[name] for name in challenge.languages if LANGUAGES[name].toolchain().path is not None]
    return {
        **challenge_view(challenge),
        "startedId": started.id,
        "language": shown_in,
        "languages": [
            {
                "name": language.name,
                "title": language.title,
                "signature": kinds.declaration(challenge, language.name),
                "stub": kinds.stub(challenge, language.name),
            }
            for language in usable
        ],
        "material": kinds.material(challenge),
        "examples": kinds.examples(challenge, shown_in),
        "inputs": [vars(field) for field in own_input.fields(challenge)],
        "hints": list(started.hints),
        "hintsTotal": len(challenge.hints),
        "attempts": started.attempts,
        "status": started.status,
        "isCheck": started.is_check,
        "sessionId": started.session_id,
    }


def graded_view(graded: Graded) -> Json:
    failing = first_failing(graded.cases)
    return {
        "verdict": graded.verdict,
        "message": graded.message,
        "passed": graded.passed,
        "total": len(graded.cases),
        "wallMs": graded.wall_ms,
        "isolated": graded.isolated,
        "stderr": graded.stderr,
        "cases": [
            {"number": case.number, "passed": case.passed, "hidden": case.hidden, "ms": case.ms}
            for case in graded.cases
        ],
        "firstFailing": _failing_view(failing) if failing else None,
    }


def submission_view(submission: Submission, curriculum: Curriculum) -> Json:
    return {
        **graded_view(submission.graded),
        "attemptId": submission.attempt_id,
        "attempts": submission.started.attempts,
        "score": submission.score.total,
        "scoreParts": [
            {"name": part.name, "points": round(part.points, 1), "most": part.most, "why": part.why}
            for part in submission.score.parts
        ],
        "feedback": submission.feedback,
        "mastery": change_view(submission.change, curriculum),
        "dueAt": _time(submission.change.due_at),
    }


def revealed_view(revealed: Revealed, curriculum: Curriculum) -> Json:
    return {
        "language": revealed.language,
        "solution": revealed.solution,
        "explanation": revealed.explanation,
        "mastery": change_view(revealed.change, curriculum),
        "dueAt": _time(revealed.change.due_at),
        "status": revealed.started.status,
    }


def coached_view(coached: Coached) -> Json:
    return {
        "by": coached.by,
        "observation": coached.observation,
        "question": coached.question,
        "model": coached.model,
        "costUsd": coached.cost_microusd / 1_000_000,
        "told": coached.told,
    }


def change_view(change: progress.Change, curriculum: Curriculum) -> Json:
    concept = curriculum.concept(change.concept)
    return {
        "concept": change.concept,
        "title": concept.title if concept else change.concept,
        "before": change.before,
        "after": change.after,
        "why": change.why,
        "dueAt": _time(change.due_at),
    }


def session_view(session: Session, curriculum: Curriculum) -> Json:
    current = session.current
    return {
        "sessionId": session.id,
        "status": session.status,
        "concepts": list(session.concepts),
        "questions": session.length,
        "answered": len(session.done),
        "correct": session.correct,
        "byConcept": [
            {
                "concept": name,
                "title": found.title if (found := curriculum.concept(name)) else name,
                "answered": sum(item.concept == name for item in session.done),
                "correct": sum(item.concept == name and item.correct for item in session.done),
            }
            for name in session.concepts
        ],
        "current": None if current is None else _current_view(current),
    }


def _current_view(current: Asked | InHand) -> Json:
    if isinstance(current, InHand):
        return {
            "kind": "challenge",
            "number": current.number,
            "concept": current.concept,
            "challengeId": current.started.challenge.id,
            "startedId": current.started.id,
            "title": current.started.challenge.title,
        }
    return {
        "kind": "question",
        "number": current.number,
        "questionId": current.question_id,
        "concept": current.concept,
        "prompt": current.prompt,
        "choices": list(current.choices),
    }


def moved_view(moved: Moved, curriculum: Curriculum) -> Json:
    """A session with what its end did to mastery, and when the first of its concepts is due again."""
    due = [change.due_at for change in moved.changes if change.due_at is not None]
    return {
        **session_view(moved.session, curriculum),
        "changes": [change_view(change, curriculum) for change in moved.changes],
        "nextDueAt": _time(min(due)) if due else None,
    }


def plan_view(plan: Plan, curriculum: Curriculum) -> Json:
    def titles(concepts: Sequence[str]) -> list[str]:
        return [found.title if (found := curriculum.concept(name)) else name for name in concepts]

    return {
        "planId": plan.id,
        "goal": plan.goal,
        "goalDay": plan.goal_day.isoformat(),
        "concepts": list(plan.concepts),
        "titles": titles(plan.concepts),
        "done": sum(one.status == "done" for one in plan.sessions),
        "sessions": [
            {
                "number": one.number,
                "day": one.day.isoformat(),
                "concepts": list(one.concepts),
                "titles": titles(one.concepts),
                "status": one.status,
                "sessionId": one.session_id,
            }
            for one in plan.sessions
        ],
    }


def marked_view(marked: Marked, curriculum: Curriculum) -> Json:
    return {
        "correct": marked.correct,
        "rightAnswer": marked.right_answer,
        "explanation": marked.explanation,
        "session": session_view(marked.session, curriculum),
        "changes": [change_view(change, curriculum) for change in marked.changes],
    }


def _failing_view(case: CaseResult) -> Json:
    return {
        "number": case.number,
        "hidden": case.hidden,
        "input": case.input,
        "expected": case.expected,
        "got": case.got,
        "stdout": case.stdout,
        "error": case.error,
        "trace": list(case.trace),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
