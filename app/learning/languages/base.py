"""What a language must say of itself so that a challenge can be solved in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from app.learning.sandbox.program import Program, Sandbox

LanguageName = Literal["python", "javascript"]


class Parameter(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    type: str


class Signature(BaseModel):
    """A function in snake_case; each language spells it its own way. Types as in ``grading.matches``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    params: tuple[Parameter, ...]
    returns: str


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """Where a language's interpreter is, or what to install when there is none."""

    path: str | None
    remedy: str = ""


class Language(Protocol):
    name: LanguageName
    title: str

    def toolchain(self) -> Toolchain: ...

    def declaration(self, signature: Signature) -> str:
        """The line that people read as the function's signature."""
        ...

    def stub(self, signature: Signature) -> str:
        """What the editor starts with."""
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
        """A program that calls the solution with each input and prints one line of JSON behind ``nonce`` for each."""
        ...

    def show(self, value: object) -> str:
        """A value as the language writes it."""
        ...
