"""Who calls the REST API and how often they may."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from app.bootstrap import Services
from app.errors import RateLimited
from app.identity.access import Scope
from app.identity.accounts import User
from app.identity.caller import Caller

REQUESTS_EACH = parse("600/minute")
_limiter = MovingWindowRateLimiter(MemoryStorage())


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def _needs(scope: Scope) -> Callable[[Request], Awaitable[User]]:
    async def user(request: Request) -> User:
        caller: Caller = request.state.caller
        found = caller.require(scope)
        if not await _limiter.hit(REQUESTS_EACH, found.id):
            raise RateLimited("Too many requests. Wait a moment, then try again.", retry_after_seconds=10)
        return found

    return user


def _is_admin(request: Request) -> bool:
    """Whether the caller acts as an administrator: a token of one need not be good for that."""
    caller: Caller = request.state.caller
    return "admin" in caller.scopes


Using = Annotated[Services, Depends(services_of)]
Reader = Annotated[User, Depends(_needs("read"))]
Writer = Annotated[User, Depends(_needs("write"))]
Admin = Annotated[User, Depends(_needs("admin"))]
IsAdmin = Annotated[bool, Depends(_is_admin)]
