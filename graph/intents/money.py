"""What a text wants to be done about budgets, read strictly, because it is money: only a plain order with one amount
sets a limit. Pure."""

import re
import unicodedata
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
_TO_99 = rf"(?:(?:{'|'.join(_TENS)})(?:[ -](?:{'|'.join(NUMBER_WORDS[1:10])}))?|(?:{'|'.join(NUMBER_WORDS[::-1])}))"
_TO_999 = rf"(?:(?:(?:a|{_TO_99}) )?hundred(?:(?: and)? {_TO_99})?|{_TO_99})"
_SPELLED = re.compile(  # whole numbers only: "two fifty" and "ten and twenty" leave a word that is no digits
    rf"\b(?<!one )(?:(?:(?:a|{_TO_999}) )?thousand(?:(?: and)? {_TO_999})?|{_TO_999}|an?)"
    r"(?=[ -](?:dollars?|bucks?|usd|cents?|euros?|pounds?)\b)"
)
_UNREADABLE = re.compile(
    rf"\b(?:half|quarter|point|dozen|million|billion|{'|'.join([*_TIMES, *_TENS, *NUMBER_WORDS[2:]])})\b"
)
_BEFORE = r"us\$|\$|usd|€|£|eur|gbp"
_AFTER = r"dollars?|bucks?|usd|\$|cents?|euros?|eur|pounds?|gbp|€|£"
_AMOUNT = re.compile(
    rf"(?<![\w.,])(?P<minus>-|minus )?(?:(?P<before>{_BEFORE}) ?)?(?P<minus2>-)?"
    rf"(?P<number>\d{{1,12}}(?:[.,]\d{{1,9}}){{0,3}})(?P<k> ?k| thousand| grand)?(?: ?(?P<after>{_AFTER}))?(?![\w%])"
)
_CURRENCY = re.compile(r"\$|\b(?:dollars?|bucks?|usd|cents?)\b|usd ?\d")
_OTHER_MONEY = re.compile(r"€|£|eur|gbp|pound")
_OTHER_DOLLARS = re.compile(r"\b(?!us\$)[a-z]{1,3}\$")
_NO_AMOUNT = re.compile(r"\b30[- ]days?\b|\b(?:gpt|claude|gemini|deepseek|llama|qwen|mistral|o\d)-?[\w.:-]*\d[\w.:-]*")
_PERIOD = re.compile(
    r"(?:\b(?:per|a|an|each|every|this)|/) ?(?:day|week|year|hour|quarter|call|request|question|message|session)\b"
    r"|/ ?(?:d|w|wk|y|yr|h|hr)\b|\b(?:daily|weekly|yearly|hourly|annually|weeks?|years?|hours?|quarters?)\b"
    r"|^day\b|(?<!30[- ])\bday (?:limit|cap|budget)\b|\b(?:per|each|every) (?:chat|conversation|thread|answer|lesson|user|person)\b"
    r"|\b(?!30[- ]days?\b|1[- ]months?\b)\d{1,3}[- ](?:hours?|days?|weeks?|months?|years?)\b"
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
_OWN = rf"(?:my|all|the|this|our|own|spending|budget|monthly|total|overall|chat|chatting|lessons?|training|\$?[\d.,]+|dollars?|{'|'.join(PROVIDERS)})"
_LIFTS = re.compile(
    rf"{_POLITE}(?:(?:(?:turn|switch|take)(?: {_OWN}){{0,5}} {_LIMIT} off|set(?: {_OWN}){{0,5}} {_LIMIT} to (?:off|none|unlimited)"
    r"|(?:remove|lift|delete|drop|cancel|clear|end|get rid of|take off|switch off|turn off|undo|forget|disable|deactivate)"
    rf"(?: {_OWN}){{0,5}} {_LIMIT})(?P<rest> on [\w ]{{1,30}}| for [\w ]{{1,30}}| please)?\W*$"
    rf"|(?P<told>no (?:more )?(?:spending )?(?:limit|cap)s?(?: (?:on|for) (?:my )?(?:spending|budget|costs?|chat|lessons?|training))?"
    r"|i (?:do not|don't|no longer) want (?:a|any|my|the) (?:spending )?(?:cap|limit)s?(?: any ?more| any longer)?"
    r"|(?:i want )?unlimited(?: spending| budget)?(?: please)?)\W*$)"
)
_ABOUT = re.compile(rf"\b(?:{_LIMIT}|spend|burst|cap|limit)\b")
_KIND = r"(chats?|chatting|conversations?|lessons?|training)"
# What makes a limit one of money: any other is set in programs too.
_SPENDING = re.compile(rf"\b(?:budgets?|allowance|spend\w*|costs?|burst|{_KIND})\b|{_CURRENCY.pattern}")
_MONEY = re.compile(
    rf"\b(?:budgets?|allowance|spend\w*|costs?|burst|caps?|my (?:[\w$.,]+ ){{0,2}}limits?)\b|{_CURRENCY.pattern}"
)
_FITS_BEFORE = re.compile(r"\b(?:i|i'm|i'll|i'd|my|money|expensive|cheap|costs?|bills?|broke)\b")
_WANTS_MORE = re.compile(
    r"(?:(?:please|now|can you|could you|i want you to) )*(?:write|help|give|explain|translate|show|tell|make|create|solve"
    r"|fix|review|implement|generate|summari[sz]e|find|draft|here|this|read|imagine|suppose|consider|let)\b"
)
_OF_ME = re.compile(r"\b(?:my|me|i|own)\b")
_TAKES_BACK = re.compile(
    r"(?:(?:oh|actually|ah)[, ]+)?(?:no|nope|stop|leave|keep|wait)\b|.*\b(?:never ?mind|kidding|jok(?:e|ing)|test|example"
    r"|(?:forget|ignore|scratch|cancel|undo) (?:it|that|this)|(?:do not|don't|dont) (?:do|change|set|touch)|not yet"
    r"|second thoughts?)\b"
)
_CORRECTS = re.compile(r"(?:no|oh|or|sorry|rather|better|actually|i mean|let's say|make (?:it|that))\b")
_CAPPED = re.compile(
    rf"\b(?:on|for|limit|cap|restrict)(?: (?:my|the|our|all|of))* {_KIND}\b|\b{_KIND} (?:cap|limit|budget)\b"
)
_TARGET = re.compile(r"\b(?:for|on|of) (?:the )?([a-z][\w.-]*)")
_BEFORE_LIMIT = re.compile(rf"^((?:[\w'.-]+ ){{0,4}}){_LIMIT}\b")
_NO_TARGET = frozenset({
    "a", "an", "the", "my", "me", "myself", "this", "these", "that", "those", "all", "every", "everything", "each", "next", "now",
    "month", "months", "models", "model", "ai", "llm", "llms", "calls", "use", "usage", "spending", "budget", "us", "our", "own",
    "today", "it", "providers", "burst", "monthly", "thirty", "up", "about", "top", "average", "new", "total", "overall",
    "personal", "of", "for", "on", "to", "at", "dollar", "dollars", "cap", "limit", "only", "spend", "never", "don", *_WORDS,
})  # fmt: skip


_PLEASANTRIES = frozenset({
    "thank", "thanks", "cheers", "great", "perfect", "good", "morning", "evening", "day", "very", "much", "lot", "advance", "there",
    "understood", "hi", "hello", "hey", "a", "in", "nice", "cool", "yes", "yeah", "sure", "got", "sorry", "sounds", "work",
    "help", "right", "alright", "fine", "done", "wait",
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
    clauses = [clause.strip() for clause in re.findall(r"(?:[^.;!?]|\.(?=\d))+[.;!?]*", plain_of(text))]
    asks = any(_asks(clause) for clause in clauses)
    telling = [place for place, clause in enumerate(clauses) if _tells_more(clause)]
    found: list[Wish] = []
    for place, clause in enumerate(clauses):
        order = _SPELLED.sub(lambda match: str(_spelled(match[0])), clause)
        is_about = any(_is_about(before) for before in clauses[: place + 1])
        if _asks(order) or (
            asks and re.match(r"(?:my|the) ", order)
        ):  # "my budget is 1000 dollars; which one shall I buy?"
            continue
        stands_alone = all(other == place for other in telling)
        if not stands_alone and any((told := form.match(order)) and told["told"] for form in (_LIFTS, _SETS)):
            continue  # "My budget is 2000 dollars. Write a function that splits it."
        wish = _lift(order) if _LIFTS.match(order) else _limit(order) if is_about else Wish()
        found += [_within(clauses, place, wish)] if wish else []
    clear = [wish for wish in found if "unclear" not in wish]
    if len(clear) > 1:
        return Wish(unclear="it gives more than one order")
    return next(iter([*clear, *found]), Wish())


def _within(clauses: list[str], place: int, wish: Wish) -> Wish:
    """An order among other clauses: it may be quoted, taken back or set anew by one of them."""
    before, after = clauses[:place], clauses[place + 1 :]
    if any(_asks(clause) for clause in before + after):
        return Wish(unclear="it asks something, too")
    strange = [clause for clause in before if _tells_more(clause) and not _is_about(clause)]
    fits = all(_FITS_BEFORE.search(clause) and not _WANTS_MORE.match(clause) for clause in strange)
    if strange and not (fits and (_OF_ME.search(clauses[place]) or _providers_in(clauses[place]))):
        return Wish(unclear="it says more than that, and I may take for an order what is none")
    amounts = [clause for clause in before + after if re.search(r"\d", clause)]
    if any(
        _CURRENCY.search(clause) or (clause in after and (_BARE.search(clause) or _CORRECTS.match(clause)))
        for clause in amounts
    ):
        return Wish(unclear="there is more than one amount")
    if any(_TAKES_BACK.match(clause) for clause in after):
        return Wish(unclear="you may have taken it back")
    return wish


def _is_about(clause: str) -> bool:
    return bool(_ABOUT.search(clause) or _providers_in(clause))


def plain_of(text: str) -> str:
    """A text in small letters, with the apostrophes, signs of minus and cents that are on every keyboard, and a digit
    before each point of a number."""
    plain = " ".join(text.replace("’", "'").replace("¢", " cents").lower().split())
    plain = re.sub(r"(?<![\w.,])\.(?=\d)", "0.", plain)
    return re.sub(r"(?<![\w.,])[−–—‒](?=[$€£]? ?\d)", "-", plain)


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
    if any(unicodedata.category(sign) == "Sc" and sign not in "$€£" for sign in text):
        return "budgets are in US dollars"
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
    if _OTHER_MONEY.search(f"{match['before'] or ''} {match['after'] or ''}") or _OTHER_DOLLARS.search(text):
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


# A line of a program, or of its settings.
_ASSIGNS = re.compile(r"(?:(?:set|let|const|var|int|float) )?[a-z_]\w* ?(?:[-+*/%:]?=|==|:) ?[\d.,_]+k?\W*$")
_ONE_MODEL = re.compile(r"\b(?:gpt|claude|gemini|deepseek)-[\w.-]*\w")


def _limit(order: str) -> Wish:
    sets = _SETS.match(order)
    if _ASSIGNS.match(order):
        return Wish(unclear="it reads like a line of a program") if _MONEY.search(order) else Wish()
    if sets is None or _TELLS.search(order[sets.end() :]):
        return Wish()
    amount = amount_of(order)
    if isinstance(amount, str):
        asks = sets["verb"] is not None or re.search(r"\d", order)
        return Wish(unclear=amount) if asks else Wish()
    if not _CURRENCY.search(order) and not _BARE.search(order):
        return Wish()
    if not _MONEY.search(order) and not _providers_in(order):
        return Wish(unclear="I am not sure that this is about money")
    providers = _providers_in(order)
    if len(providers) > 1:
        return Wish(unclear="it names more than one provider")
    if _CHANGES.match(order[sets.start("verb") :] if sets["verb"] else ""):
        return Wish(unclear=CHANGES_BY)
    if why := _of_a_part(order, order[sets.end() :]):
        return Wish(unclear=why)
    if strange := _strange_word(order, target := _target(order, order[sets.end() :].lstrip())):
        return Wish(unclear=f"I do not know what {strange!r} means here")
    if re.search(r"\b(?:its|their|his|her)\b", order):
        return Wish(unclear="I do not know whose budget is meant")
    if _ONE_MODEL.search(order):
        return Wish(unclear=f"it names a single model, and a budget is for all models of {providers[0]}")
    wish = Wish(amount_usd=amount, **target)
    if re.search(r"\b(?:no|not|without|but) (?:the |its |a |any )?burst\b", order):
        return Wish(unclear="I am not sure which of the provider's budgets is meant")
    if re.search(r"\bburst\b", order):
        if "provider" not in wish:
            return Wish(unclear="a burst budget belongs to a provider, and I found none")
        wish["is_burst"] = True
    return wish


def _of_a_part(order: str, rest: str) -> str | None:
    """Why there is no budget for what an order is about; ``rest`` comes after its verb."""
    if re.search(r"\bthis (?:chat|conversation|thread|session)\b", order):
        return "a cap is for all that you spend, or for one kind of use, and not for one conversation"
    if re.search(r"\b(?:everything|all|anything) but\b|\bexcept\b", rest):
        return "a budget leaves nothing out"
    if len({kind_of_use(name) for name in re.findall(rf"\b{_KIND}\b", order)}) > 1:
        return "it names more than one kind of use"
    return None


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
    lifts = _LIFTS.match(order)
    assert lifts is not None
    if lifts["told"] and not _SPENDING.search(order):
        return Wish()  # "no cap" is said of anything
    if not _MONEY.search(order):
        return Wish(unclear="I am not sure that this is about money; `/budget lift` is")
    if not lifts["told"] and not re.search(r"\b(?:budgets?|caps?|limits?|allowance)\b", order):
        return Wish(
            unclear="it may mean that nothing shall be spent (`/budget 0`), or as much as you like (`/budget off`)"
        )
    if why := _of_a_part(order, order):
        return Wish(unclear=why)
    if re.search(r"\ball\b", order):
        return Wish(unclear="I lift one at a time; `/budget` shows which there are")
    if re.search(r"\b(?:days?|weeks?|months?|years?|today|tomorrow)\b", lifts["rest"] or ""):
        return Wish(unclear="a cap is lifted until it is set again")
    if strange := _strange_word(lifts["rest"] or "", Wish()):
        return Wish(unclear=f"I do not know what {strange!r} means here")
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
    """A number as people write it: "1,000", "5.50", "5,50", "0,500"; None for one that is two ("1.000")."""
    if re.fullmatch(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d{1,6})?", text):
        return float(text.replace(",", ""))
    if re.fullmatch(r"\d{1,9},\d{1,2}|0,\d{1,9}", text):
        return float(text.replace(",", "."))
    if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", text) and not re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", text):
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
