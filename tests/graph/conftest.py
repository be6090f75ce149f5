"""Whole services on SQLite, with the fake provider as the only model."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.bootstrap import Services, open_services
from app.identity.accounts import User
from app.settings import Settings
from tests.fakes.providers import FakeProviders


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    for name in ("alpha", "beta", "gamma", "delta", "epsilon"):
        (root / f"{name}.py").write_text(f"def {name}_retry(attempt):\n    return attempt + 1\n")
    return root


@pytest.fixture
async def services(providers: FakeProviders, tmp_path: Path, data_dir: Path) -> AsyncIterator[Services]:
    settings = Settings(
        tooloo_data_dir=data_dir, tooloo_repo_roots=(tmp_path,), openai_api_key=SecretStr("sk-test"),
        openai_base_url=f"{providers.url}/v1", ollama_base_url="http://127.0.0.1:9",
    )  # fmt: skip
    async with open_services(settings) as opened:
        yield opened


@pytest.fixture
async def modelless(tmp_path: Path, data_dir: Path) -> AsyncIterator[Services]:
    settings = Settings(tooloo_data_dir=data_dir, tooloo_repo_roots=(tmp_path,), ollama_base_url="http://127.0.0.1:9")
    async with open_services(settings) as opened:
        yield opened


@pytest.fixture
async def owner(services: Services) -> User:
    return await services.accounts.owner()
