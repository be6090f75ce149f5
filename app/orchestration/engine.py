"""Durable execution with DBOS: one generic workflow interprets any definition and goes on after a crash."""

import asyncio
import contextlib
import contextvars
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID
from sqlalchemy import event

from app.errors import InvalidInput, TooLooError
from app.orchestration import dag
from app.orchestration import schedules as times
from app.orchestration.actions import Actions
from app.orchestration.executor import ExecutorSlot
from app.orchestration.store import Execution, Schedule, Workflow, WorkStore
from app.zones import zone_named

logger = structlog.get_logger()

APPLICATION_VERSION = "tooloo-1"  # raise it only when the generic workflow below changes its steps
WATCH_SECONDS = 0.15
TICK = "* * * * *"  # each minute
Result = TypeVar("Result")


class WorkflowEngine:
    """Starts, watches and resumes runs. DBOS is one for each process: open one engine at a time."""

    def __init__(
        self, *, store: WorkStore, actions: Actions, slot: ExecutorSlot, system_url: str,
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self.store = store
        self.actions = actions
        self._slot = slot
        self._system_url = system_url
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._run: Callable[[str], Coroutine[Any, Any, None]] | None = None  # Any: as asyncio types it
        self._system: sa.Engine | None = None

    async def open(self) -> None:
        """Start DBOS, register the workflow and the minute's tick, and take up what was left unfinished."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._slot.take)
        await asyncio.to_thread(self._launch)
        await self._take_up()

    async def close(self) -> None:
        """Stop; runs in flight stay pending and are resumed at the next start."""
        # DBOS put its own pool under the loop and shuts it down here; whoever closes after us needs a living one.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="tooloo"))
        await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=0)
        if self._system is not None:
            self._system.dispose()
        await asyncio.to_thread(self._slot.release)

    async def start(
        self, user_id: str, workflow: Workflow, inputs: dict[str, Any], *, thread_id: str | None = None,
        execution_id: str | None = None,
    ) -> Execution:  # Any: JSON  # fmt: skip
        """Begin a run, once for each ``execution_id``.

        Raises:
            InvalidInput: the definition cannot run.
        """
        dag.validate(workflow.definition, self.actions.by_name.keys())
        wanted = execution_id or uuid.uuid4().hex
        if await self.store.add_execution(user_id, workflow, inputs, execution_id=wanted, thread_id=thread_id):
            await self._begin(wanted)
        return await self.store.execution(wanted)

    async def watch(self, user_id: str, execution_id: str) -> AsyncIterator[Execution]:
        """A run at each change, at last as it ended.

        Raises:
            NotFound: not this user's run.
        """
        shown: Execution | None = None
        while shown is None or not shown.ended:
            now = await self.store.execution(execution_id, user_id=user_id)
            if now != shown:
                shown = now
                yield now
            if not now.ended:
                await asyncio.sleep(WATCH_SECONDS)

    async def keep_slot(self) -> None:
        """Hold on to this process's name, by which others see that its runs are not abandoned.

        Raises:
            OSError: another process has it.
        """
        await asyncio.to_thread(self._slot.keep)

    async def fire_due(self) -> int:
        """Start what is due, each slot once, whichever process comes first; returns how many were due."""
        due = await self.store.schedules(due_at=self._clock())
        for schedule in due:
            try:
                await self._fire(schedule)
            except TooLooError as error:  # the others are due all the same
                logger.warning("schedule.failed", schedule=schedule.id, reason=error.user_message)
        return len(due)

    async def _look_after(self) -> None:
        """What one of the servers does each minute: what is due, and what another left when it died."""
        await self.fire_due()
        await self._take_up()

    async def _fire(self, schedule: Schedule) -> None:
        zone = await zone_named(schedule.timezone)
        slot = times.slot_of(schedule.next_at, zone)
        workflow = await self.store.workflow(schedule.user_id, schedule.workflow_id)
        try:
            await self.start(schedule.user_id, workflow, {}, execution_id=f"schedule-{schedule.id}-{slot}")
        except InvalidInput as error:
            logger.warning("schedule.cannot_run", schedule=schedule.id, reason=error.user_message)
        await self.store.advance(schedule, slot)

    async def _begin(self, execution_id: str) -> None:
        assert self._run is not None
        with SetWorkflowID(execution_id):
            await DBOS.start_workflow_async(self._run, execution_id)

    async def _take_up(self) -> None:
        """Start runs whose process died between writing them down and starting them, and resume abandoned ones."""
        unfinished = await self.store.unfinished()
        if not unfinished:
            return
        known = {
            status.workflow_id: status
            for status in await DBOS.list_workflows_async(workflow_ids=unfinished, load_input=False, load_output=False)
        }
        for execution_id in unfinished:
            if execution_id not in known:
                await self._begin(execution_id)
        abandoned = [
            status.workflow_id
            for status in known.values()
            if status.status == "PENDING"
            and status.executor_id != self._slot.executor_id
            and await asyncio.to_thread(self._slot.is_abandoned, status.executor_id or "")
        ]
        if abandoned:
            await DBOS.resume_workflows_async(abandoned)

    def _launch(self) -> None:
        self._system = _system_engine(self._system_url)
        config: DBOSConfig = {
            "name": "tooloo",
            "system_database_url": self._system_url,
            "system_database_engine": self._system,
            "application_version": APPLICATION_VERSION,
            "executor_id": self._slot.executor_id,
            "serializer": DBOSPortableJSONSerializer(),
            "enable_otlp": False,
            "log_level": "WARNING",
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": 0.1,
            "scheduler_polling_interval_sec": 1.0,
        }
        DBOS(config=config)
        own = logging.getLogger("dbos")  # it writes lines of its own form, unless they go where all others go
        own.handlers.clear()
        own.propagate = True

        async def run_definition(execution_id: str) -> None:  # DBOS registers functions, not methods
            await self._interpret(execution_id)

        async def tick(_scheduled_at: datetime, _context: Any) -> None:  # Any: as DBOS types it
            await self._apart(self._look_after())

        self._run = DBOS.workflow(name="run_definition", max_recovery_attempts=20)(run_definition)
        ticking = DBOS.workflow(name="tick")(tick)
        DBOS.launch()
        DBOS.apply_schedules([{"schedule_name": "tick", "workflow_fn": ticking, "schedule": TICK, "context": None}])

    async def _interpret(self, execution_id: str) -> None:
        """The generic workflow. Step ids are reserved in the order of the definition before steps run side by side:
        DBOS counts them, and a replay must meet the same ones."""
        execution = await self._on_our_loop(self.store.execution(execution_id))
        outputs: dict[str, Any] = {}  # Any: JSON
        for group in dag.levels(execution.definition):
            reserved = [(step, DBOS.reserve_step()) for step in group]
            results = await asyncio.gather(
                *(
                    reservation.run_async({"name": step.id}, self._step, execution_id, step.id, outputs)
                    for step, reservation in reserved
                )
            )
            failed = next((result for result in results if "error" in result), None)
            if failed is not None:
                await self._on_our_loop(self.store.end_execution(execution, "failed", error=failed["error"]))
                return
            outputs |= {step.id: result["output"] for (step, _), result in zip(reserved, results, strict=True)}
        await self._on_our_loop(self.store.end_execution(execution, "completed"))

    async def _step(self, execution_id: str, step_id: str, outputs: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
        return await self._on_our_loop(self._call(execution_id, step_id, outputs))

    async def _call(self, execution_id: str, step_id: str, outputs: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
        """One step: its error is a result, so that a replay after a crash does not try what has failed already."""
        execution = await self.store.execution(execution_id)
        step = next(step for step in execution.definition.steps if step.id == step_id)
        await self.store.set_step(execution, step_id, "running")
        try:
            inputs = dag.resolve(step, inputs=execution.inputs, outputs=outputs)
            output = await self.actions.by_name[step.action_name].call(execution.user_id, inputs)
        except TooLooError as error:
            await self.store.set_step(execution, step_id, "failed", error=error.user_message)
            return {"error": f"{step_id}: {error.user_message}"}
        except Exception:  # the outermost edge of a step: the run must end, not hang
            logger.exception("workflow.step_failed", execution=execution_id, step=step_id)
            reference = uuid.uuid4().hex[:8]
            message = f"Something went wrong in this step (reference {reference})."
            await self.store.set_step(execution, step_id, "failed", error=message)
            return {"error": f"{step_id}: {message}"}
        await self.store.set_step(execution, step_id, "completed", output=output)
        return {"output": output}

    async def _apart(self, work: Coroutine[Any, Any, None]) -> None:  # Any: as asyncio types it
        """On our loop and outside of the workflow that asks for it: what DBOS does there is no step of that one."""
        assert self._loop is not None
        scheduled = contextvars.Context().run(asyncio.run_coroutine_threadsafe, work, self._loop)
        await asyncio.wrap_future(scheduled)

    async def _on_our_loop(self, work: Coroutine[Any, Any, Result]) -> Result:  # Any: as asyncio types it
        """DBOS recovers workflows on a loop of its own; our services belong to the server's."""
        assert self._loop is not None
        if asyncio.get_running_loop() is self._loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))


def _system_engine(url: str) -> sa.Engine:
    """DBOS on its own engine: WAL and NORMAL double its throughput on SQLite."""
    engine = sa.create_engine(url, hide_parameters=True)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _prepare(connection: Any, _record: object) -> None:  # Any: a DBAPI connection has no type
            with contextlib.closing(connection.cursor()) as cursor:
                cursor.execute("PRAGMA journal_mode=WAL")
                cursor.execute("PRAGMA synchronous=NORMAL")
                cursor.execute("PRAGMA busy_timeout=30000")

    return engine
