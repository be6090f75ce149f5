"""Finds out whether a text gives away a solution: by runs of code that it shares with the reference. Pure."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cache

_TOKEN = re.compile(r"[A-Za-z_]\w*|\d+(?:\.\d+)?|[^\s\w]")
# Words that mean the same in every program; all other names are one to the filter, whatever they are called.
_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """
        and as assert async await break case catch class const continue def del do elif else except false finally fn for
        from func function if import in is lambda let match mut new nil none not null or pass pub range raise return
        select where group by order having join left on then end true try var while with yield len append push sum
        sorted sort max min split
        """,
    )
)
_SIGNS = frozenset("()[]{}=<>+*/%;&|!")
_CODE = re.compile(
    r"\b(?:def|fn|func|function)\s{1,3}\w{1,60}\s{0,3}\("  # a definition
    r"|\breturn\s[^.\n]{0,80}?\w[\[(][^\n]{0,80}"
    r"|\b(?:SELECT|select)\s[^.\n]{0,120}?[*(,=][^.\n]{0,120}?\b(?:FROM|from)\s\w+"
    r"|\b[A-Za-z_]\w{0,40}(?:\.[A-Za-z_]\w{1,40}){2,6}"  # a chain of calls without brackets
    r"|\b\w{1,40}(?:\.\w{1,40}){0,4}\([^()\n]{0,60}\([^\n]{0,60}"  # a call in a call
    r"|\b\w{1,40}(?:\.\w{1,40}){1,4}\([^()\n]{0,80}\)[.\[(]"
    r"|\b[a-z]{2,12}(?: [\w./'\"${}-]{1,40}){0,6} \| [a-z]{2,12}\b"  # a pipe
    r"|=>|\b\w{1,40}\s{0,3}[-+*/|&]?=\s{0,3}[^=\s][^\n=]{0,60}?[\[(+*/%]"
)
# A line that is a statement and no sentence.
_STATEMENT = re.compile(
    r"\s*(?:(?:for|while|if|elif|else|def|switch|match)\b[^\n]{0,200}[:{]"
    r"|(?:let |const |var |int |auto )?[\w.\[\]]{1,60} ?[-+*/%|&]?= ?[^=\s][^\n]{0,200}"
    r"|return\b [^\n]{1,200};?)\s*"
)
FEWEST_STATEMENTS = 2
LONGEST_SAID = 20_000
FEWEST_SIGNS = 4
RUN = 8  # tokens of a row that nobody writes by chance
SHORTEST_RUN = 6
SHORTEST_LINE = 4
_IMPORT = re.compile(r"(?:import|from|use|using|#include|package|require)\b|#include")
_NO_PROSE = re.compile(r"[^\w\s.,'\"]")


def gives_away(text: str, solutions: Iterable[str], *, own: Sequence[str]) -> bool:
    """Whether ``text`` holds a run of tokens of a solution that is not in what the learner has already (``own``: their
    code, the statement, the start of the editor). Spaces do not matter; neither do names, unless they are all that is
    new, as where a name was the mistake."""
    had = _runs_of([_exact(one) for one in own])
    for part in map(_exact, re.split(r"`+", text)):  # what is quoted, and what stands between
        if len(part) >= SHORTEST_RUN and _shares_a_run(part, part, had, is_code=_is_plainly_code):
            return True  # code that is not theirs may be the solution in another form, or in another language
    solutions = list(solutions)
    for read in (normalised, _exact):
        said, had = read(text), _runs_of([read(one) for one in own])
        if any(_shares_a_run(said, read(solution), had) for solution in solutions):
            return True
    return _says_a_line(_exact(text), solutions, had=[_exact(one) for one in own])


def _says_a_line(said: Sequence[str], solutions: Iterable[str], *, had: Sequence[Sequence[str]]) -> bool:
    """Whether a whole line of a solution is said, which may be too short to be a run, that the learner has not."""
    lines = {line.strip(" \t\r;{") for solution in solutions for line in solution.splitlines()}
    code = [_exact(line.rstrip(" :")) for line in lines if _NO_PROSE.search(line) and not _IMPORT.match(line)]
    # "for word in words:" may be said of any loop
    telling = [line for line in code if len(line) >= SHORTEST_LINE + all(t[0].isalnum() for t in line)]
    return any(_stands_in(line, said) and not any(_stands_in(line, own) for own in had) for line in telling)


def watcher(solutions: Iterable[str], *, own: Sequence[str]) -> Callable[[str], bool]:
    """Tells, of any number of texts, whether one holds a run of a solution's tokens that is not in ``own``. Other code
    is none of its business."""
    readers: tuple[Callable[[str], list[str]], ...] = (normalised, _exact)
    telling: list[tuple[Callable[[str], list[str]], int, frozenset[tuple[str, ...]]]] = []
    written = list(solutions)
    for read in readers:
        had = _runs_of([read(one) for one in own])
        for solution in map(read, written):
            length = _length_of_runs(solution)
            telling.append((read, length, frozenset(_runs(solution, length)) - had(length)))

    def holds_one(text: str) -> bool:
        said = {read: read(text) for read in readers}
        return any(not runs.isdisjoint(_runs(said[read], length)) for read, length, runs in telling)

    return holds_one


def quotes_others(text: str, *, own: Sequence[str]) -> bool:
    """Whether ``text`` quotes code (between backticks, two tokens and more) that does not stand so in ``own``."""
    had = [_exact(one) for one in own]
    quoted = [_exact(part) for part in re.findall(r"(?<!`)`++([^`]+)`++", text)]
    return any(len(part) > 1 and not any(_stands_in(part, one) for one in had) for part in quoted)


def shows_code(text: str, *, own: Sequence[str]) -> bool:
    """Whether ``text`` holds what is code by its looks (a definition, a call of a call, a pipe, a query) that does not
    stand so in ``own``, quoted or not."""
    had = [_exact(one) for one in own]
    text = unicodedata.normalize("NFKC", text)[:LONGEST_SAID]
    found = [_exact(match[0]) for match in _CODE.finditer(text)]
    lines = [_exact(line) for line in text.splitlines() if _STATEMENT.fullmatch(line)]
    new = [part for part in found if not any(_stands_in(part, one) for one in had)]
    return bool(new) or sum(not any(_stands_in(line, one) for one in had) for line in lines) >= FEWEST_STATEMENTS


def answers(said: str, right: str) -> bool:
    """Whether ``said`` holds the right answer of a question, whatever stands between its words."""
    return _stands_in(_exact(right), _exact(said))


def _stands_in(part: Sequence[str], whole: Sequence[str]) -> bool:
    wanted, length = list(part), len(part)
    return any(wanted == list(whole[start : start + length]) for start in range(len(whole) - length + 1))


def _runs_of(texts: Sequence[Sequence[str]]) -> Callable[[int], frozenset[tuple[str, ...]]]:
    """The runs of a length in any of the texts, found once for each length."""

    @cache
    def of_length(length: int) -> frozenset[tuple[str, ...]]:
        return frozenset(run for text in texts for run in _runs(text, length))

    return of_length


def _shares_a_run(
    said: Sequence[str], reference: Sequence[str], known: Callable[[int], frozenset[tuple[str, ...]]],
    *, is_code: Callable[[Sequence[str]], bool] | None = None,
) -> bool:  # fmt: skip
    length = _length_of_runs(reference)
    shared = set(_runs(said, length)) & (set(_runs(reference, length)) - known(length))
    return any(is_code is None or is_code(run) for run in shared)


def _length_of_runs(reference: Sequence[str]) -> int:
    return max(SHORTEST_RUN, min(RUN, len(reference) // 3))


def _is_plainly_code(run: Sequence[str]) -> bool:
    """Prose has commas and a pair of brackets now and then, code has signs all over."""
    return sum(token in _SIGNS for token in run) >= FEWEST_SIGNS


def normalised(text: str) -> list[str]:
    """The tokens of a program, with every name made equal; numbers stay, for a number may be the whole mistake."""
    return [
        "name" if (token[0].isalpha() or token[0] == "_") and token not in _KEYWORDS else token
        for token in _exact(text)
    ]


def _exact(text: str) -> list[str]:
    text = unicodedata.normalize("NFKC", text)  # a bracket of full width is one
    return ["'" if token in ('"', "'", "`") else token.lower() for token in _TOKEN.findall(text)]


def _runs(tokens: Sequence[str], length: int) -> Iterable[tuple[str, ...]]:
    """Runs that hold code: names alone in a row are prose."""
    for start in range(len(tokens) - length + 1):
        run = tuple(tokens[start : start + length])
        if sum(not token[0].isalnum() for token in run) >= 2:
            yield run
