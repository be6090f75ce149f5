"""The conversation as a state machine: every node and edge on one screen."""

from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from graph.deps import Deps
from graph.nodes.analytics import analytics
from graph.nodes.budget import budget
from graph.nodes.challenge import challenge
from graph.nodes.chat import chat
from graph.nodes.clarify import clarify
from graph.nodes.classify import classify
from graph.nodes.context import load_repo, search_code
from graph.nodes.help import help_
from graph.nodes.models import models
from graph.nodes.training import training
from graph.nodes.workflow import workflow
from graph.state import State

NodeName = Literal[
    "challenge", "training", "models", "budget", "load_repo", "search_code", "analytics", "workflow", "chat", "help",
    "clarify",
]  # fmt: skip
NODES = {
    "challenge": challenge,
    "training": training,
    "models": models,
    "budget": budget,
    "load_repo": load_repo,
    "search_code": search_code,
    "analytics": analytics,
    "workflow": workflow,
    "chat": chat,
    "help": help_,
    "clarify": clarify,
}
NODE_OF: dict[str, NodeName] = {
    "learn.start-challenge": "challenge",
    "learn.review-topic": "training",
    "provider.change": "models",
    "provider.check-budget": "budget",
    "context.load-repo": "load_repo",
    "context.search": "search_code",
    "analytics.show-stats": "analytics",
    "workflow.create": "workflow",
    "general.chat": "chat",
    "general.help": "help",
}

Graph = CompiledStateGraph[State, Deps, State, State]


def route_intent(state: State) -> NodeName:
    """The node of the intent, or the question which one was meant."""
    return "clarify" if state.get("options") else NODE_OF[state["intent"]]


def build_graph(checkpointer: BaseCheckpointSaver[Any] | None = None) -> Graph:  # Any: the saver's version type
    graph = StateGraph(State, context_schema=Deps)
    graph.add_node("classify", classify)
    for name, node in NODES.items():
        graph.add_node(name, node)
        graph.add_edge(name, END)
    graph.add_edge(START, "classify")
    graph.add_conditional_edges("classify", route_intent, {name: name for name in NODES})
    return graph.compile(checkpointer=checkpointer)


def mermaid() -> str:
    """The graph as a Mermaid diagram."""
    return build_graph().get_graph().draw_mermaid()
