"""The languages a challenge can be solved in."""

from app.learning.languages.base import Language
from app.learning.languages.javascript import JavaScript
from app.learning.languages.python import Python

LANGUAGES: dict[str, Language] = {language.name: language for language in (Python(), JavaScript())}
ALIASES = {"py": "python", "python3": "python", "js": "javascript", "node": "javascript", "nodejs": "javascript"}


def find_toolchains() -> None:
    """Look for the languages' interpreters once; the answers are kept, so that no request waits for the disk."""
    for language in LANGUAGES.values():
        language.toolchain()


def language_named(name: str) -> Language | None:
    """A language by its name or a common short form of it."""
    wanted = name.strip().lower()
    return LANGUAGES.get(ALIASES.get(wanted, wanted))
