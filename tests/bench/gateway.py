"""What a call costs in processor time and latency: the raw SDK, our gateway, LiteLLM and its Router, in one run.

Run as ``python -m tests.bench.gateway WHO URL`` in a process of its own for each, so that none pays for another.
"""

import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

ROOT = Path(__file__).parents[2]
WHO = ("raw SDK", "our gateway", "LiteLLM", "LiteLLM Router")
MODEL = "gpt-5-mini"
KINDS = ("plain", "streamed")
WARM_UP, CALLS, ROUNDS = 20, 50, 20
QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]

Once = Callable[[bool], Awaitable[None]]


async def raw(url: str) -> Once:
    import openai

    client = openai.AsyncOpenAI(api_key="sk-bench", base_url=f"{url}/v1", max_retries=0)

    async def once(stream: bool) -> None:
        more: dict[str, Any] = {"stream_options": {"include_usage": True}} if stream else {}
        answer = await client.chat.completions.create(model=MODEL, messages=QUESTION, stream=stream, **more)  # type: ignore[call-overload]
        if stream:
            async for _ in answer:
                pass

    return once


async def ours(url: str) -> Once:
    from app import logs
    from app.identity.accounts import AccountService
    from app.models.budget import Purse
    from app.models.call import CallRequest
    from app.models.providers.wire import Message
    from app.opening import open_gateway
    from app.settings import Settings
    from app.storage.database import Database, sqlite_url
    from app.storage.migrate import migrate

    folder = Path(tempfile.mkdtemp())
    settings = Settings(  # type: ignore[call-arg]  # the rest have defaults
        tooloo_data_dir=folder, openai_api_key="sk-bench", openai_base_url=f"{url}/v1",  # type: ignore[arg-type]
        ollama_base_url="http://127.0.0.1:9", log_format="json",
    )  # fmt: skip
    logs.configure(settings.log_level, settings.log_format)
    database = Database(sqlite_url(folder / "bench.sqlite"))
    await migrate(database)
    owner = await AccountService(database=database, clock=lambda: datetime.now(UTC)).owner()
    gateway = await open_gateway(settings, database, Purse(database))

    async def once(stream: bool) -> None:
        request = CallRequest(
            task="chat", user_id=owner.id, thread_id=None, system="Be brief.", stream=stream,
            messages=(Message(role="user", content="Hello?"),), model=f"openai/{MODEL}", max_output_tokens=200,
        )  # fmt: skip
        async for _ in gateway.stream(request):
            pass

    return once


async def litellm_alone(url: str) -> Once:
    import litellm

    async def once(stream: bool) -> None:
        answer = await litellm.acompletion(
            model=f"openai/{MODEL}", messages=QUESTION, api_key="sk-bench", api_base=f"{url}/v1", stream=stream,
            num_retries=0, **({"stream_options": {"include_usage": True}} if stream else {}),
        )  # fmt: skip
        if stream:
            async for _ in answer:
                pass

    return once


async def litellm_router(url: str) -> Once:
    import litellm

    router = litellm.Router(model_list=[router_model(url)], num_retries=0)

    async def once(stream: bool) -> None:
        answer = await router.acompletion(
            model="bench", messages=QUESTION, stream=stream,  # type: ignore[arg-type]
            **({"stream_options": {"include_usage": True}} if stream else {}),
        )  # fmt: skip
        if stream:
            async for _ in answer:
                pass

    return once


def router_model(url: str) -> dict[str, Any]:
    parameters = {"model": f"openai/{MODEL}", "api_key": "sk-bench", "api_base": f"{url}/v1"}
    return {"model_name": "bench", "litellm_params": parameters}


async def take_turns(who: str, url: str) -> None:
    """For each line that says how (plain or streamed), answer with the processor milliseconds and the latency of a call;
    between turns the loop stands still."""
    made = {"raw SDK": raw, "our gateway": ours, "LiteLLM": litellm_alone, "LiteLLM Router": litellm_router}
    once = await made[who](url)
    for stream in (False, True):
        for _ in range(WARM_UP):
            await once(stream)
    for line in sys.stdin:
        stream = line.strip() == "streamed"
        processor, wall = time.process_time(), time.perf_counter()
        for _ in range(CALLS):
            await once(stream)
        figures = (time.process_time() - processor, time.perf_counter() - wall)
        sys.stdout.write(json.dumps([figure / CALLS * 1000 for figure in figures]) + "\n")
        sys.stdout.flush()


def compare(url: str) -> list[tuple[str, str]]:
    """A row for each, with the ratio to the raw SDK's processor time. They take turns, because the speed of a machine may
    change by two within a second: the median of each one's turns."""
    figures: dict[tuple[str, str], list[list[float]]] = {}
    with contextlib.ExitStack() as stack:
        processes = {who: stack.enter_context(_in_own_process(who, url)) for who in WHO}
        for kind in KINDS:
            for _ in range(ROUNDS):
                for who, process in processes.items():
                    figures.setdefault((who, kind), []).append(_turn(process, kind))
    rows = []
    for who in WHO:
        parts = []
        for kind in KINDS:
            processor, wall = (median(values) for values in zip(*figures[who, kind], strict=True))
            ratio = processor / median(turn[0] for turn in figures[WHO[0], kind])
            parts.append(f"{kind} {processor:.1f} ms ({ratio:.1f}×), latency {wall:.1f} ms")
        rows.append((f"processor time a call, {who}", "; ".join(parts)))
    return rows


@contextlib.contextmanager
def _in_own_process(who: str, url: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.bench.gateway", who, url], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _turn(process: subprocess.Popen[str], kind: str) -> list[float]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{kind}\n")
    process.stdin.flush()
    figures = next((line for line in process.stdout if line.startswith("[")), None)  # what else it says is its log
    if figures is None:
        raise RuntimeError(f"{process.args!r} ended with {process.wait()}")
    return [float(figure) for figure in json.loads(figures)]


async def log_ms() -> tuple[float, float]:
    """Milliseconds that an answer waits for its place in the call log, and processor milliseconds of writing it."""
    from app.events.schema import NewEvent
    from app.models.log import CallLog, CallRecord
    from app.storage.database import Database, sqlite_url
    from app.storage.migrate import migrate

    database = Database(sqlite_url(Path(tempfile.mkdtemp()) / "bench.sqlite"))
    await migrate(database)
    log, now = CallLog(database), datetime.now(UTC)
    candidate = {"model_id": "openai/gpt-5-mini", "provider": "openai", "score": 0.5, "excluded": None}
    waited, processor, calls = 0.0, time.process_time(), 0
    for batch in range(20):
        for number in range(100):
            call_id = f"{batch}-{number}"
            record = CallRecord(
                id=call_id, request_id=call_id, user_id=None, thread_id="t", task="chat", intent="chat",
                provider="openai", model=MODEL, status="ok", states="Idle > Validating > Requesting > Completed",
                error_kind=None, input_tokens=100, cached_tokens=0, output_tokens=24, tokens_counted=False,
                held_microusd=500, cost_microusd=73, first_token_ms=20, total_ms=50,
                selection={"reason": "the best score", "ranking": [candidate] * 16}, created_at=now,
            )  # fmt: skip
            payload = {"provider": "openai", "model": MODEL, "reason": "the best score", "costMicrousd": 73}
            happened = [
                NewEvent(type=kind, key=call_id, user_id=None, occurred_at=now, payload=payload)
                for kind in ("provider.selected", "provider.succeeded")
            ]
            began = time.perf_counter()
            await log.put(record, *happened)
            waited += time.perf_counter() - began
            calls += 1
        await log.flush()
    processor = time.process_time() - processor
    await log.close()
    await database.close()
    return waited / calls * 1000, processor / calls * 1000


async def purse_ms() -> tuple[float, float]:
    """Processor milliseconds of reserving and settling a call, and of the same statements by the bare driver: what two
    durable transactions beside the event loop cost at least."""
    from app.models.budget import Purse
    from app.storage.database import Database, sqlite_url
    from app.storage.migrate import migrate

    files = [Path(tempfile.mkdtemp()) / "bench.sqlite" for _ in range(2)]
    databases = [Database(sqlite_url(file)) for file in files]
    for database in databases:
        await migrate(database)
        await Purse(database).open(["openai"])
    purse, now = Purse(databases[0]), datetime.now(UTC)
    transactions: list[list[tuple[str, Any]]] = []

    def note(
        connection: sa.Connection, cursor: object, statement: str, parameters: Any, *_: object
    ) -> None:  # SQLAlchemy's signature
        if statement.startswith("BEGIN"):
            transactions.append([])
        transactions[-1].append((statement, parameters))

    async def pair(number: int) -> None:
        call_id = f"call-{number}"
        await purse.reserve(
            call_id, provider="openai", user_id="ada", amount_microusd=500, now=now, model=MODEL, task="chat",
            intent="general.chat", thread_id="t",
        )  # fmt: skip
        await purse.settle(call_id, cost_microusd=73, now=now)

    for number in range(WARM_UP):
        await pair(number)
    processor = time.process_time()
    for number in range(WARM_UP, WARM_UP + CALLS):
        await pair(number)
    ours = (time.process_time() - processor) / CALLS * 1000
    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    for number in range(WARM_UP + CALLS, 2 * (WARM_UP + CALLS)):
        await pair(number)
    sa.event.remove(sa.Engine, "before_cursor_execute", note)
    bare = await _bare_ms(files[1], transactions)
    for database in databases:
        await database.close()
    return ours, bare


async def _bare_ms(file: Path, transactions: list[list[tuple[str, Any]]]) -> float:
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {setting}")

    def run(statements: list[tuple[str, Any]]) -> None:
        for statement, parameters in statements:
            if isinstance(parameters, list):
                connection.executemany(statement, parameters)
            else:
                connection.execute(statement, parameters).fetchall()
        connection.execute("COMMIT")

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=1) as thread:
        for statements in transactions[: 2 * WARM_UP]:
            await loop.run_in_executor(thread, run, statements)
        processor = time.process_time()
        for statements in transactions[2 * WARM_UP :]:
            await loop.run_in_executor(thread, run, statements)
        processor = time.process_time() - processor
    assert connection.execute("SELECT count(*) FROM charges").fetchone() == (len(transactions) // 2,)
    connection.close()
    return processor / CALLS * 1000


def decision_ms() -> float:
    """A decision among fifty candidates, each with a track and something learned; the median of five hundred."""
    from dataclasses import replace

    from app.models.catalog import load_catalog
    from app.models.selector import Knowledge, Learned, Need, Outcome, Track, rank

    now = datetime.now(UTC)
    base = load_catalog(None, today=now.date()).models
    models = [replace(base[n % len(base)], name=f"m{n}") for n in range(50)]
    track = Track(at=now).after(Outcome(model_id="x", error_kind="server", at=now, tokens_per_second=80.0))
    knowledge = Knowledge(
        now=now, tracks={model.id: track for model in models},
        learned={(model.id, "chat"): Learned(good=3, total=5) for model in models},
    )  # fmt: skip
    need = Need(task="chat", input_tokens=1000, output_tokens=500)
    for _ in range(50):
        rank(models, need, knowledge)
    took = []
    for _ in range(500):
        began = time.perf_counter()
        rank(models, need, knowledge)
        took.append(time.perf_counter() - began)
    return median(took) * 1000


async def router_overspend(url: str, *, calls: int, budget_for: int, call_usd: float) -> int:
    """How many of ``calls`` at once LiteLLM's Router lets out on a budget for ``budget_for``."""
    import litellm

    router = litellm.Router(
        model_list=[router_model(url)], num_retries=0,
        provider_budget_config={"openai": {"budget_limit": budget_for * call_usd, "time_period": "1d"}},  # type: ignore[dict-item]
    )  # fmt: skip

    async def once() -> bool:
        try:
            await router.acompletion(model="bench", messages=QUESTION)  # type: ignore[arg-type]
        except Exception:  # whatever refuses
            return False
        return True

    return sum(await asyncio.gather(*(once() for _ in range(calls))))


def main() -> None:
    asyncio.run(take_turns(sys.argv[1], sys.argv[2]))


if __name__ == "__main__":
    main()
