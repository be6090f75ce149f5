"""The coach that asks: a model looks at a failed attempt and asks one question, and never gives the solution away."""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import structlog
from pydantic import BaseModel, Field, ValidationError

from app.errors import BudgetExceeded, Conflict, InvalidInput, NoModelAvailable, ProviderFailed
from app.learning import kinds
from app.learning.attempt_log import Attempt
from app.learning.challenge_files import AnswerChallenge, Challenge
from app.learning.challenges import ChallengeService
from app.learning.reveal_filter import gives_away
from app.learning.started import Started
from app.models.call import CallRequest
from app.models.gateway import Gateway
from app.models.providers.wire import Message
from app.models.run import Answered

TRIES = 2
EARLIER_ATTEMPTS = 3  # that the model sees beside the newest
INTENT = "learn.start-challenge"

logger = structlog.get_logger()


class _Reply(BaseModel):
    observation: str = Field(min_length=1, max_length=800)
    question: str = Field(min_length=1, max_length=400, pattern=r"^[^?]*\?\s*$")


@dataclass(frozen=True, kw_only=True)
class Coached:
    """What the coach said. ``by`` is "model", or "author" where no model could: then ``question`` is the feedback that
    the attempt had already."""

    by: Literal["model", "author"]
    observation: str
    question: str
    model: str | None
    cost_microusd: int


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
        """
        one = await self._challenges.get(user_id, started_id)
        if one.is_check:
            raise Conflict("This one shows what you can do without help, so the coach is silent.")
        if one.status != "open":
            raise Conflict("This challenge has ended. Start another one with /challenge.")
        attempts = await self._challenges.newest_attempts(user_id, started_id, limit=1 + EARLIER_ATTEMPTS)
        if not attempts:
            raise InvalidInput("The coach starts from your own code: submit a first try.")
        coached = await self._by_model(user_id, one, attempts)
        await self._challenges.note_coached(user_id, one, by=coached.by)
        return coached

    async def _by_model(self, user_id: str, one: Started, attempts: Sequence[Attempt]) -> Coached:
        request = CallRequest(
            task="explain", intent=INTENT, user_id=user_id, thread_id=one.thread_id, system=self._prompt("coach"),
            messages=(Message(role="user", content=_material(one, attempts)),), max_output_tokens=400, stream=False,
        )  # fmt: skip
        spent = 0
        for _ in range(TRIES):
            try:
                answer = await self._gateway.complete(request)
            except (NoModelAvailable, ProviderFailed, BudgetExceeded):
                break
            spent += answer.cost_microusd
            reply = await asyncio.to_thread(_usable, answer, one, attempts)
            if reply is not None:
                return Coached(
                    by="model", observation=reply.observation.strip(), question=reply.question.strip(),
                    model=answer.model_id, cost_microusd=spent,
                )  # fmt: skip
        return Coached(by="author", observation="", question=attempts[0].feedback, model=None, cost_microusd=spent)


def _usable(answer: Answered, one: Started, attempts: Sequence[Attempt]) -> _Reply | None:
    """The reply, if it has the form asked for and gives nothing away."""
    found = re.search(r"\{.*\}", answer.text, re.DOTALL)
    try:
        reply = _Reply.model_validate_json(found[0] if found else answer.text)
    except ValidationError:
        logger.info("coach.refused", reason="form", model=answer.model_id)
        return None
    stub = kinds.stub(one.challenge, attempts[0].language)
    own = (*(attempt.code for attempt in attempts), one.challenge.statement, stub, *one.hints)
    said = f"{reply.observation}\n{reply.question}"
    if _names_answer(said, one.challenge) or gives_away(said, _solutions(one.challenge), own=own):
        logger.info("coach.refused", reason="gives the solution away", model=answer.model_id)
        return None
    return reply


def _solutions(challenge: Challenge) -> list[str]:
    return [] if isinstance(challenge, AnswerChallenge) else list(challenge.solutions.values())


def _names_answer(said: str, challenge: Challenge) -> bool:
    """Whether the answer that is asked for stands in what was said."""
    if not isinstance(challenge, AnswerChallenge):
        return False
    answers = (challenge.answer, *challenge.accept)
    return any(re.search(rf"(?<!\w){re.escape(answer.strip())}(?!\w)", said) for answer in answers)


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
