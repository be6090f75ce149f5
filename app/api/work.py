"""Repositories, workflows and schedules over REST."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from app.api.identity import Admin, Reader, Using, Writer
from app.api.wire import Body, page
from app.context.repositories import Repository
from app.errors import InvalidInput
from app.orchestration import dag
from app.orchestration.store import Execution, Schedule

router = APIRouter(tags=["work"])
Json = dict[str, Any]  # Any: JSON


class Load(Body):
    path: str = Field(max_length=4096)


class Search(Body):
    repository_id: str
    query: str = Field(max_length=500)
    limit: int = Field(5, ge=1, le=20)


class Run(Body):
    inputs: Json = Field(default_factory=dict)


class NewSchedule(Body):
    workflow_id: str
    local_time: str
    timezone: str | None = None


@router.post("/context/repos", status_code=201)
async def load(body: Load, user: Writer, using: Using) -> Json:
    repository: Repository | None = None
    async for step in using.deps.repositories.load(user.id, body.path):
        if isinstance(step, Repository):
            repository = step
    assert repository is not None
    return _repository(repository)


@router.get("/context/repos")
async def repositories(user: Reader, using: Using) -> Json:
    return page([_repository(r) for r in await using.deps.repositories.list(user.id)])


@router.post("/context/search")
async def search(body: Search, user: Reader, using: Using) -> Json:
    found = await using.deps.repositories.search(user.id, body.repository_id, body.query, limit=body.limit)
    return page(
        [{"path": f.path, "line": f.line, "symbol": f.symbol, "start": f.start, "snippet": f.snippet} for f in found]
    )


@router.get("/repos/structure")
async def structure(repository_id: Annotated[str, Query(alias="repositoryId")], user: Reader, using: Using) -> Json:
    rows = await using.deps.repositories.structure(user.id, repository_id)
    return page([{"path": path, "lines": lines} for path, lines in rows])


@router.post("/workflow", status_code=201)
async def create(body: Json, user: Admin, using: Using) -> Json:
    """Only administrators make workflows: their steps act for whoever runs them."""
    definition = dag.parse(body)
    dag.validate(definition, using.deps.engine.actions.by_name.keys())
    workflow = await using.deps.engine.store.add_workflow(user.id, definition)
    return {"id": workflow.id, "name": workflow.name}


@router.get("/workflow")
async def workflows(user: Reader, using: Using) -> Json:
    found = await using.deps.engine.store.workflows(user.id)
    return page([{"id": w.id, "name": w.name} for w in found])


@router.get("/workflow/{workflow_id}")
async def workflow(workflow_id: str, user: Reader, using: Using) -> Json:
    found = await using.deps.engine.store.workflow(user.id, workflow_id)
    return {"id": found.id, **found.definition.model_dump(mode="json")}


@router.delete("/workflow/{workflow_id}", status_code=204)
async def delete(workflow_id: str, user: Writer, using: Using) -> None:
    await using.deps.engine.store.delete_workflow(user.id, workflow_id)


@router.post("/workflow/{workflow_id}/execute", status_code=202)
async def execute(workflow_id: str, body: Run, user: Writer, using: Using) -> Json:
    found = await using.deps.engine.store.workflow(user.id, workflow_id)
    return _execution(await using.deps.engine.start(user.id, found, body.inputs))


@router.get("/workflow/{workflow_id}/executions")
async def executions(workflow_id: str, user: Reader, using: Using) -> Json:
    return page([_execution(e) for e in await using.deps.engine.store.executions_of(user.id, workflow_id)])


@router.post("/task/schedule", status_code=201)
async def schedule(body: NewSchedule, user: Writer, using: Using) -> Json:
    found = await using.deps.engine.store.workflow(user.id, body.workflow_id)
    if any(value == "from:input" or str(value).startswith("from:input.") for step in found.definition.steps
           for value in step.input.values()):  # fmt: skip
        raise InvalidInput("This workflow asks for inputs, which a schedule cannot give.")
    zone = body.timezone or (await using.accounts.preferences(user.id)).timezone
    made = await using.deps.engine.store.add_schedule(user.id, found, local_time=body.local_time, timezone=zone)
    return _schedule(made)


@router.get("/task/scheduled")
async def scheduled(user: Reader, using: Using) -> Json:
    return page([_schedule(s) for s in await using.deps.engine.store.schedules(user_id=user.id)])


@router.delete("/task/{schedule_id}", status_code=204)
async def cancel(schedule_id: str, user: Writer, using: Using) -> None:
    await using.deps.engine.store.cancel_schedule(user.id, schedule_id)


def _repository(repository: Repository) -> Json:
    return {
        "id": repository.id, "name": repository.name, "path": repository.path, "files": repository.files,
        "symbols": repository.symbols, "indexedAt": repository.indexed_at.isoformat(),
    }  # fmt: skip


def _execution(execution: Execution) -> Json:
    return {
        "id": execution.id, "workflowId": execution.workflow_id, "status": execution.status, "error": execution.error,
        "startedAt": execution.started_at.isoformat(),
        "steps": [{"id": s.id, "status": s.status, "output": s.output, "error": s.error} for s in execution.steps],
    }  # fmt: skip


def _schedule(schedule: Schedule) -> Json:
    return {
        "id": schedule.id, "workflowId": schedule.workflow_id, "localTime": schedule.local_time,
        "timezone": schedule.timezone, "nextAt": schedule.next_at.isoformat(),
    }  # fmt: skip
