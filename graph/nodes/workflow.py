"""Workflows in the conversation: start one and watch it, run one daily, list and cancel."""

import re
from datetime import datetime
from typing import Any

from app.errors import InvalidInput
from app.orchestration.store import Execution, Workflow
from app.orchestration.templates import TEMPLATES
from app.zones import zone_named
from graph.deps import Deps
from graph.nodes.base import Run, said, speaker
from graph.reply import Speaker
from graph.state import State, Update

_REPORT = re.compile(r"\b(weekly|report|summary|progress|stats)\b", re.IGNORECASE)
_QUIZ = re.compile(r"\b(repo|repository|analy[sz]e|codebase|project|folder)\b", re.IGNORECASE)


async def workflow(state: State, runtime: Run) -> Update:
    say = speaker(runtime)
    deps, slots = runtime.context, state.get("parameters", {})
    text, wanted = state["text"], slots.get("do")
    if wanted == "list" or (wanted is None and re.search(r"\b(show|list) my (workflows?|schedules?)\b", text)):
        await _list(state, deps, say)
    elif wanted == "cancel" or (wanted is None and re.search(r"\b(cancel|stop|remove)\b.*\bschedule", text)):
        await _cancel(state, deps, say)
    elif wanted == "show":
        await _show(state, deps, say)
    elif name := slots.get("template") or _template_of(text, slots):
        if slots.get("time") or wanted == "schedule" or re.search(r"\b(every|each|daily)\b", text, re.IGNORECASE):
            await _schedule(state, deps, say, name)
        else:
            await _run(state, deps, say, name)
    else:
        say.text(
            "Two workflows come with me: **analyse a repository and quiz me on it** and the **weekly report**.\n\n"
            "Say for example *analyse ~/project and quiz me on it*, or *weekly report every day at 9*."
        )
        say.action("Weekly report", "/workflow weekly-report")
    return said(state, say)


def _template_of(text: str, slots: dict[str, Any]) -> str | None:  # Any: slots
    if slots.get("path") or (_QUIZ.search(text) and "quiz" in text.lower()):
        return "repository-quiz"
    return "weekly-report" if _REPORT.search(text) else None


async def _run(state: State, deps: Deps, say: Speaker, name: str) -> None:
    found = await _workflow_of(state, deps, name)
    inputs = await _inputs(state, deps, name)
    execution = await deps.engine.start(state["user_id"], found, inputs, thread_id=state["thread_id"])
    async for now in deps.engine.watch(state["user_id"], execution.id):
        execution = now
        done = sum(step.status == "completed" for step in now.steps)
        say.progress(f"{found.name}: step {min(done + 1, len(now.steps))} of {len(now.steps)}")
    say_execution(say, execution)


async def _inputs(state: State, deps: Deps, name: str) -> dict[str, Any]:  # Any: JSON
    if name != "repository-quiz":
        return {}
    path = state.get("parameters", {}).get("path")
    if not path:
        loaded = await deps.repositories.list(state["user_id"])
        if not loaded:
            raise InvalidInput("Say which repository, for example: analyse ~/project and quiz me on it")
        path = loaded[0].path
    return {"path": path}


def say_execution(say: Speaker, execution: Execution) -> None:
    """A run as a card, and what came out of it."""
    props = {
        "executionId": execution.id,
        "name": execution.definition.name,
        "status": execution.status,
        "error": execution.error,
        "steps": [{"id": step.id, "status": step.status, "error": step.error} for step in execution.steps],
    }
    steps = ", ".join(f"{step.id} {step.status}" for step in execution.steps)
    say.block("WorkflowRun", props, f"{execution.definition.name}: {execution.status} ({steps})", key=execution.id)
    if execution.status == "failed":
        say.text(f"The workflow stopped: {execution.error}")
        return
    result = execution.steps[-1].output or {}
    if "text" in result:
        say.text(str(result["text"]))
    if "questions" in result:
        lines = "\n".join(
            f"{n}. {q['prompt']} ({' / '.join(q['choices'])})" for n, q in enumerate(result["questions"], 1)
        )
        say.block("RepositoryQuiz", result, f"Quiz on {result['repository']}:\n{lines}")


async def _schedule(state: State, deps: Deps, say: Speaker, name: str) -> None:
    if name == "repository-quiz":
        raise InvalidInput(
            "A quiz needs you to be there. The weekly report can run by itself: weekly report daily at 9"
        )
    found = await _workflow_of(state, deps, name)
    slots = state.get("parameters", {})
    zone = slots.get("timezone") or (await deps.accounts.preferences(state["user_id"])).timezone
    schedule = await deps.engine.store.add_schedule(
        state["user_id"], found, local_time=slots.get("time", "09:00"), timezone=zone
    )
    say.text(
        f"**{found.name}** runs daily at **{schedule.local_time}** ({schedule.timezone}), next on "
        f"{await _local(schedule.next_at, schedule.timezone)}. `/schedule` shows it, and what came of it."
    )


async def _workflow_of(state: State, deps: Deps, name: str) -> Workflow:
    """The user's copy of a template, made on first use."""
    template = TEMPLATES[name]
    own = [w for w in await deps.engine.store.workflows(state["user_id"]) if w.definition == template]
    return own[0] if own else await deps.engine.store.add_workflow(state["user_id"], template)


async def _list(state: State, deps: Deps, say: Speaker) -> None:
    found = await deps.engine.store.workflows(state["user_id"])
    schedules = await deps.engine.store.schedules(user_id=state["user_id"])
    if not found and not schedules:
        say.text("You have no workflows yet. Try *weekly report*, or *analyse ~/project and quiz me on it*.")
        return
    for one in found:
        runs = await deps.engine.store.executions_of(state["user_id"], one.id)
        newest = f", last run {runs[0].status}" if runs else ""
        say.text(f"- **{one.name}**: {len(runs)} runs{newest}\n")
        if runs:
            say.action(f"Last result of {one.name}", f"/workflow show {one.id[:8]}")
    for schedule in schedules:
        say.text(
            f"- **{schedule.workflow_name}** daily at {schedule.local_time} ({schedule.timezone}), next "
            f"{await _local(schedule.next_at, schedule.timezone)}\n"
        )
        say.action(f"Cancel {schedule.workflow_name}", f"/schedule cancel {schedule.id[:8]}")


async def _local(moment: datetime, timezone: str) -> str:
    return f"{moment.astimezone(await zone_named(timezone)):%Y-%m-%d %H:%M}"


async def _show(state: State, deps: Deps, say: Speaker) -> None:
    """What the newest run of a workflow gave, though nobody was there when it ran."""
    wanted = state.get("parameters", {}).get("workflow", "")
    found = [one for one in await deps.engine.store.workflows(state["user_id"]) if one.id.startswith(wanted)]
    runs = await deps.engine.store.executions_of(state["user_id"], found[0].id) if len(found) == 1 else []
    if not runs:
        raise InvalidInput("Say which workflow to show; /workflow lists them with a button each.")
    say.text(f"**{found[0].name}**, begun {runs[0].started_at:%Y-%m-%d %H:%M} UTC:\n\n")
    say_execution(say, runs[0])


async def _cancel(state: State, deps: Deps, say: Speaker) -> None:
    schedules = await deps.engine.store.schedules(user_id=state["user_id"])
    wanted = state.get("parameters", {}).get("schedule", "")
    matching = [schedule for schedule in schedules if schedule.id.startswith(wanted)]
    if len(matching) != 1:
        raise InvalidInput("Say which schedule to cancel; /schedule shows them with a button each.")
    await deps.engine.store.cancel_schedule(state["user_id"], matching[0].id)
    say.text(f"Cancelled: **{matching[0].workflow_name}** does not run by itself any more.")
