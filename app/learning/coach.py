"""Feedback on an attempt, from the learner's own first failing case; pure, and without a model."""

import ast
import re

from app.learning.grading import CaseResult, Graded, first_failing, pace_of, was_answered


def feedback(graded: Graded, score: int, *, kind: str = "write", means: str | None = None) -> str:
    """What to look at next, in one or two sentences, for a kind of challenge. ``means`` is what a known mistake with
    the same results means."""
    if means is not None:
        return means.strip()
    if kind == "test" and graded.cases and not graded.cases[0].passed:
        return _about_test(graded.cases[0])
    if graded.verdict in ("error", "failed") and kind in _BY_KIND:
        return _BY_KIND[kind]
    pace = pace_of(graded.cases)
    match graded.verdict:
        case "passed":
            return _praise(score, kind)
        case "compile_error" if (raised := _WHILE_LOADING.search(graded.message)) and raised[0] not in _UNREADABLE:
            return f"A line outside of the function raised {raised[0]}. Does it have to be there?"
        case "compile_error" if not _NAMES_A_LINE.search(graded.message):
            return (
                "Compare what you wrote with the line above the editor: the name, what it takes, and where it stands."
            )
        case "compile_error":
            return "The code could not be read. Look at the line named above, and at the one before it."
        case "timeout" if pace == "slow":
            return "Right so far, but too slow. How often does your code look at each item when the input is large?"
        case "timeout" if pace == "unclear":
            return (
                "Right so far. Follow your code by hand with the input that it stopped at: what brings it to its end?"
            )
        case "timeout" if (wrong := first_failing(graded.cases)) is not None and was_answered(wrong):
            return _about(wrong, is_typed=kind != "shell")
        case "timeout" if graded.cases and (graded.cases[0].error or "").startswith("it was not called"):
            return "The function itself was never called. Which line outside of it waits, or goes on without an end?"
        case "timeout":
            return "Follow your loop by hand with a small input: what makes it end?"
        case "killed" if "printed without" in graded.message:
            return "Which loop prints at each turn, and what makes it end?"
        case "killed":
            return "Something grows without end here. Which list, string or recursion does?"
        case "error" | "failed":
            failing = first_failing(graded.cases)
            assert failing is not None
            return _about(failing, is_typed=kind != "shell")


GAVE_NOTHING = "The function gave nothing back in that case. Does every path end in a return?"
_RAISED = re.compile(r"[A-Z]\w*(?:Error|Exception|Iteration|Interrupt|Exit)")
_WHILE_LOADING = re.compile(r"(?<=could not be loaded\.\n)[A-Z]\w*(?:Error|Exception|Exit)(?=:|\n|$)")
_NAMES_A_LINE = re.compile(r"\bline \d|\bsolution\.\w+:\d")
_UNREADABLE = frozenset({"SyntaxError", "IndentationError", "TabError", "NameError", "ReferenceError", "NoMethodError"})
_BY_KIND = {
    "predict": "Go through the code line by line with a pencil: what is each value then, and what is printed?",
    "read": "Go through the code line by line with one small input of your own: what is each value then?",
    "test": "Look at the first version that your test judges wrongly. Which input would tell it from a right one?",
}


def _about_test(on_right: CaseResult) -> str:
    """What to say of a test that does not accept the first right version."""
    if on_right.error is not None:
        return "Your test does not run to its end yet, whatever the version. Look at what it says first."
    return "Your test refuses a right version. Which of your expectations is not in the statement?"


def _praise(score: int, kind: str) -> str:
    if kind in ("predict", "read"):
        return "Right."
    if score >= 95:
        return "Solved, and solved well."
    return "Solved. Read your code once more: what would you name differently now?"


def _differs_in_type(got: str, expected: str) -> bool:
    """Whether two values as text are one but for what tells 1 from 1.0, from "1" and from True."""
    try:
        return got != expected and _alike(ast.literal_eval(got), ast.literal_eval(expected))
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # cut, or as another language writes it
        return False


def _alike(got: object, expected: object) -> bool:
    if isinstance(got, list) and isinstance(expected, list):
        return len(got) == len(expected) and all(map(_alike, got, expected))
    if isinstance(got, dict) and isinstance(expected, dict):
        return got.keys() == expected.keys() and all(_alike(got[key], expected[key]) for key in got)
    return got == expected or str(got) == str(expected)


def _about(case: CaseResult, *, is_typed: bool) -> str:
    if case.error and case.got is None:
        name = case.error.split(":", 1)[0]
        if name == "RecursionError":
            return f"In case {case.number} it calls itself too deeply. Does it never end, or is the input just long?"
        if "returned nothing" in case.error:
            return GAVE_NOTHING
        if _RAISED.fullmatch(name) and case.trace:
            return f"Run case {case.number} in your head up to the line that raised {name}: what is each value there?"
        return f"Case {case.number} ended in an error. Read what it says: which part of your code does it speak of?"
    if is_typed and case.got in ("None", "null", "undefined", "nil"):
        return GAVE_NOTHING
    if is_typed and case.got is not None and _differs_in_type(case.got, case.expected):
        return "The value looks right, but its type is not: compare the quotes, or 1 with 1.0."
    return f"Work out by hand what case {case.number} should give; then see where your code goes another way."
