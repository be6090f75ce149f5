"""A model's answer in the conversation: its words, what happened on the way, and what it cost."""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import get_args

from app.errors import NoModelAvailable, ProviderFailed
from app.learning.reveal_filter import answers
from app.learning.sessions import Asked
from app.learning.started import Started
from app.models import log as call_log
from app.models import quality
from app.models.call import CallRequest
from app.models.providers.wire import TextDelta
from app.models.run import Answered, Switched
from app.models.selector import Preference
from app.models.wording import alert_text, dollars
from graph.deps import Deps
from graph.reply import Speaker
from graph.state import State

FEWEST_WORDS_OF_A_QUESTION = 3  # "ok", "yes" and "go on" ask nothing again
ASKED_AGAIN_WITHIN = timedelta(minutes=15)
LOOK_EVERY_CHARACTERS = 200
HELD_BACK_CHARACTERS = 400
HIDDEN = "\n\n*(The rest would give away the solution of your challenge. `/hint` and the coach help without; `/reveal` shows it.)*"
HIDDEN_ANSWER = "\n\n*(The rest would answer the question that you are asked. Answer it first; then I explain.)*"
HIDDEN_ELSEWHERE = (
    "\n\n*(The rest would give away the solution of **{title}**, which you have open in another conversation.)*"
)


async def answer(
    request: CallRequest, deps: Deps, say: Speaker, *, hides: Callable[[str], str | None] | None = None
) -> Answered:
    """Stream a model's answer, and return it as far as it was said. What ``hides`` names a reason for is held back; for
    it, the answer is said a little later.

    Raises:
        NoModelAvailable, ProviderFailed: as the gateway.
    """
    said = _Said(say, hides)
    try:
        async with aclosing(deps.gateway.stream(request)) as chunks:
            async for chunk in chunks:
                match chunk:
                    case TextDelta(text=text):
                        await said.add(text)
                    case Switched():
                        await said.add(
                            f"\n\n*({_name(chunk.from_model_id)} broke off here; "
                            f"{_name(chunk.to_model_id)} goes on.)*\n\n"
                        )
                    case Answered():
                        await said.end()
                        await _say_end(request, chunk, deps, say)
                        return chunk if hides is None else replace(chunk, text=said.text)
    except ProviderFailed as error:
        await said.end()
        if error.cost_microusd:
            say.text(f"\n\n*(Until here it cost {dollars(error.cost_microusd)}.)*\n\n")
        raise
    raise NoModelAvailable("The model ended without an answer. Try again.")


class _Said:
    """What is said of an answer as it comes. With ``hides``, its last part waits until it is known to be harmless."""

    def __init__(self, say: Speaker, hides: Callable[[str], str | None] | None) -> None:
        self._say = say
        self._hides = hides
        self._whole = ""
        self._shown = self._looked_at = 0
        self._is_hidden = False

    @property
    def text(self) -> str:
        return self._whole[: self._shown]

    async def add(self, text: str) -> None:
        if self._hides is None:
            self._say.text(text)
            return
        self._whole += text
        if len(self._whole) - self._looked_at >= LOOK_EVERY_CHARACTERS:
            await self._look(but_for=HELD_BACK_CHARACTERS)

    async def end(self) -> None:
        if self._hides is not None:
            await self._look(but_for=0)

    async def _look(self, *, but_for: int) -> None:
        assert self._hides is not None
        self._looked_at = len(self._whole)
        if self._is_hidden:
            return
        if why := await asyncio.to_thread(self._hides, self._whole):
            self._is_hidden = True
            self._say.text(why)
        elif len(self._whole) - but_for > self._shown:
            self._say.text(self._whole[self._shown : len(self._whole) - but_for])
            self._shown = len(self._whole) - but_for


@dataclass(frozen=True, kw_only=True)
class Open:
    """The challenge in hand in a conversation, and those that its learner has open elsewhere."""

    here: Started | None
    elsewhere: Sequence[Started]


async def open_challenges(state: State, deps: Deps) -> Open:
    user_id, thread_id = state["user_id"], state["thread_id"]
    return Open(
        here=await deps.challenges.open_in_thread(user_id, thread_id),
        elsewhere=await deps.challenges.open_elsewhere(user_id, thread_id),
    )


def say_silence(say: Speaker, check: Started, *, is_here: bool) -> None:
    where = (
        "Submit it, or put it aside with `/skip`." if is_here else "It is open in another conversation: end it there."
    )
    say.text(
        f"**{check.challenge.title}** shows what you can do without help, so I say nothing about it until it is over. {where}"
    )


async def guard_of(
    state: State, deps: Deps, known: Open, *, is_lesson: bool = False
) -> Callable[[str], str | None] | None:
    """What says, of an answer, why it is held back: it would give away a challenge that is open. None where none is."""
    session = await deps.training.open_in_thread(state["user_id"], state["thread_id"])
    question = (
        deps.curriculum.question(session.current.question_id)
        if session and isinstance(session.current, Asked)
        else None
    )
    if known.here is None and not known.elsewhere and question is None:
        return None
    is_about = question is not None and _is_about(state["text"], question[1].prompt)
    given_away = await deps.coach.guard(
        state["user_id"], known.here, known.elsewhere, asked=state["text"], is_lesson=is_lesson
    )

    def why(said: str) -> str | None:
        if question is not None and is_about and answers(said, question[1].answer):
            return HIDDEN_ANSWER
        one = given_away(said)
        if one is None:
            return None
        return HIDDEN if one is known.here else HIDDEN_ELSEWHERE.format(title=one.challenge.title)

    return why


def _is_about(text: str, prompt: str) -> bool:
    """Whether a message is about the question that is asked: it says so, or half of its words."""
    said, wanted = set(_long_words(text)), set(_long_words(prompt))
    return bool({"question", "answer", "choice"} & said) or len(said & wanted) * 2 >= max(1, len(wanted))


def _long_words(text: str) -> list[str]:
    return re.findall(r"[a-z_]{4,}", text.lower())


async def note_help(state: State, deps: Deps, say: Speaker, known: Open, answered: str) -> None:
    """A conversation about a challenge that is open is help, and the learner is told so the first time."""
    helped = await deps.coach.note_talk(
        state["user_id"], known.here, known.elsewhere, asked=state["text"], said=answered
    )
    for one in helped:
        if not one.is_aided:
            say.text(f"\n\n*(This counts as help with **{one.challenge.title}**.)*")


async def say_alerts(state: State, deps: Deps, say: Speaker) -> None:
    """What budgets have raised since this person was last told, whichever call raised it."""
    for alert in await deps.purse.tell(state["user_id"], is_admin=state.get("is_admin", False), now=deps.clock()):
        say.text(f"\n\n{alert_text(alert)}")


def preference_of(state: State) -> Preference | None:
    """What this chat asked for with /model free, best or fast."""
    return next((known for known in get_args(Preference) if known == state.get("prefer")), None)


async def note_if_asked_again(state: State, deps: Deps) -> None:
    """The same question twice in a row: the first answer was not good enough."""
    said = [message["content"] for message in state.get("messages", []) if message["role"] == "user"]
    if (
        not said
        or _same(said[-1]) != _same(state["text"])
        or len(_same(state["text"]).split()) < FEWEST_WORDS_OF_A_QUESTION
    ):
        return
    await deps.gateway.log.flush()
    calls = await call_log.newest(deps.database, user_id=state["user_id"], thread_id=state["thread_id"], limit=1)
    is_answer = bool(calls) and calls[0]["status"] in ("ok", "stopped")  # no failure, and no refusal
    if is_answer and calls[0]["created_at"] > deps.clock() - ASKED_AGAIN_WITHIN:
        await quality.observe(deps.database, calls[0]["id"], "asked-again", 0.0, now=deps.clock())


async def _say_end(request: CallRequest, ended: Answered, deps: Deps, say: Speaker) -> None:
    provider, _, name = ended.model_id.partition("/")
    if ended.finish == "length":
        say.text('\n\n*(The answer reached its longest length and stops here. Say "go on" for more.)*')
    if ended.finish == "content_filter":
        say.text(f"\n\n*({provider} stopped the answer here: its content filter did not let the rest through.)*")
    for refused in ended.spent:
        say.text(f"\n\n*({refused} {name} answered instead.)*")
    here = await deps.purse.spent_by(request.user_id, thread_id=request.thread_id)
    counted = " (tokens counted by us: the provider did not say)" if ended.tokens_counted else ""
    cost = dollars(ended.cost_microusd)
    if ended.last_microusd != ended.cost_microusd:
        cost += f" in all, {dollars(ended.last_microusd)} of it for this model"
    props = {
        "callId": ended.call_id, "model": name, "provider": provider, "cost": cost,
        "inThisChat": dollars(here), "reason": ended.reason, "counted": ended.tokens_counted,
        "inputTokens": ended.usage.input_tokens, "outputTokens": ended.usage.output_tokens,
    }  # fmt: skip
    say.block(
        "AnswerCost", props,
        f"{name} · {props['cost']}{counted}, {props['inThisChat']} in this chat · {ended.reason}", is_aside=True,
    )  # fmt: skip


def _name(model_id: str) -> str:
    return model_id.partition("/")[2]


def _same(text: str) -> str:
    return " ".join(text.lower().split()).strip(" .?!")
