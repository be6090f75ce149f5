"""Finds the intent and its parameters; a slash command brings its own."""

import re
from collections.abc import Mapping

from app.events import log as event_log
from app.events.schema import NewEvent
from app.learning.challenge_files import AnswerChallenge
from app.learning.sessions import Asked, chosen_of
from graph.deps import Deps
from graph.intents.classifier import without_quotes
from graph.intents.goals import asks_for_plan, goal_day_of, goal_of
from graph.intents.handed_in import fenced_code, handed_in, may_be_code
from graph.intents.money import is_order
from graph.intents.slots import asks_to_explain, slots_of
from graph.nodes.base import Run
from graph.state import State, Update

_ZONE = re.compile(
    r"^\W*(?:(?:please )?(?:set|change) my time ?zone to|my time ?zone is(?: now)?) ([a-z][\w+-]*(?:/[\w+-]+)*)[.!]?\s*$",
    re.IGNORECASE,
)


async def classify(state: State, runtime: Run) -> Update:
    if state.get("intent"):
        return Update(confidence=1.0, options=[])
    update = await _from_what_is_in_hand(state, runtime.context) or await _from_words(state, runtime.context)
    await _note(state, runtime.context, update)
    return update


async def _from_what_is_in_hand(state: State, deps: Deps) -> Update | None:
    """Code answers an open challenge, a choice answers an open question; both only while there is one."""
    text = state["text"]
    if may_be_code(text):
        started = await deps.challenges.open_in_thread(state["user_id"], state["thread_id"])
        if started is not None and (code := handed_in(text, started.challenge)):
            language, source = code
            return _certain("learn.start-challenge", {"do": "submit", "code": source, "language": language})
        if started is not None and fenced_code(text):
            return _certain("general.chat", {})  # talk about code
    if len(text) <= MOST_CHOICE:
        session = await deps.training.open_in_thread(state["user_id"], state["thread_id"])
        if session and (step := _SESSION.get(text.strip().strip(".!?").lower())):
            return _certain("learn.review-topic", {"do": step})
        if session and isinstance(session.current, Asked) and chosen_of(text, session.current.choices) is not None:
            return _certain("learn.review-topic", {"do": "answer", "answer": text})
    if len(text) <= MOST_ANSWER and (wanted := _help_in(text) or _answer_in(text)):
        started = await deps.challenges.open_in_thread(state["user_id"], state["thread_id"])
        if started is not None and wanted in _HELP.values():
            return _certain("learn.start-challenge", {"do": wanted})
        if started is not None and isinstance(started.challenge, AnswerChallenge):
            return _certain("learn.start-challenge", {"do": "submit", "code": wanted})
    speaks_of_help = len(text) <= MOST_ANSWER and _speaks_of_help(text)
    if speaks_of_help and await deps.challenges.open_in_thread(state["user_id"], state["thread_id"]) is not None:
        return _certain("general.chat", {})
    return None


async def _from_words(state: State, deps: Deps) -> Update:
    if zone := _ZONE.search(without_quotes(state["text"])):
        return _certain("analytics.show-stats", {"do": "timezone", "timezone": zone[1]})
    if _plain(state["text"]) in _GO_ON:  # of a session it was looked for before
        return _certain("general.chat", {})
    if is_order(without_quotes(state["text"])):
        return _certain("provider.check-budget", {**slots_of(state["text"], deps.curriculum)})
    goal = goal_of(state["text"]) if asks_for_plan(state["text"]) else None
    topics = slots_of(state["text"], deps.curriculum).get("topics", []) if goal else []
    day = goal_day_of(state["text"], await deps.today(state["user_id"])) if goal else None
    if goal and (day or topics):  # without a day the plan asks for one
        when = {"goal_day": day.isoformat()} if day else {}
        return _certain("learn.review-topic", {"do": "plan", "goal": goal, "topics": topics, **when})
    classified = deps.classifier.classify(state["text"])
    best = classified.guesses[0]
    slots = slots_of(state["text"], deps.curriculum)
    if best.type == "learn.review-topic" and not slots.get("topics") and asks_to_explain(state["text"]):
        return _certain("general.chat", {})  # our lessons do not cover it: a question like any other
    options = [guess.type for guess in classified.guesses[:2]] if classified.doubtful else []
    return Update(intent=best.type, confidence=best.confidence, parameters=dict(slots), options=list(options))


MOST_ANSWER, MOST_CHOICE = 500, 200
_SESSION = {
    "pause": "pause", "pause the session": "pause", "pause the training": "pause", "go on": "next",
    "continue": "next", "next": "next", "end the session": "finish", "stop the session": "finish",
}  # fmt: skip
_GO_ON = frozenset(
    {"go on", "continue", "more", "keep going", "go ahead", "please go on", "please continue", "and then"}
)
_HELP = {
    "hint": "hint", "give me a hint": "hint", "another hint": "hint", "skip": "skip", "skip it": "skip",
    "skip this": "skip", "reveal": "reveal", "show me the solution": "reveal", "i give up": "reveal",
    "reveal the solution": "reveal", "show me the answer": "reveal", "coach me": "coach", "help me": "coach",
    "what is wrong": "coach", "what is wrong with my code": "coach", "help me with my code": "coach",
}  # fmt: skip


# Whole requests only: "show me how the answer is compared" asks for no solution, which would end the sitting.
_ASKS = (
    r"(?:(?:ok(?:ay)?|please|just|well|now|so|then|sorry|can (?:you|i|we)|could (?:you|i)|would you|may i|i|i'd|you|let me"
    r"|let's|want to|want|need|like to|like|have to|will|really|do you have) )*"
)
_OF_THIS = (
    r"(?: (?:to|of|for|about|on|with) (?:this|it|that|the|my)(?: [\w'-]+){0,4})?(?: in [\w+#]+)?"
    r"(?: (?:please|now|then|already|right now))*$"
)
_HELP_WORDS = (
    ("reveal", re.compile(r"^(?:(?:ok(?:ay)?|well|so|then|sorry|now|just|i|i'd|i'll|really|want to|like to|have to|let me) )*"
                          r"give up\b")),
    ("reveal", re.compile(rf"^{_ASKS}(?:show|give|tell|see|have|get|want|need|reveal)(?: me| us)? (?:the |a |your |its )?"
                          rf"(?:full |whole |right |correct |reference |sample )?(?:solution|answer){_OF_THIS}")),
    ("hint", re.compile(rf"^{_ASKS}(?:(?:have|get|give|show|use)(?: me| us)? )?"
                        rf"(?:(?:an?|any|the|one|another|next|more|some|small|little|first|second|third|last|other) )*"
                        rf"hints?{_OF_THIS}")),
    ("skip", re.compile(rf"^{_ASKS}skip(?: (?:this|it|that|the|to the next))?"
                        rf"(?: (?:challenge|one|task|problem|exercise))?(?: (?:please|now))*$")),
    ("coach", re.compile(r"\bcoach me\b|\bwhat(?: is|'s) wrong with (?:my|this|it)\b|\bwhy (?:does|did) (?:my|this) \w+ fail\b"
                         r"|\b(?:look at|review|help me with) my (?:attempt|code|solution)\b")),
)  # fmt: skip
_NOT = re.compile(r"n't\b|\b(?:dont|wont|not|no|never|without|before|until|instead of|rather than)\b")
_OF_HELP = re.compile(r"\b(?:solutions?|answers?|hints?|give up)\b")
_OF_ANOTHER = re.compile(
    r"\b(?:another|new|different|next|easier|harder)\b.{0,40}\b(?:challenge|exercise|problem|task|one)\b"
)


def _plain(text: str) -> str:
    return " ".join(without_quotes(text).replace("’", "'").lower().split()).strip(".!? ")


def _help_in(text: str) -> str | None:
    """The help with the challenge in hand that a message asks for, in whatever words: "I don't get it, give me a hint"."""
    words = _plain(text)
    if exact := _HELP.get(words):
        return exact
    if len(words) > MOST_CHOICE:
        return None
    for clause in re.split(r"[.,;!?:]+ ?| but ", words):
        if not asks_to_explain(clause) and not _NOT.search(clause):
            for wanted, asks in _HELP_WORDS:
                if asks.search(clause):
                    return wanted
    return None


def _speaks_of_help(text: str) -> bool:
    """Whether a message is about a solution, an answer or hints: talk, and never a wish for another challenge."""
    words = _plain(text)
    return bool(_OF_HELP.search(words)) and not _OF_ANOTHER.search(words)


def _answer_in(text: str) -> str | None:
    """What follows "answer:" or "it prints"; to the challenge in hand, if that asks for an answer."""
    match = re.match(
        r"\s*(?:i (?:think|say|guess)(?: that)? )?(?:(?:the |my )?answer(?: is|:)|it prints|prints|answer)\s*:?\s+(.+)",
        text, re.IGNORECASE | re.DOTALL,
    )  # fmt: skip
    if match is None or match[1].rstrip().endswith("?") or asks_to_explain(match[1]):
        return None
    return match[1]


def _certain(intent: str, parameters: Mapping[str, object]) -> Update:
    return Update(intent=intent, confidence=1.0, parameters={**parameters}, options=[])


async def _note(state: State, deps: Deps, update: Update) -> None:
    async with deps.database.write() as connection:
        await event_log.append(
            connection,
            NewEvent(type="intent.routed", key=state["thread_id"], user_id=state["user_id"],
                     occurred_at=deps.clock(),
                     payload={"intent": update["intent"], "confidence": update["confidence"]}),
        )  # fmt: skip
