"""Tests that learners write: graded by running them against right versions and broken ones, each in a process of its
own."""

import builtins
import re
import secrets
from dataclasses import dataclass, replace

from app.learning import grading
from app.learning.challenge_files import TestChallenge
from app.learning.code_text import as_code, check_code
from app.learning.grading import CaseResult, Graded, Shown
from app.learning.languages import FUNCTION_LANGUAGES
from app.learning.languages.base import LanguageName, Parameter, Signature, camel
from app.learning.sandbox.program import Run, Sandbox

_RANDOM = secrets.SystemRandom()
# The version is kept under a name of ours, so that a learner's own function of the same name does not take its place.
_PYTHON = ("{version}\ntooloo_version = {name}\n", """
class Returned(Exception):
    pass

def tooloo_verdict(number):
    try:
        returned = test(tooloo_version)
    except AssertionError:
        return False
    if returned is not None:
        raise Returned
    return True
""")  # fmt: skip
_JAVASCRIPT = (
    "console.assert = globalThis.assert; globalThis.toolooVersion = (() => {{ {version}\n"
    "return {name}; }})(); globalThis.{name} ??= toolooVersion;\n",
    """
function toolooVerdict(number) {
  let returned;
  try { returned = test(toolooVersion); } catch (error) {
    if (error instanceof ReferenceError || error instanceof SyntaxError || error instanceof TypeError) throw error;
    return false;
  }
  if (returned !== undefined) throw Object.assign(new Error(), { name: "Returned" });
  return true;
}
""")  # fmt: skip
_VERDICT = Signature(name="tooloo_verdict", params=(Parameter(name="number", type="int"),), returns="bool")


def _silenced(one: Graded, *, own: range) -> Graded:
    """A verdict on one version without anything that the test itself said."""
    if one.verdict == "compile_error":
        said = _without_words(one.message.partition("\n")[2], own=own)
        return replace(one, message=f"The code could not be loaded: {said}.")
    case = one.cases[0]
    error = _without_words("\n".join((case.error, *case.trace)), own=own) if case.error else None
    return replace(one, cases=(replace(case, stdout="", error=error, trace=()),))


def _without_words(error: str, *, own: range) -> str:
    """What went wrong in a test, by its kind and line (one of its ``own`` in the program): its words could give away
    the version that it is run on."""
    if re.search(r"\btest\(\) takes 0 positional arguments", error):
        return "test takes no parameter: write one, which is the function to be tested"
    kind = re.split(r"[:\n]", error, maxsplit=1)[0].strip()
    found = [int(number) for number in re.findall(r"^line (\d{1,5})\b", error, re.MULTILINE)]
    where = next((f" in line {1 + own.index(line)} of your test" for line in reversed(found) if line in own), "")
    if kind == "Returned":
        return "what `test` returns is not looked at: use assert, and do not make it async"
    return f"{kind if kind in _ERROR_KINDS else 'an error'}{where}"


_ERROR_KINDS = frozenset(
    name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
) | {"ReferenceError", "RangeError", "Error", "EvalError", "URIError", "AssertionError", grading.ENDED,
     "it did not end in time", "it was stopped at a limit of memory, time or output"}  # fmt: skip


async def grade_test(
    sandbox: Sandbox, challenge: TestChallenge, language: LanguageName, code: str, *, right_only: bool
) -> Graded:
    """A test is right about a version when it accepts it as it is right, or rejects it as it is broken. Whatever it
    raises on a broken version is a rejection; on a right one only what asserts."""
    check_code(code)
    code = as_code(code)
    if not re.search(r"\btest\b\s*[(=]", code):
        wanted = "def test(function):" if language == "python" else "function test(fn) { … }"
        message = f"There is no function named test. Write: {wanted}"
        return Graded(verdict="compile_error", cases=(), message=message, wall_ms=0)
    right, *others = _versions(challenge, language)
    # A test that looks at the clock, or counts, instead of at the version does not know which one it is run on.
    versions = [right] if right_only else [right, *_RANDOM.sample(others, len(others)), right]
    results: dict[int, CaseResult] = {}
    last: Run | None = None
    for version in versions:
        last, one = await _run_on(sandbox, challenge, version, language, code)
        if one.verdict == "compile_error" and not results:
            return one
        if one.verdict == "compile_error":  # it calls itself while it is loaded, and says what it thinks then
            one = replace(one, cases=(_rejected(version),))
        rejects = not version.accepts and one.cases[0].error is not None and one.cases[0].ms is not None
        rejects = rejects and results[1].passed  # a test that breaks on every version tells none from another
        passed = (one.cases[0].passed or rejects) and last.status == "ok"
        if rejects and passed:
            one = replace(one, cases=(replace(one.cases[0], got="rejected", error=None, trace=()),))
        if version.number not in results or not passed:
            results[version.number] = replace(one.cases[0], number=version.number, passed=passed)
        if last.status != "ok":
            break
    assert last is not None
    skipped = [
        replace(case, number=version.number, input=version.means, passed=False, got=None, hidden=True,
                expected=_said(version.accepts), error="not run: the test did not end on an earlier version")
        for version in ([] if right_only else others) if version.number not in results
        for case in [next(iter(results.values()))]
    ]  # fmt: skip
    return grading.graded(last, sorted([*results.values(), *skipped], key=lambda case: case.number))


def _versions(challenge: TestChallenge, language: LanguageName) -> list["_Version"]:
    """The right version, and the others as the file lists them."""
    right = _Version(number=1, code=challenge.right[language], means="a right version", accepts=True)
    told = [("another right version", True, one) for one in challenge.also_right]
    told += [("a broken version", False, one) for one in challenge.broken]
    others = [
        _Version(number=number, code=one.code[language], means=f"{what}: {one.means.strip()}", accepts=accepts)
        for number, (what, accepts, one) in enumerate(told, start=2)
    ]
    return [right, *others]


def _rejected(version: "_Version") -> CaseResult:
    return CaseResult(
        number=version.number, passed=not version.accepts, hidden=True, input=version.means,
        expected=_said(version.accepts), got="rejected", stdout="", error=None, trace=(), ms=0.0,
    )  # fmt: skip


async def _run_on(
    sandbox: Sandbox, challenge: TestChallenge, version: "_Version", language: LanguageName, code: str
) -> tuple[Run, Graded]:
    """The test in a process of its own with one version: how it ended, and its verdict on that."""
    name, nonce = challenge.signature.name, secrets.token_hex(8)
    before, after = _PYTHON if language == "python" else _JAVASCRIPT
    head = before.format(version=version.code, name=name if language == "python" else camel(name))
    source = f"{head}{code}\n{after}"
    # what it is called with is the same for every version
    program = FUNCTION_LANGUAGES[language].program(sandbox, source, _VERDICT, [(0,)], nonce=nonce)
    run = await grading.run_program(sandbox, program)
    above = head.count("\n")
    shown = Shown(
        input=version.means, expected=_said(version.accepts), hidden=version.number > 1,
        is_right=version.is_right,
    )  # fmt: skip
    graded = grading.judge(run, [shown], nonce=nonce, show=_said)
    return run, _silenced(graded, own=range(above + 1, above + 2 + code.count("\n")))


@dataclass(frozen=True, kw_only=True)
class _Version:
    """One version that a test is run on. ``number`` is its place where the results are shown."""

    number: int
    code: str
    means: str
    accepts: bool

    def is_right(self, got: object) -> bool:
        return got is self.accepts


def _said(value: object) -> str:
    return "accepted" if value is True else "rejected"
