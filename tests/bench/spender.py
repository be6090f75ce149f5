"""Fires calls at a budget from one process; several of them at once show whether it can be overspent.

Run as ``python -m tests.bench.spender JSON``; prints how many calls went out. Each call costs its whole hold, so that a
budget for twenty lets exactly twenty out.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from app.errors import TooLooError
from app.identity.accounts import AccountService
from app.models.budget import Purse
from app.models.call import CallRequest, most_tokens
from app.models.call import hold_microusd as most_of_call
from app.models.catalog import load_catalog
from app.models.providers.wire import Message
from app.opening import open_database, open_gateway, utc_now
from app.settings import Settings

ROOT = Path(__file__).parents[2]
Kind = Literal["plain", "streamed", "stopped", "fallen"]
KINDS: tuple[Kind, ...] = ("plain", "streamed", "stopped", "fallen")
PAID, FREE = "gpt-5-mini", "free-but-broken"
ANSWER_TOKENS = 100
STARTS_AT_ONCE_SECONDS = 8.0


@dataclass(frozen=True, kw_only=True)
class Order:
    """``kinds`` are taken in turn. ``starts_at`` is a Unix time, so that processes fire together."""

    data_dir: str
    database_url: str | None
    fake_url: str
    kinds: tuple[Kind, ...]
    calls: int
    starts_at: float


def request(user_id: str, kind: Kind) -> CallRequest:
    return CallRequest(
        task="chat", user_id=user_id, thread_id=None, system="Be brief.",
        messages=(Message(role="user", content="Spend!"),), max_output_tokens=ANSWER_TOKENS, stream=kind != "plain",
        providers=("ollama", "openai") if kind == "fallen" else ("openai",),
        model=None if kind == "fallen" else f"openai/{PAID}",
    )  # fmt: skip


def settings_of(order: Order) -> Settings:
    return Settings(  # type: ignore[call-arg]  # the rest have defaults
        tooloo_data_dir=Path(order.data_dir), database_url=order.database_url, openai_api_key="sk-bench",  # type: ignore[arg-type]
        openai_base_url=f"{order.fake_url}/v1", ollama_base_url=order.fake_url, openai_default_model=PAID,
        log_level="ERROR",
    )  # fmt: skip


async def fire(order: Order) -> int:
    """How many of the calls went out."""
    settings = settings_of(order)
    async with open_database(settings) as database:
        owner = await AccountService(database=database, clock=utc_now).owner()
        gateway = await open_gateway(settings, database, Purse(database))

        async def one(number: int) -> bool:
            kind = order.kinds[number % len(order.kinds)]
            with contextlib.suppress(TooLooError):
                stream = gateway.stream(request(owner.id, kind))
                async for _ in stream:
                    if kind == "stopped":
                        break
                await stream.aclose()
                return True
            return False

        await asyncio.sleep(max(0.0, order.starts_at - time.time()))
        went = await asyncio.gather(*(one(number) for number in range(order.calls)))
        await gateway.close()
        return sum(went)


def hold_microusd(settings: Settings) -> int:
    """What one call holds, and costs at the fake: the tokens to script for it are ``scripted_tokens``."""
    model = load_catalog(settings.tooloo_catalog, today=utc_now().date()).find(f"openai/{PAID}")
    assert model is not None
    return most_of_call(request("u" * 32, "plain"), model)


def billed_microusd(calls: list[dict[str, Any]]) -> int:
    """What the fake provider bills for the calls that it took: all tokens of each, stopped or not."""
    catalog = load_catalog(None, today=utc_now().date())
    models = {call["model"]: catalog.find(f"openai/{call['model']}") for call in calls if call["model"] != FREE}
    return sum(
        model.cost_microusd(input_tokens=call["input_tokens"], output_tokens=call["output_tokens"])
        for call in calls
        if (model := models.get(call["model"])) is not None
    )


def scripted_tokens() -> dict[str, int]:
    return {"input_tokens": most_tokens(request("u" * 32, "plain")), "output_tokens": ANSWER_TOKENS}


async def prepare(order: Order, *, budget_for: int) -> int:
    """Set the budget for so many calls; returns its limit in micro-dollars."""
    settings = settings_of(order)
    limit = budget_for * await asyncio.to_thread(hold_microusd, settings)
    async with open_database(settings) as database:
        owner = await AccountService(database=database, clock=utc_now).owner()
        gateway = await open_gateway(settings, database, Purse(database))
        await Purse(database).set_limit(
            "provider", "openai", limit_microusd=limit, active=True, actor=owner.id, now=utc_now()
        )
        await gateway.close()
    return limit


def fire_from(processes: int, order: Order) -> int:
    """The same number of calls, shared out over processes that fire together; how many went out."""
    share, more = divmod(order.calls, processes)
    orders = [
        Order(**{**asdict(order), "calls": share + (n < more), "starts_at": time.time() + STARTS_AT_ONCE_SECONDS})
        for n in range(processes)
    ]
    running = [start(one) for one in orders]
    outputs = [process.communicate(timeout=120)[0] for process in running]
    assert all(process.returncode == 0 for process in running), outputs
    return sum(int(output.splitlines()[-1]) for output in outputs)  # above it, the log


def start(order: Order) -> subprocess.Popen[str]:
    """A process that fires the calls of an order, and says at last how many went out."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.bench.spender", json.dumps(asdict(order))], cwd=ROOT,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def main() -> None:
    values = json.loads(sys.argv[1])
    sys.stdout.write(str(asyncio.run(fire(Order(**{**values, "kinds": tuple(values["kinds"])})))))


if __name__ == "__main__":
    main()
