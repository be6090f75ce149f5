"""Which challenge comes next: due, not seen lately, and as hard as the learner can just manage."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import InvalidInput
from app.learning import mastery, progress
from app.learning.challenge_files import DIFFICULTIES, Challenge
from app.learning.curriculum import Curriculum
from app.learning.languages import LANGUAGES, language_named
from app.learning.languages.base import LanguageName
from app.learning.mastery import Skill
from app.learning.sitting import known_challenges
from app.learning.started import helped_challenges
from app.storage.tables.learning import cards, started_challenges, unaided_checks

AIM = 0.75  # the chance of success that the next challenge aims at
RECENT = 40


@dataclass(frozen=True, kw_only=True)
class Learner:
    """What a choice depends on: skills by concept, ratings that challenges earned, what was started last (newest
    first), the concepts that are due (first one first), and those to be checked without help, with the challenge that
    was solved with help; the challenges that they know, or had help with; and the language in which a concept with a
    card for each is due first."""

    skills: Mapping[str, Skill]
    ratings: Mapping[str, Skill]
    recent: Sequence[str]
    due: Sequence[str]
    checks: Mapping[str, str]
    known: Collection[str] = ()
    due_languages: Mapping[str, LanguageName] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """``language`` is the one that is due, where that matters."""

    challenge: Challenge
    is_check: bool
    language: LanguageName | None = None


async def learner_of(connection: AsyncConnection, user_id: str, now: datetime) -> Learner:
    recent = await connection.scalars(
        sa.select(started_challenges.c.challenge_id)
        .where(started_challenges.c.user_id == user_id)
        .order_by(started_challenges.c.started_at.desc())
        .limit(RECENT)
    )
    query = sa.select(cards.c.card_id).where(cards.c.user_id == user_id, cards.c.due_at <= now).order_by(cards.c.due_at)
    due = list(await connection.scalars(query))
    waiting = await connection.execute(
        sa.select(unaided_checks)
        .where(unaided_checks.c.user_id == user_id, unaided_checks.c.due_at <= now)
        .order_by(unaided_checks.c.due_at)
    )
    known: set[str] = set(await connection.scalars(known_challenges(user_id, now)))
    known |= set(await connection.scalars(helped_challenges(user_id, now)))
    return Learner(
        skills=await progress.skills_of(connection, user_id), ratings=await progress.ratings_of(connection),
        recent=list(dict.fromkeys(recent)), due=list(dict.fromkeys(progress.concept_of(card) for card in due)),
        due_languages={progress.concept_of(card): language for card in reversed(due) if (language := _language(card))},
        checks={row.concept: row.challenge_id for row in waiting},
        known=known,
    )  # fmt: skip


def candidates(
    curriculum: Curriculum, *, concept: str | None, difficulty: str | None, language: LanguageName | None
) -> list[Challenge]:
    """What was asked for and can be done here. Not every concept has every difficulty: then all that it has.

    Raises:
        InvalidInput: there is nothing of the kind; the message says what there is.
    """
    if difficulty is not None and difficulty not in DIFFICULTIES:
        raise InvalidInput(f"{difficulty!r} is not a difficulty. Say one of: {', '.join(DIFFICULTIES)}.")
    if language is not None and LANGUAGES[language].toolchain().path is None:
        spoken = LANGUAGES[language]
        raise InvalidInput(f"{spoken.title} is not installed here. {spoken.toolchain().remedy}")
    about = [challenge for challenge in curriculum.challenges if concept in (None, challenge.concept)]
    if not about:
        known = ", ".join(sorted({challenge.concept for challenge in curriculum.challenges}))
        raise InvalidInput(f"There are no challenges about {concept!r}. There are some about: {known}.")
    here = {name for name, spoken in LANGUAGES.items() if spoken.toolchain().path is not None}
    offered = [c for c in about if here & set(c.languages) and (language is None or language in c.languages)]
    if not offered:
        title = LANGUAGES[language].title if language else "a language that is installed here"
        raise InvalidInput(
            f"There are no such challenges in {title}. Leave the language out, or ask for another topic."
        )
    return [challenge for challenge in offered if challenge.difficulty == difficulty] or offered


def _language(card: str) -> LanguageName | None:
    _, _, name = card.partition(":")
    language = language_named(name) if name else None
    return language.name if language else None


def choose(offered: Sequence[Challenge], learner: Learner, *, locked: Collection[str] = ()) -> Choice:
    """The next challenge: a check that is due, then a concept that is due, in the language that is; none of the
    ``locked`` concepts, which require unknown ones; one not seen lately; and of those the one with a chance of success
    nearest to 0.75. Ties go to the smaller id, so that it is repeatable."""
    places = {challenge_id: place for place, challenge_id in enumerate(learner.recent)}

    def key(challenge: Challenge) -> tuple[bool, bool, bool, bool, int, float, str]:
        seen = places.get(challenge.id)
        expected = mastery.chance(
            learner.skills.get(challenge.concept, Skill()),
            learner.ratings.get(challenge.id, mastery.of_rating(challenge.rating)),
        )
        seen_lately = 0 if seen is None else RECENT - seen
        is_due = challenge.concept in learner.due
        due_in = learner.due_languages.get(challenge.concept) if is_due else None
        return (
            not is_check(challenge, learner), not is_due, due_in is not None and due_in not in challenge.languages,
            challenge.concept in locked, seen_lately, abs(expected - AIM), challenge.id,
        )  # fmt: skip

    challenge = min(offered, key=key)
    due_in = learner.due_languages.get(challenge.concept)
    return Choice(
        challenge=challenge, is_check=is_check(challenge, learner),
        language=due_in if due_in in challenge.languages and LANGUAGES[due_in].toolchain().path else None,
    )  # fmt: skip


def is_check(challenge: Challenge, learner: Learner) -> bool:
    """A check takes another challenge of the concept than the one that was solved with help, and none that is known."""
    helped = learner.checks.get(challenge.concept)
    return helped is not None and challenge.id != helped and challenge.id not in learner.known
