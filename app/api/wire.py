"""The JSON that goes in: camelCase names, nothing unknown, nothing endless."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


def page(items: list[dict[str, object]], next_cursor: str | None = None) -> dict[str, object]:
    return {"items": items, "nextCursor": next_cursor}


def camel(document: dict[str, object]) -> dict[str, object]:
    """The same with its names in camelCase."""
    return {to_camel(name): value for name, value in document.items()}
