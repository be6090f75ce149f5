"""What a text wants to be done about budgets, read strictly, because it is money: only a plain order with one amount
sets a limit. Pure."""

import re
from typing import TypedDict

from app.number_words import NUMBER_WORDS

PROVIDERS = {
    "claude": "anthropic",
    "anthropic": "anthropic",
    "sonnet": "anthropic",
    "opus": "anthropic",
    "haiku": "anthropic",
    "openai": "openai",
    "gpt": "openai",
    "chatgpt": "openai",
    "gemini": "gemini",
    "google": "gemini",
    "deepseek": "deepseek",
    "ollama": "ollama",
    "local": "ollama",
    "offline": "ollama",
}


class Wish(TypedDict, total=False):
    """Nothing where a text only asks. ``unclear`` is what keeps an order from being followed, in words; then there is
    nothing else."""

    amount_usd: float
    is_burst: bool
    lifts: bool
    provider: str
    capped_intent: str
    unclear: str


EXAMPLE = "For example: cap my spending at 5 dollars"
LONGEST_ORDER = 300  # characters; what is longer tells a story

_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS = {word: n for n, word in enumerate(NUMBER_WORDS)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_WORDS |= {"a": 1, "an": 1}
_TIMES = {"hundred": 100, "thousand": 1000}
_SPELLED = re.compile(
    rf"\b(?:(?:{'|'.join(_WORDS)})[ -])?(?:{'|'.join([*_WORDS, *_TIMES])})(?:[ -](?:{'|'.join(_TIMES)}))?"
    r"(?= (?:dollars?|bucks?|usd|cents?|euros?|pounds?)\b)"
)
_BEFORE = r"us\$|\$|usd|€|£|eur|gbp"
_AFTER = r"dollars?|bucks?|usd|\$|cents?|euros?|eur|pounds?|gbp|€|£"
_AMOUNT = re.compile(
    rf"(?P<minus>(?<![\w.])-|\bminus )?(?:(?P<before>{_BEFORE}) ?)?(?<![\w.,])(?P<minus2>-)?"
    rf"(?P<number>\d{{1,12}}(?:[.,]\d{{1,9}}){{0,3}})(?P<k>k\b| thousand\b| grand\b)?(?: ?(?P<after>{_AFTER})(?!\w))?"
)
_OTHER_MONEY = re.compile(r"€|£|eur|gbp|pound")
_PERIOD = re.compile(
    r"(?:\b(?:per|a|an|each|every|this)|/) ?(?:day|week|year|hour|quarter|call|request|question|message|chat|session)\b"
    r"|\b(?:daily|weekly|yearly|hourly|annually)\b"
)
_POLITE = (
    r"(?:(?:please|ok|okay|so|now|hey|hi|hello|then|just|can you|could you|would you|will you|can i|could i|may i|i want you to"
    r"|i'd like you to|i want to|i'd like to|i would like to|i need to|let's|let us|from now on)[, ]+)*"
)
_LIMIT = r"(?:budgets?|caps?|limits?|allowance|spending)"
_SETS = re.compile(
    rf"{_POLITE}(?:(?:set|cap|limit|raise|increase|lower|reduce|decrease|change|put|make|restrict|keep|adjust|update|give"
    r"|allow|budget)\b|(?:use|spend) (?:at most|no more than|not more than|up to|only|max|maximum)\b"
    r"|(?:do not|don't|never|dont|i do not want to|i don't want to|stop me from|keep me from)(?: ever)?(?: let me)?"
    r" (?:spend(?:ing)?|us(?:e|ing)) (?:more than|over|above)\b"
    rf"|(?:my|the) (?:[\w-]+ ){{0,3}}{_LIMIT}(?: for [\w-]+)? (?:is|should be|shall be|must be|of)\b"
    rf"|{_LIMIT}(?: ?[:=]| of| to| at) )"
)
_LIFTS = re.compile(
    rf"{_POLITE}(?:(?:remove|lift|delete|drop|cancel|clear|end|get rid of|take off|switch off|turn off|undo|forget)"
    rf"(?: [\w$.-]+){{0,4}} {_LIMIT}\b|no (?:more )?(?:limit|cap)\b|(?:i want )?unlimited\b)"
)
_ABOUT = re.compile(rf"\b(?:{_LIMIT}|spend|burst|cap|limit)\b")
_CAPPED = re.compile(r"\b(?:on|for|limit|cap|restrict)(?: my)? (chat|chatting|conversations?|lessons?|training)\b")
_TARGET = re.compile(r"\b(?:for|on|of) (?:the )?([a-z][\w.-]*)")
_NO_TARGET = frozenset({
    "a", "an", "the", "my", "me", "myself", "this", "these", "that", "those", "all", "every", "everything", "each", "next", "now",
    "month", "months", "models", "model", "ai", "llm", "llms", "calls", "tokens", "use", "usage", "spending", "budget", "us",
    "today", "it", "providers", "burst", "monthly", "thirty", "up", "about", "top", "average", *_WORDS,
})  # fmt: skip


def wish_of(text: str) -> Wish:
    """What a text orders about budgets. A question, a condition, a story or a "don't" orders nothing."""
    if len(text) > LONGEST_ORDER:
        return Wish()
    plain = " ".join(text.replace("’", "'").lower().split())
    for clause in re.findall(r"(?:[^.;!?]|\.(?=\d))+[.;!?]*", plain):
        order = _SPELLED.sub(lambda match: str(_spelled(match[0])), clause.strip())
        if order.endswith("?") and not re.match(r"(?:please|can|could|would|will|may)\b", order):
            continue
        if _LIFTS.match(order):
            return _lift(order)
        if _SETS.match(order) and (_ABOUT.search(order) or _provider_in(order)):
            return _limit(order)
    return Wish()


def amount_of(text: str) -> float | str:
    """The one amount of dollars in a text, or what keeps it from being one."""
    if _PERIOD.search(text):
        return "budgets are for 30 rolling days, and for nothing else"
    if re.search(r"\bfrom\b.{1,40}\bto\b", text):
        text = text.rpartition(" to ")[2]
    found = [match for match in _AMOUNT.finditer(text) if not re.match(r" ?days\b", text[match.end() :])]
    if len(found) != 1:
        return "I found no amount" if not found else "there is more than one amount"
    (match,) = found
    if _OTHER_MONEY.search(f"{match['before'] or ''} {match['after'] or ''}"):
        return "budgets are in US dollars"
    if match["minus"] or match["minus2"]:
        return "a budget cannot be less than nothing"
    if re.search(r"\bby $", text[: match.start()]):
        return "I need the new limit, not by how much it changes"
    number = _number(match["number"])
    if number is None:
        return f"{match['number']!r} can be read in two ways"
    if (match["after"] or "").startswith("cent"):
        number /= 100
    return number * (1000 if match["k"] else 1)


def _limit(order: str) -> Wish:
    amount = amount_of(order)
    if isinstance(amount, str):
        return Wish(unclear=amount)
    wish = Wish(amount_usd=amount, **_target(order))
    if re.search(r"\bburst\b", order):
        if "provider" not in wish:
            return Wish(unclear="a burst budget belongs to a provider, and I found none")
        wish["is_burst"] = True
    return wish


def _lift(order: str) -> Wish:
    if provider := _provider_in(order):
        return Wish(unclear=f"the budget for {provider} is not lifted, only changed")
    return Wish(lifts=True, **_target(order))


def _target(order: str) -> Wish:
    """A provider, or a kind of conversation; a name that is neither is taken for a provider, which the purse knows or
    not."""
    if capped := _CAPPED.search(order):
        return Wish(capped_intent="general.chat" if capped[1].startswith("c") else "learn.review-topic")
    if provider := _provider_in(order):
        return Wish(provider=provider)
    names = [name.rstrip(".") for name in _TARGET.findall(order) if name.rstrip(".") not in _NO_TARGET]
    return Wish(provider=names[0]) if names else Wish()


def _provider_in(text: str) -> str | None:
    return next((PROVIDERS[word] for word in re.findall(r"[\w+#]+", text) if word in PROVIDERS), None)


def _number(text: str) -> float | None:
    """A number as people write it: "1,000", "5.50", "5,50"; None for one that is two ("1.000")."""
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d{1,6})?", text):
        return float(text.replace(",", ""))
    if re.fullmatch(r"\d{1,9},\d{1,2}", text):
        return float(text.replace(",", "."))
    if re.fullmatch(r"\d{1,9}(?:\.\d{1,6})?", text) and not re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", text):
        return float(text)
    return None


def _spelled(text: str) -> int:
    total = 0
    for word in re.split(r"[ -]", text):
        total = max(1, total) * _TIMES[word] if word in _TIMES else total + _WORDS[word]
    return total
