"""The chat library's callbacks: what a message that breaks us shows, what a resumed chat is sent, whose history is kept."""

import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import chainlit as cl
import pytest
import sqlalchemy as sa
from chainlit.context import ChainlitContext, context_var
from chainlit.data import get_data_layer
from chainlit.element import File
from chainlit.emitter import BaseChainlitEmitter
from chainlit.session import HTTPSession
from chainlit.user import PersistedUser

from app.bootstrap import Services, open_services
from app.chat.attachments import with_files
from app.chat.handlers import Chat
from app.chat.history import History
from app.chat.sharing import SharingService
from app.errors import StorageFailed
from app.opening import utc_now
from app.settings import Settings
from app.storage.tables.history import steps
from graph.commands import COMMANDS

Json = dict[str, Any]  # Any: JSON


class Page(BaseChainlitEmitter):
    """A page that writes down what it is sent."""

    def __init__(self, session: HTTPSession) -> None:
        super().__init__(session)
        self.commands: list[Json] = []
        self.steps: list[Json] = []

    async def set_commands(self, commands: Any) -> None:
        self.commands = commands

    async def send_step(self, step_dict: Any) -> None:
        self.steps.append(step_dict)

    async def update_step(self, step_dict: Any) -> None:
        self.steps.append(step_dict)


class Log:
    """Keeps what is logged with a traceback."""

    def __init__(self, logged: list[tuple[str, object, object]]) -> None:
        self._logged = logged

    def exception(self, event: str, *, reference: str) -> None:
        self._logged.append((event, reference, sys.exc_info()[0]))


@pytest.fixture
async def services(data_dir: Path) -> AsyncIterator[Services]:
    settings = Settings(tooloo_data_dir=data_dir, ollama_base_url="http://127.0.0.1:9")
    async with open_services(settings) as opened:
        yield opened


@pytest.fixture
async def chat(services: Services, tmp_path: Path) -> Chat:
    async def forget(_user_id: str, thread_id: str) -> None:
        raise AssertionError(thread_id)

    async def judge(call_id: str, value: float | None) -> None:
        raise AssertionError((call_id, value))

    history = History(
        database=services.database, accounts=services.accounts, folder=tmp_path / "elements",
        clock=utc_now, forget=forget, judged=judge,
    )  # fmt: skip
    sharing = SharingService(database=services.database, history=history, clock=utc_now)
    return Chat(services, history, sharing, "http://localhost:8000")


@pytest.fixture
async def page(services: Services, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Page]:
    """A page whose steps are not stored."""
    monkeypatch.setattr("chainlit.data._data_layer", None)
    monkeypatch.setattr("chainlit.data._data_layer_initialized", True)
    owner = await services.accounts.owner()
    user = PersistedUser(id=owner.id, createdAt="", identifier=owner.name, metadata={"role": owner.role})
    thread_id = str(uuid.uuid4())
    session = HTTPSession(id=thread_id, client_type="webapp", thread_id=thread_id, user=user)
    session.current_task = None
    opened = Page(session)
    token = context_var.set(ChainlitContext(session, opened))
    yield opened
    context_var.reset(token)


async def test_a_message_that_breaks_us_is_answered_with_a_sentence_and_a_reference(
    chat: Chat, page: Page, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[tuple[str, object, object]] = []

    def broken(_turn: object) -> None:
        raise ZeroDivisionError("a secret detail")

    monkeypatch.setattr(services.conversation, "stream", broken)
    monkeypatch.setattr("app.chat.handlers.logger", Log(logged))

    await chat.message(cl.Message(content="how am I doing"))

    said = page.steps[-1]["output"]
    assert said.startswith("Something went wrong on our side. Nothing of yours is lost (reference ")
    assert "secret" not in said
    assert logged == [("chat.failed", said.split("reference ")[1].split(")")[0], ZeroDivisionError)]


async def test_a_resumed_chat_is_sent_its_commands_again(chat: Chat, page: Page) -> None:
    await chat.resume({})  # type: ignore[typeddict-item]  # only what it is called with matters

    assert [command["id"] for command in page.commands] == [command.name for command in COMMANDS]


async def test_history_is_ours_also_where_the_library_would_choose_its_own(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/elsewhere")
    monkeypatch.setattr("chainlit.data._data_layer", None)
    monkeypatch.setattr("chainlit.data._data_layer_initialized", False)
    monkeypatch.setattr("chainlit.config.config.code.data_layer", None)

    chat.install()

    assert isinstance(get_data_layer(), History)


async def test_a_message_is_kept_before_it_is_answered(chat: Chat, page: Page, services: Services) -> None:
    message = cl.Message(content="how am I doing \ud83d \x00", type="user_message")

    await chat.message(message)

    async with services.database.read() as connection:
        kept = await connection.scalar(sa.select(steps.c.output).where(steps.c.id == message.id))
    assert kept == "how am I doing ? \ufffd"
    assert "half of a character" in page.steps[-1]["output"]


async def test_a_message_that_cannot_be_kept_gets_a_sentence(
    chat: Chat, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_step: object) -> None:
        raise StorageFailed("The disk is full.")

    monkeypatch.setattr(chat._history, "keep", full)

    await chat.message(cl.Message(content="how am I doing"))

    assert page.steps[-1]["output"] == "The disk is full."


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(b"\x89PNG\r\n\xff\x00", "is not text", id="binary"),
        pytest.param(b"x" * 60_001, "too long: 60,001 characters", id="too long"),
    ],
)
async def test_an_attached_file_that_is_of_no_use_gets_a_sentence_and_its_message_is_kept(
    chat: Chat, page: Page, services: Services, tmp_path: Path, content: bytes, told: str
) -> None:
    file = tmp_path / "attached"
    file.write_bytes(content)
    message = cl.Message(content="what is this", elements=[File(name="notes.txt", path=str(file), mime="text/plain")],
                         type="user_message")  # fmt: skip

    await chat.message(message)

    async with services.database.read() as connection:
        kept = await connection.scalar(sa.select(steps.c.output).where(steps.c.id == message.id))
    assert told in page.steps[-1]["output"]
    assert kept == "what is this"


@pytest.mark.usefixtures("page")
async def test_an_attached_text_comes_with_the_message(tmp_path: Path) -> None:
    file = tmp_path / "attached"
    file.write_text("def add(a, b): return a + b")

    text = await with_files("what is this", [File(name="add.py", path=str(file), mime="text/plain")])

    assert text == "what is this\n\n`add.py`:\n```\ndef add(a, b): return a + b\n```"


async def test_a_page_with_the_name_of_another_doors_thread_is_refused(
    chat: Chat, page: Page, services: Services
) -> None:
    page.session.thread_id = "rest-somebody-thread"

    await chat.message(cl.Message(content="how am I doing"))

    assert page.steps[-1]["output"] == "This is no conversation. Start a new chat."
