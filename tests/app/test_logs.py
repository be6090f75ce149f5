"""What is written down when something breaks: where, and nothing that people wrote."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError

from app import logs
from app.storage.database import Database


@pytest.fixture
def restored() -> Iterator[None]:
    """The logging that other tests have."""
    root = logging.getLogger()
    handlers, level, ours = root.handlers, root.level, structlog.get_config()
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.configure(**ours)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_an_error_is_logged_with_its_place_and_without_what_people_wrote(
    sqlite: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str], log_format: Literal["json", "console"]
) -> None:
    logs.configure("INFO", log_format)
    code = "quixotic code"

    try:
        async with sqlite.write() as connection:
            await connection.execute(sa.text("INSERT INTO nowhere VALUES (:code)"), {"code": code})
    except DBAPIError:
        structlog.get_logger().exception("chat.failed", reference="abc")

    written = capsys.readouterr().err
    assert "nowhere" in written
    assert "test_logs.py" in written
    assert "request_id" in written
    assert "quixotic" not in written
