"""What can be learned here: concepts, challenges and questions, read from the pool's YAML and checked."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import SettingsError
from app.learning.challenge_files import CHALLENGE, Challenge
from app.yaml_files import parse

# What PyYAML raises of files that are none, beside its own errors.
UNREADABLE = (OSError, yaml.YAMLError, TypeError, ValueError, KeyError, AttributeError, RecursionError)
POOL = Path(__file__).parent / "pool"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Concept(_Data):
    """What a card and a skill are about. ``requires`` are the concepts that come before it in the graph. One that is
    ``by_language`` is as much about a language's own ways: it has a card for each language it is practised in."""

    id: str = Field(pattern=r"^[a-z][a-z-]*$")
    title: str
    words: tuple[str, ...]
    requires: tuple[str, ...] = ()
    by_language: bool = False
    lesson: str


class Question(_Data):
    """One right answer and some wrong ones; the order in which they are shown is drawn for each session."""

    id: str
    prompt: str
    answer: str
    wrong: Annotated[tuple[str, ...], Field(min_length=2)]
    explanation: str


@dataclass(frozen=True, kw_only=True)
class Curriculum:
    """What there is to learn. ``left_out`` are files of one's own that cannot be used, and why."""

    concepts: tuple[Concept, ...]
    challenges: tuple[Challenge, ...]
    questions: dict[str, tuple[Question, ...]]
    left_out: dict[str, str] = field(default_factory=dict)

    def concept(self, concept_id: str) -> Concept | None:
        return next((concept for concept in self.concepts if concept.id == concept_id), None)

    def card_of(self, concept_id: str, language: str) -> str:
        """The card that practising a concept in a language rates."""
        concept = self.concept(concept_id)
        return f"{concept_id}:{language}" if concept is not None and concept.by_language else concept_id

    def challenge(self, challenge_id: str) -> Challenge | None:
        return next((challenge for challenge in self.challenges if challenge.id == challenge_id), None)

    def challenges_about(self, concept_id: str) -> list[Challenge]:
        return [challenge for challenge in self.challenges if challenge.concept == concept_id]

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
        asked = content_words(text)
        scored = [(len(asked & content_words(f"{c.title} {c.lesson}")), c) for c in self.concepts]
        best, concept = max(scored, key=lambda pair: pair[0])
        return concept if best >= 2 else None


Row = TypeVar("Row", bound=_Data)


def load_curriculum(folder: Path = POOL, *, own: Path | None = None) -> Curriculum:
    """Read the pool, and challenges of one's own from the folder ``own``: a file there that cannot be used is reported
    and left out, and so is one whose id or concept does not fit the rest.

    Raises:
        SettingsError: a file of the pool itself does not fit the schema; the message names it.
    """
    pool = _pool(folder)
    challenges = list(pool.challenges)
    left_out: dict[str, str] = {}
    if own is not None and not own.is_dir():
        left_out[str(own)] = "TOOLOO_CHALLENGES_DIR names a folder that is not there."
    for file in sorted(own.glob("**/*.y*ml")) if own else []:
        try:
            challenges.append(_fitting(read_challenge(file), pool.concepts, challenges))
        except SettingsError as error:
            left_out[str(file)] = error.user_message
    return Curriculum(concepts=pool.concepts, challenges=tuple(challenges), questions=pool.questions, left_out=left_out)


@lru_cache(maxsize=1)
def _pool(folder: Path) -> Curriculum:
    concepts = tuple(_read(folder / "concepts.yaml", Concept))
    challenges = [read_challenge(file) for file in sorted((folder / "challenges").glob("*.yaml"))]
    questions = {file.stem: tuple(_read(file, Question)) for file in sorted((folder / "questions").glob("*.yaml"))}
    _check_ids([c.id for c in challenges] + [c.id for c in concepts])
    _check_graph(concepts)
    return Curriculum(concepts=concepts, challenges=tuple(challenges), questions=questions)


def read_challenge(file: Path) -> Challenge:
    """One challenge from its file.

    Raises:
        SettingsError: it cannot be read or does not fit the schema; the message says where.
    """
    try:
        return CHALLENGE.validate_python(_yaml(file))
    except ValidationError as error:
        problems = "; ".join(_problem(one["loc"], one["type"], one["msg"]) for one in error.errors()[:5])
        raise SettingsError(f"The challenge file {file.name!r} cannot be used: {problems}") from error
    except UNREADABLE as error:
        raise SettingsError(f"The challenge file {file.name!r} cannot be read: {error}") from error


def _problem(place: tuple[int | str, ...], kind: str, message: str) -> str:
    """What is wrong in a file, and where; its first place is the kind of challenge that it was read as."""
    if kind.startswith("union_tag"):
        return "its field 'kind' must say what kind of challenge it is, such as write, fix, predict or sql"
    return f"{'.'.join(map(str, place[1:]))}: {message}" if place[1:] else message


def _fitting(challenge: Challenge, concepts: Sequence[Concept], others: Sequence[Challenge]) -> Challenge:
    if challenge.id in {other.id for other in others}:
        raise SettingsError(f"There is a challenge {challenge.id!r} already. Rename this one.")
    if challenge.concept not in {concept.id for concept in concepts}:
        known = ", ".join(concept.id for concept in concepts)
        raise SettingsError(f"{challenge.concept!r} is no concept. Use one of: {known}.")
    return challenge


def _yaml(file: Path) -> Any:  # Any: YAML
    return parse(file.read_text(encoding="utf-8"))


def _read(file: Path, kind: type[Row]) -> list[Row]:
    try:
        content = _yaml(file)
        return [kind.model_validate(row) for row in content]
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise SettingsError(f"The pool file {file.name!r} cannot be used: {error}") from error


def _check_ids(ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            raise SettingsError(f"The pool has two entries named {one!r}. Rename one of them.")
        seen.add(one)


def _check_graph(concepts: Sequence[Concept]) -> None:
    """Concepts are listed after all that they require, so that the graph has no cycle and a path is a list."""
    before: set[str] = set()
    for concept in concepts:
        missing = set(concept.requires) - before
        if missing:
            raise SettingsError(f"{concept.id!r} requires {sorted(missing)}, which must be listed before it.")
        before.add(concept.id)


_COMMON = frozenset(
    re.findall(
        r"\w+",
        "and are does for from has have how its not that the this was what when where which why with you your",
    )
)


def content_words(text: str) -> frozenset[str]:
    """The words of a text that say what it is about."""
    return frozenset(re.findall(r"[a-z]{3,}", text.lower())) - _COMMON


def shuffled(question: Question, order: Sequence[int]) -> tuple[str, ...]:
    """A question's choices in the order drawn for a session; 0 is the right answer."""
    choices = (question.answer, *question.wrong)
    return tuple(choices[place] for place in order)
