"""The schema of a challenge file: what every challenge has, and what each kind of challenge adds to it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator

from app.learning.languages import FUNCTION_LANGUAGES, LANGUAGES
from app.learning.languages.base import LanguageName, Signature, Type, parse_type

Difficulty = Literal["easy", "medium", "hard"]
DIFFICULTIES: tuple[Difficulty, ...] = ("easy", "medium", "hard")
_DIFFICULTY: dict[int, Difficulty] = {1: "easy", 2: "easy", 3: "medium", 4: "hard", 5: "hard"}
LARGEST_VALUE = 200_000  # items of a list or characters of a text that a short form may stand for


def _expanded(value: Any) -> Any:  # Any: YAML
    """Long test data in short: ``{range: [0, 5]}`` counts up or down to, not including, its end; ``{zeros: 5}``;
    ``{repeat: [ab, 3]}`` is a text or a list so many times."""
    match value:
        case {"range": [int(start), int(stop)], **rest} if not rest:
            _bounded(abs(stop - start))
            return list(range(start, stop, 1 if stop > start else -1))
        case {"zeros": int(count), **rest} if not rest:
            _bounded(count)
            return [0] * count
        case {"repeat": [str() | list() as part, int(times)], **rest} if not rest:
            _bounded(len(part) * times)
            return _expanded(part) * times
        case {"range": _, **rest} | {"zeros": _, **rest} | {"repeat": _, **rest} if not rest:
            raise ValueError(f"{value!r} is not written as {{range: [0, 5]}}, {{zeros: 5}} or {{repeat: [ab, 3]}}")
        case dict():
            return {key: _expanded(item) for key, item in value.items()}
        case list():
            return [_expanded(item) for item in value]
        case _:
            return value


def _bounded(size: int) -> None:
    if size > LARGEST_VALUE:
        raise ValueError(f"{size} is too large; at most {LARGEST_VALUE}")


Value = Annotated[Any, BeforeValidator(_expanded)]  # Any: a JSON value of the signature's type
Code = dict[LanguageName, str]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, kw_only=True)
class Case:
    """Arguments and the expected value; ``hidden`` ones are shown only once they fail."""

    arguments: tuple[Any, ...]  # Any: JSON values of the signature's types
    expected: Any  # Any: as above
    hidden: bool


class CaseData(_Data):
    arguments: Value
    expected: Value


class Mistake(_Data):
    """A wrong solution that people write, and what it means, said to them."""

    code: str
    means: str


class _Challenge(_Data):
    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=80)
    title: str = Field(max_length=120)
    concept: str
    level: int = Field(ge=1, le=5)
    rating: int = Field(ge=600, le=2400)
    minutes: int = Field(gt=0, le=120)
    statement: str
    hints: tuple[str, ...] = Field(min_length=3, max_length=3)

    @property
    def difficulty(self) -> Difficulty:
        return _DIFFICULTY[self.level]


class FunctionChallenge(_Challenge):
    """Write, fix or complete a function; graded by calling it. ``any_order``: of the result's outer list."""

    kind: Literal["write", "fix", "complete"]
    signature: Signature
    any_order: bool = False
    examples: tuple[CaseData, ...] = Field(min_length=2)
    cases: tuple[CaseData, ...] = Field(min_length=3)
    solutions: Code
    mistakes: tuple[Mistake, ...] = Field(min_length=2)
    starters: Code = Field(default_factory=dict)

    @property
    def languages(self) -> tuple[LanguageName, ...]:
        """A function is written in every language, but what is to be mended is there in some only: TypeScript's is that
        of JavaScript."""
        if not self.starters:
            return tuple(FUNCTION_LANGUAGES)
        more: tuple[LanguageName, ...] = ("typescript",) if "javascript" in self.starters else ()
        return tuple(dict.fromkeys((*self.starters, *more)))

    def all_cases(self) -> tuple[Case, ...]:
        shown = [Case(arguments=tuple(c.arguments), expected=c.expected, hidden=False) for c in self.examples]
        hidden = [Case(arguments=tuple(c.arguments), expected=c.expected, hidden=True) for c in self.cases]
        return (*shown, *hidden)

    @model_validator(mode="after")
    def _fits(self) -> "FunctionChallenge":
        if self.kind != "write" and not self.starters:
            raise ValueError(f"a challenge to {self.kind} needs starters")
        missing = {"python", *self.starters} - self.solutions.keys()
        if missing:
            raise ValueError(f"a solution is missing in {sorted(missing)}")
        types = [parse_type(p.type) for p in self.signature.params]
        for number, case in enumerate(self.all_cases(), start=1):
            if len(case.arguments) != len(types):
                raise ValueError(f"case {number} has {len(case.arguments)} arguments, not {len(types)}")
            for kind, argument in zip(types, case.arguments, strict=True):
                check_values(kind, [argument], f"an argument of case {number}")
            check_values(parse_type(self.signature.returns), [case.expected], f"the expected value of case {number}")
            if any(map(_is_too_large, (*case.arguments, case.expected))):
                raise ValueError(f"case {number} has an int of 2**53 or more, which JavaScript cannot hold exactly")
        return self


class WrongAnswer(_Data):
    answer: str
    means: str


class AnswerChallenge(_Challenge):
    """Predict what a program prints, or read code and choose the answer. Graded by the text of the answer."""

    kind: Literal["predict", "read"]
    language: LanguageName
    code: str
    answer: str
    accept: tuple[str, ...] = ()
    wrong: tuple[WrongAnswer, ...] = Field(min_length=2)
    explanation: str

    @property
    def languages(self) -> tuple[LanguageName, ...]:
        return (self.language,)


class Version(_Data):
    """A version of a function to be tested, and what is said of it to whoever judges it wrongly."""

    code: Code
    means: str


class TestChallenge(_Challenge):
    """Write a test that accepts the right versions of a function and rejects the broken ones. Those of ``also_right``
    do otherwise what the statement leaves open."""

    __test__ = False  # no class of tests

    kind: Literal["test"]
    signature: Signature
    right: Code
    also_right: tuple[Version, ...] = ()
    broken: tuple[Version, ...] = Field(min_length=3)
    solutions: Code

    @property
    def languages(self) -> tuple[LanguageName, ...]:
        return tuple(self.right)

    @model_validator(mode="after")
    def _fits(self) -> "TestChallenge":
        for language in self.right:
            if language not in ("python", "javascript"):
                raise ValueError(f"tests are written in python or javascript, not in {language}")
            versions = (*self.also_right, *self.broken)
            if language not in self.solutions or any(language not in version.code for version in versions):
                raise ValueError(f"{language} is missing in solutions or in a version")
        return self


class DataSet(_Data):
    """Statements that fill the tables, and the rows that the right query gives on them."""

    rows: str
    expected: list[list[Any]]  # Any: cells


class SqlChallenge(_Challenge):
    """Write one query; graded on data sets of which one is shown. ``ordered``: the order of the rows matters."""

    kind: Literal["sql"]
    tables: str
    ordered: bool = False
    examples: tuple[DataSet, ...] = Field(min_length=1)
    cases: tuple[DataSet, ...] = Field(min_length=2)
    solutions: Code
    mistakes: tuple[Mistake, ...] = Field(min_length=2)

    @property
    def languages(self) -> tuple[LanguageName, ...]:
        return ("sql",)


class FileSet(_Data):
    files: dict[Annotated[str, Field(pattern=r"^[\w][\w./ -]*$")], str]
    expected: str


class ShellChallenge(_Challenge):
    """Write a script over given files; graded by what it prints."""

    kind: Literal["shell"]
    examples: tuple[FileSet, ...] = Field(min_length=1)
    cases: tuple[FileSet, ...] = Field(min_length=2)
    solutions: Code
    mistakes: tuple[Mistake, ...] = Field(min_length=2)

    @property
    def languages(self) -> tuple[LanguageName, ...]:
        return ("bash",)


Challenge = FunctionChallenge | AnswerChallenge | TestChallenge | SqlChallenge | ShellChallenge
CHALLENGE: TypeAdapter[Challenge] = TypeAdapter(Annotated[Challenge, Field(discriminator="kind")])


LARGEST_INT = 2**53 - 1  # Number.MAX_SAFE_INTEGER of ECMA-262: beyond it JavaScript's numbers have gaps
_PYTHON_TYPES: dict[str, frozenset[type]] = {
    "int": frozenset({int}), "float": frozenset({int, float}), "str": frozenset({str}), "bool": frozenset({bool}),
    "list": frozenset({list}), "map": frozenset({dict}),
}  # fmt: skip


def check_values(kind: Type, values: Collection[Any], what: str) -> None:  # Any: JSON values, to be found out
    """All values of one type at once, level by level: cases hold lists of ten thousand.

    Raises:
        ValueError: one of them is of another type.
    """
    if kind.kind == "optional":
        check_values(kind.inner, [value for value in values if value is not None], what)
        return
    fitting = _PYTHON_TYPES[kind.kind]
    if not set(map(type, values)) <= fitting:
        wrong = next(value for value in values if type(value) not in fitting)
        raise ValueError(f"{what} is {wrong!r}, which is no {kind.kind}")
    if kind.kind == "list":
        check_values(kind.inner, [item for value in values for item in value], what)
    elif kind.kind == "map":
        check_values(Type("str"), [key for value in values for key in value], f"a key in {what}")
        check_values(kind.inner, [item for value in values for item in value.values()], what)


def _is_too_large(value: Any) -> bool:  # Any: a JSON value
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return any(map(_is_too_large, value))
    return type(value) is int and abs(value) > LARGEST_INT


def best_language(challenge: Challenge, wanted: LanguageName | None) -> LanguageName:
    """The language to start a challenge in: the wanted one where it is offered, else the first that is here."""
    here = [name for name in challenge.languages if LANGUAGES[name].toolchain().path is not None]
    if wanted in challenge.languages and wanted is not None:
        return wanted
    return here[0] if here else challenge.languages[0]
