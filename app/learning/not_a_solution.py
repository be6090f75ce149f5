"""Tells what was sent by mistake from a solution: the task itself, the start as it was given, code of another language.
It gets a sentence, and is no attempt. Pure."""

import re

from app.errors import InvalidInput
from app.learning import kinds
from app.learning.challenge_files import AnswerChallenge, Challenge
from app.learning.languages import LANGUAGES
from app.learning.languages.base import LanguageName

# A function of C, of C++, or of Java without its class, and of no language that has a word for functions.
_TYPED_FUNCTION = (
    r"^(?!(?:public|private|protected|function|func|fn|def|class|return|else|final|async|export)\b)"
    r"[A-Za-z_][\w :<>,*&\[\]]{0,120}[ *&]\w{1,60}\([^;{}]{0,400}\)\s{0,9}\{"
)
# How a program of each language plainly begins, and of no other one that it could be taken for.
_BEGINS: dict[LanguageName, re.Pattern[str]] = {
    "python": re.compile(r"^(?:async )?def \w{1,80}\([^\n]{0,300}\)[^\n]{0,80}:[ \t]*(?:#|$)", re.MULTILINE),
    "typescript": re.compile(
        r"^(?:export )?function \w{1,80}\([^\n)]{0,300}: ?(?:number|string|boolean)", re.MULTILINE
    ),
    "javascript": re.compile(
        r"^(?:export )?(?:async )?function \w+\(.*\)\s*\{|^(?:const|let) \w+ = .*=>", re.MULTILINE
    ),
    "go": re.compile(r"^func \w{1,80}\(", re.MULTILINE),
    "rust": re.compile(r"^(?:pub )?fn \w+", re.MULTILINE),
    "cpp": re.compile(
        r"^#include {0,3}<(?:iostream|vector|string|map|algorithm)>|^using namespace std;"
        r"|^(?:std::)?(?:vector|optional|map|set|pair|unordered_map)<[^\n;{}]{1,120} \w{1,60}\([^;{}]{0,400}\)\s{0,9}\{"
        r"|^\w[\w :<>]{0,80} \w{1,60}\((?=[^;{}]{0,400}(?:vector<|map<|optional<|string ?&))[^;{}]{0,400}\)\s{0,9}\{",
        re.MULTILINE,
    ),
    "java": re.compile(
        r"^ {0,8}public (?:static|class) "
        r"|^(?:final )?class \w{1,60} ?\{\s{0,20}(?:private )?static (?:final )?"
        r"[\w<>\[\], ]{1,60} \w{1,60}\([^\n:]{0,200}\{"
        r"|^ {0,8}static (?=[^\n]{0,300}(?:String|List<|Map<|Set<|boolean|\[\] ))[\w<>\[\], ]{1,80} \w{1,60}\(",
        re.MULTILINE,
    ),
    "ruby": re.compile(r"^def [a-z_]\w{0,80}[?!]?(?:\([^\n)]{0,200}\))?[ \t]*$", re.MULTILINE),
    "c": re.compile(
        r"^#include {0,3}<(?:stdio|stdlib|string|stdbool|ctype)\.h>"
        r"|^(?:static |const ){0,2}(?:char \*|long long |size_t |list_\w{1,20} )\w{1,60}\([^;{}]{0,400}\)\s{0,9}\{",
        re.MULTILINE,
    ),
    "bash": re.compile(r"^#![^\n]{1,60}\b(?:ba)?sh\b"),
    "sql": re.compile(r"\A\s*(?:SELECT\b[^;]{1,4000}\bFROM\b|WITH \w{1,60} AS \()", re.IGNORECASE),
}  # fmt: skip
# Further signs of the language that is asked for: what has one of them is an attempt, whatever else it looks like.
_OWN: dict[LanguageName, re.Pattern[str]] = {
    "c": re.compile(_TYPED_FUNCTION, re.MULTILINE),
    "cpp": re.compile(_TYPED_FUNCTION + r"|^\};", re.MULTILINE),
    "javascript": re.compile(r"^(?:const|let) \w+ =|^function\b", re.MULTILINE),
    "typescript": re.compile(
        r"^(?:export )?(?:(?:const|let) \w+(?: ?:[^=\n]{1,80})? =|(?:function|interface|type)\b)", re.MULTILINE
    ),
    "java": re.compile(_TYPED_FUNCTION, re.MULTILINE),
    "bash": re.compile(
        r"\b(?:echo|awk|grep|sed|sort|wc|cut|tr|cat|find|xargs|head|tail|uniq|printf|read|tac|paste|join|comm|tee|seq) "
        r"|\$[({\d]|^\s{0,20}(?:fi|done|esac)\b",
        re.MULTILINE,
    ),
}
LOOKED_AT = 20_000  # characters
_RELATED: dict[LanguageName, frozenset[LanguageName]] = {
    "typescript": frozenset({"javascript"}), "cpp": frozenset({"c"}), "c": frozenset({"cpp"}),
}  # fmt: skip


def check(challenge: Challenge, language: LanguageName, code: str) -> None:
    """Refuse what is plainly no solution.

    Raises:
        InvalidInput: it is the statement, the start of the editor, or written in another language.
    """
    if _same(code, challenge.statement):
        raise InvalidInput("That is the task itself. Send your solution of it.")
    if isinstance(challenge, AnswerChallenge):
        return
    if _same(code, kinds.stub(challenge, language)):
        raise InvalidInput("That is the start as it was given. Change it first.")
    code = code[:LOOKED_AT]
    signs = [patterns[language] for patterns in (_BEGINS, _OWN) if language in patterns]
    if not any(sign.search(code) for sign in signs) and (other := _other_language(language, code)):
        raise InvalidInput(
            f"That looks like {LANGUAGES[other].title}, and this is to be in {LANGUAGES[language].title}. "
            "Choose the language in the card, or name it behind the three backticks."
        )


def _other_language(language: LanguageName, code: str) -> LanguageName | None:
    related = _RELATED.get(language, frozenset())
    return next((name for name, begins in _BEGINS.items() if name not in related and begins.search(code)), None)


def _same(text: str, other: str) -> bool:
    return text.split() == other.split()
