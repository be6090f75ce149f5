"""Engines for tests; run as a module, a server that begins a workflow and never finishes it.

``python -m tests.app.orchestration.engines DATABASE_URL FOLDER USER_ID WORKFLOW_ID`` prints the id of the run.
"""

import asyncio
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from app.analytics.reports import ReportService
from app.context.repositories import RepositoryService
from app.opening import utc_now
from app.orchestration import engine as orchestration
from app.orchestration.actions import Actions
from app.orchestration.engine import WorkflowEngine
from app.orchestration.executor import ExecutorSlot, FileSlot, PostgresSlot
from app.orchestration.store import WorkStore
from app.storage.database import Database

EACH_SECOND = "* * * * * *"  # for all servers of a test: the schedule is one, and the last that starts sets it


def engine_of(database: Database, folder: Path, clock: Callable[[], datetime]) -> WorkflowEngine:
    repositories = RepositoryService(
        database=database, index_folder=folder / "i", roots=[folder / "roots"], private=folder / "i", clock=clock,
        wake=lambda: None,
    )  # fmt: skip
    slot: ExecutorSlot = FileSlot(folder)
    url = f"sqlite:///{folder / 'workflows.sqlite'}"
    if not database.is_sqlite:
        slot = PostgresSlot(database.url.replace("+asyncpg", ""))
        url = database.url.replace("+asyncpg", "+psycopg")
    return WorkflowEngine(
        store=WorkStore(database=database, clock=clock, wake=lambda: None),
        actions=Actions(
            database=database, repositories=repositories, reports=ReportService(database=database, clock=clock),
            clock=clock,
        ),
        slot=slot, system_url=url, clock=clock,
    )  # fmt: skip


async def _begin_and_hang(database_url: str, folder: str, user_id: str, workflow_id: str) -> None:
    orchestration.TICK = EACH_SECOND
    engine = engine_of(Database(database_url), Path(folder), utc_now)
    never = asyncio.Event()

    async def hang(execution_id: str, step_id: str, _outputs: dict[str, Any]) -> dict[str, Any]:
        await engine.store.set_step(await engine.store.execution(execution_id), step_id, "running")
        print(execution_id, flush=True)
        await never.wait()
        return {}

    await engine.open()
    engine._call = hang  # type: ignore[method-assign]
    await engine.start(user_id, await engine.store.workflow(user_id, workflow_id), {})
    await never.wait()


if __name__ == "__main__":
    asyncio.run(_begin_and_hang(*sys.argv[1:]))
