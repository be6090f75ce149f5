"""What a workflow's step may call: each action with its inputs checked, returning JSON."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from app.analytics.reports import ReportService
from app.context.repositories import Repository, RepositoryService
from app.errors import InvalidInput
from app.learning import progress
from app.models.budget import MICROUSD, Purse
from app.storage.database import Database

WEEK = timedelta(days=7)
CHOICES = 4


class _Inputs(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _NoInputs(_Inputs):
    pass


class _IndexInputs(_Inputs):
    path: str


class _QuizInputs(_Inputs):
    repository_id: str
    count: int = Field(5, ge=1, le=20)


class _ComposeInputs(_Inputs):
    progress: dict[str, Any]  # Any: another step's JSON
    due: dict[str, Any]  # Any: as above
    spending: dict[str, Any]  # Any: as above


@dataclass(frozen=True, kw_only=True)
class Action:
    """One thing a step may call, for the user whose workflow it is."""

    name: str
    description: str
    inputs: type[BaseModel]
    run: Callable[[str, Any], Awaitable[dict[str, Any]]]  # Any: the action's own inputs; JSON

    async def call(self, user_id: str, inputs: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
        """Check the inputs and run.

        Raises:
            InvalidInput: the inputs do not fit.
        """
        try:
            checked = self.inputs.model_validate(inputs)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(f"The action {self.name!r} cannot use its input {place!r}: {first['msg']}.") from error
        return await self.run(user_id, checked)


class Actions:
    """The table of actions over the services."""

    def __init__(
        self, *, database: Database, repositories: RepositoryService, reports: ReportService,
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._database = database
        self._repositories = repositories
        self._reports = reports
        self._clock = clock
        table = (
            Action(name="context.index", description="Index a folder", inputs=_IndexInputs, run=self._index),
            Action(name="context.quiz", description="Make questions on a repository", inputs=_QuizInputs,
                   run=self._quiz),
            Action(name="analytics.report", description="Count what was practised", inputs=_NoInputs,
                   run=self._report),
            Action(name="learning.due", description="Find what is due", inputs=_NoInputs, run=self._due),
            Action(name="models.spending", description="Sum up a week's costs", inputs=_NoInputs,
                   run=self._spending),
            Action(name="report.compose", description="Write the report", inputs=_ComposeInputs,
                   run=self._compose),
        )  # fmt: skip
        self.by_name = {action.name: action for action in table}

    async def _index(self, user_id: str, inputs: _IndexInputs) -> dict[str, Any]:  # Any: JSON
        loaded: Repository | None = None
        async for step in self._repositories.load(user_id, inputs.path):
            if isinstance(step, Repository):
                loaded = step
        assert loaded is not None
        return {"repositoryId": loaded.id, "name": loaded.name, "files": loaded.files, "symbols": loaded.symbols}

    async def _quiz(self, user_id: str, inputs: _QuizInputs) -> dict[str, Any]:  # Any: JSON
        repository = await self._repositories.get(user_id, inputs.repository_id)
        symbols = await self._repositories.symbols(user_id, repository.id)
        questions = quiz_questions(symbols, count=inputs.count, seed=repository.id + self._clock().date().isoformat())
        if not questions:
            raise InvalidInput(
                f"{repository.name!r} has too little code to ask about: it needs definitions in {CHOICES} files."
            )
        return {"repository": repository.name, "questions": questions}

    async def _report(self, user_id: str, _inputs: _NoInputs) -> dict[str, Any]:  # Any: JSON
        report = await self._reports.report(user_id)
        week = report.days[-7:]
        return {
            "submitted": sum(day.submitted for day in week),
            "passed": sum(day.passed for day in week),
            "answered": sum(day.answered for day in week),
            "correct": sum(day.correct for day in week),
            "streak": report.streak.current,
            "concepts": [
                {to_camel(name): value for name, value in asdict(concept).items()} for concept in report.concepts
            ],
        }

    async def _due(self, user_id: str, _inputs: _NoInputs) -> dict[str, Any]:  # Any: JSON
        soon = self._clock() + WEEK
        tried = await progress.overview(self._database, user_id)
        return {
            "concepts": [
                {"concept": row.concept, "mastery": row.mastery, "dueAt": row.due_at.isoformat()}
                for row in tried
                if row.due_at is not None and row.due_at <= soon
            ]
        }

    async def _spending(self, user_id: str, _inputs: _NoInputs) -> dict[str, Any]:  # Any: JSON
        since = self._clock() - WEEK
        return {"costUsd": await Purse(self._database).spent_by(user_id, since=since) / MICROUSD}

    async def _compose(self, _user_id: str, inputs: _ComposeInputs) -> dict[str, Any]:  # Any: JSON
        return {"text": report_text(inputs.progress, inputs.due, inputs.spending)}


def quiz_questions(
    symbols: list[tuple[str, str, str, int]], *, count: int, seed: str
) -> list[dict[str, Any]]:  # Any: JSON
    """Questions "In which file is X defined?" over names that are defined in one file only; repeatable by ``seed``."""
    files: dict[str, set[str]] = {}
    for name, _, path, _ in symbols:
        files.setdefault(name, set()).add(path)
    paths = sorted({path for _, _, path, _ in symbols})
    if len(paths) < CHOICES:
        return []
    generator = random.Random(seed)
    unique = [(name, kind, path, line) for name, kind, path, line in symbols if len(files[name]) == 1]
    questions = []
    for name, kind, path, line in generator.sample(unique, min(count, len(unique))):
        wrong = generator.sample([other for other in paths if other != path], CHOICES - 1)
        choices = [path, *wrong]
        generator.shuffle(choices)
        questions.append(
            {
                "prompt": f"In which file is the {kind} `{name}` defined?",
                "choices": choices,
                "answer": choices.index(path),
                "explanation": f"{PurePosixPath(path)}:{line}",
            }
        )
    return questions


def report_text(progress: dict[str, Any], due: dict[str, Any], spending: dict[str, Any]) -> str:  # Any: JSON
    """The weekly report as Markdown."""
    lines = ["### Your week", ""]
    if not progress["submitted"] and not progress["answered"]:
        lines.append("You did not practise this week. A single easy challenge is a good way back: say `/challenge`.")
    else:
        lines.append(f"- **Challenges**: {progress['passed']} passed in {progress['submitted']} submissions")
        lines.append(f"- **Questions**: {progress['correct']} of {progress['answered']} right")
        lines.append(f"- **Streak**: {progress['streak']} days")
    weakest = sorted(progress["concepts"], key=lambda concept: concept["mastery"])[:1]
    if weakest:
        lines.append(f"- **Weakest concept**: {weakest[0]['concept']} (mastery {weakest[0]['mastery']} of 100)")
    if due["concepts"]:
        names = ", ".join(concept["concept"] for concept in due["concepts"])
        lines.append(f"- **Due in the next 7 days**: {names}")
    lines.append(f"- **Models cost you**: ${spending['costUsd']:.2f}")
    return "\n".join(lines)
