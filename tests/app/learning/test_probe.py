"""What isolates code here is found out at start, in order; without isolation nothing runs unless somebody allows it."""

import asyncio
import os
from pathlib import Path

import pytest

from app.errors import SandboxUnavailable, SettingsError
from app.identity.accounts import User
from app.learning.challenges import ChallengeService
from app.learning.curriculum import load_curriculum
from app.learning.languages import LANGUAGES
from app.learning.sandbox import landlock as landlock_module
from app.learning.sandbox import probe as probe_module
from app.learning.sandbox.probe import bubblewrap, landlock, open_air, probe
from app.learning.sandbox.raw import run_script
from app.opening import may_run_unisolated
from app.settings import Settings
from app.storage.database import Database
from tests.fakes.clock import Clock

CURRICULUM = load_curriculum()
SOLUTION = "def running_total(numbers):\n    return [sum(numbers[:i + 1]) for i in range(len(numbers))]"


@pytest.fixture
def no_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module.shutil, "which", lambda _name: None)


@pytest.fixture
def no_landlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "_landlock_version", lambda: 3)


async def test_bubblewrap_comes_first() -> None:
    found = await probe(allow_unisolated=True)

    assert found.sandbox is not None
    assert (found.sandbox.name, found.sandbox.is_isolated) == ("bubblewrap", True)


@pytest.mark.usefixtures("no_bubblewrap")
async def test_landlock_comes_second() -> None:
    found = await probe(allow_unisolated=True)

    assert found.sandbox is not None
    assert (found.sandbox.name, found.sandbox.is_isolated) == ("Landlock", True)
    assert "Landlock with seccomp isolates code" in found.reason


@pytest.mark.usefixtures("no_bubblewrap", "no_landlock")
async def test_without_either_code_does_not_run_and_the_remedy_is_told() -> None:
    found = await probe()

    with pytest.raises(SandboxUnavailable, match="apt install bubblewrap") as refused:
        found.require()
    assert "Linux 6.12" in refused.value.user_message


@pytest.mark.usefixtures("no_bubblewrap", "no_landlock")
async def test_what_runs_without_isolation_says_so_on_every_result(database: Database, clock: Clock, ada: User) -> None:
    found = await probe(allow_unisolated=True)
    challenges = ChallengeService(
        database=database, curriculum=CURRICULUM, isolation=found, clock=clock, wake=lambda: None
    )
    one = await challenges.start(ada.id, thread_id=None, challenge_id="running-total", language="python")

    examples = await challenges.run_examples(ada.id, one.id, SOLUTION)
    submission = await challenges.submit(ada.id, one.id, SOLUTION)
    raw = await run_script(found.require(), LANGUAGES["python"], "print('hi')", b"")

    assert "WITHOUT isolation" in found.reason
    assert [examples.isolated, submission.graded.isolated, raw.isolated] == [False, False, False]
    assert examples.message.endswith("(This ran without isolation.)")
    assert submission.graded.message == "All 7 cases pass. (This ran without isolation.)"
    assert raw.stdout == "hi\n"


@pytest.mark.parametrize(
    ("settings", "may"),
    [
        (Settings(), False),
        (Settings(tooloo_allow_unisolated_code=True), True),
    ],
)
def test_isolation_may_be_done_without_on_ones_own_machine(settings: Settings, may: bool) -> None:
    assert may_run_unisolated(settings) is may


def test_isolation_may_not_be_done_without_where_others_sign_in() -> None:
    with pytest.raises(SettingsError, match="TOOLOO_ALLOW_UNISOLATED_CODE is for a machine of one's own"):
        may_run_unisolated(Settings(host="0.0.0.0", tooloo_allow_unisolated_code=True))  # that is the point


async def test_a_launcher_that_fails_is_no_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await landlock()
    monkeypatch.setattr(landlock_module, "filter_program", lambda **_: b"\xff" * 8)

    run = await run_script(found.require(), LANGUAGES["python"], "print('hi')", b"")

    assert (run.status, run.stdout) == ("infrastructure_error", "")
    assert "launcher:" in run.stderr


async def test_what_is_left_of_an_unwalled_program_is_ended_too() -> None:
    found = await open_air()
    code = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(600)\n    os._exit(0)"

    run = await run_script(found.require(), LANGUAGES["python"], code, b"")

    assert (run.status, run.wall_ms < 4000) == ("ok", True)


async def test_a_pool_that_lies_in_usr_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.learning.sandbox.bubblewrap.HIDDEN", Path("/usr/share"))
    found = await bubblewrap()

    run = await run_script(
        found.require(), LANGUAGES["python"], "import os; print(os.listdir('/usr/share'), len(os.listdir('/usr')) > 3)", b""
    )  # fmt: skip

    assert run.stdout == "[] True\n"


async def test_what_cannot_hide_the_pool_does_not_isolate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "POOL", Path("/usr/share"))

    found = await landlock()

    assert found.sandbox is None
    assert '"pool": true' in found.reason


async def test_programs_of_two_servers_are_strangers_to_each_other() -> None:
    """What ends one kills whatever runs under its uid."""
    sandboxes = [(await landlock()).require() for _ in range(2)]
    code = "import os, time; time.sleep(0.5); print(os.getuid())"

    runs = await asyncio.gather(*(run_script(one, LANGUAGES["python"], code, b"") for one in sandboxes * 2))

    assert {run.status for run in runs} == {"ok"}
    assert len({run.stdout for run in runs}) == (4 if os.geteuid() == 0 else 1)
