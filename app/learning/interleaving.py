"""What a session asks next: concepts in turn, more of what goes wrong, a challenge where questions go well. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from app.learning.path import Step

Kind = Literal["question", "challenge"]
MOST_CHALLENGES = 2
MIXED_CONCEPTS = 4


@dataclass(frozen=True, kw_only=True)
class Done:
    """An item that was asked and is over."""

    kind: Kind
    concept: str
    correct: bool


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a concept still has for this session. ``known`` ones may begin with a challenge."""

    concept: str
    questions: Sequence[str]
    has_challenge: bool
    known: bool


@dataclass(frozen=True, kw_only=True)
class Next:
    """``question_id`` is None for a challenge."""

    concept: str
    question_id: str | None


def mixed(path: Sequence[Step], *, offered: Collection[str]) -> list[str]:
    """The concepts of a session that names none: those that are due, a weak one and a new one, as many as there are."""
    steps = [step for step in path if step.concept.id in offered]
    chosen = [step for step in steps if step.why in ("check", "due")][: MIXED_CONCEPTS - 1]
    for why in ("weak", "new", "check", "due", "kept"):
        room = MIXED_CONCEPTS - len(chosen)
        limit = 1 if why in ("weak", "new") and len(steps) > room else room
        chosen += [step for step in steps if step.why == why and step not in chosen][:limit]
    rest = [step for step in steps if step not in chosen and step.why != "locked"]
    return [step.concept.id for step in [*chosen, *rest][:MIXED_CONCEPTS]]


def next_item(done: Sequence[Done], offers: Sequence[Offer], *, length: int) -> Next | None:
    """The next item, or None when the session is full or nothing is left.

    A concept is not asked about twice running while another has something left. Of the others the one with the fewest
    items comes first, where each mistake takes one off, so that what went wrong comes back sooner and more often.
    """
    if len(done) >= length:
        return None
    usable = [offer for offer in offers if offer.questions or _may_challenge(offer, done)]
    others = [offer for offer in usable if not done or offer.concept != done[-1].concept] or usable
    if not others:
        return None
    places = {offer.concept: place for place, offer in enumerate(offers)}
    offer = min(others, key=lambda one: (_turns(one.concept, done), places[one.concept]))
    if offer.questions and not (_may_challenge(offer, done) and _is_ready(offer, done)):
        return Next(concept=offer.concept, question_id=offer.questions[0])
    return Next(concept=offer.concept, question_id=None)


def _turns(concept: str, done: Sequence[Done]) -> int:
    own = [item for item in done if item.concept == concept]
    return len(own) - sum(not item.correct for item in own)


def _may_challenge(offer: Offer, done: Sequence[Done]) -> bool:
    challenges = [item for item in done if item.kind == "challenge"]
    return (
        offer.has_challenge
        and len(challenges) < MOST_CHALLENGES
        and all(item.concept != offer.concept for item in challenges)
    )


def _is_ready(offer: Offer, done: Sequence[Done]) -> bool:
    """A challenge comes after a right answer, or at once where the concept is known."""
    own = [item.correct for item in done if item.concept == offer.concept]
    return own[-1] if own else offer.known
