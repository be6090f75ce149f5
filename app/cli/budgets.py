"""``tooloo budget``: what was spent, and changing limits."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from app.errors import InvalidInput
from app.identity.accounts import OWNER, AccountService
from app.models.budget import DEFAULT_LIMITS_USD, MICROUSD, Budget, BudgetKind, Purse, intent_owner, limit_of
from app.models.wording import exact_dollars
from app.opening import open_database, utc_now
from app.settings import load_settings
from app.storage.database import Database

cli = typer.Typer(no_args_is_help=True, help="Budgets: dollars for 30 rolling days.")
WARNING_SHARE = 0.9


@cli.command("list")
def list_budgets(as_json: Annotated[bool, typer.Option("--json", help="JSON for scripts")] = False) -> None:
    """All budgets: of providers, of people, and of single intents."""

    async def run() -> list[dict[str, Any]]:  # Any: rows
        async with _purse() as (database, purse):
            names = {user.id: user.name for user in await AccountService(database=database, clock=utc_now).list()}
            return [
                {
                    "kind": budget.kind, "of": _owner_name(budget.owner, names),
                    "spentUsd": budget.spent_microusd / MICROUSD, "heldUsd": budget.held_microusd / MICROUSD,
                    "limitUsd": budget.limit_microusd / MICROUSD, "active": budget.active,
                }
                for budget in await purse.budgets(utc_now())
            ]  # fmt: skip

    rows = asyncio.run(run())
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table(title="Budgets, last 30 days", title_justify="left")
    for name in ("Kind", "Of", "Spent", "Held", "Limit", ""):
        table.add_column(name, justify="right" if name in ("Spent", "Held", "Limit") else "left")
    for row in rows:
        near = row["limitUsd"] and row["spentUsd"] >= row["limitUsd"] * WARNING_SHARE
        table.add_row(
            row["kind"], row["of"], f"${row['spentUsd']:.6f}", f"${row['heldUsd']:.6f}",
            exact_dollars(round(row["limitUsd"] * MICROUSD)), "" if row["active"] else "off",
            style="red" if near else None,
        )  # fmt: skip
    Console().print(table)


@cli.command("set")
def set_budget(
    provider: str,
    dollars: Annotated[float | None, typer.Argument(help="The limit; not needed with --on or --off")] = None,
    burst: Annotated[bool, typer.Option("--burst", help="The burst budget instead")] = False,
    off: Annotated[bool, typer.Option("--off", help="Switch the provider off")] = False,
    on: Annotated[bool, typer.Option("--on", help="Switch the provider on again")] = False,
) -> None:
    """Change a provider's budget; whether the provider is on stays as it is."""
    if on and off:
        raise InvalidInput("A provider is switched on or off, not both: give --on or --off.")
    if dollars is None and not on and not off:
        raise InvalidInput("Give the limit in dollars, such as 5, or --on or --off.")
    active = False if off else True if on else None
    changed = _change("burst" if burst else "provider", provider, dollars, active=active)
    state = "" if changed.active else " and off"
    limit = exact_dollars(changed.limit_microusd)
    typer.echo(f"The {'burst ' if burst else ''}budget for {provider} is {limit}{state}.")


@cli.command("cap")
def cap(
    dollars: Annotated[float | None, typer.Argument(help="The limit; not needed with --off")] = None,
    user: Annotated[str, typer.Option(help="Whose spending")] = OWNER,
    intent: Annotated[str | None, typer.Option(help="Only this intent, such as general.chat")] = None,
    off: Annotated[bool, typer.Option("--off", help="Lift the cap")] = False,
) -> None:
    """Cap what somebody may spend, in all or on one intent. They cannot lift a cap in all that is set here."""
    if dollars is None and not off:
        raise InvalidInput("Give the limit in dollars, such as 5, or --off to lift the cap.")

    async def run() -> str:
        async with open_database(load_settings()) as database:
            accounts = AccountService(database=database, clock=utc_now)
            return (await accounts.owner() if user == OWNER else await accounts.by_name(user)).id

    user_id = asyncio.run(run())
    if intent is None:
        changed = _change("user" if user == OWNER else "allowance", user_id, dollars, active=not off)
    else:
        changed = _change("intent", intent_owner(user_id, intent), dollars, active=not off)
    what = f" on {intent}" if intent else ""
    limit = exact_dollars(changed.limit_microusd)
    typer.echo(f"The cap of {user}{what} is {'lifted' if off else f'{limit} for 30 days'}.")


def _change(kind: BudgetKind, owner: str, dollars: float | None, *, active: bool | None) -> Budget:
    limit = None if dollars is None else limit_of(dollars)

    async def run() -> Budget:
        async with _purse() as (database, purse):
            admin = await AccountService(database=database, clock=utc_now).owner()
            return await purse.set_limit(
                kind, owner, limit_microusd=limit, active=active, actor=admin.id, now=utc_now()
            )

    return asyncio.run(run())


@asynccontextmanager
async def _purse() -> AsyncIterator[tuple[Database, Purse]]:
    async with open_database(load_settings()) as database:
        purse = Purse(database)
        await purse.open(list(DEFAULT_LIMITS_USD))  # before the first start of the server there are none
        yield database, purse


def _owner_name(owner: str, names: dict[str, str]) -> str:
    user_id, _, intent = owner.partition(":")
    return f"{names.get(user_id, user_id)}{': ' + intent if intent else ''}"
