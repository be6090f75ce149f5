"""Workflows, executions and schedules in our own tables: what people see of their work."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import NotFound
from app.events import log as event_log
from app.events.schema import NewEvent
from app.models import audit
from app.orchestration import schedules as times
from app.orchestration.dag import Definition, parse
from app.storage.database import Database
from app.storage.tables.work import execution_steps, executions, schedules, workflows
from app.zones import zone_named

ExecutionStatus = Literal["queued", "running", "completed", "failed"]


@dataclass(frozen=True, kw_only=True)
class Workflow:
    id: str
    name: str
    definition: Definition


@dataclass(frozen=True, kw_only=True)
class StepState:
    id: str
    status: str
    output: dict[str, Any] | None  # Any: JSON
    error: str | None


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run of a workflow and where each of its steps stands."""

    id: str
    workflow_id: str
    user_id: str
    definition: Definition
    inputs: dict[str, Any]  # Any: JSON
    status: ExecutionStatus
    error: str | None
    started_at: datetime
    steps: tuple[StepState, ...]

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed")

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:  # Any: JSON
        return {step.id: step.output for step in self.steps if step.output is not None}


@dataclass(frozen=True, kw_only=True)
class Schedule:
    id: str
    user_id: str
    workflow_id: str
    workflow_name: str
    local_time: str
    timezone: str
    next_at: datetime
    last_slot: str | None


class WorkStore:
    def __init__(self, *, database: Database, clock: Callable[[], datetime], wake: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake

    async def add_workflow(self, user_id: str, definition: Definition) -> Workflow:
        workflow = Workflow(id=uuid.uuid4().hex, name=definition.name, definition=definition)
        now = self._clock()
        async with self._database.write() as connection:
            await connection.execute(
                workflows.insert().values(
                    id=workflow.id, user_id=user_id, name=workflow.name,
                    definition=definition.model_dump(mode="json"), created_at=now,
                )
            )  # fmt: skip
            await self._note(connection, "workflow.created", workflow.id, user_id, {"name": workflow.name})
            detail = {"name": workflow.name}
            await connection.run_sync(audit.record, user_id, "workflow.add", workflow.id, detail, at=now)
        self._wake()
        return workflow

    async def workflow(self, user_id: str, workflow_id: str) -> Workflow:
        """A workflow of this user.

        Raises:
            NotFound: it is not there, or somebody else's.
        """
        found = [w for w in await self.workflows(user_id) if w.id == workflow_id]
        if not found:
            raise NotFound("This workflow is not there. See /workflow for yours.")
        return found[0]

    async def workflows(self, user_id: str) -> list[Workflow]:
        query = sa.select(workflows).where(workflows.c.user_id == user_id).order_by(workflows.c.created_at.desc())
        async with self._database.read() as connection:
            return [
                Workflow(id=row.id, name=row.name, definition=parse(row.definition))
                for row in await connection.execute(query)
            ]

    async def delete_workflow(self, user_id: str, workflow_id: str) -> None:
        """Delete a workflow with its history and schedules.

        Raises:
            NotFound: it is not there, or somebody else's.
        """
        await self.workflow(user_id, workflow_id)
        async with self._database.write() as connection:
            await connection.execute(workflows.delete().where(workflows.c.id == workflow_id))
            await self._note(connection, "workflow.deleted", workflow_id, user_id, {})
            await connection.run_sync(audit.record, user_id, "workflow.delete", workflow_id, {}, at=self._clock())
        self._wake()

    async def add_execution(
        self, user_id: str, workflow: Workflow, inputs: dict[str, Any], *, execution_id: str, thread_id: str | None
    ) -> bool:  # Any: JSON
        """Write down that a run begins; False when this very run was begun before."""
        now = self._clock()
        try:
            async with self._database.write() as connection:
                await connection.execute(
                    executions.insert().values(
                        id=execution_id, workflow_id=workflow.id, user_id=user_id, thread_id=thread_id, inputs=inputs,
                        status="queued", started_at=now,
                    )
                )  # fmt: skip
                await connection.execute(
                    execution_steps.insert(),
                    [
                        {"execution_id": execution_id, "step_id": step.id, "status": "waiting"}
                        for step in workflow.definition.steps
                    ],
                )
                await self._note(connection, "workflow.started", execution_id, user_id, {"workflowId": workflow.id})
        except IntegrityError:
            return False
        self._wake()
        return True

    async def execution(self, execution_id: str, *, user_id: str | None = None) -> Execution:
        """A run, of this user if one is given.

        Raises:
            NotFound: it is not there, or somebody else's.
        """
        query = (
            sa.select(executions, workflows.c.definition)
            .join(workflows, workflows.c.id == executions.c.workflow_id)
            .where(executions.c.id == execution_id)
        )
        if user_id is not None:
            query = query.where(executions.c.user_id == user_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
            if row is None:
                raise NotFound("This run is not there. See /workflow for yours.")
            states = {
                state.step_id: state
                for state in await connection.execute(
                    sa.select(execution_steps).where(execution_steps.c.execution_id == execution_id)
                )
            }
        definition = parse(row.definition)
        return Execution(
            id=row.id, workflow_id=row.workflow_id, user_id=row.user_id, definition=definition, inputs=row.inputs,
            status=row.status, error=row.error, started_at=row.started_at,
            steps=tuple(
                StepState(id=step.id, status=states[step.id].status, output=states[step.id].output,
                          error=states[step.id].error)
                for step in definition.steps
            ),
        )  # fmt: skip

    async def unfinished(self) -> list[str]:
        """Runs that have not ended, oldest first."""
        query = (
            sa.select(executions.c.id)
            .where(executions.c.status.in_(("queued", "running")))
            .order_by(executions.c.started_at)
        )
        async with self._database.read() as connection:
            return list(await connection.scalars(query))

    async def executions_of(self, user_id: str, workflow_id: str) -> list[Execution]:
        """A workflow's runs, newest first.

        Raises:
            NotFound: the workflow is not this user's.
        """
        await self.workflow(user_id, workflow_id)
        query = (
            sa.select(executions.c.id)
            .where(executions.c.workflow_id == workflow_id)
            .order_by(executions.c.started_at.desc())
            .limit(50)
        )
        async with self._database.read() as connection:
            ids = list(await connection.scalars(query))
        return [await self.execution(execution_id) for execution_id in ids]

    async def set_step(
        self, execution: Execution, step_id: str, status: str, *, output: dict[str, Any] | None = None,
        error: str | None = None,
    ) -> None:  # Any: JSON  # fmt: skip
        now = self._clock()
        when = {"started_at": now} if status == "running" else {"ended_at": now}
        async with self._database.write() as connection:
            await connection.execute(
                execution_steps.update()
                .where(execution_steps.c.execution_id == execution.id, execution_steps.c.step_id == step_id)
                .values(status=status, output=output, error=error, **when)
            )
            if status == "running":
                await connection.execute(
                    executions.update().where(executions.c.id == execution.id).values(status="running")
                )
            if status == "completed":
                await self._note(
                    connection, "workflow.step-completed", execution.id, execution.user_id, {"stepId": step_id},
                    dedupe_key=f"{execution.id}:{step_id}",
                )  # fmt: skip
        self._wake()

    async def end_execution(self, execution: Execution, status: ExecutionStatus, *, error: str | None = None) -> None:
        async with self._database.write() as connection:
            await connection.execute(
                executions.update()
                .where(executions.c.id == execution.id)
                .values(status=status, error=error, ended_at=self._clock())
            )
            payload: dict[str, Any] = {"workflowId": execution.workflow_id}  # Any: JSON
            if status == "failed":
                payload["error"] = error
            await self._note(
                connection, f"workflow.{status}", execution.id, execution.user_id, payload,
                dedupe_key=f"{execution.id}:{status}",
            )  # fmt: skip
        self._wake()

    async def add_schedule(self, user_id: str, workflow: Workflow, *, local_time: str, timezone: str) -> Schedule:
        """Run a workflow daily at a local time.

        Raises:
            InvalidInput: no such time or zone.
        """
        moment, zone = times.parse_time(local_time), await zone_named(timezone)
        now = self._clock()
        schedule = Schedule(
            id=uuid.uuid4().hex, user_id=user_id, workflow_id=workflow.id, workflow_name=workflow.name,
            local_time=moment.strftime("%H:%M"), timezone=timezone,
            next_at=times.next_daily(moment, zone, after=now), last_slot=None,
        )  # fmt: skip
        async with self._database.write() as connection:
            await connection.execute(
                schedules.insert().values(
                    id=schedule.id, user_id=user_id, workflow_id=workflow.id, kind="daily",
                    local_time=schedule.local_time, timezone=timezone, active=True, created_at=now,
                    next_at=schedule.next_at,
                )
            )  # fmt: skip
            await self._note(
                connection, "task.scheduled", schedule.id, user_id,
                {"kind": "daily", "localTime": schedule.local_time},
            )  # fmt: skip
            detail = {"workflow": workflow.id, "localTime": schedule.local_time, "timezone": timezone}
            await connection.run_sync(audit.record, user_id, "schedule.add", schedule.id, detail, at=now)
        self._wake()
        return schedule

    async def schedules(self, *, user_id: str | None = None, due_at: datetime | None = None) -> list[Schedule]:
        """Active schedules, the next first; of one user, or those due at a time."""
        query = (
            sa.select(schedules, workflows.c.name.label("workflow_name"))
            .join(workflows, workflows.c.id == schedules.c.workflow_id)
            .where(schedules.c.active)
            .order_by(schedules.c.next_at)
        )
        if user_id is not None:
            query = query.where(schedules.c.user_id == user_id)
        if due_at is not None:
            query = query.where(schedules.c.next_at <= due_at)
        async with self._database.read() as connection:
            return [
                Schedule(
                    id=row.id, user_id=row.user_id, workflow_id=row.workflow_id, workflow_name=row.workflow_name,
                    local_time=row.local_time, timezone=row.timezone, next_at=row.next_at, last_slot=row.last_slot,
                )
                for row in await connection.execute(query)
            ]  # fmt: skip

    async def cancel_schedule(self, user_id: str, schedule_id: str) -> None:
        """Fire no more.

        Raises:
            NotFound: this user has no such schedule.
        """
        async with self._database.write() as connection:
            cancelled = await connection.execute(
                schedules.update()
                .where(schedules.c.id == schedule_id, schedules.c.user_id == user_id, schedules.c.active)
                .values(active=False)
            )
            if cancelled.rowcount == 0:
                raise NotFound("This schedule is not there. See /schedule for yours.")
            await self._note(connection, "task.cancelled", schedule_id, user_id, {})
            await connection.run_sync(audit.record, user_id, "schedule.cancel", schedule_id, {}, at=self._clock())
        self._wake()

    async def advance(self, schedule: Schedule, slot: str) -> None:
        """Write down that a slot has fired and when the next one is due."""
        zone = await zone_named(schedule.timezone)
        next_at = times.next_daily(times.parse_time(schedule.local_time), zone, after=self._clock(), last_slot=slot)
        async with self._database.write() as connection:
            await connection.execute(
                schedules.update().where(schedules.c.id == schedule.id).values(next_at=next_at, last_slot=slot)
            )
            await self._note(
                connection, "task.fired", schedule.id, schedule.user_id, {"slot": slot},
                dedupe_key=f"{schedule.id}:{slot}",
            )  # fmt: skip
        self._wake()

    async def _note(
        self, connection: AsyncConnection, event_type: str, key: str, user_id: str, payload: dict[str, Any],
        dedupe_key: str | None = None,
    ) -> None:  # Any: JSON  # fmt: skip
        await event_log.append(
            connection,
            NewEvent(type=event_type, key=key, user_id=user_id, occurred_at=self._clock(), payload=payload,
                     dedupe_key=dedupe_key),
        )  # fmt: skip
