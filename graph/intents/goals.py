"""Plans as people ask for them: what a text says is coming, when, and about what. Pure."""

import re
from datetime import date, timedelta

from app.learning.curriculum import Curriculum
from app.number_words import NUMBER_WORDS
from graph.intents.classifier import without_quotes

_NUMBERS = {word: number for number, word in enumerate(NUMBER_WORDS)} | {"a": 1, "an": 1, "a couple of": 2, "a few": 3}
_SPANS = {"day": 1, "week": 7, "fortnight": 14, "month": 30, "year": 365}
_COUNT = rf"(\d{{1,3}}|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))}) ({'|'.join(_SPANS)})s?"
_IN = re.compile(rf"\b(?:in|within) (?:about |less than )?{_COUNT}\b", re.IGNORECASE)
_FROM_NOW = re.compile(rf"\b{_COUNT} (?:from (?:now|today)|away|left)\b", re.IGNORECASE)
_SOON = {"tomorrow": 1, "next week": 7, "next month": 30, "day after tomorrow": 2}
_SOON_WORDS = re.compile(r"\b(day after tomorrow|tomorrow|next week|next month)\b", re.IGNORECASE)
_ISO = re.compile(r"\b(\d{4}-\d{2}-\d{2})\b")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAY = re.compile(rf"\b(?:on|by|until|before|next|this|coming) ({'|'.join(_WEEKDAYS)})\b", re.IGNORECASE)
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
           "december")  # fmt: skip
_MONTH = rf"({'|'.join(f'{name}|{name[:3]}' for name in _MONTHS)})\.?"
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_DATES = (
    re.compile(rf"\b{_MONTH} (?:the )?{_DAY}\b(?:,? (\d{{4}}))?", re.IGNORECASE),
    re.compile(rf"\b{_DAY} (?:of )?{_MONTH}(?=\W|$)(?: (\d{{4}}))?", re.IGNORECASE),
)


LONGEST_TEXT = 4000


def _said(text: str) -> str:
    return without_quotes(text[:LONGEST_TEXT])


def goal_day_of(text: str, today: date) -> date | None:
    """The day that a text names: "in 3 weeks", "next Friday", "on March 20", "by 2026-12-11"; None where it names none.
    A day without a year is the next one to come."""
    said = " ".join(_said(text).split())
    try:
        if match := _ISO.search(said):
            return date.fromisoformat(match[1])
        if (match := _IN.search(said)) or (match := _FROM_NOW.search(said)):
            number = match[1].lower()
            count = _NUMBERS[number] if number in _NUMBERS else int(number)
            return today + timedelta(days=count * _SPANS[match[2].lower()])
        return _date_in(said, today) or _weekday_in(said, today) or _soon(said, today)
    except ValueError:  # there is no such day
        return None


def _date_in(said: str, today: date) -> date | None:
    for order, pattern in enumerate(_DATES):
        if match := pattern.search(said):
            month, day = (match[1], match[2]) if order == 0 else (match[2], match[1])
            number = next(place for place, name in enumerate(_MONTHS, 1) if name.startswith(month.lower()[:3]))
            found = date(int(match[3] or today.year), number, int(day))
            return found if match[3] or found > today else found.replace(year=today.year + 1)
    return None


def _weekday_in(said: str, today: date) -> date | None:
    match = _WEEKDAY.search(said)
    if match is None:
        return None
    days = (_WEEKDAYS.index(match[1].lower()) - today.weekday()) % 7
    return today + timedelta(days=days or 7)


def _soon(said: str, today: date) -> date | None:
    match = _SOON_WORDS.search(said)
    return today + timedelta(days=_SOON[match[1].lower()]) if match else None


_GOAL = re.compile(
    r"\b((?:(?:coding|technical|programming|job|final|phone) )?(?:interview|exam|assessment|certification|screening)"
    r"|(?:coding|technical|programming) test)s?\b",
    re.IGNORECASE,
)
_WANTS_PLAN = re.compile(
    r"\b(?:study|learning|training|practi[cs]e) plan\b|\b(?:make|need|want|give)(?: me)? a plan\b|\bplan my (?:training|sessions)\b",
    re.IGNORECASE,
)
_PREPARES = re.compile(r"\b(?:prepar(?:e|ing)|get (?:me )?ready|getting ready)\b", re.IGNORECASE)
_HAS_GOAL = re.compile(r"\b(?:i have|i've got|we have|we've got|there is|there's|my|our)\b", re.IGNORECASE)
_IS_OVER = re.compile(r"\b(?:went|was|had|passed|failed|yesterday|last (?:week|month|year)|ago)\b", re.IGNORECASE)
_WANTS_ELSE = re.compile(
    r"\b(?:challenges?|exercises?|problems?|questions?|explain|teach|lesson|translate|how|what|why|when|where|which|should|"
    r"can you|could you|help me with|review)\b|\?",
    re.IGNORECASE,
)


def goal_of(text: str) -> str | None:
    """What a plan is for ("interview"), where a text speaks of one; "plan" where it gives no name."""
    said = _said(text)
    match = _GOAL.search(said)
    if match:
        return match[1].lower()
    return "plan" if _WANTS_PLAN.search(said) else None


def asks_for_plan(text: str) -> bool:
    """Whether a text wants a plan, or says that a day is coming and asks for nothing else."""
    said = _said(text)
    if _WANTS_PLAN.search(said):
        return True
    if not _GOAL.search(said) or _IS_OVER.search(said):
        return False
    return bool(_PREPARES.search(said) or (_HAS_GOAL.search(said) and not _WANTS_ELSE.search(said)))


_ABOUT = re.compile(r"\b(?:on|about|covering) (?P<topics>[a-z][^.!?]{1,200})", re.IGNORECASE)
_NO_TOPIC = re.compile(
    rf"^(?:(?:next|this|on|by|the|in) )*(?:{'|'.join([*_WEEKDAYS, *_MONTHS, *_SOON])})\b|\d|^(?:my|the|an?) (?:job|new)\b",
    re.IGNORECASE,
)


_NO_NAME = re.compile(
    r"\b(?:i|it|that|this|them|so on|more|stuff|things?|am|is|are|was|be|for|at|etc)\b", re.IGNORECASE
)


def unknown_topics(text: str, curriculum: Curriculum) -> list[str]:
    """What a plan is asked to be about that we have nothing about: "Kubernetes and SQL" gives ["Kubernetes"]."""
    found = []
    for match in _ABOUT.finditer(_said(text)):
        topics = re.split(
            r"\b(?:in|within|by|until|before|on|next|from)\b (?=\d|an?\b|the\b|next\b|\w+day\b)", match["topics"]
        )[0]
        for part in re.split(r",| and | & |/|\+", topics):
            name = part.strip(" .!")
            is_name = 1 <= len(name.split()) <= 3 and not _NO_NAME.search(name)
            if is_name and not _NO_TOPIC.search(name) and not curriculum.concepts_in(name):
                found.append(name)
    return found[:5]
