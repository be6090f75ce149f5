"""The ASGI application: the guard at the door, REST under /api/v1, share pages, and the chat mounted at "/"."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import HTTPException
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from starlette.routing import Match

from app import logs
from app.api import account, analytics, conversation, identity, learning, models, problems, tasks, work
from app.api.guard import Guard
from app.bootstrap import Services, open_services
from app.chat import unused_left_out
from app.errors import NotFound, SettingsError
from app.identity.access import AccessService
from app.identity.accounts import AccountService
from app.identity.caller import Caller
from app.opening import no_accounts
from app.settings import Settings, load_settings

ROOT = Path(__file__).parent.parent
# Room for a message that is far too long, so that it gets a sentence: a larger packet closes the connection.
LARGEST_PACKET_BYTES = 4 * 1024 * 1024
ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
logger = structlog.get_logger()


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; its services open with its lifespan.

    Raises:
        SettingsError: the settings do not fit.
    """
    settings = settings or load_settings()
    logs.configure(settings.log_level, settings.log_format)
    app = FastAPI(
        title="TooLoo", version="1", lifespan=_lifespan, docs_url="/api/v1/docs", redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )  # fmt: skip
    app.state.settings = settings
    problems.install(app)
    for door in (learning, analytics, models, tasks, work, conversation, account):
        app.include_router(door.router, prefix="/api/v1")
    app.include_router(_pages())
    _refuse_unknown(app)
    _mount_chat(app, settings)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    async with open_services(settings) as services:
        if not settings.is_single_user and not await services.accounts.has_accounts():
            raise SettingsError(no_accounts(settings))
        app.state.services = services
        await asyncio.to_thread(app.state.open_chat, services)
        logger.info("server.ready", url=settings.base_url)
        yield
        await app.state.close_chat()


def _pages() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/health")
    async def health(request: Request) -> dict[str, str]:
        services: Services = request.app.state.services
        async with services.database.read() as connection:
            await connection.exec_driver_sql("SELECT 1")
        return {"status": "ok"}

    @router.get("/s/{token}")
    async def shared(token: str, request: Request) -> Response:
        caller: Caller = request.state.caller
        headers = {"X-Robots-Tag": "noindex, nofollow", "Cache-Control": "no-store"}
        try:
            link = await request.app.state.sharing.read(token, caller.user if caller.sign_in_id else None)
        except NotFound:
            page = await asyncio.to_thread(request.app.state.share_pages.missing)
            return HTMLResponse(page, status_code=404, headers=headers)
        copy_to = f"/s/{token}/copy" if caller.sign_in_id else None
        page = await asyncio.to_thread(request.app.state.share_pages.page, link, copy_to=copy_to)
        return HTMLResponse(page, headers=headers)

    @router.post("/s/{token}/copy")
    async def copy(token: str, request: Request) -> Response:
        caller: Caller = request.state.caller
        thread_id = await request.app.state.sharing.copy(token, caller.require("write"))
        return RedirectResponse(f"/thread/{thread_id}", status_code=303)

    @router.get("/elements/{element_id}")
    async def element(element_id: str, request: Request) -> Response:
        caller: Caller = request.state.caller
        path, mime, name = await request.app.state.history.elements.file(element_id, caller.require("read").id)
        return FileResponse(path, media_type=mime, filename=name, content_disposition_type="attachment")

    return router


def _refuse_unknown(app: FastAPI) -> None:
    """What is no door of the REST API is a problem like any other, and not a page of the chat."""

    doors = list(app.routes)

    @app.api_route("/api", methods=ANY_METHOD, include_in_schema=False)
    @app.api_route("/api/{rest:path}", methods=ANY_METHOD, include_in_schema=False)
    async def unknown(request: Request) -> None:
        def answers(method: str) -> bool:
            return any(door.matches({**request.scope, "method": method})[0] is Match.FULL for door in doors)

        methods = [method for method in ANY_METHOD if answers(method)]
        if methods:
            allowed = ", ".join(methods)
            raise HTTPException(405, f"Not by this method. There is: {allowed}.", {"Allow": allowed})
        raise NotFound("There is no such door of the API; /api/v1/docs lists them.")


def _mount_chat(app: FastAPI, settings: Settings) -> None:
    """The chat library reads its folder from the environment when it is first imported, and its key at each use."""
    os.environ["CHAINLIT_APP_ROOT"] = str(ROOT)
    os.environ["CHAINLIT_ROOT_PATH"] = "/"
    settings.tooloo_data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with unused_left_out():
        from app.chat import login, surface
        from app.chat.assets import Assets

        os.environ["CHAINLIT_AUTH_SECRET"] = login.session_secret(settings.tooloo_data_dir, _secret_of(settings))
        from chainlit import config as chat_config
        from chainlit.server import app as chat_app
        from chainlit.server import build_dir, sio

    sio.eio.max_http_buffer_size = LARGEST_PACKET_BYTES
    sio.eio.transports = ["websocket"]  # polling works only where each request reaches the same server of several
    chat_config.FILES_DIRECTORY = settings.tooloo_data_dir / "uploads"
    app.state.open_chat = lambda services: surface.open_chat(app, services)
    app.state.close_chat = surface.close_chat

    _take_doors(app, settings)
    app.mount("/assets", Assets(Path(build_dir) / "assets", packs=not settings.is_single_user))
    app.mount("/", chat_app)

    def who() -> tuple[AccountService, AccessService]:
        services: Services = app.state.services
        return services.accounts, services.access

    app.add_middleware(
        Guard, settings=settings, identity=who, claim_of=login.claim_of, single_user=settings.is_single_user
    )


def _take_doors(app: FastAPI, settings: Settings) -> None:
    """The doors that we answer in place of the chat library."""
    from chainlit.types import UpdateFeedbackRequest

    from app.chat import login

    @app.post("/login", include_in_schema=False)
    async def sign_in(request: Request) -> Response:
        return await login.password_login(request, identity.services_of(request).access)

    @app.put("/feedback", include_in_schema=False)
    async def judge(update: UpdateFeedbackRequest, request: Request) -> dict[str, object]:
        caller: Caller = request.state.caller
        caller.require("write")
        return {"success": True, "feedbackId": await app.state.history.upsert_feedback(update.feedback)}

    if settings.is_single_user:

        @app.get("/", include_in_schema=False)
        @app.get("/login", include_in_schema=False)
        @app.get("/thread/{thread_id}", include_in_schema=False)
        async def page(request: Request) -> Response:
            services = identity.services_of(request)
            return await login.signed_in_page(request, services.accounts, services.access)


def __getattr__(name: str) -> FastAPI:
    """``uvicorn app.main:app`` builds the application when it asks for it, not when this module is imported."""
    if name == "app":
        return create_app()
    raise AttributeError(name)


def _secret_of(settings: Settings) -> str | None:
    return settings.tooloo_secret_key.get_secret_value() if settings.tooloo_secret_key else None
