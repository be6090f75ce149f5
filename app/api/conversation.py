"""Intents, progress and the welcome over REST."""

import hashlib
import uuid
from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field

from app.api.identity import IsAdmin, Reader, Using, Writer
from app.api.wire import Body, camel, page, while_connected
from app.errors import InvalidInput
from graph import commands
from graph.conversation import Turn, check_message
from graph.intents.classifier import DESCRIPTIONS
from graph.intents.slots import slots_of

router = APIRouter(tags=["conversation"])
Json = dict[str, Any]  # Any: JSON

CONNECTED = "Free conversation goes to the best model that your budgets allow."
NOT_CONNECTED = (
    "No model is connected yet; all but free conversation works without. To connect one, say /keys, set "
    "ANTHROPIC_API_KEY, OPENAI_API_KEY, GOOGLE_API_KEY or DEEPSEEK_API_KEY, or start Ollama, which is found by itself."
)
WELCOME = (
    "I set coding challenges and really run your code, train you just before you forget, and search your repositories.",
    "Say what you want in your own words, or press / for commands.",
)


LONGEST_ID = 64  # characters of a conversation's id, in every table


class Said(Body):
    text: str = Field(max_length=200_000)
    thread_id: str | None = Field(None, max_length=64, pattern=r"^[\w-]+$")


@router.get("/welcome")
async def welcome(_user: Reader, using: Using) -> Json:
    """What the empty chat says."""
    connected = bool(await using.deps.gateway.models())
    return {"lines": [*WELCOME, CONNECTED if connected else NOT_CONNECTED], "connected": connected}


@router.post("/intent/parse")
@router.post("/intent/analyze", deprecated=True)
async def parse(body: Said, _user: Reader, using: Using) -> Json:
    check_message(body.text)
    command = commands.parse(body.text, using.deps.curriculum)
    if command is not None:
        told = {"type": command.intent, "confidence": 1.0, "parameters": camel(command.parameters)}
        return {"intents": [told], "clarify": None}
    classified = using.deps.classifier.classify(body.text)
    parameters = slots_of(body.text, using.deps.curriculum)
    clarify = None
    if classified.doubtful:
        options = [guess.type for guess in classified.guesses[:2]]
        clarify = {"question": "Which of these do you want?", "options": options}
    return {
        "intents": [
            {"type": guess.type, "confidence": guess.confidence, "parameters": camel(parameters)}
            for guess in classified.guesses[:3]
        ],
        "clarify": clarify,
    }


@router.post("/intent/execute")
async def execute(body: Said, request: Request, user: Writer, is_admin: IsAdmin, using: Using) -> Json:
    """Answer a message as the chat would, commands included.

    Cards have no browser here: their props are the same figures.
    """
    check_message(body.text)
    command = commands.parse(body.text, using.deps.curriculum)
    if command is not None and command.intent.startswith("chat."):
        raise InvalidInput(f"This is for the chat in the browser: {using.settings.base_url}")
    thread_id = _thread_id(user.id, body.thread_id or uuid.uuid4().hex)
    turn = Turn(
        user_id=user.id, is_admin=is_admin, thread_id=thread_id, text=command.text if command else body.text,
        intent=command.intent if command else None, parameters=command.parameters if command else {},
    )  # fmt: skip
    reply = await while_connected(request, using.conversation.reply(turn))
    return {
        "text": reply.plain,
        "blocks": [{"kind": block.kind, "props": block.props} for block in reply.blocks],
        "actions": [{"label": action.label, "says": action.says} for action in reply.actions],
    }


def _thread_id(user_id: str, given: str) -> str:
    """A conversation's own id among all of them, whatever its user calls it, of a length that is stored."""
    own = f"rest-{user_id}-{given}"
    return own if len(own) <= LONGEST_ID else f"rest-{hashlib.sha256(own.encode()).hexdigest()[: LONGEST_ID - 5]}"


@router.get("/intent/available")
async def available(_user: Reader) -> Json:
    return page([{"type": intent, "description": words} for intent, words in DESCRIPTIONS.items()])
