"""What every node has at hand."""

from datetime import datetime
from typing import TypeAlias

from langgraph.runtime import Runtime

from graph.deps import Deps
from graph.reply import Speaker
from graph.state import ChatMessage, State, Update

Run: TypeAlias = Runtime[Deps]


def speaker(runtime: Run) -> Speaker:
    return Speaker(runtime.stream_writer)


def said(state: State, speaker: Speaker) -> Update:
    """The update that remembers this turn."""
    return Update(
        messages=[
            ChatMessage(role="user", content=state["text"]),
            ChatMessage(role="assistant", content=speaker.reply.remembered),
        ]
    )


async def say_badges(speaker: Speaker, deps: Deps, user_id: str, *, since: datetime) -> None:
    """What was earned in this turn."""
    earned = await deps.badges.fresh(user_id, since=since)
    for one in earned:
        speaker.text(f"\n\nBadge earned: **{one.badge.title}** ({one.badge.description}).")
    if earned:
        speaker.action("My badges", "/badges")
