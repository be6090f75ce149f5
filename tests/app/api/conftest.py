"""The whole application in this process, asked over ASGI."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings

BASE = "http://localhost:8000"


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[FastAPI]:
    app = await asyncio.to_thread(create_app, settings)
    async with LifespanManager(app, startup_timeout=30, shutdown_timeout=30):
        yield app


def client_of(app: FastAPI, **more: object) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE, **more)  # type: ignore[arg-type]


@pytest.fixture
async def app(tmp_path: Path, data_dir: Path) -> AsyncIterator[FastAPI]:
    settings = Settings(tooloo_data_dir=data_dir, tooloo_repo_roots=(tmp_path,), ollama_base_url="http://127.0.0.1:9")
    async with running(settings) as opened:
        yield opened


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as opened:
        yield opened


ClientOf = Callable[..., httpx.AsyncClient]
