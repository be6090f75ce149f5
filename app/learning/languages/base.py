"""What a language must say of itself so that a challenge can be solved in it."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.learning.sandbox.program import Program, Sandbox

LanguageName = Literal[
    "python", "javascript", "typescript", "java", "c", "cpp", "go", "rust", "ruby", "bash", "sql"
]  # fmt: skip
SCALARS = ("int", "float", "str", "bool")
Kind = Literal["int", "float", "str", "bool", "list", "map", "optional"]


@dataclass(frozen=True)
class Type:
    """A value's type: a scalar, or a list, map (its keys are strings) or optional ``of`` another type."""

    kind: Kind
    of: "Type | None" = None

    @property
    def inner(self) -> "Type":
        assert self.of is not None, f"{self.kind} holds nothing"
        return self.of


def parse_type(name: str) -> Type:
    """Read int, float, str, bool, list[T], map[T] or optional[T].

    Raises:
        ValueError: it is none of them.
    """
    if name in SCALARS:
        return Type(name)  # type: ignore[arg-type]  # one of the scalars
    found = re.fullmatch(r"(list|map|optional)\[(.+)\]", name)
    if found is None:
        raise ValueError(f"{name!r} is no type. Write int, float, str, bool, list[T], map[T] or optional[T].")
    inner = parse_type(found[2])
    if found[1] == inner.kind == "optional":
        raise ValueError(f"{name!r}: an optional of an optional cannot be told apart from its inner one.")
    return Type(found[1], inner)  # type: ignore[arg-type]  # one of the three


def _checked(name: str) -> str:
    parse_type(name)
    return name


TypeName = Annotated[str, AfterValidator(_checked)]


# Names that a function or its parameters cannot have in one of the languages, though they look like any other.
RESERVED = frozenset(
    re.findall(
        r"\w+",
        """
        abstract alignas alignof and arguments as asm assert async auto await become begin bitand bitor bool boolean
        box break byte case catch chan char class compl concept const constexpr continue crate debugger decltype def
        default defer del delete do double dyn elif else elsif end ensure enum eval except explicit export extends
        extern fallthrough false final finally float fn for friend from func function global go goto if impl
        implements import in inline instanceof int interface is lambda let long loop macro match mod module move mut
        mutable namespace native new next nil noexcept nonlocal not null nullptr operator or override package pass
        priv private protected pub public raise range redo ref register requires rescue restrict retry return select
        self short signed sizeof static strictfp struct super switch synchronized template then this throw throws
        trait transient true try type typedef typeid typename typeof undef union unless unsafe unsigned until use
        using var virtual void volatile when where while with xor yield
        """,
    )
)


def _usable(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"{name!r} means something else in one of the languages; choose another name")
    return name


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$"), AfterValidator(_usable)]


class Parameter(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    type: TypeName


class Signature(BaseModel):
    """A function in snake_case; each language spells it its own way."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    params: tuple[Parameter, ...]
    returns: TypeName


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """Where a language's compiler or interpreter is, or what to install when there is none."""

    path: str | None
    remedy: str = ""


class Language(Protocol):
    name: LanguageName
    title: str

    def toolchain(self) -> Toolchain: ...

    def script(self, sandbox: Sandbox, code: str, stdin: bytes, *, nonce: str) -> Program:
        """The code as a program of its own, which reads ``stdin``; behind the nonce a compiler says that it refused."""
        ...

    def show(self, value: object) -> str:
        """A value as the language writes it."""
        ...


class FunctionLanguage(Language, Protocol):
    """A language whose functions can be called by a typed signature. ``place`` says to people where such a function
    must stand; empty where that is anywhere."""

    place: str

    def declaration(self, signature: Signature) -> str:
        """The line that people read as the function's signature."""
        ...

    def stub(self, signature: Signature) -> str:
        """What the editor starts with."""
        ...

    def empty(self, signature: Signature) -> str:
        """A solution that gives back the empty value of the type, whatever it is asked: a wrong one."""
        ...

    def program(
        self,
        sandbox: Sandbox,
        code: str,
        signature: Signature,
        inputs: Sequence[Sequence[Any]],  # Any: JSON values of the signature's types
        *,
        nonce: str,
    ) -> Program:
        """A program that calls the solution with each input and prints one line of JSON behind ``nonce`` for each:
        ``{"case": place, "value": …, "error": …, "stdout": …, "ms": …}``, or ``{"load": …}`` for unreadable code."""
        ...


def written(value: object, *, null: str = "null", colon: str = ": ") -> str:
    """A value as most languages write it: as JSON does, but for the word for nothing, and what stands before a map's
    values."""
    match value:
        case None:
            return null
        case list():
            return f"[{', '.join(written(item, null=null, colon=colon) for item in value)}]"
        case dict():
            pairs = (f"{written(key)}{colon}{written(item, null=null, colon=colon)}" for key, item in value.items())
            return f"{{{', '.join(pairs)}}}"
        case _:
            return json.dumps(value, ensure_ascii=False)


def camel(name: str) -> str:
    """A name of Python's style in that of Java and JavaScript."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)
