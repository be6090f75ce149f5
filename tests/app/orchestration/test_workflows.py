"""Workflows: definitions, order, inputs, local times, and durable runs."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time
from pathlib import Path
from time import monotonic, sleep
from zoneinfo import ZoneInfo

import psycopg
import pytest
from dbos import DBOS

from app.errors import InvalidInput, NotFound
from app.identity.accounts import User
from app.orchestration import dag
from app.orchestration import engine as orchestration
from app.orchestration.actions import quiz_questions
from app.orchestration.engine import WorkflowEngine
from app.orchestration.executor import PostgresSlot
from app.orchestration.schedules import next_daily, parse_time
from app.orchestration.store import Execution, Schedule
from app.orchestration.templates import TEMPLATES
from app.storage.database import Database
from tests.app.orchestration.engines import EACH_SECOND, engine_of
from tests.fakes.clock import Clock

DROP_LOCKS = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid != pg_backend_pid() "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def definition(*steps: dict[str, object]) -> dag.Definition:
    return dag.parse({"name": "test", "steps": list(steps)})


def step(name: str, **more: object) -> dict[str, object]:
    return {"id": name, "service": "analytics", "action": "report", **more}


def test_steps_run_after_what_they_need() -> None:
    found = dag.levels(definition(step("c", depends_on=["a", "b"]), step("a"), step("b", input={"x": "from:a.value"})))

    assert [[s.id for s in group] for group in found] == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        pytest.param([step("a", depends_on=["b"]), step("b", depends_on=["a"])], "circle", id="cycle"),
        pytest.param([step("a", depends_on=["a"])], "circle", id="itself"),
        pytest.param([step("a", depends_on=["z"])], "'z', which is no step", id="unknown step"),
        pytest.param([step("a", input={"x": "from:z"})], "'z', which is no step", id="unknown source"),
        pytest.param([step("a"), step("a")], "Two steps", id="twice"),
        pytest.param([{"id": "a", "service": "os", "action": "system"}], "unknown action", id="unknown action"),
    ],
)
def test_what_cannot_run_is_named(steps: list[dict[str, object]], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        dag.validate(definition(*steps), ["analytics.report"])


@pytest.mark.parametrize(
    "document", [None, [], {}, {"name": "x"}, {"name": "x", "steps": []}, {"name": "x", "steps": [{"id": "A B"}]},
                 {"name": "x", "steps": [step("a")] * 51}],
)  # fmt: skip
def test_what_is_no_definition_is_refused(document: object) -> None:
    with pytest.raises(InvalidInput, match="does not fit"):
        dag.parse(document)


def test_inputs_come_from_steps_and_from_outside() -> None:
    one = dag.parse({"name": "x", "steps": [step("a", input={"p": "from:input.path", "q": "from:b.list.1", "r": 3})]})

    values = dag.resolve(one.steps[0], inputs={"path": "/x"}, outputs={"b": {"list": [1, 2]}})

    assert values == {"p": "/x", "q": 2, "r": 3}
    with pytest.raises(InvalidInput, match="not there"):
        dag.resolve(one.steps[0], inputs={}, outputs={})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("9", time(9)), ("9:30", time(9, 30)), ("09.05", time(9, 5)), ("9am", time(9)), ("12am", time(0)),
     ("12 pm", time(12)), ("11PM", time(23))],
)  # fmt: skip
def test_times_of_day(text: str, expected: time) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize("text", ["", "25", "9:99", "13pm", "noon", "-1"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a time"):
        parse_time(text)


def test_a_slot_comes_once_a_day_through_summer_time() -> None:
    berlin, at = ZoneInfo("Europe/Berlin"), time(2, 30)
    moment, slots = datetime(2026, 10, 23, 12, tzinfo=UTC), []
    for _ in range(4):
        moment = next_daily(at, berlin, after=moment)
        slots.append(moment.astimezone(berlin).date().isoformat())

    assert slots == ["2026-10-24", "2026-10-25", "2026-10-26", "2026-10-27"]
    spring = next_daily(at, berlin, after=datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert spring.astimezone(berlin).date().isoformat() == "2026-03-29"


def test_a_quiz_has_one_right_answer_each() -> None:
    symbols = [(f"name{i}", "function", f"file{i}.py", i) for i in range(6)] + [
        ("twice", "function", f"f{i}.py", 1) for i in (1, 2)
    ]

    questions = quiz_questions(symbols, count=5, seed="x")

    assert len(questions) == 5
    assert all(q["choices"][q["answer"]] == q["explanation"].split(":")[0] for q in questions)
    assert all("twice" not in q["prompt"] for q in questions)
    assert quiz_questions(symbols[:3], count=5, seed="x") == []


@pytest.fixture
async def engine(database: Database, tmp_path: Path, clock: Clock) -> AsyncIterator[WorkflowEngine]:
    (tmp_path / "roots").mkdir()
    opened = engine_of(database, tmp_path, clock)
    await opened.open()
    yield opened
    await opened.close()


async def ended(engine: WorkflowEngine, user: User, execution: Execution) -> Execution:
    async with asyncio.timeout(20):
        async for state in engine.watch(user.id, execution.id):
            execution = state
    return execution


async def test_the_weekly_report_runs_to_its_end(engine: WorkflowEngine, ada: User) -> None:
    workflow = await engine.store.add_workflow(ada.id, TEMPLATES["weekly-report"])

    execution = await ended(engine, ada, await engine.start(ada.id, workflow, {}))

    assert execution.status == "completed"
    assert [s.status for s in execution.steps] == ["completed"] * 4
    assert "### Your week" in execution.outputs["report"]["text"]


async def test_a_failing_step_ends_the_run_with_its_sentence(engine: WorkflowEngine, ada: User) -> None:
    workflow = await engine.store.add_workflow(ada.id, TEMPLATES["repository-quiz"])

    execution = await ended(engine, ada, await engine.start(ada.id, workflow, {"path": "/etc"}))

    assert execution.status == "failed"
    assert "outside the folders" in (execution.error or "")
    assert [s.status for s in execution.steps] == ["failed", "waiting"]


async def test_the_same_run_begins_once(engine: WorkflowEngine, ada: User) -> None:
    workflow = await engine.store.add_workflow(ada.id, TEMPLATES["weekly-report"])

    first = await engine.start(ada.id, workflow, {}, execution_id="once")
    second = await engine.start(ada.id, workflow, {}, execution_id="once")
    await ended(engine, ada, first)

    assert first.id == second.id
    assert len(await engine.store.executions_of(ada.id, workflow.id)) == 1


async def test_a_schedule_fires_each_slot_once(engine: WorkflowEngine, ada: User, clock: Clock) -> None:
    workflow = await engine.store.add_workflow(ada.id, TEMPLATES["weekly-report"])
    schedule = await engine.store.add_schedule(ada.id, workflow, local_time="10:00", timezone="UTC")
    clock.move(hours=1, minutes=1)

    await asyncio.gather(engine.fire_due(), engine.fire_due())
    await engine.fire_due()

    runs = await engine.store.executions_of(ada.id, workflow.id)
    after = (await engine.store.schedules(user_id=ada.id))[0]
    assert [run.id for run in runs] == [f"schedule-{schedule.id}-2026-03-02"]
    assert after.next_at == datetime(2026, 3, 3, 10, tzinfo=UTC)
    await ended(engine, ada, runs[0])


@pytest.fixture
def fast_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each second, for engines that are opened after it."""
    monkeypatch.setattr(orchestration, "TICK", EACH_SECOND)


async def test_the_minutes_tick_fires_what_is_due_though_one_schedule_cannot(
    fast_ticks: None, engine: WorkflowEngine, clock: Clock, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = await engine.store.add_workflow(ada.id, TEMPLATES["weekly-report"])
    broken = await engine.store.add_schedule(ada.id, workflow, local_time="09:30", timezone="UTC")
    await engine.store.add_schedule(ada.id, workflow, local_time="10:00", timezone="UTC")
    fire = engine._fire

    async def fire_all_but_one(schedule: Schedule) -> None:
        if schedule.id == broken.id:
            raise NotFound("It is gone.")
        await fire(schedule)

    monkeypatch.setattr(engine, "_fire", fire_all_but_one)
    clock.move(hours=1, minutes=1)

    async with asyncio.timeout(30):
        while not (runs := await engine.store.executions_of(ada.id, workflow.id)):
            await asyncio.sleep(0.1)
    execution = await ended(engine, ada, runs[0])

    assert execution.status == "completed"


async def test_what_another_server_left_when_it_died_is_finished_at_a_tick(
    fast_ticks: None, engine: WorkflowEngine, database: Database, tmp_path: Path, ada: User
) -> None:
    workflow = await engine.store.add_workflow(ada.id, TEMPLATES["weekly-report"])
    dying = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.app.orchestration.engines", database.url, tmp_path, ada.id, workflow.id,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert dying.stdout is not None
    execution_id = (await asyncio.wait_for(dying.stdout.readline(), 60)).decode().strip()
    await engine._look_after()
    (alive,) = await DBOS.list_workflows_async(workflow_ids=[execution_id])
    dying.kill()
    await dying.wait()

    async with asyncio.timeout(30):  # of several servers, one does at each tick what is to be done
        while not (execution := await engine.store.execution(execution_id)).ended:
            await asyncio.sleep(0.1)

    assert (alive.status, alive.executor_id) == ("PENDING", "slot-1")  # it was left to the one that had it
    assert execution.status == "completed"
    assert "### Your week" in execution.outputs["report"]["text"]


@pytest.mark.xdist_group("postgres")
def test_a_name_that_was_lost_with_its_connection_is_taken_again(postgres: str) -> None:
    one, other = PostgresSlot(postgres), PostgresSlot(postgres)
    one.take()
    one.keep()
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(DROP_LOCKS)

    one.keep()
    other.take()

    assert (one.executor_id, other.executor_id) == ("slot-0", "slot-1")
    assert not other.is_abandoned("slot-0")
    one.release()
    deadline = monotonic() + 10  # the server lets go of it a moment after the connection is closed
    while not other.is_abandoned("slot-0") and monotonic() < deadline:
        sleep(0.05)
    assert other.is_abandoned("slot-0")
    other.release()


@pytest.mark.xdist_group("postgres")
def test_a_name_that_somebody_else_took_meanwhile_is_said_to_be_lost(postgres: str) -> None:
    one, other = PostgresSlot(postgres), PostgresSlot(postgres)
    one.take()
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(DROP_LOCKS)
    other.take()

    with pytest.raises(OSError, match="another process has it"):
        one.keep()
    assert other.executor_id == "slot-0"
    for slot in (one, other):
        slot.release()


async def test_what_dbos_says_goes_into_our_log(engine: WorkflowEngine) -> None:
    assert engine.store is not None  # it is open
    assert logging.getLogger("dbos").handlers == []
    assert logging.getLogger("dbos").propagate


async def test_nobody_sees_or_stops_anothers_work(engine: WorkflowEngine, ada: User, eve: User) -> None:
    workflow = await engine.store.add_workflow(ada.id, TEMPLATES["weekly-report"])
    schedule = await engine.store.add_schedule(ada.id, workflow, local_time="10:00", timezone="UTC")
    execution = await engine.start(ada.id, workflow, {})

    for touch in (
        engine.store.workflow(eve.id, workflow.id),
        engine.store.execution(execution.id, user_id=eve.id),
        engine.store.cancel_schedule(eve.id, schedule.id),
        engine.store.delete_workflow(eve.id, workflow.id),
    ):
        with pytest.raises(NotFound):
            await touch
    await ended(engine, ada, execution)


async def test_a_run_written_down_but_never_begun_is_taken_up(engine: WorkflowEngine, ada: User) -> None:
    workflow = await engine.store.add_workflow(ada.id, TEMPLATES["weekly-report"])
    await engine.store.add_execution(ada.id, workflow, {}, execution_id="lost", thread_id=None)

    await engine._take_up()

    assert (await ended(engine, ada, await engine.store.execution("lost"))).status == "completed"
