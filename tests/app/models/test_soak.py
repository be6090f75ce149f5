"""Two thousand mixed calls, a fifth of them faulty: nothing is left over, and the ledger is the provider's own count.

Two thirds ask one model each, the others go down the ranking, with hedging. All are compared with the fake's count one by
one but for those that were stopped, as the slower of two or by who left, or were too late: they may have been billed to
their end meanwhile, and are booked in full.
"""

import asyncio
import contextlib
import importlib
import random
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import TooLooError
from app.identity.accounts import User
from app.models.budget import MICROUSD, Purse
from app.models.gateway import Gateway
from app.models.providers.wire import Message
from app.storage.database import Database
from app.storage.tables.models import holds, provider_logs, provider_metrics
from tests.app.models.conftest import MODELS, OpenGateway, request_to
from tests.fakes.providers import FakeProviders, Running, Script

CALLS = 2000
AT_ONCE = 20
FAULTS = (
    Script(status=500), Script(status=503), Script(status=429), Script(status=401), Script(cut_after=2),
    Script(finish=None), Script(usage=False), Script(finish="content_filter", words=()), Script(status=400),
    Script(pause_seconds=1), Script(first_pause_seconds=1.5),
)  # fmt: skip
PINNED = [*MODELS.values()]
UNSAID = "tiny"  # LiteLLM's: it makes up an end for a whole answer that names none
LEFT = "anthropic/claude-opus-5-5"  # asked by those who leave


class Mixed(FakeProviders):
    """Every fifth call, at random but the same in every run, meets a fault."""

    def __init__(self) -> None:
        super().__init__(ollama_models=("qwen:7b",))
        self._random = random.Random(11)  # the same faults in every run

    def script(self, model: str) -> Script:  # as the fake's
        if self._random.random() < 0.2:
            return self._random.choice(FAULTS)
        return Script(input_tokens=self._random.randint(50, 400), output_tokens=self._random.randint(5, 150))


@pytest.fixture
def providers() -> Iterator[FakeProviders]:
    with Running(Mixed()) as fake:
        yield fake


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1024**2


async def one(gateway: Gateway, learner: User, number: int) -> None:
    leaves = number % 29 == 0
    model = LEFT if leaves else PINNED[number % len(PINNED)] if number % 3 else None
    kind = "pinned" if model else "ranked"
    name = f"{kind}-{number}-"
    question = (Message(role="user", content=name),)
    stream = gateway.stream(
        request_to(learner, model, stream=leaves or number % 4 > 0, thread_id=name, messages=question)
    )
    with contextlib.suppress(TooLooError):
        async for _ in stream:
            if leaves:
                break
    await stream.aclose()


def price(gateway: Gateway, call: dict[str, Any]) -> int:
    """What a call costs by the fake's own usage."""
    model = next(model for model in gateway.catalog.models if model.name == call["model"])
    return model.cost_microusd(input_tokens=call["input_tokens"], output_tokens=call["output_tokens"])


async def worker(gateway: Gateway, learner: User, waiting: Iterator[int]) -> None:
    for number in waiting:
        await one(gateway, learner, number)


@pytest.mark.filterwarnings("ignore")  # the SDKs' own deprecations
async def test_a_soak_leaves_nothing_behind(
    open_one: OpenGateway, providers: FakeProviders, purse: Purse, sqlite: Database, learner: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("app.models.standing.FEWEST_FIRST_TOKENS", 20)
    gateway = await open_one(provider_circuit_timeout=100, first_token_timeout_seconds=1.0, tooloo_hedging=True)
    now = datetime.now(UTC)
    for provider in ("anthropic", "openai", "gemini", "deepseek"):
        await purse.set_limit(
            "provider", provider, limit_microusd=1000 * MICROUSD, active=True, actor=learner.id, now=now
        )
    await asyncio.to_thread(importlib.import_module, "litellm.main")  # which takes longer than a call may
    tasks_before = asyncio.all_tasks()
    sizes = []
    for start in range(0, CALLS, CALLS // 4):
        waiting = iter(range(start, start + CALLS // 4))
        await asyncio.gather(*(worker(gateway, learner, waiting) for _ in range(AT_ONCE)))
        sizes.append(await asyncio.to_thread(resident_mb))
    await gateway.log.close()

    async with sqlite.read() as connection:
        logged = (await connection.execute(sa.select(provider_logs))).mappings().all()
        measured = await connection.scalar(sa.select(sa.func.count()).select_from(provider_metrics))
        held = await connection.scalar(sa.select(sa.func.count()).select_from(holds))
    rows = [row for row in logged if row["status"] != "refused"]
    budgets = {b.owner: b for b in await purse.budgets(datetime.now(UTC)) if b.kind == "provider"}
    by_provider: Counter[str] = Counter()
    for row in rows:
        by_provider[row["provider"]] += row["cost_microusd"]
    unsure = [row for row in rows if row["status"] == "stopped" or row["error_kind"] == "timeout"]
    maybe = {(row["thread_id"], row["model"]) for row in unsure}
    booked = Counter(
        (row["thread_id"], row["model"], row["input_tokens"], row["output_tokens"], row["cost_microusd"])
        for row in rows
        if (row["thread_id"], row["model"]) not in maybe and not row["tokens_counted"]
        and (row["status"] == "ok" or row["error_kind"] == "content_filter")
    )  # fmt: skip
    billed = Counter(
        (name, call["model"], call["input_tokens"], call["output_tokens"], price(gateway, call))
        for call in providers.calls
        for name in set(re.findall(r"(?:pinned|ranked)-\d+-", str(call["body"])))
        if (name, call["model"]) not in maybe and call["usage"]
        and (call["finished"] or ("whole" in call and call["model"] == UNSAID))
    )  # fmt: skip
    hedged = [row for row in rows if row["thread_id"].startswith("ranked") and row["status"] == "stopped"]
    cut = [row for row in rows if row["error_kind"] in ("network", "timeout")]
    assert held == 0
    assert all(budget.held_microusd == 0 for budget in budgets.values())
    assert {owner: b.spent_microusd for owner, b in budgets.items() if b.spent_microusd} == {
        provider: cost for provider, cost in by_provider.items() if cost
    }
    assert len(logged) == measured
    assert len(rows) - len(unsure) <= len(providers.calls) <= len(rows)  # these may end before they reach the provider
    assert booked == billed
    assert sum(booked.values()) > 1200
    assert sum(count for (name, *_), count in booked.items() if name.startswith("ranked")) > 300
    assert {row["error_kind"] for row in cut} == {"network", "timeout"}
    free = [row for row in [*hedged, *cut] if row["cost_microusd"] == 0 < row["held_microusd"]]
    assert len(free) <= len(rows) - len(providers.calls)  # given up before they reached the provider
    assert [row for row in [*hedged, *cut] if row["cost_microusd"] not in (0, row["held_microusd"])] == []
    left = asyncio.all_tasks() - tasks_before
    assert [task for task in left if "litellm/" not in repr(task)] == []  # LiteLLM keeps one of its own for logging
    assert sizes[3] - sizes[1] < 25
