"""``tooloo challenge``, ``sandbox`` and ``languages``: what teachers need to write challenges of their own."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.errors import InvalidInput, SettingsError
from app.learning.challenge_files import CHALLENGE
from app.learning.checking import check as check_challenge
from app.learning.curriculum import POOL, load_curriculum, read_challenge
from app.learning.languages import LANGUAGES, known_language
from app.learning.sandbox.probe import Isolation, probe
from app.learning.sandbox.raw import RawRun, run_script
from app.learning.templates import KINDS, template
from app.opening import may_run_unisolated
from app.settings import load_settings

challenges = typer.Typer(no_args_is_help=True, help="Challenges of your own: write and check them.")
sandbox = typer.Typer(no_args_is_help=True, help="The sandbox that runs learners' code.")
EXIT_BY_STATUS = {"ok": 0, "error": 1, "compile_error": 2, "timeout": 3, "killed": 4, "infrastructure_error": 5}


@challenges.command()
def check(
    paths: Annotated[list[Path], typer.Argument(help="Challenge files, or folders of them")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document")] = False,
) -> None:
    """Run the solutions and the wrong ones of challenge files, and find missing or ambiguous cases."""
    named = [path.resolve() for path in paths]
    files = sorted({file for path in named for file in (path.glob("**/*.y*ml") if path.is_dir() else [path])})
    if not files:
        raise InvalidInput("There is no challenge file there. Challenge files end in .yaml or .yml.")
    with Console(stderr=True).status("Starting the sandbox") as status:
        rows = asyncio.run(_check_all(files, lambda file: status.update(f"Checking {file.name}")))
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        for row in rows:
            _print_checked(row)
    if any(row["problems"] for row in rows):
        raise typer.Exit(1)


Row = dict[str, list[str] | str]


async def _check_all(files: list[Path], tell: Callable[[Path], None]) -> list[Row]:
    isolation = await _isolation()
    curriculum = await asyncio.to_thread(load_curriculum)
    rows = []
    seen: dict[str, Path] = {}
    for file in files:
        try:
            challenge = await asyncio.to_thread(read_challenge, file)
        except SettingsError as error:
            rows.append(Row(file=str(file), problems=[error.user_message], advice=[], languages=[]))
            continue
        tell(file)
        report = await check_challenge(isolation.require(), challenge)
        unknown = [] if curriculum.concept(challenge.concept) else [f"{challenge.concept!r} is no concept"]
        taken = seen.setdefault(challenge.id, file)
        if taken != file:
            unknown.append(f"its id {challenge.id!r} is that of {taken} too; only one of them would be used")
        elif curriculum.challenge(challenge.id) and not file.is_relative_to(POOL.resolve()):
            unknown.append(f"TooLoo has a challenge {challenge.id!r} already; give it another id")
        rows.append(
            Row(
                file=str(file), problems=[*unknown, *report.problems], advice=list(report.advice),
                languages=list(report.languages),
            )
        )  # fmt: skip
    return rows


def _print_checked(row: Row) -> None:
    console = Console(highlight=False, soft_wrap=True)
    ran = f" ({', '.join(row['languages'])})" if row["languages"] else ""
    mark = "[red]has problems[/red]" if row["problems"] else "[green]is sound[/green]"
    console.print(f"{row['file']} {mark}{ran}")
    for problem in row["problems"]:
        console.print(f"  {problem}", markup=False, style="red")
    for one in row["advice"]:
        console.print(f"  {one}", markup=False, style="dim")


@challenges.command()
def new(
    challenge_id: Annotated[str, typer.Argument(help="Its id and file name, such as count-vowels")],
    kind: Annotated[str, typer.Option(help=f"One of {', '.join(KINDS)}")] = "write",
    concept: Annotated[str, typer.Option(help="What it is about, such as strings")] = "strings",
    folder: Annotated[Path, typer.Option(help="Where to put the file")] = Path(),
) -> None:
    """Write a challenge file to start from: it is sound as it stands, and every field says what it is for."""
    known = [one.id for one in load_curriculum().concepts]
    if concept not in known:
        raise InvalidInput(f"{concept!r} is no concept. There are: {', '.join(sorted(known))}.")
    text = template(challenge_id, kind, concept)
    file = folder / f"{challenge_id}.yaml"
    if file.exists():
        raise InvalidInput(f"{str(file)!r} is there already. Choose another id, or delete it first.")
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    typer.echo(f"Wrote {file}. Edit it, then: tooloo challenge check {file}")


@challenges.command()
def schema() -> None:
    """Print the JSON Schema of challenge files, for editors that complete and check YAML."""
    typer.echo(json.dumps(CHALLENGE.json_schema(), indent=2))


@sandbox.command()
def run(
    file: Annotated[Path, typer.Argument(help="The program to run", exists=True, dir_okay=False)],
    language: Annotated[
        str | None, typer.Option(help="Its language; taken from the file's name where it says so")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document")] = False,
) -> None:
    """Run a program in the sandbox, with standard input passed on.

    Exit code: 0 ok, 1 error, 2 compile error, 3 time-out, 4 killed, 5 when the sandbox itself failed."""
    spoken = LANGUAGES[known_language(language or file.suffix.lstrip("."))]
    if spoken.toolchain().path is None:
        raise InvalidInput(f"{spoken.title} is not installed here. {spoken.toolchain().remedy}")
    stdin = b"" if (piped := typer.get_binary_stream("stdin")).isatty() else piped.read()
    code = file.read_text(encoding="utf-8", errors="replace")

    async def ran() -> RawRun:
        return await run_script((await _isolation()).require(), spoken, code, stdin)

    result = asyncio.run(ran())
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=2))
    else:
        typer.echo(result.stdout, nl=False)
        typer.echo(result.stderr, nl=False, err=True)
        if not result.isolated:
            typer.secho("This ran without isolation.", fg="yellow", err=True)
        if result.status != "ok":
            typer.secho(f"{result.status} after {result.wall_ms} ms", fg="red", err=True)
    raise typer.Exit(EXIT_BY_STATUS[result.status])


async def _isolation() -> Isolation:
    return await probe(allow_unisolated=may_run_unisolated(load_settings()))


def languages(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document")] = False) -> None:
    """Say in which languages challenges can be solved here, and what to install for the rest."""
    found = [(language, language.toolchain()) for language in LANGUAGES.values()]
    if as_json:
        rows = [{"name": one.name, "usable": chain.path is not None, "path": chain.path, "remedy": chain.remedy}
                for one, chain in found]  # fmt: skip
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("Language", "Here", "", box=None)
    for one, chain in found:
        table.add_row(one.title, "[green]yes[/green]" if chain.path else "[red]no[/red]", chain.path or chain.remedy)
    Console(soft_wrap=True).print(table)
