"""Progress in the conversation: the numbers of what really happened, badges, ranking, the path, and one's own clock."""

import re

from app.analytics.ranking import By, Period
from app.learning import path, progress
from graph import wording
from graph.deps import Deps
from graph.nodes.base import Run, said, speaker
from graph.overview import badges_view, overview, progress_view, standing_of, step_view
from graph.reply import Speaker
from graph.state import State, Update

SHOWN_PLACES, SHOWN_STEPS = 10, 8
_ASKED = {
    "badges": re.compile(r"\b(badges?|achievements?|trophies|awards?)\b", re.IGNORECASE),
    "leaderboard": re.compile(r"\b(leader ?boards?|ranking|rank|top learners|percentile)\b", re.IGNORECASE),
    "path": re.compile(r"\b(learning path|roadmap|what (?:should|do) i (?:learn|do|study|practi[sc]e) next)\b", re.IGNORECASE),
}  # fmt: skip


async def analytics(state: State, runtime: Run) -> Update:
    say = speaker(runtime)
    slots = state.get("parameters", {})
    wanted = slots.get("do") or next((name for name, words in _ASKED.items() if words.search(state["text"])), "stats")
    match wanted:
        case "badges":
            await _badges(state, runtime.context, say)
        case "leaderboard":
            await _leaderboard(state, runtime.context, say)
        case "path":
            await _path(state, runtime.context, say)
        case "timezone":
            await _timezone(state, runtime.context, say)
        case _:
            await _stats(state, runtime.context, say)
    return said(state, say)


async def _stats(state: State, deps: Deps, say: Speaker) -> None:
    await deps.badges.settled()
    view = await overview(deps, state["user_id"])
    if view["isEmpty"]:
        say.text("You have not practised here yet, so there is nothing to count. The first challenge changes that.")
        say.action("An easy challenge", "/challenge easy")
        return
    say.block("StatsChart", view, wording.stats_text(view))
    if view["next"]:
        say.action(f"Train {view['next']['title']}", f"/train {view['next']['concept']}")
    say.action("Next challenge", "/challenge")


async def _badges(state: State, deps: Deps, say: Speaker) -> None:
    await deps.badges.settled()
    found = await deps.badges.progress(state["user_id"])
    view = {"badges": [progress_view(one) for one in found], "earned": badges_view(found)["earned"]}
    say.block("Badges", view, wording.badges_text(view, await deps.zone(state["user_id"])))
    say.action("How am I doing", "/stats")


async def _leaderboard(state: State, deps: Deps, say: Speaker) -> None:
    slots = state.get("parameters", {})
    if "ranked" in slots:
        await deps.accounts.prefer(state["user_id"], ranked=slots["ranked"])
        await deps.badges.settled()
        deps.ranking.forget()
        say.text("You are ranked again. " if slots["ranked"] else "Done: nobody sees you in a ranking any more. ")
    by: By = "solved" if slots.get("by") == "solved" or slots.get("period") else "mastery"
    period: Period = slots.get("period", "all")
    ranking = await deps.ranking.ranking(by=by, period=period)
    preferences = await deps.accounts.preferences(state["user_id"])
    view = {
        **standing_of(ranking, state["user_id"]),
        "ranked": preferences.ranked,
        "places": [
            {"rank": one.rank, "name": one.name, "points": one.points, "own": one.user_id == state["user_id"]}
            for one in ranking.places[:SHOWN_PLACES]
        ],
    }
    say.block("Leaderboard", view, wording.leaderboard_text(view))
    if preferences.ranked:
        say.action("Leave the ranking", "/leaderboard off")
    else:
        say.action("Be ranked", "/leaderboard on")


async def _path(state: State, deps: Deps, say: Speaker) -> None:
    tried = await progress.overview(deps.database, state["user_id"])
    steps = path.path_of(deps.curriculum.concepts, tried, deps.clock())
    view = {"steps": [step_view(step) for step in steps[:SHOWN_STEPS]], "more": max(0, len(steps) - SHOWN_STEPS)}
    say.block("LearningPath", view, wording.path_text(view))
    if steps:
        say.action(f"Train {steps[0].concept.title}", f"/train {steps[0].concept.id}")
        say.action(f"A challenge on {steps[0].concept.title}", f"/challenge {steps[0].concept.id}")


async def _timezone(state: State, deps: Deps, say: Speaker) -> None:
    wanted = state.get("parameters", {}).get("timezone")
    preferences = await deps.accounts.preferences(state["user_id"])
    if wanted:
        preferences = await deps.accounts.prefer(state["user_id"], timezone=wanted)
    how = {"chosen": "as you chose", "seen": "as your browser says", "default": "until I know yours"}
    say.text(f"Your days and hours are counted in **{preferences.timezone}**, {how[preferences.timezone_source]}. ")
    if wanted:
        say.text("Practice of earlier days is counted by it too, and nothing twice.")
    else:
        say.text("Change it with `/timezone Europe/Berlin`, or `/timezone auto`.")
