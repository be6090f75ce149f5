"""The parameters of an intent, taken from its words. Pure; what is not said is not in the result."""

import re
from datetime import date, timedelta

from app.learning.challenge_files import DIFFICULTIES
from app.learning.curriculum import Curriculum
from app.learning.languages import ALIASES, LANGUAGES
from app.number_words import NUMBER_WORDS
from graph.intents.classifier import without_quotes
from graph.intents.money import PROVIDERS, Wish, wish_of


class Slots(Wish, total=False):
    topics: list[str]
    language: str
    difficulty: str
    count: int
    model: str
    path: str
    query: str
    time: str


_NUMBERS = {word: number for number, word in enumerate(NUMBER_WORDS) if number}
_DIFFICULTY_WORDS = {
    "easy": "easy", "easier": "easy", "simple": "easy", "small": "easy", "beginner": "easy",
    "medium": "medium", "intermediate": "medium", "moderate": "medium",
    "hard": "hard", "harder": "hard", "difficult": "hard", "tough": "hard", "advanced": "hard",
}  # fmt: skip
# A word that means much else ("go on", "c'est la vie") names a language only beside one of these.
_AMBIGUOUS = re.compile(
    r"\b(?:in|using|with) (go|c)\b|\b(go|c) (?:challenge|exercise|problem|program|code|function)", re.IGNORECASE
)
_LANGUAGE_WORDS: dict[str, str] = {
    **{name: name for name in LANGUAGES if name not in ("go", "c", "sql")},
    **{word: name for word, name in ALIASES.items() if word not in ("shell", "node")},
}
_NAMED_LANGUAGES = ["c#", "kotlin", "swift", "php", "scala", "haskell"]  # asked for, not offered
_PATH = re.compile(r"(?:^|\s)((?:~|\.{1,2})?/[^\s'\"]*|~|[A-Za-z]:\\[^\s'\"]+|https?://\S+|git@\S+)")
_OWNER_NAME = re.compile(r"(?:^|\s)([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?=\s|$)")
_COUNT = re.compile(
    rf"\b(\d{{1,6}}|{'|'.join(_NUMBERS)})[ -](?:\w+ )?(?:questions?|problems?|exercises?|tasks?)\b", re.IGNORECASE
)
_TIME = re.compile(r"\bat (\d{1,2}(?:[:.]\d{2})?\s?(?:am|pm)?)(?!\d)|\b(\d{1,2}:\d{2})\b", re.IGNORECASE)
_MODEL = re.compile(
    r"\b((?:gpt|claude|gemini|deepseek|llama|qwen|mistral|o\d)-?[\w.:-]{0,40}?\d[\w.:-]{0,40})", re.IGNORECASE
)


LONGEST_TEXT = 4000
_SPANS = {"day": 1, "week": 7, "fortnight": 14, "month": 30}
_IN = re.compile(
    rf"\b(?:in|within) (\d{{1,3}}|an?|{'|'.join(_NUMBERS)}) (day|week|fortnight|month)s?\b|\b(tomorrow|next week|next month)\b",
    re.IGNORECASE,
)
_ON = re.compile(r"\b(?:on|by|until|for|before) (\d{4}-\d{2}-\d{2})\b")
_SOON = {"tomorrow": 1, "next week": 7, "next month": 30}


def goal_day_of(text: str, today: date) -> date | None:
    """The day that a text names: "in 3 weeks", "tomorrow", "by 2026-12-11"; None where it names none."""
    said = without_quotes(text)
    if match := _ON.search(said):
        try:
            return date.fromisoformat(match[1])
        except ValueError:
            return None
    if match := _IN.search(said):
        if match[3]:
            return today + timedelta(days=_SOON[match[3].lower()])
        number = match[1].lower()
        count = 1 if number in ("a", "an") else _NUMBERS.get(number) or int(number)
        return today + timedelta(days=count * _SPANS[match[2].lower()])
    return None


_GOAL = re.compile(
    r"\b((?:(?:coding|technical|job|final|phone) )?(?:interview|exam|assessment|certification|screening))\b",
    re.IGNORECASE,
)
_WANTS_PLAN = re.compile(
    r"\b(?:study|learning|training|practi[cs]e) plan\b|\b(?:make|need|want|give)(?: me)? a plan\b|\bplan my (?:training|sessions)\b",
    re.IGNORECASE,
)
_HAS_GOAL = re.compile(r"\b(?:i have|i've got|there is|my)\b", re.IGNORECASE)
_WANTS_ELSE = re.compile(
    r"\b(?:challenges?|exercises?|problems?|questions?|explain|teach|lesson|translate|how|what|why|when|where|which|should|"
    r"can you|could you|help me with|review)\b|\?",
    re.IGNORECASE,
)


def goal_of(text: str) -> str | None:
    """What a plan is for ("interview"), where a text speaks of one; "plan" where it gives no name."""
    said = without_quotes(text)
    match = _GOAL.search(said)
    if match:
        return match[1].lower()
    return "plan" if _WANTS_PLAN.search(said) else None


def asks_for_plan(text: str) -> bool:
    """Whether a text wants a plan, or says that a day is coming and asks for nothing else."""
    said = without_quotes(text)
    if _WANTS_PLAN.search(said):
        return True
    return bool(_GOAL.search(said) and _HAS_GOAL.search(said)) and not _WANTS_ELSE.search(said)


_EXPLAIN = re.compile(
    r"\b(explain|teach|lesson|what (is|are|does)|tutorial|understand|walk me|introduce|refresher|primer|how .{1,80} works?|"
    r"learn about|deep dive|break down|remind me how|go over|go through|recap|don't understand|struggling)\b",
    re.IGNORECASE,
)


def asks_to_explain(text: str) -> bool:
    """Whether a text asks for an explanation rather than for questions to answer."""
    return bool(_EXPLAIN.search(without_quotes(text)))


def slots_of(text: str, curriculum: Curriculum) -> Slots:
    """Everything a text says at its beginning that an intent could use; what comes after is content."""
    text = text[:LONGEST_TEXT]
    said = without_quotes(text)
    words = re.findall(r"[\w+#]+", said.lower())
    slots = Slots()
    topics = [concept.id for concept in curriculum.concepts_in(said)]
    if topics:
        slots["topics"] = topics
    language = next((word for word in words if word in _LANGUAGE_WORDS or word in _NAMED_LANGUAGES), None)
    if language is None and (match := _AMBIGUOUS.search(said)):
        language = (match[1] or match[2]).lower()
    if language:
        slots["language"] = _LANGUAGE_WORDS.get(language, language)
    difficulty = next((_DIFFICULTY_WORDS[word] for word in words if word in _DIFFICULTY_WORDS), None)
    if difficulty in DIFFICULTIES:
        slots["difficulty"] = difficulty
    if match := _COUNT.search(said):
        number = match[1].lower()
        slots["count"] = _NUMBERS.get(number) or int(number)
    provider = next((PROVIDERS[word] for word in words if word in PROVIDERS), None)
    if provider:
        slots["provider"] = provider
    if match := _MODEL.search(said):
        slots["model"] = match[1]
    slots = Slots(**{**slots, **wish_of(said)})
    if match := _PATH.search(text) or _OWNER_NAME.search(text):
        slots["path"] = match[1].rstrip(".,;!?") if len(match[1]) > 2 else match[1]
    if match := _TIME.search(said):
        slots["time"] = (match[1] or match[2]).strip()
    return slots
