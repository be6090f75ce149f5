"""Structured logs: for people on a terminal, JSON otherwise; nothing secret, no code and no message text at INFO."""

import logging
import sys
import uuid
from typing import Literal

import structlog

NOISY = (
    "LiteLLM", "aiosqlite", "alembic", "anthropic", "asyncio", "chainlit", "dbos", "engineio", "google_genai",
    "httpcore", "httpcore2", "httpx", "httpx2", "openai", "socketio", "sqlalchemy",
)  # fmt: skip


def configure(level: str, log_format: Literal["auto", "json", "console"]) -> None:
    """Send structlog and the standard library's logging, from this level on, through one pipe to standard error."""
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        _with_process_id(f"process-{uuid.uuid4().hex[:6]}"),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        # plain: the pretty traceback shows local variables, and with them people's code and keys
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    tail: list[structlog.types.Processor] = [structlog.processors.format_exc_info, renderer] if as_json else [renderer]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.getLevelName(level)))


def _with_process_id(process_id: str) -> structlog.types.Processor:
    """What no request caused (start, background work) carries the id of the process in place of a request's."""

    def with_process_id(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        event.setdefault("request_id", process_id)
        return event

    return with_process_id
