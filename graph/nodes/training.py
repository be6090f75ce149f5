"""Training in the conversation: sessions and their items, plans, and lessons."""

import re
from collections.abc import Sequence
from datetime import date, datetime

from app.errors import BudgetSpent, InvalidInput, NoModelAvailable
from app.learning import views
from app.learning.coaching import silenced_by
from app.learning.curriculum import Concept
from app.learning.plans import EXAMPLE, Plan
from app.learning.sessions import InHand, Session
from app.learning.training import Marked, Moved
from app.models.call import CallRequest
from app.models.providers.wire import Message
from graph import wording
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
from graph.intents.classifier import without_quotes
from graph.intents.goals import goal_day_of, unknown_topics
from graph.intents.slots import asks_to_explain
from graph.nodes.base import Run, said, say_badges, speaker
from graph.prompts import render
from graph.reply import Speaker
from graph.state import State, Update

_RESUME = re.compile(
    r"\b(resume|continue|go on with|carry on with)\b.*\b(sessions?|training|practice)\b", re.IGNORECASE
)
NO_SESSION = "There is no session here. Start one with /train."


async def training(state: State, runtime: Run) -> Update:
    say = speaker(runtime)
    deps, slots = runtime.context, state.get("parameters", {})
    wanted, topics = slots.get("do"), slots.get("topics", [])
    if wanted in _STEPS:
        await _STEPS[wanted](state, deps, say)
    elif wanted is None and _RESUME.search(without_quotes(state["text"])):
        await _resume(state, deps, say)
    elif wanted is None and topics and "count" not in slots and asks_to_explain(state["text"]):
        concept = deps.curriculum.concept(topics[0])
        assert concept is not None
        await _lesson(state, deps, say, concept)
    else:
        await _start(state, deps, say)
    return said(state, say)


# -- sessions ----------------------------------------------------------------------------------------------------


async def _start(state: State, deps: Deps, say: Speaker) -> None:
    slots = state.get("parameters", {})
    asked = slots.get("count")
    session = await deps.training.start(
        state["user_id"], thread_id=state["thread_id"], concepts=slots.get("topics", []), count=asked,
        today=await deps.today(state["user_id"]),
    )  # fmt: skip
    titles = [concept.title for name in session.concepts if (concept := deps.curriculum.concept(name))]
    say.text(f"{session.length} items on **{', '.join(titles)}**. Press a choice, or answer with its letter.")
    if asked is not None and session.length < asked:
        say.text(f" There are no more than {session.length} on this so far.")
    await _say_where_it_stands(state, say, Moved(session=session, changes=()), deps)


async def _answer(state: State, deps: Deps, say: Speaker) -> None:
    session = await _here(state, deps)
    since = deps.clock()
    marked = await deps.training.answer(state["user_id"], session.id, state["parameters"]["answer"])
    await _say_marked(state, say, marked, deps)
    await _say_end(state, deps, say, marked, since=since)


async def _next(state: State, deps: Deps, say: Speaker) -> None:
    session = await _here(state, deps)
    since = deps.clock()
    if isinstance(session.current, InHand):
        say.text("This challenge of your session is still open: solve it, skip it or reveal it. ")
    moved = await deps.training.go_on(state["user_id"], session.id)
    await _say_where_it_stands(state, say, moved, deps)
    await _say_end(state, deps, say, moved, since=since)


async def _finish(state: State, deps: Deps, say: Speaker) -> None:
    session = await _here(state, deps)
    since = deps.clock()
    moved = await deps.training.finish(state["user_id"], session.id)
    await _say_where_it_stands(state, say, moved, deps)
    await _say_end(state, deps, say, moved, since=since)


async def _pause(state: State, deps: Deps, say: Speaker) -> None:
    session = await deps.training.pause(state["user_id"], (await _here(state, deps)).id)
    say.text(f"Paused after {len(session.done)} of {session.length}. Nothing is lost, and any chat can go on with it.")
    say.action("Go on with the session", "/train resume")


async def _resume(state: State, deps: Deps, say: Speaker) -> None:
    waiting = await deps.training.unfinished(state["user_id"])
    if not waiting:
        raise InvalidInput("There is no session to go on with. Start one with /train.")
    session = await deps.training.resume(state["user_id"], waiting[0].id, thread_id=state["thread_id"])
    say.text(f"Going on after {len(session.done)} of {session.length}. ")
    await _say_where_it_stands(state, say, Moved(session=session, changes=()), deps)


async def _here(state: State, deps: Deps) -> Session:
    session = await deps.training.open_in_thread(state["user_id"], state["thread_id"])
    if session is None:
        raise InvalidInput(NO_SESSION)
    return session


async def _say_marked(state: State, say: Speaker, marked: Marked, deps: Deps) -> None:
    verdict = "Right." if marked.correct else f"Not quite: **{marked.right_answer}**."
    say.text(f"{verdict} {marked.explanation}\n\n")
    await _say_where_it_stands(state, say, marked, deps)


async def _say_where_it_stands(state: State, say: Speaker, moved: Moved, deps: Deps) -> None:
    """The item that is waiting, or the summary."""
    session = moved.session
    view = views.moved_view(moved, deps.curriculum)
    if isinstance(session.current, InHand):
        card = views.started_view(session.current.started)
        say.text(f"\n\nItem {session.current.number} of {session.length} is a challenge. Solve it, then go on.")
        say.block("ChallengeCard", card, wording.challenge_text(card), key=session.current.started.id)
        say.action("Go on with the session", "/train next")
    elif session.current is not None:
        say.block("QuestionCard", view, wording.question_text(view))
    else:
        say.block("SessionSummary", view, wording.summary_text(view, await deps.zone(state["user_id"])))
        say.action("Train again", "/train " + " ".join(session.concepts))
        say.action("How am I doing", "/stats")


async def _say_end(state: State, deps: Deps, say: Speaker, moved: Moved, *, since: datetime) -> None:
    """What an ended session brought, and what the plan has next."""
    if moved.session.status != "ended":
        return
    plan = await deps.plans.current(state["user_id"], await deps.today(state["user_id"]))
    if plan is not None and plan.next is not None:
        say.text(
            f"\n\nNext in your plan: **{plan.next.day.isoformat()}** ({plan.goal} on {plan.goal_day.isoformat()})."
        )
    await say_badges(say, deps, state["user_id"], since=since)


# -- plans -------------------------------------------------------------------------------------------------------


async def _plan(state: State, deps: Deps, say: Speaker) -> None:
    slots = state["parameters"]
    today = await deps.today(state["user_id"])
    day = date.fromisoformat(slots["goal_day"]) if "goal_day" in slots else goal_day_of(state["text"], today)
    if day is None:
        raise InvalidInput(f"Say until when. {EXAMPLE}")
    before = await deps.plans.current(state["user_id"], today)
    if before is not None and not slots.get("replace"):
        done = sum(one.status == "done" for one in before.sessions)
        say.text(
            f"You have a plan already: {before.goal} on **{before.goal_day.isoformat()}**, {done} of "
            f"{len(before.sessions)} sessions done. A new one takes its place."
        )
        say.action("Replace it", f"/plan replace {_as_command(slots['goal'], day, slots['topics'])}")
        say.action("Keep it", "/plan")
        return
    plan = await deps.plans.make(
        state["user_id"], goal=slots["goal"], goal_day=day, concepts=slots["topics"], today=today
    )
    extra = [name for name in dict.fromkeys(c for s in plan.sessions for c in s.concepts) if name not in plan.concepts]
    say.text(f"{len(plan.sessions)} sessions until **{plan.goal_day.isoformat()}**.")
    if unknown := unknown_topics(state["text"], deps.curriculum):
        say.text(f" I have nothing about {' and '.join(unknown)}, so that is not in it.")
    if extra:
        titles = [concept.title for name in extra if (concept := deps.curriculum.concept(name))]
        say.text(f" They begin with what your topics build on: {', '.join(titles)}.")
    _say_plan(say, plan, deps)


def _as_command(goal: str, day: date, topics: Sequence[str]) -> str:
    return f"{goal} on {day.isoformat()} about {' and '.join(topics)}"


async def _show_plan(state: State, deps: Deps, say: Speaker) -> None:
    plan = await deps.plans.current(state["user_id"], await deps.today(state["user_id"]))
    if plan is None:
        say.text(f"You have no plan. {EXAMPLE}")
        return
    _say_plan(say, plan, deps)


async def _drop_plan(state: State, deps: Deps, say: Speaker) -> None:
    await deps.plans.end(state["user_id"])
    say.text("The plan is dropped. What you practised stays.")


def _say_plan(say: Speaker, plan: Plan, deps: Deps) -> None:
    view = views.plan_view(plan, deps.curriculum)
    say.block("PlanCard", view, wording.plan_text(view))
    if plan.next is not None and plan.next.status in ("today", "missed"):
        say.action("Start today's session", "/train")
    elif plan.next is not None and plan.next.status == "started":
        say.action("Go on with the session", "/train resume")


# -- lessons -----------------------------------------------------------------------------------------------------


async def _lesson(state: State, deps: Deps, say: Speaker, concept: Concept) -> None:
    """A lesson by a model that builds on ours; ours alone where there is no model."""
    language = state.get("parameters", {}).get("language", "python")
    request = CallRequest(
        task="explain", intent="learn.review-topic", user_id=state["user_id"], thread_id=state["thread_id"], model=state.get("model") or None,
        others_when_spent=True, prefer=preference_of(state), allow_burst=state.get("burst", False) and state.get("is_admin", False),
        system=render("lesson", language=language, lesson=concept.lesson),
        messages=(Message(role="user", content=state["text"]),),
    )  # fmt: skip
    known = await open_challenges(state, deps)
    if check := silenced_by(known.here, known.elsewhere, text=state["text"]):
        say_silence(say, check, is_here=check is known.here)
        return
    await note_if_asked_again(state, deps)
    try:
        answered = await answer(request, deps, say, hides=await guard_of(state, deps, known, is_lesson=True))
        await note_help(state, deps, say, known, answered.text)
    except NoModelAvailable as error:
        if isinstance(error, BudgetSpent):
            say.text(f"{error.user_message}\n\n")
        say_lesson(say, concept)
    await say_alerts(state, deps, say)
    say.action(f"Train {concept.title}", f"/train {concept.id}")


def say_lesson(say: Speaker, concept: Concept) -> None:
    say.text(f"### {concept.title}\n\n{concept.lesson}")


_STEPS = {
    "answer": _answer,
    "next": _next,
    "finish": _finish,
    "pause": _pause,
    "resume": _resume,
    "plan": _plan,
    "show-plan": _show_plan,
    "drop-plan": _drop_plan,
}
