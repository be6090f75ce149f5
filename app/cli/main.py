"""The ``tooloo`` command line: serve, accounts, tokens, events, and what the engineer asks of an installation."""

import asyncio
import sys

import typer

from app import logs
from app.cli import accounts, budgets, events, practice, providers
from app.cli.serve import serve
from app.errors import TooLooError
from app.learning.curriculum import load_curriculum
from app.learning.languages import LANGUAGES
from app.learning.sandbox.probe import probe
from app.opening import may_run_unisolated, open_database
from app.settings import load_settings

cli = typer.Typer(no_args_is_help=True, add_completion=False)
cli.add_typer(accounts.users, name="user")
cli.add_typer(accounts.tokens, name="token")
cli.add_typer(events.cli, name="events")
cli.add_typer(providers.cli, name="provider")
cli.add_typer(budgets.cli, name="budget")
cli.add_typer(practice.challenges, name="challenge")
cli.add_typer(practice.sandbox, name="sandbox")
cli.command()(serve)
cli.command()(practice.languages)
cli.command()(providers.models)


@cli.callback()
def _every_command() -> None:
    """TooLoo, the self-hosted coding coach."""
    logs.configure("ERROR", "console")  # a command says itself what happened


@cli.command()
def graph() -> None:
    """Print the conversation's graph as Mermaid."""
    from graph.build import mermaid

    typer.echo(mermaid())


@cli.command()
def doctor() -> None:
    """Say what works here: data folder, database, sandbox, languages, challenges of one's own."""
    settings = load_settings()
    typer.echo(f"data folder  {settings.tooloo_data_dir}")
    typer.echo(f"database     {'PostgreSQL' if settings.database_url else 'SQLite'}")
    isolation = asyncio.run(probe(allow_unisolated=may_run_unisolated(settings)))
    typer.echo(f"sandbox      {isolation.reason}")
    for language in LANGUAGES.values():
        chain = language.toolchain()
        typer.echo(f"{language.title:<12} {chain.path or 'not installed. ' + chain.remedy}")
    own, pool = settings.tooloo_challenges_dir, len(load_curriculum().challenges)
    curriculum = load_curriculum(own=own)
    more = f", and {len(curriculum.challenges) - pool} of {own}" if own else ""
    typer.echo(f"challenges   {pool} of TooLoo{more}")
    for file, reason in curriculum.left_out.items():
        typer.echo(f"left out     {file}: {reason}")
    if isolation.sandbox is None:
        raise typer.Exit(1)


@cli.command()
def migrate() -> None:
    """Bring the database to this version's tables; ``serve`` does it by itself."""

    async def run() -> None:
        async with open_database(load_settings()):
            typer.echo("The database is up to date.")

    asyncio.run(run())


def main() -> None:
    """Entry point: our own errors are sentences, without a traceback, and exit with 1."""
    try:
        cli()
    except TooLooError as error:
        typer.secho(error.user_message, fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
