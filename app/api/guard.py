"""The door: who is calling, from where, and whether a browser was sent here by somebody else's page."""

import time
import uuid
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem
from app.errors import NotAllowed, TooLooError
from app.identity.access import SCOPES, AccessService
from app.identity.accounts import AccountService
from app.identity.caller import Caller, Claim, current_caller
from app.settings import Settings

logger = structlog.get_logger()

METRICS_PATH = "/api/v1/tasks/metrics"  # has a key of its own
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# The chat library's own doors that we do not open: its API pages, its leaking share, MCP, foreign sign-in.
CLOSED = ("/docs", "/redoc", "/openapi.json", "/project/share/", "/project/thread/share", "/mcp", "/copilot",
          "/auth/jwt", "/auth/oauth")  # fmt: skip
REQUEST_BODY_BYTES = 12 * 1024 * 1024
TOO_LARGE = f"A request may hold at most {REQUEST_BODY_BYTES // 1024 // 1024} MB."
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws: wss:; media-src 'self' blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class Guard:
    """Outermost middleware, for HTTP and websockets alike.

    A page of another site can neither read nor act: the Host must be one of ours (rebinding), and whatever a browser
    sends across sites is refused by its Origin or Sec-Fetch-Site. ``identity`` is asked at each request, since the
    services open after the application is built; ``claim_of`` reads what a request's cookies claim.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        identity: Callable[[], tuple[AccountService, AccessService]],
        claim_of: Callable[[Mapping[str, str]], Claim | None],
        single_user: bool,
    ) -> None:
        self._app = app
        self._settings = settings
        self._identity = identity
        self._claim_of = claim_of
        self._single_user = single_user
        self._hosts = _own_hosts(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex[:12]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        scope.setdefault("state", {})["request_id"] = request_id
        _keep_one_claim(scope)
        headers = Headers(scope=scope)
        started = time.monotonic()
        try:
            self._check_place(scope, headers)
            caller = await self._caller(scope, headers)
        except TooLooError as error:
            await _refuse(scope, receive, send, error, request_id)
            return
        if _is_chunked(scope, headers):
            try:
                receive = await _whole_body(receive)
            except TooLooError as error:
                await _refuse(scope, receive, send, error, request_id)
                return
        token = current_caller.set(caller)
        scope["state"]["caller"] = caller
        try:
            await self._app(scope, receive, _with_headers(send, request_id, scope, self._settings))
        finally:
            current_caller.reset(token)
            if scope["type"] == "http":
                elapsed = round((time.monotonic() - started) * 1000)
                logger.debug("http.request", method=scope["method"], path=_shown(scope["path"]), ms=elapsed)

    def _check_place(self, scope: Scope, headers: Headers) -> None:
        path = scope["path"]
        if any(path == closed or path.startswith(closed.rstrip("/") + "/") for closed in CLOSED):
            raise _Closed("There is nothing here.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > REQUEST_BODY_BYTES:
            raise _TooLarge(TOO_LARGE)
        host = headers.get("host", "")
        if self._hosts and _host_name(host) not in self._hosts:
            raise NotAllowed(
                f"This server does not answer to {host[:100]!r}. Add the name to TOOLOO_ALLOWED_HOSTS if it is yours."
            )
        origin = headers.get("origin")
        acts = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if origin is not None and not self._is_own(origin, host):
            raise NotAllowed("Another site's page may not use this server.")
        if origin is None and headers.get("sec-fetch-site") in ("cross-site", "same-site") and (
            acts or headers.get("sec-fetch-mode") != "navigate"
        ):  # fmt: skip
            raise NotAllowed("Another site's page may not use this server.")

    def _is_own(self, origin: str, host: str) -> bool:
        if self._settings.tooloo_public_url and origin == _origin(self._settings.tooloo_public_url):
            return True
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower() and bool(host)

    async def _caller(self, scope: Scope, headers: Headers) -> Caller:
        accounts, access = self._identity()
        address = scope["client"][0] if scope.get("client") else "unknown"
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and scope["path"].startswith("/api/") and scope["path"] != METRICS_PATH:
            user, scopes = await access.user_of_token(secret.strip())
            allowed = tuple(s for s in scopes if s != "admin" or user.is_admin)
            return Caller(user=user, scopes=allowed, address=address)
        claim = self._claim_of(_cookies(headers))
        user_behind = await access.user_of_sign_in(claim.sign_in_id) if claim else None
        if claim is None or user_behind is None or user_behind.name != claim.name:  # the chat library goes by the name
            _drop_cookies(scope)  # a cookie whose sign-in has ended must not open the chat library's doors
            if self._single_user:
                return Caller(user=await accounts.owner(), scopes=SCOPES, address=address)
            return Caller(user=None, address=address)
        scopes_of_role = SCOPES if user_behind.is_admin else tuple(s for s in SCOPES if s != "admin")
        return Caller(user=user_behind, scopes=scopes_of_role, sign_in_id=claim.sign_in_id, address=address)


class _Closed(TooLooError):
    status = 404
    title = "Not found"


class _TooLarge(TooLooError):
    status = 413
    title = "Too large"


def _is_chunked(scope: Scope, headers: Headers) -> bool:
    """Whether a request does not say how long its body is."""
    return scope["type"] == "http" and "transfer-encoding" in headers and "content-length" not in headers


async def _whole_body(receive: Receive) -> Receive:
    """Read a body of unknown length, and give it out again in one piece.

    Raises:
        TooLooError: it is longer than a request may be; the rest is left unread.
    """
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return _replayed([message], receive)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > REQUEST_BODY_BYTES:
            raise _TooLarge(TOO_LARGE)
        more = message.get("more_body", False)
    return _replayed([{"type": "http.request", "body": b"".join(parts), "more_body": False}], receive)


def _replayed(messages: list[Message], receive: Receive) -> Receive:
    async def replay() -> Message:
        return messages.pop(0) if messages else await receive()

    return replay


async def _refuse(scope: Scope, receive: Receive, send: Send, error: TooLooError, request_id: str) -> None:
    logger.info("http.refused", status=error.status, path=_shown(scope["path"]))
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": error.title})
        return
    response: Response = JSONResponse(
        problem(error, request_id), status_code=error.status, media_type="application/problem+json"
    )
    await response(scope, receive, send)


def _with_headers(send: Send, request_id: str, scope: Scope, settings: Settings) -> Send:
    secure = settings.base_url.startswith("https://")

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = request_id
            headers["X-Content-Type-Options"] = "nosniff"
            headers["X-Frame-Options"] = "DENY"
            is_page = scope["path"].startswith("/s/")
            headers["Referrer-Policy"] = "same-origin" if is_page else "no-referrer"  # a form needs its Origin
            headers.setdefault("Content-Security-Policy", PAGE_POLICY if is_page else POLICY)
            if secure:
                headers["Strict-Transport-Security"] = "max-age=31536000"
                _make_secure(message)
        await send(message)

    return with_headers


def _make_secure(message: Message) -> None:
    """The chat library sets its cookie without Secure; behind https it must have it."""
    message["headers"] = [
        (name, value + b"; Secure")
        if name.lower() == b"set-cookie" and b"; secure" not in value.lower()
        else (name, value)
        for name, value in message["headers"]
    ]


def _own_hosts(settings: Settings) -> frozenset[str]:
    """The names this server answers to. Empty means any: where accounts guard the door and no name was given."""
    named = set(settings.tooloo_allowed_hosts)
    if settings.tooloo_public_url:
        named.add(urlsplit(settings.tooloo_public_url).hostname or "")
    if settings.is_loopback:
        return frozenset(named | LOOPBACK_NAMES | {settings.host})
    return frozenset(named | LOOPBACK_NAMES) if named else frozenset()


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _cookies(headers: Headers) -> dict[str, str]:
    return dict(cookie_parser(headers.get("cookie", "")))


def _keep_one_claim(scope: Scope) -> None:
    """One Cookie header, so that all who read it read the same, and no Authorization but for our own API: the chat
    library takes a cookie's token from there too."""
    cookies = [value for name, value in scope["headers"] if name == b"cookie"]
    others = [
        (name, value)
        for name, value in scope["headers"]
        if name != b"cookie" and (name != b"authorization" or scope["path"].startswith("/api/"))
    ]
    scope["headers"] = [*others, (b"cookie", b"; ".join(cookies))] if cookies else others


def _drop_cookies(scope: Scope) -> None:
    scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"cookie"]


def _shown(path: str) -> str:
    """A path for the log: tokens of share links are secrets."""
    return "/s/…" if path.startswith("/s/") else path
