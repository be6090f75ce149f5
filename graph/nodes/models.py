"""Models in the conversation: which there are, which answers from now on, and why the last one was chosen."""

import re
from typing import Any

from app.errors import InvalidInput
from app.models import log as call_log
from app.models.catalog import Task
from app.models.chooser import Preview
from app.models.selector import NO_ROOM, SPENT, Scored
from app.models.wording import dollars
from graph.answering import preference_of
from graph.deps import Deps
from graph.intents.money import LONGEST_ORDER
from graph.nodes.base import Run, said, speaker
from graph.reply import Speaker
from graph.state import State, Update

CONNECT = (
    "No model is connected. Give a key with `/keys`, or put one into the environment (`ANTHROPIC_API_KEY`, "
    "`OPENAI_API_KEY`, `GOOGLE_API_KEY` or `DEEPSEEK_API_KEY`) and restart, or start Ollama: it is found by itself."
)


WHY_HEAD = (
    "| Model | Cost | Quality | Speed | Uptime | × success | × priority | Score | Estimate |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)
DID = {
    "ok": "answered", "stopped": "was stopped", "failed": "failed", "lost": "was cut off when the server went down",
}  # fmt: skip
PREFERRED = {"free": "free models", "quality": "the best models for the task", "fast": "fast models"}
OTHER_QUESTIONS: dict[Task, str] = {"explain": "one that asks for an explanation", "code": "one with code in it"}
FORMULA = "Score = (0.30 cost + 0.40 quality + 0.20 speed + 0.10 uptime) × success × priority."


_MODEL_ORDER = re.compile(
    r"(?:(?:please|ok(?:ay)?|now|then|can you|could you|would you|i want (?:you )?to|i'd like (?:you )?to|let's|let us|from now on)[, ]+)*"
    r"(?P<verb>use|switch(?: this chat| over)?(?: back)?(?: to)?|change(?: the model| model| over)? to|go back to|pin|pick|choose|select|take|try|prefer"
    r"|answer with|talk to|set (?:the |my )?(?:model|provider)(?: back)?(?: to)?|let|i want|i prefer|give me)\b (?P<what>.+)"
)
_NO_ORDER = re.compile(
    r"n't\b|\b(?:not|never|stop|disable|off|without|anything but|except|instead of|rather than|from(?! now on)|or|what|which"
    r"|(?<!there )is)\b"
)
# A name of somebody's that is none of a model: "the openai api", "google's style guide".
_NO_MODEL = re.compile(
    r"(?<![\w:./-])(?:apis?|sdks?|librar(?:y|ies)|packages?|clients?|docs?|documentation|functions?|class(?:es)?|modules?"
    r"|variables?|keys?|search|cloud|guides?|branch|scope)(?![\w:./-])"
)
_MODELS = (
    r"(?: (?:ai|llm|language|possible|available|models?|providers?|ones?|llms?|selection|mode|answers?|options?)){1,3}"
)
_HERE = r"(?: (?:please|again|now|instead|here|only|for me|from now on|you have|we have|there is|possible|available))*"
_FOR = r"(?: (?:for|in) [\w ]{1,30})?"


def _preferred(words: str) -> re.Pattern[str]:
    """What is preferred is a model, said or left out: "a faster one", "the fastest", and not "a faster algorithm"."""
    lead = r"(?:(?:a|an|the|my|your|only|much|far|most|more|something) )*"
    more = r"(?:,? (?:and )?(?:free|cheap|cheaper|cheapest|local|offline|fast|faster|fastest|good|better|best))*"
    return re.compile(rf"{lead}(?:{words}){more}(?:{_MODELS}{_HERE}{_FOR}|{_HERE})")


_PREFERENCES = (
    (
        "auto",
        _preferred(
            r"auto|automatic|automatically|defaults?|(?:selector|it)(?: choose| decide| pick)?(?: the model)?"
            r"(?: automatically)?|(?:models? )?yourself"
        ),
    ),
    ("free", _preferred(r"free|cheap|cheaper|cheapest|local|offline")),
    ("fast", _preferred(r"fast|faster|fastest|quick|quicker|quickest")),
    ("quality", _preferred(r"best|better|smartest|strongest|smarter|stronger")),
)


NO_LOG = "The log of calls is switched off (PROVIDER_LOGGING_ENABLED), and with it what `/why` could tell."
_AGAINST = re.compile(r"n't\b|\b(?:stop|disable|never|not|off|remove|block|without|except|but|from)\b")
UNCHANGED = (
    "I changed nothing. `/model NAME` has one model answer in this chat, `/model auto` lets the selector choose. An "
    "administrator switches a provider off with `/budget NAME off`.\n\n"
)


def ordered(text: str) -> str | None:
    """What a text orders about models: ``auto``, a preference, or ``pin`` of the one that it names. A question, a
    comparison and a "don't" order nothing."""
    if len(text) > LONGEST_ORDER:
        return None
    plain = " ".join(text.lower().replace("’", "'").split()).rstrip(" .!")
    plain = re.sub(r"[, ]+(?:please|thanks|thank you)(?=\??$)", "", plain)
    match = _MODEL_ORDER.fullmatch(plain.removesuffix("?").rstrip())
    if match is None or (plain.endswith("?") and not re.match(r"(?:please|can|could|would)\b", plain)):
        return None
    if _NO_ORDER.search(match["what"]):
        return None
    preferred = next((name for name, words in _PREFERENCES if words.fullmatch(match["what"])), None)
    is_no_model = _NO_MODEL.search(re.split(r" (?:for|in) ", match["what"])[0]) is not None
    is_only_local = re.search(r"\b(?:local|offline)\b(?!.*(?:model|llama|qwen))", match["what"])
    return preferred or (None if is_no_model or is_only_local else "pin")


async def models(state: State, runtime: Run) -> Update:
    say = speaker(runtime)
    deps, slots = runtime.context, state.get("parameters", {})
    wanted = slots.get("do") or ordered(state["text"])
    update = Update()
    if wanted == "why" or (wanted is None and "why" in state["text"].lower()):
        await _why(state, deps, say)
    elif wanted == "auto":
        update["model"] = update["prefer"] = ""
        say.text("From now on the selector chooses for each question by cost, quality, speed and reliability.")
    elif wanted == "prefer" or wanted in PREFERRED:
        update["model"], update["prefer"] = "", slots.get("prefer", wanted)
        is_none_free = update["prefer"] == "free" and not any(model.is_free for model in await deps.gateway.models())
        note = " None that can be called here is free, so that it changes nothing for now." if is_none_free else ""
        say.text(f"From now on this chat prefers {PREFERRED[update['prefer']]}. `/model auto` ends that.{note}")
    elif wanted == "pin" and (slots.get("model") or slots.get("provider")):
        update["model"] = await _pin(deps, say, slots.get("model"), slots.get("provider"))
    else:
        if wanted == "pin" or (wanted is None and _AGAINST.search(state["text"].lower())):
            say.text(UNCHANGED)
        await _list(state, deps, say)
    update["messages"] = said(state, say)["messages"]
    return update


async def _pin(deps: Deps, say: Speaker, name: str | None, provider: str | None) -> str:
    callable_models = await deps.gateway.models()
    if not callable_models:
        raise InvalidInput(CONNECT)
    if name and any(model.provider == name.lower() for model in callable_models):  # also one of the administrator's own
        provider, name = name.lower(), None
    if name:
        found = next((m for m in callable_models if name.lower() in (m.id.lower(), m.name.lower())), None)
        found = found or next((m for m in callable_models if name.lower() in m.id.lower()), None)
    else:
        preview = await deps.gateway.preview("chat")
        best = deps.gateway.chooser.best_of(provider or "", preview.ranking)
        found = next((model for model in callable_models if model.id == best), None)
    if found is None and provider and (why := deps.gateway.why_unusable(provider)):
        raise InvalidInput(f"No model of {provider} can answer now: {why}. See /models.")
    if found is None:
        known = ", ".join(sorted(m.name for m in callable_models))
        raise InvalidInput(f"{name or provider!r} cannot be called here. There are: {known}. See /models.")
    say.text(f"From now on **{found.name}** answers in this chat. `/model auto` gives the choice back to the selector.")
    return found.id


async def _list(state: State, deps: Deps, say: Speaker) -> None:
    async def preview(task: Task, model: str | None = None) -> Preview:
        burst = state.get("burst", False) and state.get("is_admin", False)
        return await deps.gateway.preview(
            task, prefer=preference_of(state), user_id=state["user_id"], allow_burst=burst, model=model
        )

    found = await preview("chat")
    ranking = found.ranking
    if not ranking:
        say.text(CONNECT + _keyless(deps))
        return
    rows = [
        f"| {place if scored.excluded is None else '†'} | {scored.model_id} | {dollars(scored.estimate_microusd)} "
        f"| {scored.quality:.2f} | {scored.speed:.2f} | {scored.score:.3f} |"
        for place, scored in enumerate(ranking, start=1)
    ]
    head = "| | Model | Estimate | Quality | Speed | Score |\n|---|---|---|---|---|---|\n"
    if pinned := state.get("model"):
        alone = (await preview("chat", pinned)).ranking
        first = f"{_of_pinned(pinned, alone, ranking)} `/model auto` ends that. The selector's own ranking:"
    elif ranking[0].excluded is None:
        best = {task: (await preview(task)).ranking[0] for task in OTHER_QUESTIONS}
        others = [
            f"{OTHER_QUESTIONS[task]} to **{scored.model_id}**" for task, scored in best.items()
            if scored.excluded is None and scored.model_id != ranking[0].model_id
        ]  # fmt: skip
        first = f"A question now would go to the first: {found.reason}." + (
            f" But {' and '.join(others)}." if others else ""
        )
    else:
        first = "No model could answer a question now; below the table it says why."
    left_out = _left_out([scored.to_json() for scored in ranking])
    say.text(f"{first}\n\n{head}" + "\n".join(rows) + left_out + _keyless(deps))
    if deps.gateway.catalog.refused:
        refused = [f"- {name}: {why}" for name, why in deps.gateway.catalog.refused.items()]
        say.text("\n\nNever called:\n\n" + "\n".join(refused))


def _of_pinned(model_id: str, alone: list[Scored], ranking: list[Scored]) -> str:
    """Whether the model that was chosen for a chat answers in it now: as it is ranked ``alone``."""
    why = alone[0].excluded if alone else "it cannot be called here"
    if why is None:
        return f"**{model_id}** answers in this chat, as you chose;"
    instead = ""
    if why in (NO_ROOM, SPENT):  # then another one is asked
        instead = " Another one answers instead, a free one first." if ranking[0].excluded is None else ""
    return f"**{model_id}** was chosen for this chat, and cannot answer now: {why}.{instead}"


def _left_out(ranking: list[dict[str, Any]]) -> str:  # Any: JSON
    """Why some of a ranking could not be asked, those with the same reason together."""
    reasons: dict[str, list[str]] = {}
    for scored in ranking:
        if scored["excluded"]:
            reasons.setdefault(scored["excluded"], []).append(scored["model_id"])
    lines = [f"- {why}: {', '.join(names)}" for why, names in reasons.items()]
    return "\n\n† Left out because:\n\n" + "\n".join(lines) if lines else ""


def _keyless(deps: Deps) -> str:
    """The models that the catalog knows and no key is there for, by provider."""
    gateway = deps.gateway
    names: dict[str, list[str]] = {}
    for model in gateway.catalog.models:
        if gateway.wire_of(model) is None:
            names.setdefault(model.provider, []).append(model.name)
    lines = [f"- {provider}: {', '.join(sorted(names[provider]))}" for provider in sorted(names)]
    return "\n\nWithout a key (`/keys`, or the environment):\n\n" + "\n".join(lines) if lines else ""


async def _why(state: State, deps: Deps, say: Speaker) -> None:
    await deps.gateway.log.flush()
    calls = await call_log.newest(deps.database, user_id=state["user_id"], thread_id=state["thread_id"], limit=20)
    if not calls:
        say.text("No model has answered in this chat yet." if deps.gateway.log.enabled else NO_LOG)
        return
    last: dict[str, Any] = calls[0]  # Any: a row
    if last["status"] == "refused":
        say.text(f"No model was asked: {last['selection'].get('reason', '')}")
    same_request = [call for call in calls if call["request_id"] == last["request_id"]][::-1]
    ranking = last["selection"].get("ranking", [])
    if last["status"] != "refused":
        answered = next((call for call in reversed(same_request) if call["status"] == "ok"), last)
        say.text(_answered(answered, same_request, ranking))
    if ranking:
        rows = [
            f"| {s['model_id']}{' †' if s['excluded'] else ''} | {s['cost']:.2f} | {_quality(s)} | {s['speed']:.2f} | {s['uptime']:.2f} "
            f"| {s['success_rate']:.2f} | {s['priority']:.1f} | **{s['score']:.3f}** "
            f"| {dollars(s['estimate_microusd'])} |"
            for s in ranking
        ]
        say.text("\n\n" + WHY_HEAD + "\n".join(rows) + "\n\n" + FORMULA + _left_out(ranking))


def _answered(last: dict[str, Any], calls: list[dict[str, Any]], ranking: list[dict[str, Any]]) -> str:  # Any: rows
    """What happened in the calls of one request, and what it cost."""
    estimate = next((s for s in ranking if s["model_id"] == f"{last['provider']}/{last['model']}"), None)
    guessed = f", {dollars(estimate['estimate_microusd'])} was the estimate" if estimate else ""
    counted = ", counted by us" if last["tokens_counted"] else ""
    is_whole = last["status"] != "ok" and 0 < last["cost_microusd"] == last["held_microusd"]
    cut = " What was held is charged, since the provider may have gone on generating." if is_whole else ""
    whole = sum(call["cost_microusd"] for call in calls)
    in_all = f" All in all the answer cost **{dollars(whole)}**." if whole != last["cost_microusd"] else ""
    tokens = (
        f"{last['input_tokens']} tokens in, {last['cached_tokens']} of them cached, {last['output_tokens']} out{counted}"
        if last["status"] == "ok" or last["input_tokens"]
        else "how many tokens, its provider did not say"
    )
    lines = [
        f"**{last['model']}** {DID[last['status']]}: {last['selection'].get('reason', 'its ranking is no longer kept')}. "
        f"It cost **{dollars(last['cost_microusd'])}** ({tokens}); {dollars(last['held_microusd'])} was held{guessed}.{cut}{in_all}"
    ]
    if len(calls) > 1:
        lines += ["", "It took more than one call:", ""]
        lines += [
            f"{number}. {call['model']}: {call['error_kind'] or call['status']}, {call['total_ms']} ms, "
            f"{dollars(call['cost_microusd'])}"
            for number, call in enumerate(calls, start=1)
        ]
    return "\n".join(lines)


def _quality(scored: dict[str, Any]) -> str:  # Any: JSON
    seen = scored.get("observations", 0)
    return f"{scored['quality']:.2f}" + (f" (was {scored['quality_prior']:.2f}, {seen:g} seen)" if seen else "")
