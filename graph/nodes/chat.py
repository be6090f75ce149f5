"""Free conversation: a model answers where there is one; without one, our best matching lesson or challenge."""

from app.errors import NoModelAvailable
from app.learning.started import Started
from app.models.call import CallRequest
from app.models.catalog import Task
from app.models.providers.wire import Message
from graph.answering import answer, note_if_asked_again, preference_of, say_alerts
from graph.deps import Deps
from graph.intents.slots import asks_to_explain
from graph.nodes.base import Run, said, speaker
from graph.nodes.classify import fenced_code
from graph.prompts import render
from graph.reply import Speaker
from graph.state import State, Update

HISTORY = 12
GREETINGS = frozenset({"hello", "hi", "hey", "hi there", "hello there", "good morning", "good evening", "thanks",
                       "thank you", "ok", "okay", "bye", "yes", "no", "great", "cool"})  # fmt: skip


async def chat(state: State, runtime: Run) -> Update:
    say = speaker(runtime)
    deps = runtime.context
    in_hand = await deps.challenges.open_in_thread(state["user_id"], state["thread_id"])
    if in_hand is not None and in_hand.is_check and not _is_greeting(state["text"]):
        say.text(
            f"**{in_hand.challenge.title}** shows what you can do without help, so I say nothing until it is over. Submit "
            "it, or put it aside with `/skip`; anything else has room in a new chat."
        )
        return said(state, say)
    await note_if_asked_again(state, deps)
    history = [_message(m["role"], m["content"]) for m in state.get("messages", [])[-HISTORY:]]
    request = CallRequest(
        task=_task_of(state["text"]), intent="general.chat", user_id=state["user_id"], thread_id=state["thread_id"],
        model=state.get("model") or None, prefer=preference_of(state),
        allow_burst=state.get("burst", False) and state.get("is_admin", False),
        system=render("chat", in_hand=_described(in_hand)),
        messages=(*_from_user(history), Message(role="user", content=state["text"])),
    )  # fmt: skip
    hides = await deps.coach.guard(state["user_id"], in_hand) if in_hand is not None else None
    try:
        answered = await answer(request, deps, say, hides=hides)
        if in_hand is not None:
            await _note_help(state, deps, say, in_hand, answered.text)
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


async def _note_help(state: State, deps: Deps, say: Speaker, in_hand: Started, answered: str) -> None:
    """A conversation about the challenge in hand is help, and the learner is told so the first time."""
    is_help = await deps.coach.note_talk(state["user_id"], in_hand, f"{state['text']} {answered}")
    if is_help and not in_hand.is_aided:
        say.text(f"\n\n*(This counts as help with **{in_hand.challenge.title}**.)*")


def _message(role: str, content: str) -> Message:
    return Message(role="assistant" if role == "assistant" else "user", content=content or "…")


def _from_user(history: list[Message]) -> list[Message]:
    """Models want a conversation that begins with the user."""
    first = next((place for place, message in enumerate(history) if message.role == "user"), len(history))
    return history[first:]
