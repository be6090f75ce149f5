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


CHANGES_BY = "I need the new limit, not by how much it changes"
EXAMPLE = "For example: cap my spending at 5 dollars"
LONGEST_ORDER = 300  # characters; what is longer tells a story

_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS = {word: n for n, word in enumerate(NUMBER_WORDS)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_WORDS |= {"a": 1, "an": 1}
_TIMES = {"hundred": 100, "thousand": 1000}
_WORD = "|".join([*_WORDS, *_TIMES])
_SPELLED = re.compile(
    rf"\b(?:(?:{_WORD}|and)[ -]){{0,8}}(?:{_WORD})(?= (?:dollars?|bucks?|usd|cents?|euros?|pounds?)\b)"
)
_UNREADABLE = re.compile(
    rf"\b(?:half|quarter|point|dozen|million|billion|{'|'.join([*_TIMES, *_TENS, *NUMBER_WORDS[2:]])})\b"
)
_BEFORE = r"us\$|\$|usd|€|£|eur|gbp"
_AFTER = r"dollars?|bucks?|usd|\$|cents?|euros?|eur|pounds?|gbp|€|£"
_AMOUNT = re.compile(
    rf"(?<![\w.,])(?P<minus>-|minus )?(?:(?P<before>{_BEFORE}) ?)?(?P<minus2>-)?"
    rf"(?P<number>\d{{1,12}}(?:[.,]\d{{1,9}}){{0,3}})(?P<k>k| thousand| grand)?(?: ?(?P<after>{_AFTER}))?(?!\w)"
)
_CURRENCY = re.compile(r"\$|\b(?:dollars?|bucks?|usd|cents?)\b|usd ?\d")
_OTHER_MONEY = re.compile(r"€|£|eur|gbp|pound")
_NO_AMOUNT = re.compile(
    r"\b\d{1,3}[- ]days?\b|\b(?:gpt|claude|gemini|deepseek|llama|qwen|mistral|o\d)-?[\w.:-]*\d[\w.:-]*"
)
_PERIOD = re.compile(
    r"(?:\b(?:per|a|an|each|every|this)|/) ?(?:day|week|year|hour|quarter|call|request|question|message|session)\b"
    r"|\b(?:daily|weekly|yearly|hourly|annually)\b"
)
_BARE = re.compile(  # a number without a currency is one only where it ends the order
    r"(?:\b(?:to|at|of|is|be|than|most|only|max|maximum|budget|cap)|[:=]) ?\d[\d.,]*k?"
    r"(?:(?: (?:a|per|each|every)|/) ?mo(?:nth)?| monthly| for (?:the next )?30 days| this month| please)?\W*$"
)
_POLITE = (
    r"(?:(?:please|ok|okay|so|now|hey|hi|hello|then|just|actually|no|and|but|well|can you|could you|would you|can we|could we"
    r"|i want you to|i'd like you to|i want to|i'd like to|i would like to|i need to|let's|let us|from now on)[, ]+)*"
)
_LIMIT = r"(?:budgets?|caps?|limits?|allowance|spending)"
_SETS = re.compile(
    rf"{_POLITE}(?:(?P<told>(?:only )?(?:use|spend) (?:at most|no more than|not more than|up to|only|max|maximum)\b"
    rf"|only (?:use|spend)\b|(?:my|the) (?:[\w-]+ ){{0,3}}{_LIMIT}(?: for [\w-]+)? (?:is|should be|shall be|must be|of)\b"
    rf"|{_LIMIT}(?: ?[:=]| of| is) )|(?P<verb>set|reset|cap|limit|raise|increase|lower|reduce|decrease|change|put|make|restrict|keep|adjust|update"
    r"|give|allow|budget|add|create)\b|(?:do not|don't|never|dont|i do not want to|i don't want to|stop me from|keep me from)(?: ever)?"
    r"(?: let me)? (?:(?:spend(?:ing)?|us(?:e|ing)) (?:more than|over|above)|go(?:ing)? over|exceed)\b"
    rf"|(?:i want|i need|i'd like|i would like) (?:a |an |my )?(?:[\w-]+ ){{0,2}}{_LIMIT} (?:of|at|to be)\b"
    rf"|{_LIMIT} (?:to|at) )"
)
# What stands in no order: it tells of a limit, or sets one of something else.
_TELLS = re.compile(
    r"\b(?:not|wrong|too|percent|alert|alerts|warn|when|if|once|unless|reaches|because|lines?|words?|characters?|tokens?|minutes?"
    r"|seconds?|times|variable|price|rate|output|memory|size|spent|gone|exceeded|left|more(?! than)|another|extra|additional|nothing|calls?|requests?|models?)\b|%"
)
_OWN = rf"(?:my|the|this|our|own|spending|budget|monthly|total|overall|chat|chatting|lessons?|training|\$?[\d.,]+|dollars?|{'|'.join(PROVIDERS)})"
_LIFTS = re.compile(
    rf"{_POLITE}(?:(?:remove|lift|delete|drop|cancel|clear|end|get rid of|take off|switch off|turn off|undo|forget)"
    rf"(?: {_OWN}){{0,5}} {_LIMIT}(?: on [\w ]{{1,30}}| for [\w ]{{1,30}}| please)?\W*$"
    rf"|(?P<told>no (?:more )?(?:spending )?(?:limit|cap)s?(?: (?:on|for) (?:my )?(?:spending|budget|costs?|chat|lessons?|training))?"
    r"|(?:i want )?unlimited(?: spending| budget)?(?: please)?)\W*$)"
)
_ABOUT = re.compile(rf"\b(?:{_LIMIT}|spend|burst|cap|limit)\b")
_KIND = r"(chat|chatting|conversations?|lessons?|training)"
_CAPPED = re.compile(rf"\b(?:on|for|limit|cap|restrict)(?: my)? {_KIND}\b|\b{_KIND} (?:cap|limit|budget)\b")
_TARGET = re.compile(r"\b(?:for|on|of) (?:the )?([a-z][\w.-]*)")
_BEFORE_LIMIT = re.compile(rf"^((?:[\w'.-]+ ){{0,4}}){_LIMIT}\b")
_NO_TARGET = frozenset({
    "a", "an", "the", "my", "me", "myself", "this", "these", "that", "those", "all", "every", "everything", "each", "next", "now",
    "month", "months", "models", "model", "ai", "llm", "llms", "calls", "use", "usage", "spending", "budget", "us", "our", "own",
    "today", "it", "providers", "burst", "monthly", "thirty", "up", "about", "top", "average", "new", "total", "overall",
    "personal", "of", "for", "on", "to", "at", "dollar", "dollars", "cap", "limit", *_WORDS,
})  # fmt: skip


_PLEASANTRIES = frozenset({
    "thank", "thanks", "cheers", "great", "perfect", "good", "morning", "evening", "day", "very", "much", "lot", "advance", "there",
    "understood", "hi", "hello", "hey", "a", "in", "nice", "cool",
})  # fmt: skip


def _tells_more(clause: str) -> bool:
    """Whether a clause has words beside those of an order about money, and of politeness."""
    return any(
        word not in _PLEASANTRIES and not _KNOWN.fullmatch(word) for word in re.findall(r"[a-z]+", clause)
    ) or bool(re.search(r"\d", clause))


def wish_of(text: str) -> Wish:
    """What a text orders about budgets. A question, a condition, a story or a "don't" orders nothing."""
    if len(text) > LONGEST_ORDER:
        return Wish()
    plain = " ".join(text.replace("’", "'").lower().split())
    unclear = Wish()
    is_about = False
    clauses = re.findall(r"(?:[^.;!?]|\.(?=\d))+[.;!?]*", plain)
    asks = any(_asks(clause.strip()) for clause in clauses)
    telling = [place for place, clause in enumerate(clauses) if _tells_more(clause)]
    for place, clause in enumerate(clauses):
        order = _SPELLED.sub(lambda match: str(_spelled(match[0])), clause.strip())
        is_about = is_about or bool(_ABOUT.search(order) or _providers_in(order))
        if _asks(order) or (
            asks and re.match(r"(?:my|the) ", order)
        ):  # "my budget is 1000 dollars; which one shall I buy?"
            continue
        stands_alone = all(other == place for other in telling)
        if not stands_alone and any((found := form.match(order)) and found["told"] for form in (_LIFTS, _SETS)):
            continue  # "My budget is 2000 dollars. Write a function that splits it."
        wish = _lift(order) if _LIFTS.match(order) else _limit(order) if is_about else Wish()
        if wish and "unclear" not in wish:
            return wish
        unclear = unclear or wish
    return unclear


def is_order(text: str) -> bool:
    """Whether a text orders something of budgets beyond doubt, whatever else it may look like."""
    wish, plain = wish_of(text), text.lower()
    if "lifts" in wish:  # "no limits" may be said of anything
        return re.search(r"\b(?:budgets?|caps?|spending|spend|costs?)\b", plain) is not None
    return "amount_usd" in wish and _CURRENCY.search(plain) is not None


def _asks(clause: str) -> bool:
    return clause.endswith("?") and not re.match(r"(?:please\b|(?:can|could|would) (?:you|we)\b)", clause)


def amount_of(text: str) -> float | str:
    """The one amount of dollars in a text, or what keeps it from being one."""
    if _PERIOD.search(text):
        return "budgets are for 30 rolling days, and for nothing else"
    if re.search(r"\bfrom\b.{1,40}\bto\b", text):
        text = text.rpartition(" to ")[2]
    text = _NO_AMOUNT.sub(" ", text)
    if _UNREADABLE.search(re.sub(r"\d (?:thousand|grand)\b", "", text)):
        return "I read amounts in digits alone"
    found = list(_AMOUNT.finditer(text))
    if len(found) != 1:
        return "I found no amount" if not found else "there is more than one amount"
    (match,) = found
    if _OTHER_MONEY.search(f"{match['before'] or ''} {match['after'] or ''}"):
        return "budgets are in US dollars"
    if match["minus"] or match["minus2"]:
        return "a budget cannot be less than nothing"
    if re.search(r"\bby $", text[: match.start()]):
        return CHANGES_BY
    number = _number(match["number"])
    if number is None:
        return f"{match['number']!r} can be read in two ways"
    if (match["after"] or "").startswith("cent"):
        number /= 100
    return number * (1000 if match["k"] else 1)


_ONE_MODEL = re.compile(r"\b(?:gpt|claude|gemini|deepseek)-[\w.-]*\w")


def _limit(order: str) -> Wish:
    sets = _SETS.match(order)
    if sets is None or _TELLS.search(order[sets.end() :]):
        return Wish()
    amount = amount_of(order)
    if isinstance(amount, str):
        asks = sets["verb"] is not None or re.search(r"\d", order)
        return Wish(unclear=amount) if asks else Wish()
    if not _CURRENCY.search(order) and not _BARE.search(order):
        return Wish()
    providers = _providers_in(order)
    if len(providers) > 1:
        return Wish(unclear="it names more than one provider")
    if _CHANGES.match(order[sets.start("verb") :] if sets["verb"] else ""):
        return Wish(unclear=CHANGES_BY)
    if re.search(r"\bthis (?:chat|conversation|thread|session)\b", order):
        return Wish(unclear="a cap is for all that you spend, or for one kind of use, and not for one conversation")
    if strange := _strange_word(order, target := _target(order, order[sets.end() :].lstrip())):
        return Wish(unclear=f"I do not know what {strange!r} means here")
    if _ONE_MODEL.search(order):
        return Wish(unclear=f"it names a single model, and a budget is for all models of {providers[0]}")
    wish = Wish(amount_usd=amount, **target)
    if re.search(r"\bburst\b", order):
        if "provider" not in wish:
            return Wish(unclear="a burst budget belongs to a provider, and I found none")
        wish["is_burst"] = True
    return wish


# "raise my cap 5 dollars", "add 5 dollars to my budget": by how much, where a new limit is set "to", "at" or "of" something.
_CHANGES = re.compile(
    r"(?:add|put|give|allow) (?:me )?(?:another |some )?(?:[\w$.,]+ )?(?:\$ ?[\d.,]+|[\d.,]+ ?(?:dollars?|bucks?|usd|\$|cents?))"
    r"|(?:raise|increase|lower|reduce|decrease)\b(?!.*\b(?:to|at|of)\b)"
)
_KNOWN = re.compile(
    rf"(?:{_LIMIT}|{_AFTER}|{_BEFORE}|{'|'.join([*_WORDS, *_TIMES, *PROVIDERS])}"
    r"|set|reset|cap|limit|raise|increase|lower|reduce|decrease|change|put|make|restrict|keep|adjust|update|give|allow|budget|add|create"
    r"|chat|chatting|chats|conversations?|lessons?|training|spend|spending|us(?:e|ing|age)|go|going|exceed|than|over|above|more|most|no|not"
    r"|only|max|maximum|up|to|at|of|is|be|should|shall|must|for|on|by|from|with|in|total|overall|all|everything|stop|from|let|lets|me|my|mine|our"
    r"|the|this|that|it|its|please|ok|okay|so|now|hey|hi|hello|then|just|actually|and|but|well|can|could|would|will|you|we|i|may|want|like|need"
    r"|do|don|dont|d|t|s|us|never|ever|mo|months?|monthly|per|each|every|next|rolling|days?|thanks?|here|money|costs?|models?|ai|llms?|calls?"
    r"|burst|own|personal|new|average|about|k|grand|get)"
)


def _strange_word(order: str, target: Wish) -> str | None:
    """The first word that has no place in an order about budgets: then it may be one about something else."""
    order = _NO_AMOUNT.sub(" ", order)
    named = {target.get("provider", "")}
    return next((w for w in re.findall(r"[a-z]+", order) if w not in named and not _KNOWN.fullmatch(w)), None)


def _lift(order: str) -> Wish:
    if providers := _providers_in(order):
        return Wish(
            unclear=f"the budget for {providers[0]} is not lifted, only changed; `/budget {providers[0]} off` asks it no more"
        )
    return Wish(lifts=True, **_target(order, ""))


def _target(order: str, after_verb: str) -> Wish:
    """A provider, or a kind of conversation; a name that is neither is taken for a provider, which the purse knows or
    not."""
    if capped := _CAPPED.search(order):
        return Wish(capped_intent=kind_of_use(capped[1] or capped[2]) or "")
    if providers := _providers_in(order):
        return Wish(provider=providers[0])
    before = _BEFORE_LIMIT.match(after_verb)
    named = [*(before[1].split() if before else ()), *_TARGET.findall(order)]
    names = [name.strip(".,").removesuffix("'s") for name in named]
    unknown = [name for name in names if name not in _NO_TARGET and not re.search(r"\d", name)]
    return Wish(provider=unknown[0]) if unknown else Wish()


def kind_of_use(name: str) -> str | None:
    """The intent that people call so, of those that may be capped by these names."""
    if re.fullmatch(_KIND, name) is None:
        return None
    return "general.chat" if name.startswith("c") else "learn.review-topic"


def _providers_in(text: str) -> list[str]:
    return list(dict.fromkeys(PROVIDERS[word] for word in re.findall(r"[a-z]+", text) if word in PROVIDERS))


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
    """The number of words such as "two hundred and fifty"."""
    total = part = 0
    for word in re.split(r"[ -]", text):
        if word == "thousand":
            total, part = total + max(1, part) * 1000, 0
        elif word in _TIMES:
            part = max(1, part) * _TIMES[word]
        elif word in _WORDS:
            part += _WORDS[word]
    return total + part
