"""Slash commands: one table, and a parser that turns a typed or picked command into an intent with parameters."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.errors import InvalidInput
from app.learning.curriculum import Curriculum
from graph.intents.goals import goal_of
from graph.intents.money import PROVIDERS, amount_of, kind_of_use, plain_of
from graph.intents.slots import Slots, slots_of

Parameters = dict[str, Any]  # Any: slots of several types
LONGEST_SAID = 80
_THIS_CHAT = r"(?:this|the|our|my) (?:chat|conversation|thread)"


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """``intent`` of the graph, or one of the chat's own: "chat.share", "chat.export" and "chat.keys"."""

    intent: str
    parameters: Parameters = field(default_factory=dict)
    text: str


_KEYS = re.compile(r"\s*/keys?\b\W*(\w.*)", re.DOTALL | re.IGNORECASE)  # however a key is joined to it
KEY_NOT_USED = "What you typed after /keys was not used, and this chat keeps it nowhere. Put the key into the field of its provider."


@dataclass(frozen=True, kw_only=True)
class Command:
    """``said`` are whole sentences that mean it, where the words alone would not be told from talk; what its group
    ``arguments`` holds follows the command."""

    name: str
    description: str
    icon: str
    example: str
    parse: Callable[[str, Slots], tuple[str, Parameters]]
    said: str | None = None


def parse(text: str, curriculum: Curriculum, *, picked: str | None = None) -> Parsed | None:
    """The command of a message: typed ("/budget 7"), picked from the menu, or said ("share this chat"); None for other
    words.

    Raises:
        InvalidInput: an unknown command, or an argument that does not fit; with an example.
    """
    name, arguments = picked, text.strip()
    if name is None and (key := _KEYS.match(text)):
        name, arguments = "keys", key[1]
    elif name is None:
        match = re.match(r"/([A-Za-z]+)(?:\s+(.*))?$", text.strip(), re.DOTALL)
        if not match:
            return _said(text, curriculum)
        name, arguments = match[1].lower(), (match[2] or "").strip()
    command = BY_NAME.get(name)
    if command is None:
        known = ", ".join(f"/{one}" for one in BY_NAME)
        raise InvalidInput(f"There is no command /{name}. There are: {known}.")
    try:
        intent, parameters = command.parse(arguments, slots_of(arguments, curriculum))
    except InvalidInput as error:
        raise InvalidInput(f"{error.user_message} For example: {command.example}") from error
    return Parsed(intent=intent, parameters=parameters, text=arguments or f"/{name}")


def _said(text: str, curriculum: Curriculum) -> Parsed | None:
    words = " ".join(text.lower().split()).strip(" .!?")
    if len(words) > LONGEST_SAID:
        return None
    for command in COMMANDS:
        if command.said and (match := re.fullmatch(rf"(?:please )?(?:{command.said})(?: please)?", words)):
            arguments = match.groupdict().get("arguments") or ""
            intent, parameters = command.parse(arguments, slots_of(arguments, curriculum))
            return Parsed(intent=intent, parameters=parameters, text=text)
    return None


def _train(arguments: str, slots: Slots) -> tuple[str, Parameters]:
    if step := _STEPS.get(arguments.strip().lower()):
        return "learn.review-topic", {"do": step}
    parameters: Parameters = {"do": "start", **slots}
    said = arguments.split()
    numbers = [int(word) for word in said if re.fullmatch(r"[0-9]{1,6}", word)]
    if numbers:
        parameters["count"] = numbers[0]
    words = [word for word in said if not re.fullmatch(r"[0-9]{1,6}", word)]
    if words and "topics" not in slots and "count" not in slots:
        raise InvalidInput(f"{' '.join(words)!r} is not a topic I know.")
    return "learn.review-topic", parameters


_STEPS = {
    "end": "finish", "stop": "finish", "finish": "finish", "pause": "pause", "resume": "resume", "next": "next",
}  # fmt: skip


def _plan(arguments: str, slots: Slots) -> tuple[str, Parameters]:
    if not arguments:
        return "learn.review-topic", {"do": "show-plan"}
    if arguments.lower() in ("stop", "end", "drop"):
        return "learn.review-topic", {"do": "drop-plan"}
    replaces = {"replace": True} if arguments.lower().startswith("replace ") else {}
    topics = slots.get("topics", [])
    return "learn.review-topic", {"do": "plan", "goal": goal_of(arguments) or "plan", "topics": topics, **replaces}


def _challenge(arguments: str, slots: Slots) -> tuple[str, Parameters]:
    if arguments and not slots.keys() & {"topics", "language", "difficulty"}:
        raise InvalidInput(f"{arguments!r} is no language, topic or difficulty I know.")
    return "learn.start-challenge", {"do": "start", **slots}


def _budget(arguments: str, _slots: Slots) -> tuple[str, Parameters]:
    if not arguments:
        return "provider.check-budget", {}
    words = [word.rstrip(",;.") for word in re.split(r"[\s:=]+", plain_of(arguments[:200])) if word.rstrip(",;.")]
    if words in (["burst"], ["burst", "on"], ["burst", "off"]):
        return "provider.check-budget", {"burst": words != ["burst", "off"]}
    if switched := _switched(words):
        return "provider.check-budget", switched
    names = [word for word in words if re.fullmatch(r"[a-z][a-z0-9_.-]*", word) and word not in _BESIDE_MONEY]
    if len(names) > 1 or any(not re.match(r"[a-z]|[-$€£]?\d", word) for word in words):
        raise InvalidInput(f"{arguments!r} is not a budget: give one provider or intent, and an amount in dollars.")
    named = _capped(names[0]) if names else {}
    if "burst" in words:
        if "provider" not in named:
            raise InvalidInput(
                "A burst budget belongs to a provider: /budget openai burst 5. /budget burst uses them here."
            )
        named["is_burst"] = True
    if set(words) & _OFF:
        if any(re.search(r"\d", word) for word in words):
            raise InvalidInput(f"{arguments!r} lifts a cap and sets one. Give an amount, or `/budget lift` alone.")
        if "provider" in named:
            raise InvalidInput(
                "A provider's budget is not lifted, only changed: give an amount. To ask a provider no more: "
                f"/budget {named['provider']} off"
            )
        return "provider.check-budget", {"lifts": True, **named}
    amount = amount_of(" ".join(word for word in words if word not in names))
    if isinstance(amount, str):
        raise InvalidInput(f"{arguments!r} is not a budget: {amount}.")
    return "provider.check-budget", {"amount_usd": amount, **named}


def _switched(words: list[str]) -> Parameters | None:
    """ "openai off", "openai burst on": whether a provider, or its burst budget, may be used at all."""
    match words:
        case [name, "on" | "off" as to]:
            is_burst = False
        case [name, "burst", "on" | "off" as to]:
            is_burst = True
        case _:
            return None
    named = _capped(name)
    if "provider" not in named or name in _BESIDE_MONEY:
        return None
    return named | {"is_burst": is_burst, "active": to == "on"}


def _capped(name: str) -> Parameters:
    """An intent by its type or its name, or a provider; the purse knows which there are."""
    if kind := kind_of_use(name):
        return {"capped_intent": kind}
    return {"capped_intent": name} if "." in name else {"provider": PROVIDERS.get(name, name)}


_OFF = frozenset({"off", "none", "remove", "unlimited", "lift"})
_BESIDE_MONEY = frozenset({
    "burst", "dollars", "dollar", "usd", "to", "bucks", "cents", "cent", "euros", "euro", "eur", "pounds", "gbp", "at", "a", "per", "month",
    "monthly", "set", "my", "cap", "limit", "budget", "is", "of", "week", "weekly", "day", "daily", "year", "yearly", "for", "by", "from", *_OFF,
})  # fmt: skip


PREFERENCES = {"free": "free", "best": "quality", "fast": "fast"}


def _model(arguments: str, slots: Slots) -> tuple[str, Parameters]:
    name = arguments.strip()
    if not name:
        raise InvalidInput("Say which model answers from now on, or auto, free, best or fast.")
    if name.lower() == "auto":
        return "provider.change", {"do": "auto"}
    if name.lower() in PREFERENCES:
        return "provider.change", {"do": "prefer", "prefer": PREFERENCES[name.lower()]}
    if name.lower() in PROVIDERS:
        return "provider.change", {"do": "pin", "provider": PROVIDERS[name.lower()]}
    return "provider.change", {"do": "pin", "model": slots.get("model", name) if " " in name else name}


def _repo(arguments: str, _slots: Slots) -> tuple[str, Parameters]:
    if not arguments:
        raise InvalidInput("Say which folder to load.")
    return "context.load-repo", {"path": arguments.strip().strip("'\"")}


def _search(arguments: str, _slots: Slots) -> tuple[str, Parameters]:
    if not arguments:
        raise InvalidInput("Say what to search for.")
    return "context.search", {"query": arguments}


def _workflow(arguments: str, slots: Slots) -> tuple[str, Parameters]:
    if not arguments:
        return "workflow.create", {"do": "list"}
    if shown := re.fullmatch(r"show ([0-9a-f]{8,32})", arguments):
        return "workflow.create", {"do": "show", "workflow": shown[1]}
    name = _template(arguments)
    if name is None:
        raise InvalidInput(f"{arguments!r} is no workflow: there are weekly-report and repository-quiz.")
    return "workflow.create", {"do": "run", "template": name, **slots}


def _schedule(arguments: str, slots: Slots) -> tuple[str, Parameters]:
    if not arguments or arguments == "list":
        return "workflow.create", {"do": "list"}
    if arguments.startswith("cancel"):
        return "workflow.create", {"do": "cancel", "schedule": arguments.removeprefix("cancel").strip()}
    name = _template(arguments)
    time = slots.get("time") or next(iter(re.findall(r"\b\d{1,2}(?::\d{2})?\s?(?:am|pm)?\b", arguments)), None)
    if name is None or time is None:
        raise InvalidInput(f"{arguments!r} names no workflow or no time of day.")
    zone = next(iter(re.findall(r"\b[A-Z][A-Za-z]+/[A-Za-z_/]+\b", arguments)), None)
    extra = {"timezone": zone} if zone else {}
    return "workflow.create", {"do": "schedule", "template": name, "time": time, **extra}


def _template(arguments: str) -> str | None:
    words = arguments.lower()
    if "report" in words:
        return "weekly-report"
    return "repository-quiz" if "quiz" in words else None


def _leaderboard(arguments: str, _slots: Slots) -> tuple[str, Parameters]:
    choices: dict[str, Parameters] = {
        "": {}, "on": {"ranked": True}, "off": {"ranked": False}, "mastery": {"by": "mastery"},
        "solved": {"by": "solved"}, "week": {"period": "week"}, "month": {"period": "month"},
    }  # fmt: skip
    chosen = choices.get(arguments.lower())
    if chosen is None:
        raise InvalidInput(f"{arguments!r} is none of mastery, solved, week, month, on and off.")
    return "analytics.show-stats", {"do": "leaderboard", **chosen}


def _timezone(arguments: str, _slots: Slots) -> tuple[str, Parameters]:
    return "analytics.show-stats", {"do": "timezone", **({"timezone": arguments} if arguments else {})}


def _plain(intent: str, **parameters: str) -> Callable[[str, Slots], tuple[str, Parameters]]:
    return lambda _arguments, _slots: (intent, dict(parameters))


COMMANDS = (
    Command(name="help", description="What I can do", icon="circle-help", example="/help",
            parse=_plain("general.help"),
            said="help|(?:show|list)(?: me)?(?: all)? (?:the |your )?commands|what (?:are|is) (?:the|your) commands?"
                 "|what can you do|what can i (?:do|say|ask)(?: you| here)?|how do i use (?:this|you)"),
    Command(name="challenge", description="A coding challenge: [language] [topic] [difficulty]", icon="swords",
            example="/challenge python strings easy", parse=_challenge),
    Command(name="submit", description="Hand in the code you paste", icon="send", example="/submit",
            parse=_plain("learn.start-challenge", do="submit"), said="submit(?: it| this| my (?:code|solution))?"),
    Command(name="hint", description="The next hint for your challenge", icon="lightbulb", example="/hint",
            parse=_plain("learn.start-challenge", do="hint")),
    Command(name="reveal", description="Show a solution; one like it comes back", icon="eye", example="/reveal",
            parse=_plain("learn.start-challenge", do="reveal")),
    Command(name="skip", description="Put your challenge aside", icon="skip-forward", example="/skip",
            parse=_plain("learn.start-challenge", do="skip")),
    Command(name="train", description="A session: [topic] [number], pause, resume, next or end", icon="graduation-cap",
            example="/train sql 5", parse=_train),
    Command(name="plan", description="Sessions on dates, up to a day: [topics] in [time], or stop",
            icon="calendar-check", example="/plan interview in 3 weeks on graphs and SQL", parse=_plan),
    Command(name="stats", description="Your progress", icon="chart-no-axes-column", example="/stats",
            parse=_plain("analytics.show-stats", do="stats")),
    Command(name="badges", description="Your badges, and how near the others are", icon="award", example="/badges",
            parse=_plain("analytics.show-stats", do="badges")),
    Command(name="path", description="What to learn next, and why", icon="route", example="/path",
            parse=_plain("analytics.show-stats", do="path")),
    Command(name="leaderboard", description="Learners side by side: [mastery, week, month, on, off]", icon="trophy",
            example="/leaderboard month", parse=_leaderboard),
    Command(name="timezone", description="By whose clock your days are counted: [ZONE or auto]", icon="globe",
            example="/timezone Europe/Berlin", parse=_timezone),
    Command(name="budget", description="Spending and budgets: [provider] [dollars, on or off]", icon="wallet",
            example="/budget anthropic 5", parse=_budget),
    Command(name="keys", description="Keys of model providers (administrators)", icon="key-round", example="/keys",
            parse=lambda arguments, _slots: ("chat.keys", {"note": KEY_NOT_USED} if arguments else {}),
            said="(?:set|add|enter|change|replace|remove|manage|show)(?: an?| my| the)?(?: new)? (?:api|provider) keys?"
                 "|(?:set|enter|change|replace|remove|manage|show) my keys?"),
    Command(name="models", description="Which models there are", icon="cpu", example="/models",
            parse=_plain("provider.change", do="list"),
            said="(?:which|what) models (?:are there|do you have|can i (?:use|choose))|(?:show|list)(?: me)?(?: the| all)? models"),
    Command(name="model", description="Which model answers here: NAME, auto, free, best or fast", icon="brain",
            example="/model auto", parse=_model),
    Command(name="why", description="Why this model answered", icon="circle-question-mark", example="/why",
            parse=_plain("provider.change", do="why")),
    Command(name="repo", description="Load a folder with code: PATH", icon="folder-git-2",
            example="/repo ~/project", parse=_repo),
    Command(name="search", description="Search the loaded code: WORDS", icon="search",
            example="/search retry logic", parse=_search),
    Command(name="workflow", description="Run a workflow", icon="workflow",
            example="/workflow weekly-report", parse=_workflow),
    Command(name="schedule", description="Run a workflow daily", icon="calendar-clock",
            example="/schedule weekly-report at 09:00", parse=_schedule),
    Command(name="share", description="Make a link to this chat", icon="share-2", example="/share",
            parse=lambda arguments, _slots: ("chat.share", {"arguments": arguments}),
            said=rf"share {_THIS_CHAT}(?: with (?P<arguments>my team|the team|signed-in people))?"
                 rf"|(?:make|create|get|give)(?: me)? a (?:share )?link (?:to|for|of) {_THIS_CHAT}"),
    Command(name="export", description="This chat as a file: markdown or json", icon="download",
            example="/export markdown",
            parse=lambda arguments, _slots: ("chat.export", {"format": arguments or "markdown"}),
            said=rf"(?:export|download|save) {_THIS_CHAT}(?: (?:as|to|in) (?:a )?(?P<arguments>markdown|json)(?: file)?)?"),
    Command(name="chat", description="Just talk, whatever the words look like", icon="message-circle",
            example="/chat what is a workflow engine", parse=_plain("general.chat")),
)  # fmt: skip
BY_NAME = {command.name: command for command in COMMANDS}
