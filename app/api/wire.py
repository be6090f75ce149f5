"""The JSON that goes in: camelCase names, nothing unknown, nothing endless."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel


class Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, value: Any) -> Any:  # Any: JSON
        if not _is_whole(value):
            raise ValueError("a text holds a NUL or half of a character; send it as whole text")
        return value


def _is_whole(value: Any) -> bool:  # Any: JSON
    """Whether all texts can be stored, however deep they lie."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
                    return False
            case dict() as inner:
                waiting += inner.values()
            case list() as inner:
                waiting += inner
    return True


def page(items: list[dict[str, object]], next_cursor: str | None = None) -> dict[str, object]:
    return {"items": items, "nextCursor": next_cursor}


def camel(document: Mapping[str, object]) -> dict[str, object]:
    """The same with its names in camelCase."""
    return {to_camel(name): value for name, value in document.items()}
