"""Free conversation: a model answers where there is one; without one, our best matching lesson or challenge."""

from app.errors import NoModelAvailable
from app.learning.coaching import silenced_by
from app.learning.started import Started
from app.models.call import CallRequest
from app.models.catalog import Task
from app.models.providers.wire import Message
from graph.answering import (
    answer,
    guard_of,
    note_help,
    note_if_asked_again,
    open_challenges,
    preference_of,
    say_alerts,
    say_silence,
)
from graph.deps import Deps
from graph.intents.handed_in import fenced_code
from graph.intents.slots import asks_to_explain
from graph.nodes.base import Run, said, speaker
from graph.prompts import render
from graph.reply import Speaker
from graph.state import State, Update

HISTORY = 12
GREETINGS = frozenset({"hello", "hi", "hey", "hi there", "hello there", "good morning", "good evening", "thanks",
                       "thank you", "ok", "okay", "bye", "yes", "no", "great", "cool"})  # fmt: skip


async def chat(state: State, runtime: Run) -> Update:
    say = speaker(runtime)
    deps = runtime.context
    known = await open_challenges(state, deps)
    check = silenced_by(known.here, known.elsewhere, text=state["text"])
    if check is not None and not _is_greeting(state["text"]):
        say_silence(say, check, is_here=check is known.here)
        return said(state, say)
    await note_if_asked_again(state, deps)
    history = [_message(m["role"], m["content"]) for m in state.get("messages", [])[-HISTORY:]]
    request = CallRequest(
        task=_task_of(state["text"]), intent="general.chat", user_id=state["user_id"], thread_id=state["thread_id"],
        model=state.get("model") or None, others_when_spent=True, prefer=preference_of(state),
        allow_burst=state.get("burst", False) and state.get("is_admin", False),
        system=render("chat", in_hand=_described(known.here)),
        messages=(*_from_user(history), Message(role="user", content=state["text"])),
    )  # fmt: skip
    hides = await guard_of(state, deps, known)
    try:
        answered = await answer(request, deps, say, hides=hides)
        await note_help(state, deps, say, known, answered.text)
    except NoModelAvailable as error:
        _without_model(state, deps, say, why=error.user_message)
    await say_alerts(state, deps, say)
    return said(state, say)


def _task_of(text: str) -> Task:
    """What kind of work a question is, for the selector."""
    if fenced_code(text):
        return "code"
    return "explain" if asks_to_explain(text) else "chat"


def _without_model(state: State, deps: Deps, say: Speaker, *, why: str) -> None:
    if _is_greeting(state["text"]):
        say.text("Hello! I can set you challenges, train you on a topic, and search your code. What shall we do?")
        say.action("An easy challenge", "/challenge easy")
        say.action("Train me", "/train")
        return
    concept = deps.curriculum.best_match(state["text"])
    if concept is None:
        say.text(
            f"I cannot answer that: {why}\n\nWithout a model I can still set challenges, train you and search code."
        )
        say.action("What can you do", "/help")
        return
    say.text(f"{why}\n\nThis is the best matching lesson I have.\n\n### {concept.title}\n\n{concept.lesson}")
    say.action(f"Train {concept.title}", f"/train {concept.id}")
    if any(challenge.concept == concept.id for challenge in deps.curriculum.challenges):
        say.action("A challenge on it", f"/challenge {concept.id}")


def _is_greeting(text: str) -> bool:
    return text.strip(" .!?").lower() in GREETINGS


def _described(in_hand: Started | None) -> str:
    if in_hand is None:
        return "nothing"
    return f"the challenge {in_hand.challenge.title!r}: {in_hand.challenge.statement.strip()}"


def _message(role: str, content: str) -> Message:
    return Message(role="assistant" if role == "assistant" else "user", content=content or "…")


def _from_user(history: list[Message]) -> list[Message]:
    """Models want a conversation that begins with the user."""
    first = next((place for place, message in enumerate(history) if message.role == "user"), len(history))
    return history[first:]
