"""The score of an attempt: points from 0 to 100, each part with its reason. Pure.

Of 100 points, 60 are for the share of cases that pass. The rest is for a solution that passes all of them: 10 for
few attempts (10, 7, 4, then 0), 15 for doing without hints (5 less for each), 5 for time (all of them within the
expected minutes, falling to 0 at three times that), and 10 for the code itself: up to 3 for its length and 3 for its
branches, both compared with the reference solution, 2 for not repeating lines and 2 for what a linter finds. What was
not measured is left out, and the points are scaled to 100.
"""

from collections.abc import Sequence
from dataclasses import dataclass

CORRECT, ATTEMPTS, HINTS, TIME = 60.0, 10.0, 15.0, 5.0
BY_ATTEMPT = (10.0, 7.0, 4.0)
A_HINT = 5.0
LENGTH, BRANCHES, REPEATS, LINTS = 3.0, 3.0, 2.0, 2.0


@dataclass(frozen=True, kw_only=True)
class Signals:
    """What was measured of a solution, and of the reference. ``lints`` is None where no linter is installed."""

    lines: int
    branches: int
    repeated_lines: int
    lints: tuple[str, ...] | None
    reference_lines: int
    reference_branches: int


@dataclass(frozen=True, kw_only=True)
class Part:
    name: str
    points: float
    most: float
    why: str


@dataclass(frozen=True, kw_only=True)
class Score:
    parts: tuple[Part, ...]

    @property
    def total(self) -> int:
        most = sum(part.most for part in self.parts)
        return round(100 * sum(part.points for part in self.parts) / most) if most else 0


def score(
    *, passed: int, cases: int, hints: int, attempts: int, seconds: float, minutes: int, signals: Signals | None,
    coached: int = 0,
) -> Score:  # fmt: skip
    """``coached`` is how often a model's coach was asked, which is help as a hint is; ``attempts`` counts this one,
    ``seconds`` since the challenge was started; ``minutes`` are those expected."""
    share = passed / cases if cases else 0.0
    solved = cases > 0 and passed == cases
    parts = [Part(name="correct", points=CORRECT * share, most=CORRECT, why=f"{passed} of {cases} cases")]
    parts += [
        _attempts(attempts, solved=solved),
        _help(hints, coached, solved=solved),
        _time(seconds, minutes, solved=solved),
    ]
    if signals is not None:
        parts += _code(signals, solved=solved)
    return Score(parts=tuple(parts))


def _attempts(attempts: int, *, solved: bool) -> Part:
    points = BY_ATTEMPT[attempts - 1] if attempts <= len(BY_ATTEMPT) else 0.0
    return Part(name="attempts", points=points if solved else 0.0, most=ATTEMPTS, why=f"attempt {attempts}")


def _help(hints: int, coached: int, *, solved: bool) -> Part:
    had = [f"{count} {name}{'s' if count > 1 else ''}"
           for name, count in (("hint", hints), ("question of the coach", coached)) if count]  # fmt: skip
    why = " and ".join(had).replace("question of the coachs", "questions of the coach") or "no hints"
    points = max(0.0, HINTS - A_HINT * (hints + coached)) if solved else 0.0
    return Part(name="hints", points=points, most=HINTS, why=why)


def _time(seconds: float, minutes: int, *, solved: bool) -> Part:
    expected = 60 * minutes
    late = max(0.0, seconds - expected) / (2 * expected)
    why = f"{max(1, round(seconds / 60))} of {minutes} minutes"
    return Part(name="time", points=TIME * max(0.0, 1 - late) if solved else 0.0, most=TIME, why=why)


def _code(signals: Signals, *, solved: bool) -> list[Part]:
    parts = [
        _compared("length", signals.lines, signals.reference_lines, LENGTH, "line"),
        _compared("branches", signals.branches, signals.reference_branches, BRANCHES, "branch"),
        Part(
            name="repetition", points=max(0.0, REPEATS - signals.repeated_lines / 2), most=REPEATS,
            why=f"{signals.repeated_lines} repeated lines" if signals.repeated_lines else "nothing repeated",
        ),
    ]  # fmt: skip
    if signals.lints is not None:
        why = "; ".join(signals.lints[:3]) or "nothing found"
        parts.append(Part(name="linter", points=max(0.0, LINTS - len(signals.lints) / 2), most=LINTS, why=why))
    return parts if solved else [Part(name=p.name, points=0.0, most=p.most, why=p.why) for p in parts]


def _compared(name: str, own: int, reference: int, most: float, unit: str) -> Part:
    """All points up to one and a half times the reference and two more, none from four times on."""
    free, none = 1.5 * reference + 2, 4.0 * reference + 2
    share = 1.0 if own <= free else max(0.0, (none - own) / (none - free))
    return Part(name=name, points=most * share, most=most, why=f"{_counted(own, unit)}, the reference has {reference}")


def _counted(number: int, unit: str) -> str:
    if number == 1:
        return f"1 {unit}"
    return f"{number} {unit}es" if unit.endswith("ch") else f"{number} {unit}s"


def repeated_lines(lines: Sequence[str]) -> int:
    """How many lines of some substance are there again, word for word."""
    seen: set[str] = set()
    again = 0
    for line in (line.strip() for line in lines):
        if len(line) < 12 or line.startswith(("#", "//", "import ", "from ", "return", "using ", "#include")):
            continue
        again += line in seen
        seen.add(line)
    return again
