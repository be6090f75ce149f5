"""A made-up past: events of many learners over many weeks, as the services would have written them."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from app.events.schema import NewEvent

CONCEPTS = ("strings", "lists", "sql", "graphs", "recursion", "trees")
LANGUAGES = ("python", "javascript", "sql", "go")
SITTING_EVENTS = 5


def past(user_ids: list[str], *, events: int, end: datetime, seed: int = 1) -> Iterator[NewEvent]:
    """About ``events`` events of these learners in the half year before ``end``, in order of time."""
    generator = random.Random(seed)
    sittings = events // SITTING_EVENTS
    moments = sorted(end - timedelta(minutes=generator.randrange(180 * 24 * 60)) for _ in range(sittings))
    for number, at in enumerate(moments):
        yield from _sitting(generator, generator.choice(user_ids), number, at)


def _sitting(generator: random.Random, user_id: str, number: int, at: datetime) -> Iterator[NewEvent]:
    """A challenge that was submitted, and a question that was answered."""
    solved, aided = generator.random() < 0.7, generator.random() < 0.3
    concept, score = generator.choice(CONCEPTS), generator.randrange(60, 101) if solved else generator.randrange(60)
    language = generator.choice(LANGUAGES)
    base = {"challengeId": f"{concept}-{generator.randrange(40)}", "concept": concept}
    seen = {"language": language, "verdict": "passed" if solved else "failed", "score": score}
    sitting = f"sitting-{number}"

    def event(event_type: str, key: str, **payload: object) -> NewEvent:
        return NewEvent(type=event_type, key=key, user_id=user_id, occurred_at=at, payload=payload)

    yield event("challenge.submitted", sitting, **base, **seen)
    yield event("challenge.passed" if solved else "challenge.failed", sitting, **base, **seen)
    yield event(
        "challenge.finished", sitting, **base, solved=solved, aided=aided, known=False, check=False, attempts=1,
        ending="solved" if solved else "failed", score=score, language=language, seconds=generator.randrange(30, 900),
    )  # fmt: skip
    yield event(
        "mastery.changed",
        user_id,
        concept=concept,
        before=0,
        after=generator.randrange(100),
        dueAt=None,
        source=sitting,
    )
    yield event(
        "training.answered", f"session-{number}", concept=concept, questionId="q", correct=generator.random() < 0.6
    )
