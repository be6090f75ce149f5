"""Asks which of the nearest two was meant; nothing is done before the answer."""

from graph.intents.classifier import DESCRIPTIONS, IntentType
from graph.nodes.base import Run, said, speaker
from graph.state import State, Update

SAYS: dict[IntentType, str] = {
    "learn.start-challenge": "/challenge",
    "learn.review-topic": "/train",
    "provider.change": "/models",
    "provider.check-budget": "/budget",
    "context.load-repo": "/repo",
    "context.search": "/search",
    "analytics.show-stats": "/stats",
    "workflow.create": "/workflow",
    "general.chat": "/chat",
}
TAKES_WORDS = ("/search", "/chat")


async def clarify(state: State, runtime: Run) -> Update:
    say = speaker(runtime)
    options: list[IntentType] = [option for option in DESCRIPTIONS if option in state["options"]]
    described = " or ".join(f"**{DESCRIPTIONS[option]}**" for option in options)
    say.text(f"I am not sure what you want. Do you want to {described}?")
    for option in options:
        command = SAYS[option]
        words = f"{command} {state['text']}" if command in TAKES_WORDS else command
        say.action(DESCRIPTIONS[option].capitalize(), words)
    return said(state, say)
