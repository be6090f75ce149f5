"""Errors as RFC 9457 problem documents."""

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.errors import InvalidInput, ProviderFailed, RateLimited, TooLooError

logger = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"


def problem(error: TooLooError, request_id: str) -> dict[str, object]:
    document: dict[str, object] = {
        "type": f"urn:tooloo:problem:{type(error).__name__.strip('_')}",
        "title": error.title,
        "status": error.status,
        "detail": error.user_message,
        "requestId": request_id,
    }
    if error.retryable or isinstance(error, ProviderFailed):
        document["retryable"] = error.retryable
    if error.cost_microusd:
        document["costUsd"] = error.cost_microusd / 1_000_000
    return document


def install(app: FastAPI) -> None:
    @app.exception_handler(TooLooError)
    async def ours(request: Request, error: TooLooError) -> JSONResponse:
        logger.info("http.refused", status=error.status, kind=type(error).__name__)
        headers = (
            {"Retry-After": str(max(1, round(error.retry_after_seconds)))} if isinstance(error, RateLimited) else None
        )
        return _answer(request, error, headers)

    @app.exception_handler(RequestValidationError)
    async def unfit(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        if first["type"] == "json_invalid":
            return _answer(request, InvalidInput(f"The body is no JSON: it breaks off at character {place}."), None)
        return _answer(request, InvalidInput(f"{place or 'The body'}: {first['msg']}."), None)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        document = {
            "type": "about:blank", "title": str(error.detail), "status": error.status_code,
            "detail": str(error.detail), "requestId": request.state.request_id,
        }  # fmt: skip
        return JSONResponse(document, status_code=error.status_code, media_type=MEDIA_TYPE, headers=error.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        logger.error("http.failed", exc_info=error)
        sorry = TooLooError(
            "Something went wrong on our side. Nothing of yours is lost; the request id finds it in the log."
        )
        return _answer(request, sorry, None)


def _answer(request: Request, error: TooLooError, headers: dict[str, str] | None) -> JSONResponse:
    return JSONResponse(
        problem(error, request.state.request_id), status_code=error.status, media_type=MEDIA_TYPE, headers=headers
    )
