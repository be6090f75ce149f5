"""Threads and steps as the chat library's documents: what is kept of them, and how they are read. Pure."""

import re
import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy as sa
from chainlit.step import StepDict
from chainlit.types import ThreadDict

from app.redaction import SECRETS

LONGEST_NAME = 120
MESSAGE_TYPES = ("user_message", "assistant_message")
Json = dict[str, Any]  # Any: the chat library's documents
_KEY = re.compile(r"\s*/keys?\b\W*\w", re.IGNORECASE)  # whatever follows may be a key, which no chat keeps


def title_of(text: str) -> str:
    """A thread's name from its first message: one line, without markup, not too long."""
    text = "/keys" if _KEY.match(text) else SECRETS.sub("[key]", storable(text))
    line = next((line for line in text.strip().splitlines() if line.strip(" `#>*-")), "New chat")
    line = " ".join(line.strip(" `#>*").split())
    return line if len(line) <= LONGEST_NAME else line[: LONGEST_NAME - 1] + "…"


def is_frame(step: StepDict) -> bool:
    """The runs that the library wraps around callbacks: they say nothing that people see."""
    return step.get("type") == "run" and step.get("name") in ("on_message", "on_chat_start")


def step_document(step: StepDict, old: Json | None, *, creating: bool, now: str) -> Json:
    """What is kept of a step. A create that comes after its update (they are unordered tasks) changes nothing."""
    if creating and old is not None:
        return {**storable(step), **old}
    step = storable(step)
    if step.get("type") == "user_message" and (said := step.get("output")):
        is_key = step.get("command") == "keys" or _KEY.match(said)
        step["output"] = "/keys" if is_key else SECRETS.sub("[key]", said)
    document: Json = {**(old or {}), **{key: value for key, value in step.items() if key != "feedback"}}
    document["createdAt"] = step.get("createdAt") or (old or {}).get("createdAt") or now
    document["streaming"] = False
    if document["type"] in MESSAGE_TYPES:
        document["parentId"] = None  # its parent is a frame, which is not kept: a resumed page would hide the message
    return document


def framed(documents: Iterable[StepDict], frames: Mapping[str, str], *, running: Collection[str]) -> list[StepDict]:
    """Steps with the runs around our answers, which are not kept: without one the library's page offers no thumbs for
    an answer, and no copy."""
    found: list[StepDict] = []
    made: dict[str, Json] = {}
    for document in documents:
        frame_id = frames.get(document["id"])
        if frame_id is not None:
            if frame_id not in made:
                made[frame_id] = {
                    "id": frame_id, "threadId": document["threadId"], "parentId": None, "name": "on_message",
                    "type": "run", "input": "", "output": "", "createdAt": document["createdAt"],
                    "start": document["createdAt"], "streaming": False, "isError": False, "metadata": {}, "tags": None,
                    "showInput": False,
                }  # fmt: skip
                found.append(cast(StepDict, made[frame_id]))
            document = cast(StepDict, {**document, "parentId": frame_id})
            made[frame_id]["feedback"] = document.get("feedback")
            made[frame_id]["end"] = None if document["id"] in running else document["createdAt"]
        found.append(document)
    return found


def storable(value: Any) -> Any:  # Any: the chat library's documents, and what lies in them
    """The same without what no database can store: NUL, and halves of characters."""
    match value:
        case str():
            return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
        case dict():
            return {key: storable(inner) for key, inner in value.items()}
        case list():
            return [storable(inner) for inner in value]
        case _:
            return value


def copied_document(thread_id: str, message: Mapping[str, str], created_at: str) -> Json:
    """A message of a snapshot (``by`` and ``text``) as a step of a new thread."""
    learner = message["by"] == "learner"
    return {
        "id": str(uuid.uuid4()), "threadId": thread_id, "parentId": None, "name": "You" if learner else "TooLoo",
        "type": "user_message" if learner else "assistant_message", "output": message["text"], "input": "",
        "createdAt": created_at, "start": created_at, "end": created_at, "streaming": False, "isError": False,
        "metadata": {}, "tags": None, "showInput": False,
    }  # fmt: skip


def kept_metadata(metadata: Json) -> Json:
    """Session values are not ours to keep, and sharing is not decided here."""
    return {key: value for key, value in metadata.items() if key in ("chat_profile", "client_type")}


def thread_head(row: sa.Row[tuple[object, ...]], user_name: str | None) -> ThreadDict:
    fields = row._mapping
    return ThreadDict(
        id=fields["id"], createdAt=text_of(fields["updated_at"]), name=fields["name"], userId=fields["user_id"],
        userIdentifier=user_name, tags=fields["tags"], metadata=fields["metadata"], steps=[], elements=[],
    )  # fmt: skip


def time_of(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def text_of(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
