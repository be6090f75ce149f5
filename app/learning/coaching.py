"""The coach that asks: a model looks at a failed attempt and asks one question, and never gives the solution away."""

import asyncio
import json
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import structlog
from pydantic import BaseModel, Field, ValidationError

from app.errors import BudgetSpent, Conflict, InvalidInput, NoModelAvailable, ProviderFailed
from app.learning import kinds
from app.learning.attempt_log import Attempt
from app.learning.challenge_files import AnswerChallenge, Challenge
from app.learning.challenges import ChallengeService
from app.learning.curriculum import content_words
from app.learning.reveal_filter import gives_away, quotes_others, shows_code, watcher
from app.learning.started import Started
from app.models.call import CallRequest
from app.models.gateway import Gateway
from app.models.providers.wire import Message
from app.models.run import Answered
from app.number_words import NUMBER_WORDS

TRIES = 2
EARLIER_ATTEMPTS = 3  # that the model sees beside the newest
FEWEST_SHARED_WORDS = 3
SHORTEST_TIGHT = 3  # characters of an answer that is looked for without its spaces
_NUMBER_WORD = re.compile(rf"\b({'|'.join(sorted(NUMBER_WORDS, key=len, reverse=True))})(?:fold)?\b")
LONGEST_OWN = 8000  # characters of an attempt that are compared with what a model says; what it saw is shorter
INTENT = "learn.start-challenge"
UNUSABLE = "The model's words could not be used: they had the wrong form, or gave the solution away."

logger = structlog.get_logger()


class _Reply(BaseModel):
    observation: str = Field(min_length=1, max_length=800)
    question: str = Field(min_length=1, max_length=400, pattern=r"^[^?]*\?\s*$")


@dataclass(frozen=True, kw_only=True)
class Coached:
    """What the coach said. ``by`` is "model", or "author" where no model could: then ``question`` is the feedback that
    the attempt had already. ``told`` is what people should know of the model, such as a spent budget."""

    by: Literal["model", "author"]
    observation: str
    question: str
    model: str | None
    cost_microusd: int
    told: str = ""


class CoachService:
    def __init__(self, *, challenges: ChallengeService, gateway: Gateway, prompt: Callable[[str], str]) -> None:
        self._challenges = challenges
        self._gateway = gateway
        self._prompt = prompt

    async def ask(self, user_id: str, started_id: str) -> Coached:
        """One question about the newest attempt. What a model says counts as help, as a hint does.

        Raises:
            NotFound: not this learner's challenge.
            Conflict: it is a check, or it has ended.
            InvalidInput: nothing was submitted yet.
            Stopped: the learner would not wait; what the model's calls cost is booked.
        """
        one = await self._challenges.get(user_id, started_id)
        if one.is_check:
            raise Conflict("This one shows what you can do without help, so the coach is silent.")
        if one.status != "open":
            raise Conflict("This challenge has ended. Start another one with /challenge.")
        attempts = await self._challenges.newest_attempts(user_id, started_id, limit=1 + EARLIER_ATTEMPTS)
        if not attempts:
            raise InvalidInput("The coach starts from your own code: submit a first try.")
        asking = self._by_model(user_id, one, attempts)
        coached = await self._challenges.stoppable.run((user_id, started_id), asking)
        await self._challenges.note_coached(user_id, one, by=coached.by)
        return coached

    async def guard(
        self, user_id: str, here: Started | None, elsewhere: Sequence[Started], *, asked: str, is_lesson: bool = False
    ) -> Callable[[str], Started | None]:
        """What tells which challenge an answer to ``asked`` would give away, if any. Where one is in hand in the same
        conversation, an answer about it shows no code that is not theirs (a lesson does); of one that is open elsewhere
        only its solution is held back, or its answer where they ask about it."""
        own_here = await self._own(user_id, here) if here is not None else ()
        watched = [(one, await self._watched(user_id, one, asked=asked)) for one in elsewhere]

        def given_away(said: str) -> Started | None:
            if here is not None and _gives_away(
                said, one=here, own=own_here, is_about=not is_lesson and concerns(f"{asked} {said}", here.challenge)
            ):
                return here
            return next((one for one, holds in watched if holds(said)), None)

        return given_away

    async def _watched(self, user_id: str, one: Started, *, asked: str) -> Callable[[str], bool]:
        challenge, own = one.challenge, await self._own(user_id, one)
        if isinstance(challenge, AnswerChallenge):  # a short answer stands in many texts
            is_about = concerns(asked, challenge)
            return lambda said: is_about and reveals(said, challenge, own=own)
        return await asyncio.to_thread(watcher, challenge.solutions.values(), own=own)

    async def note_talk(
        self, user_id: str, here: Started | None, elsewhere: Sequence[Started], *, asked: str, said: str
    ) -> list[Started]:
        """What a model said in a conversation counts as help with the challenges that it was about: these. It may be
        about one that is open elsewhere only where they ask about it."""
        if not said.strip():  # all of it was held back
            return []
        about = [one for one in elsewhere if not one.is_check and concerns(asked, one.challenge)]
        if here is not None and not here.is_check and _is_about(here, asked=asked, said=said):
            about.insert(0, here)
        for one in about:
            await self._challenges.note_coached(user_id, one, by="model")
        return about

    async def _own(self, user_id: str, one: Started) -> tuple[str, ...]:
        attempts = await self._challenges.newest_attempts(user_id, one.id, limit=1 + EARLIER_ATTEMPTS)
        stub = kinds.stub(one.challenge, one.language.name)
        return (*(attempt.code[:LONGEST_OWN] for attempt in attempts), one.challenge.statement, stub, *one.hints)

    async def _by_model(self, user_id: str, one: Started, attempts: Sequence[Attempt]) -> Coached:
        request = CallRequest(
            task="explain", intent=INTENT, user_id=user_id, thread_id=one.thread_id, system=self._prompt("coach"),
            messages=(Message(role="user", content=_material(one, attempts)),), max_output_tokens=400, stream=False,
            request_id=uuid.uuid4().hex,
        )  # fmt: skip
        spent, told = 0, ""
        for _ in range(TRIES):
            try:
                answer = await self._gateway.complete(request)
            except (BudgetSpent, ProviderFailed) as error:
                spent += error.cost_microusd
                told = error.user_message
                break
            except NoModelAvailable:
                break
            spent += answer.cost_microusd
            told = UNUSABLE
            reply = await asyncio.to_thread(_usable, answer, one, attempts)
            self._gateway.note_form(answer, fits=reply is not None)
            if reply is not None:
                return Coached(
                    by="model", observation=reply.observation.strip(), question=reply.question.strip(),
                    model=answer.model_id, cost_microusd=spent, told=" ".join(answer.spent),
                )  # fmt: skip
        return Coached(
            by="author", observation="", question=attempts[0].feedback, model=None, cost_microusd=spent, told=told
        )


def _usable(answer: Answered, one: Started, attempts: Sequence[Attempt]) -> _Reply | None:
    """The reply, if it has the form asked for and gives nothing away."""
    found = re.search(r"\{.*\}", answer.text, re.DOTALL)
    try:
        reply = _Reply.model_validate_json(found[0] if found else answer.text)
    except ValidationError:
        logger.info("coach.refused", reason="form", model=answer.model_id)
        return None
    stub = kinds.stub(one.challenge, attempts[0].language)
    shown = [str(value) for key in ("input", "expected", "got") if (value := (attempts[0].failing or {}).get(key))]
    own = (*(attempt.code[:LONGEST_OWN] for attempt in attempts), one.challenge.statement, stub, *one.hints, *shown)
    said = f"{reply.observation}\n{reply.question}"
    if quotes_others(said, own=own) or shows_code(said, own=own) or reveals(said, one.challenge, own=own):
        logger.info("coach.refused", reason="gives the solution away", model=answer.model_id)
        return None
    return reply


def reveals(said: str, challenge: Challenge, *, own: Sequence[str]) -> bool:
    """Whether what was said holds the answer that is asked for, or code of a solution that is not in ``own``."""
    if not isinstance(challenge, AnswerChallenge):
        return gives_away(said, challenge.solutions.values(), own=own)
    return any(_names(said, answer) for answer in (challenge.answer, *challenge.accept)) or gives_away(
        said, [], own=own
    )


def silenced_by(here: Started | None, elsewhere: Sequence[Started], *, text: str) -> Started | None:
    """The check that keeps a conversation silent: the one in hand there, or one in hand elsewhere that it is about."""
    if here is not None and here.is_check:
        return here
    return next((one for one in elsewhere if one.is_check and concerns(text, one.challenge)), None)


def _gives_away(said: str, *, one: Started, own: Sequence[str], is_about: bool) -> bool:
    strictly = is_about and not isinstance(one.challenge, AnswerChallenge)
    if strictly and (quotes_others(said, own=own) or shows_code(said, own=own)):
        return True
    return reveals(said, one.challenge, own=own)


def _is_about(one: Started, *, asked: str, said: str) -> bool:
    """To predict or read something, a word about it may be the answer."""
    if isinstance(one.challenge, AnswerChallenge) and concerns(asked, one.challenge, fewest=2):
        return True
    return concerns(f"{asked} {said}", one.challenge)


def _names(said: str, answer: str) -> bool:
    """Whether every line of an answer stands in what was said, in whatever form: "three" or "threefold" for 3, "B G D"
    for "BGD"."""
    lines = [_plain(line) for line in answer.splitlines() if line.strip()]
    spoken = _plain(said)
    tight, whole = re.sub(r"[\s,]+", "", spoken), re.sub(r"[\s,]+", "", " ".join(lines))
    if len(whole) >= SHORTEST_TIGHT and not whole.isdigit() and whole in tight:
        return True
    return all(re.search(rf"(?<!\w){re.escape(line)}(?!\w)", spoken) for line in lines)


def _plain(text: str) -> str:
    return _NUMBER_WORD.sub(lambda match: str(NUMBER_WORDS.index(match[1])), " ".join(text.casefold().split()))


def concerns(text: str, challenge: Challenge, *, fewest: int = FEWEST_SHARED_WORDS) -> bool:
    """Whether a conversation is about a challenge."""
    about = content_words(f"{challenge.title} {challenge.statement}")
    return len(content_words(text) & about) >= fewest


def _material(one: Started, attempts: Sequence[Attempt]) -> str:
    """What the model sees: never the solution, never a hidden case that has not failed."""
    attempt, *earlier = attempts
    failing = attempt.failing
    return json.dumps(
        {
            "task": one.challenge.statement, "language": attempt.language, "attempt": one.attempts,
            "their code": attempt.code[:8000], "verdict": attempt.message[:1500],
            "first failing case": failing and {
                key: failing[key] for key in ("input", "expected", "got", "error", "trace", "stdout")
            },
            "earlier attempts, newest first": [
                {"their code": old.code[:2000], "verdict": old.message[:300]} for old in earlier
            ],
            "hints read": list(one.hints),
        },
        ensure_ascii=False, indent=1,
    )  # fmt: skip
