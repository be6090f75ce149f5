"""A gateway with all wires against the fake provider, on SQLite."""

import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.identity.accounts import AccountService, User
from app.models.budget import Purse
from app.models.call import CallRequest
from app.models.gateway import Gateway
from app.models.providers.wire import Message
from app.opening import open_gateway
from app.settings import Settings
from app.storage.database import Database
from tests.fakes.clock import Clock
from tests.fakes.hashing import quick_hasher
from tests.fakes.providers import FakeProviders

CATALOG = """
models:
  - {provider: hosted_vllm, name: tiny, input_usd_per_million: 1, output_usd_per_million: 1, quality: 0.9, speed: 0.9}
"""

# One model of each provider, over each kind of wire.
MODELS = {
    "anthropic": "anthropic/claude-haiku-4-5",
    "openai": "openai/gpt-5-mini",
    "gemini": "gemini/gemini-2.5-flash",
    "deepseek": "deepseek/deepseek-v4-flash",
    "ollama": "ollama/qwen:7b",
    "litellm": "hosted_vllm/tiny",
}

OpenGateway = Callable[..., Awaitable[Gateway]]


def settings_for(fake: FakeProviders, folder: Path, **more: object) -> Settings:
    values: dict[str, object] = {
        "tooloo_data_dir": folder,
        "anthropic_api_key": SecretStr("sk-ant-test"),
        "anthropic_base_url": fake.url,
        "openai_api_key": SecretStr("sk-test"),
        "openai_base_url": f"{fake.url}/v1",
        "google_api_key": SecretStr("AIza-test"),
        "gemini_base_url": fake.url,
        "deepseek_api_key": SecretStr("sk-deep"),
        "deepseek_base_url": fake.url,
        "ollama_base_url": fake.url,
        "first_token_timeout_seconds": 20.0,
        "between_tokens_timeout_seconds": 0.5,
        **more,
    }
    return Settings(**values)  # type: ignore[arg-type]  # pydantic checks them


@pytest.fixture(autouse=True)
def what_litellm_leaves_is_swept_up(request: pytest.FixtureRequest) -> Iterator[None]:
    """It leaves coroutines that were stopped to the collector, which would complain in the middle of a later test.

    What is there after the first time, which is LiteLLM itself, is not looked at again: that takes half a second.
    """
    yield
    if "litellm" in request.node.name or "soak" in request.node.name:
        gc.collect()
        if not gc.get_freeze_count():
            gc.freeze()


@pytest.fixture
async def purse(sqlite: Database) -> Purse:
    return Purse(sqlite)


@pytest.fixture
async def open_one(
    providers: FakeProviders, sqlite: Database, purse: Purse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OpenGateway]:
    """Opens a gateway with further settings; all are closed with the test. Pauses between retries are short."""
    monkeypatch.setenv("HOSTED_VLLM_API_BASE", f"{providers.url}/v1")
    monkeypatch.setattr("app.models.gateway.RETRY_BASE_SECONDS", 0.01)
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CATALOG)
    opened: list[Gateway] = []

    async def open_with(**more: object) -> Gateway:
        gateway = await open_gateway(settings_for(providers, tmp_path, tooloo_catalog=catalog, **more), sqlite, purse)
        gateway._random.seed(7)  # the same pauses in every run
        opened.append(gateway)
        return gateway

    yield open_with
    for gateway in opened:
        await gateway.close()


@pytest.fixture
async def gateway(open_one: OpenGateway) -> Gateway:
    return await open_one()


@pytest.fixture
async def learner(sqlite: Database, clock: Clock) -> User:
    return await AccountService(database=sqlite, clock=clock, hasher=quick_hasher()).owner()


def request_to(user: User, model: str | None = None, **more: object) -> CallRequest:
    values: dict[str, object] = {
        "task": "chat", "user_id": user.id, "thread_id": "t", "system": "Be brief.", "model": model,
        "messages": (Message(role="user", content="Hello?"),), "max_output_tokens": 200, **more,
    }  # fmt: skip
    return CallRequest(**values)  # type: ignore[arg-type]  # the values are of its fields


async def spent_and_held(purse: Purse, provider: str) -> tuple[int, int]:
    budget = (await purse.budgets(datetime.now(UTC), ids=[f"provider:{provider}"]))[0]
    return budget.spent_microusd, budget.held_microusd
