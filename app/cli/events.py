"""``tooloo events``: the log, its dead letters, and replay."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from app.events import log as event_log
from app.events.bus import Bus
from app.opening import open_database
from app.settings import load_settings

cli = typer.Typer(no_args_is_help=True, help="The event log.")


@cli.command("list")
def list_events(
    type: Annotated[str, typer.Option(help="Only types that begin so, such as challenge.")] = "",
    number: Annotated[int, typer.Option(help="How many", min=1, max=1000)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line")] = False,
) -> None:
    """The newest events first."""

    async def run() -> None:
        async with open_database(load_settings()) as database, database.read() as connection:
            for event in await event_log.newest(connection, type_prefix=type, limit=number):
                if as_json:
                    row = vars(event) | {"occurred_at": event.occurred_at.isoformat()}
                    typer.echo(json.dumps(row))
                else:
                    typer.echo(f"{event.occurred_at:%Y-%m-%d %H:%M:%S}  {event.type:<28} {json.dumps(event.payload)}")

    asyncio.run(run())


@cli.command()
def dead() -> None:
    """What consumers could not take in, after all attempts."""

    async def run() -> None:
        async with _bus() as bus:
            letters = await bus.dead_letters()
            for letter in letters:
                typer.echo(f"{letter['consumer']}  {letter['event_id']}  {letter['type']}  {letter['error']}")
            typer.echo(f"{len(letters)} dead letters.")

    asyncio.run(run())


@cli.command()
def retry(consumer: str) -> None:
    """Give a consumer's dead letters another round now."""

    async def run() -> None:
        async with _bus() as bus:
            typer.echo(f"{await bus.retry(consumer)} dead letters tried again.")

    asyncio.run(run())


@cli.command()
def drop(consumer: str, event_id: str) -> None:
    """Forget one dead letter."""

    async def run() -> None:
        async with _bus() as bus:
            await bus.drop(consumer, event_id)
            typer.echo("Dropped.")

    asyncio.run(run())


@cli.command()
def replay(consumer: str) -> None:
    """Empty a consumer's tables and build them again from the log."""

    async def run() -> None:
        async with _bus() as bus:
            await bus.replay(consumer)
            typer.echo(f"{consumer} was built again.")

    asyncio.run(run())


@asynccontextmanager
async def _bus() -> AsyncIterator[Bus]:
    from app.bootstrap import follow  # over a second that other commands need not wait

    async with open_database(load_settings()) as database:
        yield follow(database)[0]
