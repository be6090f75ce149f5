"""The sandbox keeps what must be kept, from programs that try: each with a control that shows the try would be seen."""

import asyncio
import time
from pathlib import Path

import pytest

from app.learning.challenge_files import Case
from app.learning.curriculum import load_curriculum
from app.learning.grading import grade
from app.learning.kinds import grade_challenge, solution_of
from app.learning.languages import FUNCTION_LANGUAGES, LANGUAGES
from app.learning.languages.base import Language, LanguageName, Parameter, Signature
from app.learning.sandbox import probe as probe_module
from app.learning.sandbox.bubblewrap import SANDBOX_UID
from app.learning.sandbox.landlock import UIDS
from app.learning.sandbox.program import Sandbox
from app.learning.sandbox.raw import RawRun, run_script
from tests.app.learning.hostile import (
    EATERS,
    FINISHES,
    FORGERIES,
    QUERY_FORGERIES,
    REACHES,
    SCRIPT_FORGERIES,
    Reach,
)

ADD = Signature(name="add", params=(Parameter(name="a", type="int"), Parameter(name="b", type="int")), returns="int")
CASES = [Case(arguments=(1, 2), expected=3, hidden=False), Case(arguments=(20, 22), expected=42, hidden=True)]
CURRICULUM = load_curriculum()
PATIENCE_SECONDS = 40  # longer than any program of another test may live
FORGED = [
    pytest.param(language, code, id=f"{language} {name}") for language, ways in FORGERIES.items() for name, code in ways.items()
]  # fmt: skip


def test_there_are_enough_of_them() -> None:
    assert len(REACHES) + len(EATERS) >= 50
    assert min(len(ways) for ways in FORGERIES.values()) >= 16
    assert FORGERIES.keys() == {"python", "javascript", "typescript", "ruby"}
    assert min(len(SCRIPT_FORGERIES), len(QUERY_FORGERIES)) >= 16


@pytest.mark.parametrize("reach", REACHES.values(), ids=REACHES.keys())
async def test_nothing_reaches_out(sandbox: Sandbox, reach: Reach) -> None:
    language = LANGUAGES[reach.language]

    out = await run_script(sandbox, language, reach.template.replace("{}", reach.out), b"")
    control = await _control(sandbox, language, reach.template.replace("{}", reach.allowed))

    assert "ESCAPED" not in out.stdout
    assert out.status != "infrastructure_error"
    assert "ESCAPED" in control.stdout, control


async def _control(sandbox: Sandbox, language: Language, code: str) -> RawRun:
    """What is allowed, done in the sandbox; where that allows nothing of the kind (no socket at all, no list of
    processes), done without walls."""
    inside = await run_script(sandbox, language, code, b"")
    if "ESCAPED" in inside.stdout:
        return inside
    return await run_script(await _open_air(), language, code, b"")


async def _open_air() -> Sandbox:
    open_air = await probe_module.open_air()
    assert open_air.sandbox is not None
    return open_air.sandbox


@pytest.mark.parametrize("name", EATERS)
async def test_what_eats_without_end_is_stopped_and_leaves_nothing(sandbox: Sandbox, name: str) -> None:
    eater = EATERS[name]
    language = LANGUAGES[eater.language]

    run = await run_script(sandbox, language, eater.template.replace("MUCH", eater.much), b"")
    left = await asyncio.to_thread(_left_of, await asyncio.to_thread(_inside))
    control = await run_script(sandbox, language, eater.template.replace("MUCH", eater.little), b"")
    if control.status != "ok" and "/dev/shm" in eater.template:  # a sandbox may have no such place at all
        control = await run_script(await _open_air(), language, eater.template.replace("MUCH", eater.little), b"")
        await asyncio.to_thread(_sweep_shared_memory)

    stopped = {"ok"} if name in FINISHES else {"timeout", "killed", "error", "compile_error"}
    assert run.status in stopped, run
    assert run.wall_ms < 25_000
    assert left == set()
    assert control.status == "ok", control


@pytest.mark.parametrize(("language", "code"), FORGED)
async def test_no_forgery_passes(sandbox: Sandbox, language: LanguageName, code: str) -> None:
    graded = await grade(sandbox, FUNCTION_LANGUAGES[language], code, signature=ADD, cases=CASES)

    assert graded.verdict != "passed"
    assert graded.passed == 0


RIGHT: dict[LanguageName, str] = {
    "python": "def add(a, b): return a + b",
    "javascript": "function add(a, b) { return a + b }",
    "typescript": "function add(a: number, b: number): number { return a + b }",
    "ruby": "def add(a, b) a + b end",
}


@pytest.mark.parametrize("language", RIGHT)
async def test_what_adds_passes(sandbox: Sandbox, language: LanguageName) -> None:
    graded = await grade(sandbox, FUNCTION_LANGUAGES[language], RIGHT[language], signature=ADD, cases=CASES)

    assert graded.verdict == "passed"


@pytest.mark.parametrize(
    ("challenge_id", "language", "code"),
    [
        *(
            pytest.param("count-error-lines", "bash", code, id=f"bash {name}")
            for name, code in SCRIPT_FORGERIES.items()
        ),
        *(pytest.param("open-invoices", "sql", code, id=f"sql {name}") for name, code in QUERY_FORGERIES.items()),
    ],
)
async def test_no_script_and_no_query_passes_that_is_not_right(
    sandbox: Sandbox, challenge_id: str, language: LanguageName, code: str
) -> None:
    challenge = CURRICULUM.challenge(challenge_id)
    assert challenge is not None

    graded = await grade_challenge(lambda: sandbox, challenge, language, code)

    assert graded.verdict != "passed"


@pytest.mark.parametrize(("challenge_id", "language"), [("count-error-lines", "bash"), ("open-invoices", "sql")])
async def test_the_right_script_and_query_pass(sandbox: Sandbox, challenge_id: str, language: LanguageName) -> None:
    challenge = CURRICULUM.challenge(challenge_id)
    assert challenge is not None
    _, code = solution_of(challenge, language)

    assert (await grade_challenge(lambda: sandbox, challenge, language, code)).verdict == "passed"


def _sweep_shared_memory() -> None:
    """Without walls, files outlive the program that wrote them."""
    for file in Path("/dev/shm").glob("tooloo-eater-*"):  # the real one
        file.unlink(missing_ok=True)


def _left_of(sandboxes: set[str]) -> set[str]:
    """Those of these sandboxes that still live when every other test's programs must have ended."""
    for _ in range(PATIENCE_SECONDS * 5):
        if not sandboxes & _inside():
            return set()
        time.sleep(0.2)
    return sandboxes & _inside()


def _inside() -> set[str]:
    """Who lives in a process namespace that is not ours, or under the uid of a sandbox."""
    own = str(Path("/proc/self/ns/pid").readlink())
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
            namespace = str((folder / "ns" / "pid").readlink())
            uid = folder.stat().st_uid
        except (OSError, IndexError):
            continue
        if state != "Z" and namespace != own:
            found.add(namespace)
        elif state != "Z" and SANDBOX_UID <= uid <= SANDBOX_UID + UIDS:
            found.add(f"uid {uid}")
    return found
