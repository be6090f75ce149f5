"""The languages a challenge can be solved in."""

from app.errors import InvalidInput
from app.learning.languages.base import FunctionLanguage, Language, LanguageName
from app.learning.languages.bash import Bash
from app.learning.languages.c import C
from app.learning.languages.callers import read_all
from app.learning.languages.cpp import Cpp
from app.learning.languages.go import Go
from app.learning.languages.java import Java
from app.learning.languages.javascript import JavaScript, TypeScript
from app.learning.languages.python import Python
from app.learning.languages.ruby import Ruby
from app.learning.languages.rust import Rust
from app.learning.languages.sql import Sql

BASH, SQL = Bash(), Sql()
FUNCTION_LANGUAGES: dict[LanguageName, FunctionLanguage] = {
    language.name: language
    for language in (Python(), JavaScript(), TypeScript(), Java(), C(), Cpp(), Go(), Rust(), Ruby())
}
LANGUAGES: dict[LanguageName, Language] = {**FUNCTION_LANGUAGES, BASH.name: BASH, SQL.name: SQL}
ALIASES: dict[str, LanguageName] = {
    "py": "python", "python3": "python", "js": "javascript", "node": "javascript", "nodejs": "javascript",
    "ts": "typescript", "c++": "cpp", "cxx": "cpp", "golang": "go", "rs": "rust", "rb": "ruby", "sh": "bash",
    "shell": "bash", "sqlite": "sql",
}  # fmt: skip


def find_toolchains() -> None:
    """Look for the languages' interpreters once; the answers are kept, so that no request waits for the disk."""
    read_all()
    for language in LANGUAGES.values():
        language.toolchain()


def language_named(name: str) -> Language | None:
    """A language by its name or a common short form of it."""
    wanted = name.strip().lower()
    known = ALIASES.get(wanted) or next((known for known in LANGUAGES if known == wanted), None)
    return LANGUAGES[known] if known else None


def known_language(name: str) -> LanguageName:
    """A language by one of its names.

    Raises:
        InvalidInput: there is none of that name.
    """
    language = language_named(name)
    if language is None:
        raise InvalidInput(f"{name!r} is not a language for challenges. Say one of: {', '.join(LANGUAGES)}.")
    return language.name


def usable() -> list[Language]:
    """The languages whose toolchain is here."""
    return [language for language in LANGUAGES.values() if language.toolchain().path is not None]
