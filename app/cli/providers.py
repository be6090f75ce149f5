"""``tooloo provider`` and ``tooloo models``: how model providers do, for people and for scripts."""

import asyncio
import dataclasses
import json
import time
import unicodedata
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.errors import BudgetExceeded, NoModelAvailable, NotFound, ProviderFailed
from app.identity.accounts import COMMAND_LINE, AccountService
from app.models import log as call_log
from app.models.budget import MICROUSD, Purse
from app.models.call import CallRequest
from app.models.catalog import TASKS, Task
from app.models.gateway import Gateway
from app.models.providers.wire import Message, TextDelta
from app.models.run import Answered, Switched
from app.opening import open_database, open_gateway, open_keys, utc_now
from app.settings import load_settings
from app.storage.database import Database

cli = typer.Typer(no_args_is_help=True, help="Model providers: health, figures, calls, circuits, a test call.")
circuits = typer.Typer(no_args_is_help=True, help="Circuits: open after failures in a row.")
cli.add_typer(circuits, name="circuit")

JsonOption = Annotated[bool, typer.Option("--json", help="JSON for scripts")]
UNUSABLE = 3  # the exit code of "it answered, and the answer is no"; 1 is an error, 2 a wrong command line
PIPE_WIDTH = 200
FOLDED = frozenset({"model", "reason", "left out because"})  # of a table in a narrow terminal
FOLDED_WIDTH = 12  # and no narrower
TEST_QUESTION = "Answer with the word: ready"


@cli.command()
def health(as_json: JsonOption = False) -> None:
    """Which providers could be called now, and why not. Exits with 3 when none can."""

    async def run(_database: Database, gateway: Gateway) -> list[dict[str, Any]]:  # Any: rows
        await gateway.models()
        rows = []
        for provider in gateway.providers():
            if provider != "null":
                why = gateway.why_unusable(provider)
                rows.append({"provider": provider, "usable": why is None, "reason": why})
        return rows

    rows = _with_gateway(run, "Asking")
    print_rows(rows, as_json, title="Providers")
    if not any(row["usable"] for row in rows):
        if not as_json:
            how = "" if rows else " Give a key in the environment or with /keys, or start Ollama."
            typer.echo(f"No provider can be called now.{how}")
        raise typer.Exit(UNUSABLE)


@cli.command()
def stats(
    hours: Annotated[float, typer.Option("--time", help="Hours back", min=0.01, max=24 * 400)] = 24,
    as_json: JsonOption = False,
) -> None:
    """How calls of the last hours went, for each model."""

    async def run(database: Database, _gateway: Gateway) -> list[dict[str, Any]]:  # Any: rows
        found = await call_log.stats(database, since=utc_now() - timedelta(hours=hours))
        return [
            {
                "provider": row.provider, "model": row.model, "calls": row.calls,
                "success": row.success_rate and round(row.success_rate, 4),
                "first token ms": _rounded(row.first_token_ms), "total ms": _rounded(row.total_ms),
                "tokens/s": _rounded(row.tokens_per_second), "cost usd": row.cost_microusd / MICROUSD,
            }
            for row in found
        ]  # fmt: skip

    print_rows(_with_gateway(run, "Reading"), as_json, title=f"Calls of the last {hours:g} hours")


@cli.command()
def logs(
    provider: Annotated[str | None, typer.Option(help="Only this provider")] = None,
    number: Annotated[int, typer.Option(help="How many", min=1, max=1000)] = 20,
    failed: Annotated[bool, typer.Option("--failed", help="Only failed calls")] = False,
    as_json: JsonOption = False,
) -> None:
    """The newest calls; never their text."""

    async def run(database: Database, gateway: Gateway) -> list[dict[str, Any]]:  # Any: rows
        known = {model.provider for model in gateway.catalog.models} | {"ollama"}
        calls = await call_log.newest(database, provider=provider, failed=failed, limit=number)
        if provider is not None and provider not in known and not calls:
            raise NotFound(f"There is no provider {provider!r}. There are: {', '.join(sorted(known))}.")
        return [
            {
                "at": call["created_at"].isoformat(timespec="seconds"), "provider": call["provider"],
                "model": call["model"], "task": call["task"], "status": call["status"], "kind": call["error_kind"],
                "tokens": f"{call['input_tokens']}/{call['output_tokens']}", "ms": call["total_ms"],
                "cost usd": call["cost_microusd"] / MICROUSD, "states": call["states"],
            }
            for call in calls
        ]  # fmt: skip

    print_rows(_with_gateway(run, "Reading"), as_json, title="Newest calls")


@circuits.command("status")
def circuit_status(as_json: JsonOption = False) -> None:
    """Each provider's circuit. Exits with 3 when one is not closed."""

    async def run(_database: Database, gateway: Gateway) -> list[dict[str, Any]]:  # Any: rows
        await gateway.refresh(force=True)
        await gateway.models()  # Ollama is found by asking for it
        known = gateway.breaker.circuits()
        return [
            {
                "provider": provider, "circuit": known[provider].state if provider in known else "closed",
                "failures": known[provider].failures if provider in known else 0,
                "tried again at": _time(known[provider].retry_at) if provider in known else None,
            }
            for provider in sorted({*gateway.providers(), *known} - {"null"})
        ]  # fmt: skip

    rows = _with_gateway(run, "Reading")
    print_rows(rows, as_json, title="Circuits")
    if any(row["circuit"] != "closed" for row in rows):
        raise typer.Exit(UNUSABLE)


@circuits.command("reset")
def circuit_reset(provider: str, as_json: JsonOption = False) -> None:
    """Let calls go to a provider again at once."""

    async def run(_database: Database, gateway: Gateway) -> None:
        await gateway.refresh()
        await gateway.models()
        known = sorted({*gateway.providers(), *gateway.breaker.circuits()})
        if provider not in known:
            raise NotFound(f"There is no provider {provider!r}. There are: {', '.join(known)}.")
        await gateway.breaker.reset(provider, actor=COMMAND_LINE)

    _with_gateway(run, "Closing")
    if as_json:
        typer.echo(json.dumps({"provider": provider, "circuit": "closed"}))
    else:
        typer.echo(f"The circuit of {provider} is closed.")


@cli.command("test")
def call_once(
    provider: str,
    stream: Annotated[bool, typer.Option("--stream", help="Show the answer as it comes")] = False,
    as_json: JsonOption = False,
) -> None:
    """One real, small call to a provider, within its budget. Exits with 3 when it fails."""

    async def run(database: Database, gateway: Gateway) -> dict[str, Any]:  # Any: a row
        return await _answer_of(provider, database, gateway, stream=stream, aloud=stream and not as_json)

    try:
        row = _with_gateway(run, "" if stream else f"Asking {provider}")
    except (BudgetExceeded, NoModelAvailable, ProviderFailed) as error:
        cost = error.cost_microusd / MICROUSD
        row = {"provider": provider, "ok": False, "error": error.user_message, "costUsd": cost}
    if as_json:
        typer.echo(json.dumps(row))
    elif row["ok"]:
        said = "" if stream else f": {_printable(row['answer']).strip()}"
        typer.echo(f"{row['model']} answered in {row['ms']} ms for ${row['costUsd']:.6f}{said}")
    else:
        paid = f" (It cost ${row['costUsd']:.6f}.)" if row["costUsd"] else ""
        typer.secho(f"{row['error']}{paid}", fg="red", err=True)
    if not row["ok"]:
        raise typer.Exit(UNUSABLE)


def models(
    task: Annotated[str, typer.Option(help="Kind of task: " + ", ".join(TASKS))] = "chat", as_json: JsonOption = False
) -> None:
    """Which models there are, and which would be picked now and why. Exits with 3 when none can be called."""
    if task not in TASKS:
        raise typer.BadParameter(f"{task!r} is no kind of task. There are: {', '.join(TASKS)}.")
    wanted: Task = next(known for known in TASKS if known == task)

    async def run(database: Database, gateway: Gateway) -> tuple[list[dict[str, Any]], str]:  # Any: rows
        owner = await AccountService(database=database, clock=utc_now).owner()
        preview = await gateway.preview(wanted, user_id=owner.id)
        ranking = preview.ranking
        rows = [
            {
                "rank": place if scored.excluded is None else None, "model": scored.model_id,
                "estimate usd": scored.estimate_microusd / MICROUSD, "cost": scored.cost, "quality": scored.quality,
                "speed": scored.speed, "uptime": scored.uptime, "success": scored.success_rate,
                "score": scored.score, "left out because": scored.excluded,
            }
            for place, scored in enumerate(ranking, start=1)
        ]  # fmt: skip
        callable_ids = {scored.model_id for scored in ranking}
        others = [model.id for model in gateway.catalog.models if model.id not in callable_ids]
        rows += [{**dict.fromkeys(rows[0] if rows else ("rank", "model", "left out because")), "model": one,
                  "left out because": "its provider has no key"} for one in others]  # fmt: skip
        rows += [
            {**dict.fromkeys(rows[0] if rows else ("rank", "model")), "model": one, "left out because": why}
            for one, why in gateway.catalog.refused.items()
        ]
        return rows, preview.reason

    rows, why = _with_gateway(run)
    print_rows(rows, as_json, title=f"Models for {task}: {why}")
    if not any(row.get("rank") for row in rows):
        raise typer.Exit(UNUSABLE)


async def _answer_of(
    provider: str, database: Database, gateway: Gateway, *, stream: bool, aloud: bool
) -> dict[str, Any]:  # Any: a row
    """Ask a provider the test question, and say the answer as it comes."""
    owner = await AccountService(database=database, clock=utc_now).owner()
    request = CallRequest(
        task="chat", user_id=owner.id, thread_id=None, intent="provider.test", system="Be brief.",
        messages=(Message(role="user", content=TEST_QUESTION),), max_output_tokens=64, providers=(provider,),
        stream=stream,
    )  # fmt: skip
    await gateway.models()
    if provider not in gateway.providers():
        known = ", ".join(gateway.providers()) or "none yet: give a key (/keys, or the environment), or start Ollama"
        raise NotFound(f"There is no provider {provider!r} that can be called. There are: {known}.")
    began = time.monotonic()
    async with aclosing(gateway.stream(request)) as chunks:
        async for chunk in chunks:
            if isinstance(chunk, TextDelta) and aloud:
                typer.echo(_printable(chunk.text), nl=False)
            if isinstance(chunk, Switched) and aloud:
                typer.echo(f"\n({chunk.from_model_id} broke off here; {chunk.to_model_id} goes on.)")
            if isinstance(chunk, Answered):
                if aloud:
                    typer.echo()
                return {
                    "provider": provider, "ok": True, "model": chunk.model_id, "answer": chunk.text,
                    "ms": round((time.monotonic() - began) * 1000), "costUsd": chunk.cost_microusd / MICROUSD,
                }  # fmt: skip
    raise AssertionError("a stream ends with an Answered")


def _printable(text: str) -> str:
    """Without what a terminal would take for an order to itself."""
    return "".join(sign for sign in text if unicodedata.category(sign) != "Cc" or sign in "\n\t")


def _with_gateway(work: Any, waiting: str = "") -> Any:  # Any: each command's own coroutine function and result
    async def run() -> Any:  # Any: as above
        async with _gateway() as (database, gateway):
            return await work(database, gateway)

    if not waiting:
        return asyncio.run(run())
    with Console(stderr=True).status(Text(f"{waiting} …")):
        return asyncio.run(run())


@asynccontextmanager
async def _gateway() -> AsyncIterator[tuple[Database, Gateway]]:
    settings = load_settings()
    async with open_database(settings) as database:
        gateway = await open_gateway(settings, database, Purse(database))
        try:
            await open_keys(settings, database, gateway)
            await gateway.refresh()
            yield database, gateway
        finally:
            await gateway.close()


def print_rows(rows: list[dict[str, Any]], as_json: bool, *, title: str) -> None:  # Any: rows
    if as_json:
        typer.echo(json.dumps(rows, default=_plain))
        return
    if not rows:
        typer.echo(f"{title}: nothing yet.")
        return
    names = [name for name in rows[0] if name != "states"]  # too long for a table
    table = Table(title=Text(title), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in names:
        justify: Literal["left", "right"] = "left" if isinstance(rows[0][name], str | bool) else "right"
        table.add_column(name, justify=justify, no_wrap=name not in FOLDED, overflow="fold")
    cells = [[_shown(name, row.get(name)) for name in names] for row in rows]
    for row, shown in zip(rows, cells, strict=True):
        table.add_row(*(Text(cell) for cell in shown), style=_style(row))
    console = Console()
    # a figure is not cut where there is no room for it: the terminal breaks its line
    longest = [max(len(cell) for cell in column) for column in zip(names, *cells, strict=True)]
    columns = zip(names, longest, strict=True)
    least = sum(2 + (min(FOLDED_WIDTH, most) if name in FOLDED else most) for name, most in columns)
    Console(width=max(console.width, least) if console.is_terminal else PIPE_WIDTH).print(table)


def _shown(name: str, value: Any) -> str:  # Any: a cell
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "at":
        return str(value)[5:19].replace("T", " ")  # the year and the zone (UTC) are in the JSON
    if isinstance(value, float):
        return f"{value:.6f}" if "usd" in name else f"{value:.2f}"
    return str(value)


def _style(row: dict[str, Any]) -> str | None:  # Any: a row
    bad = row.get("usable") is False or row.get("status") == "failed" or row.get("circuit") == "open"
    if bad:
        return "red"
    return "dim" if row.get("left out because") else None


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
