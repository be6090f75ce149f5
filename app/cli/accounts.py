"""``tooloo user`` and ``tooloo token``."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from app.identity.access import AccessService
from app.identity.accounts import COMMAND_LINE, OWNER, AccountService
from app.opening import open_database, utc_now
from app.settings import load_settings

users = typer.Typer(no_args_is_help=True, help="Accounts of people.")
tokens = typer.Typer(no_args_is_help=True, help="Tokens for the REST API.")

UserOption = Annotated[str, typer.Option(help="Whose tokens")]


@users.command("add")
def add_user(
    name: str,
    admin: Annotated[bool, typer.Option("--admin", help="May change budgets and accounts")] = False,
) -> None:
    """Make an account; the password is asked for, or read from standard input when that is no terminal."""
    password = _password()

    async def run() -> None:
        async with _identity() as (accounts, _):
            user = await accounts.add(name, password, role="admin" if admin else "user")
            typer.echo(f"Made the account {user.name} ({user.role}).")

    asyncio.run(run())


@users.command("list")
def list_users() -> None:
    """Show all accounts."""

    async def run() -> None:
        async with _identity() as (accounts, _):
            for user in await accounts.list():
                typer.echo(f"{user.name}\t{user.role}")

    asyncio.run(run())


@users.command("tier")
def set_tier(name: str, tier: str) -> None:
    """How many tasks an account may run: free, basic, pro or enterprise."""

    async def run() -> None:
        async with _identity() as (accounts, _):
            await accounts.set_tier(name, tier)
            typer.echo(f"{name} is in the tier {tier}.")

    asyncio.run(run())


@tokens.command("add")
def add_token(
    name: str,
    user: UserOption = OWNER,
    scope: Annotated[list[str], typer.Option(help="read, write or admin; may be repeated")] = ["read"],  # noqa: B006  # Typer copies it
) -> None:
    """Make a token and show it, this once."""

    async def run() -> None:
        async with _identity() as (accounts, access):
            owner = await accounts.owner() if user == OWNER else await accounts.by_name(user)
            token, secret = await access.add_token(owner, name, scope, actor=COMMAND_LINE)
            typer.echo(f"Token {token.id} ({', '.join(token.scopes)}) for {owner.name}. It is not shown again:")
            typer.echo(secret)

    asyncio.run(run())


@tokens.command("list")
def list_tokens(user: UserOption = OWNER) -> None:
    """Show a user's tokens, without their secrets."""

    async def run() -> None:
        async with _identity() as (accounts, access):
            for token in await access.tokens_of(await accounts.by_name(user)):
                state = "revoked" if token.revoked_at else "active"
                typer.echo(f"{token.id}\t{token.name}\t{','.join(token.scopes)}\t{state}")

    asyncio.run(run())


@tokens.command("revoke")
def revoke_token(token_id: str, user: UserOption = OWNER) -> None:
    """Make a token useless at once."""

    async def run() -> None:
        async with _identity() as (accounts, access):
            await access.revoke_token(await accounts.by_name(user), token_id, actor=COMMAND_LINE)
            typer.echo(f"Revoked {token_id}.")

    asyncio.run(run())


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


@asynccontextmanager
async def _identity() -> AsyncIterator[tuple[AccountService, AccessService]]:
    async with open_database(load_settings()) as database:
        accounts = AccountService(database=database, clock=utc_now)
        yield accounts, AccessService(database=database, accounts=accounts, clock=utc_now)
