"""Which intent a text has, offline: logistic regression over words and letters, trained on ``utterances.yaml``."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt
import yaml

Floats = npt.NDArray[np.float32]

IntentType = Literal[
    "learn.start-challenge",
    "learn.review-topic",
    "provider.change",
    "provider.check-budget",
    "context.load-repo",
    "context.search",
    "analytics.show-stats",
    "workflow.create",
    "general.chat",
]
INTENTS: tuple[IntentType, ...] = get_args(IntentType)
NONE = "none"

UTTERANCES = Path(__file__).parent / "utterances.yaml"
LONGEST_TEXT = 400  # an intent is said at the beginning; what comes after is content
DOUBTFUL, CLOSE = 0.45, 0.12  # ask when the best guess is below the one and leads by less than the other
STEPS, RATE, DECAY = 250, 4.0, 1e-4

DESCRIPTIONS: dict[IntentType, str] = {
    "learn.start-challenge": "start a coding challenge",
    "learn.review-topic": "train or review a topic",
    "provider.change": "change the model",
    "provider.check-budget": "look at budgets and spending",
    "context.load-repo": "load a repository",
    "context.search": "search the loaded repository",
    "analytics.show-stats": "see your progress",
    "workflow.create": "run or schedule a workflow",
    "general.chat": "just talk about it",
}


@dataclass(frozen=True, kw_only=True)
class Guess:
    """An intent and how sure the classifier is, from 0 to 1."""

    type: IntentType
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Classified:
    """The guesses, surest first; ``doubtful`` when a question should be asked instead of acting on them."""

    guesses: tuple[Guess, ...]
    doubtful: bool


class Classifier:
    """``utterances``: texts by intent, with those that fit none under "none". Training takes about a fifth of a second."""

    def __init__(self, utterances: Mapping[str, Sequence[str]]) -> None:
        self._labels = list(utterances)
        documents = [_features(text) for texts in utterances.values() for text in texts]
        targets = [place for place, texts in enumerate(utterances.values()) for _ in texts]
        seen_in = Counter(feature for document in documents for feature in document)
        kept = sorted(feature for feature, count in seen_in.items() if count >= 2 or feature.startswith("w:"))
        self._places = {feature: place for place, feature in enumerate(kept)}
        self._idf = np.array([math.log(1 + len(documents) / seen_in[f]) for f in kept], dtype=np.float32)
        self._weights = _trained(np.stack([self._vector(d) for d in documents]), np.array(targets), len(self._labels))

    def classify(self, text: str) -> Classified:
        """Quoted text and code are content: they never choose an intent."""
        said = without_quotes(text)[:LONGEST_TEXT]
        if not said.strip():
            return Classified(guesses=(Guess(type="general.chat", confidence=1.0),), doubtful=False)
        shares = _softmax(self._vector(_features(said)) @ self._weights)
        return _decide(dict(zip(self._labels, (float(share) for share in shares), strict=True)))

    def _vector(self, counts: Counter[str]) -> Floats:
        """TF-IDF of length 1, with a last element of 1 for the bias."""
        vector = np.zeros(len(self._places) + 1, dtype=np.float32)
        for feature, count in counts.items():
            place = self._places.get(feature)
            if place is not None:
                vector[place] = (1 + math.log(count)) * self._idf[place] * (1.0 if feature[0] == "w" else 0.4)
        length = float(np.linalg.norm(vector)) or 1.0
        vector /= length
        vector[-1] = 1.0
        return vector


def _trained(vectors: Floats, targets: Any, classes: int) -> Floats:  # Any: an array of whole numbers
    """Multinomial logistic regression by gradient descent with momentum: the same data give the same weights.

    The weights are always a sum of the texts' vectors. To look for each text's share in it takes the same steps, over
    some hundred texts in place of thousands of features.
    """
    wanted = np.eye(classes, dtype=np.float32)[targets]
    shares = np.zeros_like(wanted)
    momentum = np.zeros_like(shares)
    likeness = vectors @ vectors.T
    for _ in range(STEPS):
        gradient = (_softmax(likeness @ shares) - wanted) / len(vectors) + DECAY * shares
        momentum = 0.9 * momentum - RATE * gradient
        shares += momentum
    return cast(Floats, vectors.T @ shares)


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return cast(Floats, powers / powers.sum(axis=-1, keepdims=True))


@lru_cache(maxsize=1)
def load_classifier(file: Path = UTTERANCES) -> Classifier:
    """Learn from the utterances, once in a process."""
    return Classifier(yaml.safe_load(file.read_text(encoding="utf-8")))


def without_quotes(text: str) -> str:
    """A text without what it quotes: code, and anything in quotation marks that is longer than a name."""
    text = re.sub(r"```.*?(```|$)", " ", text, flags=re.DOTALL)
    text = re.sub(r"`[^`\n]*`", " ", text)
    text = re.sub(r"^[ \t]{0,8}>.*$", " ", text, flags=re.MULTILINE)
    return re.sub(r"(?<!\w)([\"'“‘])(?=\S)[^\"'”’\n]{12,}?([\"'”’])(?!\w)", " ", text)


def _decide(shares: Mapping[str, float]) -> Classified:
    none = shares.get(NONE, 0.0)
    known = sorted(((share, label) for label, share in shares.items() if label != NONE), reverse=True)
    guesses = tuple(Guess(type=cast(IntentType, label), confidence=round(share, 3)) for share, label in known)
    if none > guesses[0].confidence:
        rest = tuple(guess for guess in guesses if guess.type != "general.chat")
        return Classified(guesses=(Guess(type="general.chat", confidence=round(none, 3)), *rest), doubtful=False)
    margin = guesses[0].confidence - guesses[1].confidence
    return Classified(guesses=guesses, doubtful=guesses[0].confidence < DOUBTFUL and margin < CLOSE)


# Words that stand for a kind of thing: "train me on heaps" should resemble "train me on stacks".
_KINDS = (
    ("PROVIDER", "claude anthropic openai gpt gemini google deepseek ollama mistral groq cohere llama sonnet opus qwen"),
    ("LANGUAGE", "python javascript java go rust ruby typescript c++ c# kotlin swift bash php scala haskell"),
    ("TOPIC", "recursion string strings list lists array arrays dictionary dictionaries hash map maps stack stacks queue "
              "queues tree trees graph graphs sql sorting search pointers closures generators decorators classes "
              "regular expressions parsing numbers primes joins concurrency algorithms git docker"),
    ("MONEY", "dollar dollars $ cents usd euro euros budget budgets spend spent spending cost costs"),
    ("WHEN", "daily weekly monthly every each morning evening night nightly monday friday schedule scheduled recurring"),
)  # fmt: skip
_KIND_OF = {word: kind for kind, words in _KINDS for word in words.split()}


def _features(text: str) -> Counter[str]:
    """Words, pairs of words, kinds of words, and runs of four letters."""
    words = [_word(word) for word in re.findall(r"\$|[\w+#.~/@:\\-]*[\w/]|~", text.lower())]
    kinds = [_KIND_OF.get(word, word) for word in words]
    pairs = [f"{a} {b}" for a, b in zip(["START", *kinds], [*kinds, "END"], strict=True)]
    framed = [f"^{word}$" for word in words if word.islower()]
    letters = [word[start : start + 4] for word in framed for start in range(max(1, len(word) - 3))]
    named = [*words, *(kind for kind in kinds if kind.isupper()), *pairs, f"{len(words) > 3} long"]
    return Counter([f"w:{name}" for name in named] + [f"c:{four}" for four in letters])


def _word(word: str) -> str:
    if word.isdecimal() or re.fullmatch(r"\d+([:.]\d+)?(am|pm)?", word):
        return "NUMBER"
    is_path = re.match(r"[~.]*/|[a-z]:\\|https?:|git@", word) or re.fullmatch(r"[\w.-]+/[\w.-]+", word)
    return "PATH" if is_path and word != "/" else word
