"""Wrong solutions made from a right one by changing one sign: a challenge's cases must tell them apart.

Mutation testing as in DeMillo, Lipton and Sayward, "Hints on Test Data Selection", Computer 11(4), 1978.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

# What stands for what, where it stands between spaces (or before a bracket), as formatted code has it.
_SWAPS = (
    (" == ", " != "), (" != ", " == "), (" === ", " !== "), (" !== ", " === "), (" < ", " <= "), (" <= ", " < "),
    (" > ", " >= "), (" >= ", " > "), (" + ", " - "), (" - ", " + "), (" * ", " + "), (" += ", " -= "),
    (" -= ", " += "), (" && ", " || "), (" || ", " && "), (" and ", " or "), (" or ", " and "),
    ("min(", "max("), ("max(", "min("), (".min", ".max"), (".max", ".min"),
    # of queries and scripts
    (" = ", " <> "), (" <> ", " = "), (" AND ", " OR "), (" OR ", " AND "), (" DESC", " ASC"), ("DISTINCT ", ""),
    ("LEFT JOIN", "JOIN"), ("UNION ALL", "UNION"), ("MIN(", "MAX("), ("MAX(", "MIN("), ("SUM(", "COUNT("),
    (" | sort", " | cat"), ("sort -u", "sort"), ("grep -v", "grep"), ("head -", "tail -"), ("tail -", "head -"),
)  # fmt: skip
_TEXT = re.compile(r"""(["'])[^"'\\\n]*\1""")
_NUMBER = re.compile(r"(?<![\w.])\d{1,4}(?![\w.])")
_COMMENT = re.compile(r"\s*(?:#|//|/\*|\*)")


@dataclass(frozen=True)
class Mutant:
    """A changed solution: ``change`` says what was written for what, and where."""

    code: str
    change: str


def mutants(code: str) -> Iterator[Mutant]:
    """Changed solutions, those of different kinds first."""
    kinds = [[*_swapped(code, old, new)] for old, new in _SWAPS]
    kinds += [[*_other_numbers(code)], [*_other_texts(code)]]
    for row in zip_longest(*kinds):
        yield from (mutant for mutant in row if mutant is not None)


def _swapped(code: str, old: str, new: str) -> Iterator[Mutant]:
    for match in re.finditer(re.escape(old), code):
        if not _in_comment(code, match.start()):
            yield _changed(code, match.start(), old, new)


def _other_numbers(code: str) -> Iterator[Mutant]:
    for match in _NUMBER.finditer(code):
        if not _in_comment(code, match.start()):
            yield _changed(code, match.start(), match[0], str(int(match[0]) + 1))


def _other_texts(code: str) -> Iterator[Mutant]:
    for match in _TEXT.finditer(code):
        if not _in_comment(code, match.start()):
            yield _changed(code, match.start(), match[0], f"{match[0][:-1]}x{match[1]}")


def _changed(code: str, place: int, old: str, new: str) -> Mutant:
    line = code.count("\n", 0, place) + 1
    changed = code[:place] + new + code[place + len(old) :]
    return Mutant(changed, f"`{new.strip()}` for `{old.strip()}` in line {line}")


def _in_comment(code: str, place: int) -> bool:
    return _COMMENT.match(code[code.rfind("\n", 0, place) + 1 : place + 1]) is not None
