"""What can be learned here: concepts, challenges and questions, read from the pool's YAML and checked."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from app.errors import SettingsError
from app.learning.grading import Case
from app.learning.languages.base import Signature

POOL = Path(__file__).parent / "pool"

Difficulty = Literal["easy", "medium", "hard"]
DIFFICULTIES: tuple[Difficulty, ...] = ("easy", "medium", "hard")


def _expanded(value: Any) -> Any:  # Any: YAML
    """Long test data in short: ``{range: [0, 5]}`` counts up or down to, not including, its end; ``{zeros: 5}``."""
    if isinstance(value, dict) and value.keys() == {"range"}:
        start, stop = value["range"]
        return list(range(start, stop, 1 if stop > start else -1))
    if isinstance(value, dict) and value.keys() == {"zeros"}:
        return [0] * int(value["zeros"])
    return [_expanded(item) for item in value] if isinstance(value, list) else value


Value = Annotated[Any, BeforeValidator(_expanded)]  # Any: a JSON value of the signature's type


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Concept(_Data):
    id: str = Field(pattern=r"^[a-z][a-z-]*$")
    title: str
    words: tuple[str, ...]
    lesson: str


class CaseData(_Data):
    arguments: Value
    expected: Value


class Challenge(_Data):
    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    title: str
    concept: str
    difficulty: Difficulty
    rating: int = Field(ge=600, le=2400)
    minutes: int = Field(gt=0)
    signature: Signature
    statement: str
    examples: tuple[CaseData, ...] = Field(min_length=2)
    cases: tuple[CaseData, ...] = Field(min_length=3)
    hints: tuple[str, ...] = Field(min_length=3, max_length=3)
    solutions: dict[str, str]

    def all_cases(self) -> tuple[Case, ...]:
        shown = [Case(arguments=tuple(c.arguments), expected=c.expected, hidden=False) for c in self.examples]
        hidden = [Case(arguments=tuple(c.arguments), expected=c.expected, hidden=True) for c in self.cases]
        return (*shown, *hidden)


class Question(_Data):
    """One right answer and some wrong ones; the order in which they are shown is drawn for each session."""

    id: str
    prompt: str
    answer: str
    wrong: tuple[str, ...] = Field(min_length=2)
    explanation: str


@dataclass(frozen=True, kw_only=True)
class Curriculum:
    concepts: tuple[Concept, ...]
    challenges: tuple[Challenge, ...]
    questions: dict[str, tuple[Question, ...]]

    def concept(self, concept_id: str) -> Concept | None:
        return next((concept for concept in self.concepts if concept.id == concept_id), None)

    def challenge(self, challenge_id: str) -> Challenge | None:
        return next((challenge for challenge in self.challenges if challenge.id == challenge_id), None)

    def question(self, question_id: str) -> tuple[str, Question] | None:
        """A question and the concept it is about."""
        for concept, questions in self.questions.items():
            for question in questions:
                if question.id == question_id:
                    return concept, question
        return None

    def concepts_in(self, text: str) -> list[Concept]:
        """The concepts that a text names, in the order in which it names them."""
        found: list[tuple[int, Concept]] = []
        for concept in self.concepts:
            places = [
                match.start()
                for word in (concept.id, *concept.words)
                if (match := re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE))
            ]
            if places:
                found.append((min(places), concept))
        return [concept for _, concept in sorted(found, key=lambda pair: pair[0])]

    def best_match(self, text: str) -> Concept | None:
        """The concept whose words and lesson share most with a text; None when nothing is shared."""
        named = self.concepts_in(text)
        if named:
            return named[0]
        asked = _content_words(text)
        scored = [(len(asked & _content_words(f"{c.title} {c.lesson}")), c) for c in self.concepts]
        best, concept = max(scored, key=lambda pair: pair[0])
        return concept if best >= 2 else None


Row = TypeVar("Row", bound=_Data)


def load_curriculum(folder: Path = POOL) -> Curriculum:
    """Read the pool.

    Raises:
        SettingsError: a file does not fit the schema; the message names it.
    """
    concepts = tuple(_read(folder / "concepts.yaml", Concept))
    files = sorted((folder / "challenges").glob("*.yaml"))
    challenges = tuple(challenge for file in files for challenge in _read(file, Challenge))
    questions = {file.stem: tuple(_read(file, Question)) for file in sorted((folder / "questions").glob("*.yaml"))}
    _check_ids([c.id for c in challenges] + [c.id for c in concepts])
    return Curriculum(concepts=concepts, challenges=challenges, questions=questions)


def _read(file: Path, kind: type[Row]) -> list[Row]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        rows = content if isinstance(content, list) else [content]
        return [kind.model_validate(row) for row in rows]
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise SettingsError(f"The pool file {file.name!r} cannot be used: {error}") from error


def _check_ids(ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            raise SettingsError(f"The pool has two entries named {one!r}. Rename one of them.")
        seen.add(one)


_COMMON = frozenset(
    re.findall(
        r"\w+",
        "and are does for from has have how its not that the this was what when where which why with you your",
    )
)


def _content_words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]{3,}", text.lower())) - _COMMON


def shuffled(question: Question, order: Sequence[int]) -> tuple[str, ...]:
    """A question's choices in the order drawn for a session; 0 is the right answer."""
    choices = (question.answer, *question.wrong)
    return tuple(choices[place] for place in order)
