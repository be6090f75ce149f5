"""Training in the conversation: sessions of questions, their answers, and lessons."""

from app.errors import InvalidInput, NoModelAvailable
from app.learning import views
from app.learning.curriculum import Concept
from app.learning.training import Marked, Session
from app.models.call import CallRequest
from app.models.providers.wire import Message
from graph import wording
from graph.answering import answer, preference_of
from graph.deps import Deps
from graph.intents.slots import asks_to_explain
from graph.nodes.base import Run, said, say_badges, speaker
from graph.prompts import render
from graph.reply import Speaker
from graph.state import State, Update


async def training(state: State, runtime: Run) -> Update:
    say = speaker(runtime)
    deps, slots = runtime.context, state.get("parameters", {})
    wanted = slots.get("do")
    topics = slots.get("topics", [])
    if wanted == "answer":
        await _answer(state, deps, say)
    elif wanted == "finish":
        await _finish(state, deps, say)
    elif wanted is None and topics and "count" not in slots and asks_to_explain(state["text"]):
        concept = deps.curriculum.concept(topics[0])
        assert concept is not None
        await _lesson(state, deps, say, concept)
    else:
        session = await deps.training.start(
            state["user_id"], thread_id=state["thread_id"], concepts=topics, count=slots.get("count")
        )
        _say_start(say, session, deps, asked=slots.get("count"))
    return said(state, say)


async def _answer(state: State, deps: Deps, say: Speaker) -> None:
    session = await deps.training.open_in_thread(state["user_id"], state["thread_id"])
    if session is None:
        raise InvalidInput("There is no question to answer. Start with /train.")
    since = deps.clock()
    marked = await deps.training.answer(state["user_id"], session.id, state["parameters"]["answer"])
    say_marked(say, marked, deps)
    if marked.session.current is None:
        await say_badges(say, deps, state["user_id"], since=since)


async def _finish(state: State, deps: Deps, say: Speaker) -> None:
    session = await deps.training.open_in_thread(state["user_id"], state["thread_id"])
    if session is None:
        raise InvalidInput("There is no session to end. Start one with /train.")
    _say_question_or_summary(say, await deps.training.finish(state["user_id"], session.id), deps)


def _say_start(say: Speaker, session: Session, deps: Deps, *, asked: int | None) -> None:
    titles = [concept.title for name in session.concepts if (concept := deps.curriculum.concept(name))]
    say.text(f"{session.questions} questions on **{', '.join(titles)}**. Press a choice, or answer with its letter.")
    if asked is not None and session.questions < asked:
        say.text(f" There are no more than {session.questions} on this so far.")
    _say_question_or_summary(say, session, deps)


def say_marked(say: Speaker, marked: Marked, deps: Deps) -> None:
    verdict = "Right." if marked.correct else f"Not quite: **{marked.right_answer}**."
    say.text(f"{verdict} {marked.explanation}\n\n")
    _say_question_or_summary(say, marked.session, deps, marked)


def _say_question_or_summary(say: Speaker, session: Session, deps: Deps, marked: Marked | None = None) -> None:
    view = views.session_view(session, deps.curriculum)
    if session.current is not None:
        say.block("QuestionCard", view, wording.question_text(view))
        return
    view["changes"] = [views.change_view(change, deps.curriculum) for change in marked.changes] if marked else []
    say.block("SessionSummary", view, wording.summary_text(view))
    say.action("Train again", "/train " + " ".join(session.concepts))
    say.action("How am I doing", "/stats")


async def _lesson(state: State, deps: Deps, say: Speaker, concept: Concept) -> None:
    """A lesson by a model that builds on ours; ours alone where there is no model."""
    language = state.get("parameters", {}).get("language", "python")
    request = CallRequest(
        task="explain", intent="learn.review-topic", user_id=state["user_id"], thread_id=state["thread_id"], model=state.get("model") or None,
        prefer=preference_of(state), allow_burst=state.get("burst", False),
        system=render("lesson", language=language, lesson=concept.lesson),
        messages=(Message(role="user", content=state["text"]),),
    )  # fmt: skip
    try:
        await answer(request, deps, say)
    except NoModelAvailable:
        say_lesson(say, concept)
    say.action(f"Train {concept.title}", f"/train {concept.id}")


def say_lesson(say: Speaker, concept: Concept) -> None:
    say.text(f"### {concept.title}\n\n{concept.lesson}")
