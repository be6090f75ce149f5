"""Two thousand mixed calls, a fifth of them faulty: nothing is left over, and the ledger is the provider's own count."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.errors import TooLooError
from app.identity.accounts import User
from app.models.budget import MICROUSD, Purse
from app.models.gateway import Gateway
from app.storage.database import Database
from app.storage.tables.models import holds, provider_logs, provider_metrics
from tests.app.models.conftest import MODELS, OpenGateway, request_to
from tests.fakes.providers import FakeProviders, Running, Script

CALLS = 2000
AT_ONCE = 20
FAULTS = (
    Script(status=500), Script(status=503), Script(status=429), Script(status=401), Script(cut_after=2),
    Script(finish=None), Script(usage=False), Script(finish="content_filter", words=()), Script(status=400),
)  # fmt: skip
DIRECT = [MODELS[name] for name in ("anthropic", "openai", "gemini", "deepseek", "ollama")]


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
    model = DIRECT[number % len(DIRECT)] if number % 3 else None
    stream = gateway.stream(request_to(learner, model, stream=number % 4 > 0))
    with contextlib.suppress(TooLooError):
        async for _ in stream:
            if number % 29 == 0:
                break  # a listener who leaves
    await stream.aclose()


async def worker(gateway: Gateway, learner: User, waiting: Iterator[int]) -> None:
    for number in waiting:
        await one(gateway, learner, number)


@pytest.mark.filterwarnings("ignore")  # the SDKs' own deprecations
async def test_a_soak_leaves_nothing_behind(
    open_one: OpenGateway, providers: FakeProviders, purse: Purse, sqlite: Database, learner: User
) -> None:
    gateway = await open_one(provider_circuit_timeout=100)
    now = datetime.now(UTC)
    for provider in ("anthropic", "openai", "gemini", "deepseek"):
        await purse.set_limit(
            "provider", provider, limit_microusd=1000 * MICROUSD, active=True, actor=learner.id, now=now
        )
    tasks_before = asyncio.all_tasks()
    sizes = []
    for start in range(0, CALLS, CALLS // 4):
        waiting = iter(range(start, start + CALLS // 4))
        await asyncio.gather(*(worker(gateway, learner, waiting) for _ in range(AT_ONCE)))
        sizes.append(await asyncio.to_thread(resident_mb))
    await gateway.log.close()

    async with sqlite.read() as connection:
        rows = (await connection.execute(sa.select(provider_logs))).mappings().all()
        measured = await connection.scalar(sa.select(sa.func.count()).select_from(provider_metrics))
        held = await connection.scalar(sa.select(sa.func.count()).select_from(holds))
    budgets = {b.owner: b for b in await purse.budgets(datetime.now(UTC)) if b.kind == "provider"}
    by_provider: Counter[str] = Counter()
    for row in rows:
        by_provider[row["provider"]] += row["cost_microusd"]
    paid = [row for row in rows if row["status"] == "ok" and not row["tokens_counted"]]
    billed = sorted(
        (call["model"], call["input_tokens"], call["output_tokens"])
        for call in providers.calls
        if call["finished"] and call["usage"]
    )
    assert held == 0
    assert all(budget.held_microusd == 0 for budget in budgets.values())
    assert {owner: b.spent_microusd for owner, b in budgets.items() if b.spent_microusd} == {
        provider: cost for provider, cost in by_provider.items() if cost
    }
    assert len(rows) == measured == len(providers.calls)
    ours = Counter((row["model"], row["input_tokens"], row["output_tokens"]) for row in paid)
    assert ours - Counter(billed) == Counter()
    assert sum(ours.values()) > 1000
    left = asyncio.all_tasks() - tasks_before
    assert [task for task in left if "litellm/" not in repr(task)] == []  # LiteLLM keeps one of its own for logging
    assert sizes[3] - sizes[1] < 25
