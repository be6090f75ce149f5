"""Workflows as data: a definition, what is wrong with it, the order of its steps, and what each is given. Pure."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import InvalidInput

MOST_STEPS = 50
FROM = "from:"


class Step(BaseModel):
    """One call of an action. An input may be ``from:input.NAME``, ``from:STEP`` or ``from:STEP.path.to.value``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$")
    service: str
    action: str
    input: dict[str, Any] = Field(default_factory=dict)  # Any: JSON
    depends_on: tuple[str, ...] = ()

    @property
    def action_name(self) -> str:
        return f"{self.service}.{self.action}"

    def needs(self) -> set[str]:
        """The steps that must have ended before this one: those named, and those its inputs come from."""
        sources = {_source(value) for value in self.input.values()}
        return {*self.depends_on, *(source for source in sources if source and source != "input")}


class Definition(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=120)
    description: str = Field("", max_length=1000)
    steps: tuple[Step, ...] = Field(min_length=1, max_length=MOST_STEPS)


def parse(document: object) -> Definition:
    """A definition from JSON or YAML that was read.

    Raises:
        InvalidInput: it does not fit the schema.
    """
    try:
        return Definition.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"The workflow does not fit at {place!r}: {first['msg']}.") from error


def validate(definition: Definition, actions: Collection[str]) -> None:
    """Find what would keep a definition from running.

    Raises:
        InvalidInput: a step id twice, an unknown step or action, or a cycle.
    """
    ids = [step.id for step in definition.steps]
    for step in definition.steps:
        if ids.count(step.id) > 1:
            raise InvalidInput(f"Two steps are named {step.id!r}. Rename one of them.")
        if step.action_name not in actions:
            known = ", ".join(sorted(actions))
            raise InvalidInput(f"Step {step.id!r} calls the unknown action {step.action_name!r}. There are: {known}.")
        unknown = sorted(step.needs() - set(ids))
        if unknown:
            raise InvalidInput(f"Step {step.id!r} needs {unknown[0]!r}, which is no step of this workflow.")
    levels(definition)


def levels(definition: Definition) -> list[list[Step]]:
    """Steps in groups: all of a group may run at once, after the groups before it.

    Raises:
        InvalidInput: the steps wait for each other in a circle.
    """
    waiting = list(definition.steps)
    done: set[str] = set()
    groups = []
    while waiting:
        ready = [step for step in waiting if step.needs() <= done]
        if not ready:
            circle = ", ".join(step.id for step in waiting)
            raise InvalidInput(f"These steps wait for each other in a circle: {circle}.")
        groups.append(ready)
        done |= {step.id for step in ready}
        waiting = [step for step in waiting if step not in ready]
    return groups


def resolve(step: Step, *, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:  # Any: JSON
    """A step's inputs with every ``from:`` replaced by its value.

    Raises:
        InvalidInput: a value is not there.
    """
    return {name: _value(step, value, inputs, outputs) for name, value in step.input.items()}


def _value(step: Step, value: Any, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Any:  # Any: JSON
    source = _source(value)
    if source is None:
        return value
    _, *path = value.removeprefix(FROM).split(".")
    found: Any = inputs if source == "input" else outputs.get(source)  # Any: JSON
    for part in path:
        found = _part(found, part)
        if found is None:
            raise InvalidInput(f"Step {step.id!r} asks for {value!r}, which is not there.")
    return found


def _part(found: Any, part: str) -> Any:  # Any: JSON
    if isinstance(found, Mapping):
        return found.get(part)
    if isinstance(found, Sequence) and not isinstance(found, str) and part.isdecimal() and int(part) < len(found):
        return found[int(part)]
    return None


def _source(value: object) -> str | None:
    if not isinstance(value, str) or not value.startswith(FROM):
        return None
    return value.removeprefix(FROM).split(".")[0]
