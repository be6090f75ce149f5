"""What a learner gets back for a solution, and for asking to be shown one."""

from dataclasses import dataclass

from app.learning import grading, progress
from app.learning.score import Score
from app.learning.started import Started


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A graded attempt. ``change`` says what it did to mastery, or that it did nothing yet."""

    started: Started
    attempt_id: str
    graded: grading.Graded
    score: Score
    feedback: str
    change: progress.Change


@dataclass(frozen=True, kw_only=True)
class Revealed:
    """The reference solution, in the language that the learner chose where there is one."""

    started: Started
    language: str
    solution: str
    explanation: str
    change: progress.Change
