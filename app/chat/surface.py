"""Opens the chat over the services, and closes it within the time a stop may take."""

import asyncio
import shutil
from pathlib import Path

from chainlit import config as chat_config
from chainlit.server import sio
from chainlit.session import ws_sessions_id
from fastapi import FastAPI

from app.bootstrap import Services
from app.chat import login
from app.chat.handlers import Chat
from app.chat.history import History
from app.chat.sharing import SharePages, SharingService
from app.chat.stopping import stop
from app.models import quality
from app.opening import utc_now

TEMPLATES = Path(__file__).parent / "templates"
STOP_SECONDS = 2.0


def open_chat(app: FastAPI, services: Services) -> None:
    """Install the callbacks and put what the pages need on the application's state."""
    settings = services.settings
    uploads = Path(chat_config.FILES_DIRECTORY)
    shutil.rmtree(uploads, ignore_errors=True)  # uploads of sessions that a stop or a crash left behind
    uploads.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def judged(call_id: str, value: float | None) -> None:
        await services.deps.gateway.log.flush()
        await quality.observe(services.database, call_id, "thumb", value, now=utc_now())

    history = History(
        database=services.database, accounts=services.accounts, folder=settings.tooloo_data_dir / "elements",
        clock=utc_now, forget=services.conversation.forget, judged=judged,
    )  # fmt: skip
    sharing = SharingService(database=services.database, history=history, clock=utc_now)
    app.state.history, app.state.sharing, app.state.share_pages = history, sharing, SharePages(TEMPLATES)
    if settings.is_single_user:
        login.install_single_user(services.accounts, services.access)
    else:
        login.install_accounts()
    login.install_logout(services.access)
    Chat(services, history, sharing, settings.base_url).install()
    sio.on("stop", stop)


async def close_chat() -> None:
    """End running turns, so that what they cost is booked and what they said is stored."""
    tasks = [session.current_task for session in ws_sessions_id.values() if session.current_task]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=STOP_SECONDS)
