"""Signing in to the chat: our sign-ins inside the chat library's cookie, so that they can end on the server."""

import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import chainlit as cl
import jwt
from chainlit.auth import create_jwt, get_token_from_cookies, set_auth_cookie
from chainlit.auth.jwt import get_jwt_secret
from chainlit.config import config
from chainlit.session import ws_sessions_id
from fastapi import Request, Response
from fastapi.responses import JSONResponse

from app.errors import RateLimited, StorageFailed, Unauthenticated
from app.identity.access import AccessService
from app.identity.accounts import AccountService
from app.identity.accounts import User as Account
from app.identity.caller import Caller, Claim, current_caller
from app.storage.secret_file import secret_in

KEY_FILE = "session.key"


def session_secret(data_dir: Path, secret: str | None = None) -> str:
    """The key that signs cookies: from TOOLOO_SECRET_KEY, which several servers share, or a file of this one's."""
    if secret is not None:
        return hashlib.sha256(f"session:{secret}".encode()).hexdigest()
    return secret_in(data_dir / KEY_FILE, lambda: secrets.token_urlsafe(48))


def claim_of(cookies: Mapping[str, str]) -> Claim | None:
    """The sign-in that a request's cookies claim; None when they claim none or are not ours."""
    token = get_token_from_cookies(dict(cookies))
    secret = get_jwt_secret()
    if not token or not secret:
        return None
    try:
        claims: dict[str, Any] = jwt.decode(token, secret, algorithms=["HS256"])  # Any: JSON
    except jwt.InvalidTokenError:
        return None
    sign_in_id, name = (claims.get("metadata") or {}).get("sid"), claims.get("identifier")
    return Claim(sign_in_id=sign_in_id, name=name) if isinstance(sign_in_id, str) and isinstance(name, str) else None


def chat_user(account: Account, sign_in_id: str) -> cl.User:
    return cl.User(identifier=account.name, metadata={"role": account.role, "sid": sign_in_id})


async def password_login(request: Request, access: AccessService) -> Response:
    """The login form's POST, in place of the chat library's own: with a limit on tries."""
    form = await request.form()
    address = current_caller.get().address
    try:
        account, sign_in_id = await access.sign_in(
            str(form.get("username", "")), str(form.get("password", "")), address=address
        )
    except Unauthenticated:
        return JSONResponse({"detail": "credentialssignin"}, status_code=401)
    except RateLimited as error:
        wait = {"Retry-After": str(round(error.retry_after_seconds))}
        return JSONResponse({"detail": error.user_message}, status_code=429, headers=wait)
    response = JSONResponse({"success": True})
    set_auth_cookie(request, response, create_jwt(chat_user(account, sign_in_id)))
    return response


def install_single_user(accounts: AccountService, access: AccessService) -> None:
    """On loopback the browser is let in as the owner, without a form."""

    @cl.header_auth_callback
    async def let_in(_headers: Any) -> cl.User | None:  # Any: as the chat library types it
        owner = await accounts.owner()
        return chat_user(owner, await access.open_sign_in(owner))

    config.code.password_auth_callback = None


async def signed_in_page(request: Request, accounts: AccountService, access: AccessService) -> Response:
    """The chat's page for its only user, who is signed in with it.

    The library itself would load its page three times until ``let_in`` is asked and its cookie read.
    """
    from chainlit.server import serve

    response: Response = await serve(request)
    caller: Caller = request.state.caller
    is_page = "text/html" in request.headers.get("accept", "")
    is_framed = request.headers.get("sec-fetch-dest", "document") != "document"  # by whatever other page
    if caller.sign_in_id is None and is_page and not is_framed:
        try:
            owner = await accounts.owner()
            set_auth_cookie(request, response, create_jwt(chat_user(owner, await access.open_sign_in(owner))))
        except StorageFailed:
            pass  # the page says so itself, at its first request
    return response


def install_accounts() -> None:
    """Show the login form; ``password_login`` answers it."""

    @cl.password_auth_callback
    async def never(_name: str, _password: str) -> cl.User | None:
        return None

    config.code.header_auth_callback = None


def install_logout(access: AccessService) -> None:
    @cl.on_logout
    async def log_out(request: Request, _response: Response) -> dict[str, bool]:
        claim = claim_of(request.cookies)
        if claim is not None:
            await access.end_sign_in(claim.sign_in_id)
            await disconnect(claim.sign_in_id)
        return {"success": True}


async def disconnect(sign_in_id: str) -> None:
    """Close the websockets that were opened under a sign-in."""
    from chainlit.server import sio

    for session in list(ws_sessions_id.values()):
        claim = claim_of({"access_token": session.token}) if session.token else None
        if claim is not None and claim.sign_in_id == sign_in_id:
            await sio.disconnect(session.socket_id)
