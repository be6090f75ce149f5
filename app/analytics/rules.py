"""The rules of badges: comparisons of metrics joined by and, or, not. A small language that can only read numbers."""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.analytics.metrics import METRICS
from app.errors import InvalidInput

LONGEST_RULE = 300
EXAMPLE = "challengesPassed >= 10 and averageScore >= 80"

_COMPARISONS: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.GtE: operator.ge,
    ast.Gt: operator.gt,
    ast.LtE: operator.le,
    ast.Lt: operator.lt,
    ast.Eq: operator.eq,
}
_UPWARD = (ast.GtE, ast.Gt, ast.Eq)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A checked rule. ``holds`` and ``progress`` take every metric by name."""

    text: str
    metrics: tuple[str, ...]
    holds: Callable[[Mapping[str, float]], bool]
    progress: Callable[[Mapping[str, float]], float]


def parse(text: str) -> Rule:
    """A rule such as ``challengesPassed >= 10 and averageScore >= 80``.

    Raises:
        InvalidInput: it is no rule; the message says what was found and gives an example.
    """
    if not text.strip() or len(text) > LONGEST_RULE or not text.isascii():
        raise _refused(f"a rule has 1 to {LONGEST_RULE} plain characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _refused(f"{text!r} cannot be read") from error
    holds, progress = _compile(tree)
    names = dict.fromkeys(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    return Rule(text=text.strip(), metrics=tuple(names), holds=holds, progress=progress)


Holds = Callable[[Mapping[str, float]], bool]
Progress = Callable[[Mapping[str, float]], float]


def _compile(node: ast.expr) -> tuple[Holds, Progress]:
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            return _joined(parts, all, min)
        case ast.BoolOp(op=ast.Or(), values=parts):
            return _joined(parts, any, max)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            holds, _ = _compile(part)
            return (lambda values: not holds(values)), (lambda values: float(not holds(values)))
        case ast.Compare(left=ast.Name(id=name), ops=[comparison], comparators=[ast.Constant(value=value)]):
            return _comparison(name, type(comparison), value)
        case _:
            raise _refused(f"{ast.unparse(node)[:80]!r} is no comparison of a metric with a number")


def _comparison(name: str, comparison: type[ast.cmpop], value: object) -> tuple[Holds, Progress]:
    if name not in METRICS:
        raise _refused(f"{name!r} is no metric. There are: {', '.join(METRICS)}")
    if comparison not in _COMPARISONS:
        raise _refused("compare with >=, >, <=, < or ==")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1_000_000:
        raise _refused(f"{value!r} is no number from 0 to 1000000")
    compare, wanted = _COMPARISONS[comparison], float(value)

    def holds(values: Mapping[str, float]) -> bool:
        return compare(values[name], wanted)

    def progress(values: Mapping[str, float]) -> float:
        if holds(values):
            return 1.0
        return min(0.99, values[name] / wanted) if comparison in _UPWARD and wanted > 0 else 0.0

    return holds, progress


def _joined(
    parts: list[ast.expr], holds: Callable[[list[bool]], bool], progress: Callable[[list[float]], float]
) -> tuple[Holds, Progress]:
    compiled = [_compile(part) for part in parts]
    return (
        lambda values: holds([part(values) for part, _ in compiled]),
        lambda values: progress([part(values) for _, part in compiled]),
    )


def _refused(problem: str) -> InvalidInput:
    return InvalidInput(f"This rule cannot be used: {problem}. For example: {EXAMPLE}")
