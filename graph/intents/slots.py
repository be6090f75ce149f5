"""The parameters of an intent, taken from its words. Pure; what is not said is not in the result."""

import re

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
    if wish := wish_of(said):
        slots.pop("provider", None)  # the one that is meant is in the wish
        slots = Slots(**{**slots, **wish})
    if match := _PATH.search(text) or _OWNER_NAME.search(text):
        slots["path"] = match[1].rstrip(".,;!?") if len(match[1]) > 2 else match[1]
    if match := _TIME.search(said):
        slots["time"] = (match[1] or match[2]).strip()
    return slots
