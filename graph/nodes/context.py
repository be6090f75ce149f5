"""Repositories in the conversation: load one with progress, search it."""

from pathlib import PurePosixPath

from app.context.indexing import Progress
from app.context.repositories import Repository
from app.context.search import Found
from app.errors import InvalidInput
from graph.deps import Deps
from graph.nodes.base import Run, said, speaker
from graph.reply import Speaker
from graph.state import State, Update

NOT_LOADED = "No repository is loaded. Load one first, for example: *load ~/project*."


async def load_repo(state: State, runtime: Run) -> Update:
    say = speaker(runtime)
    path = state.get("parameters", {}).get("path", "")
    if not path:
        raise InvalidInput("Say which folder to load, for example: load ~/project")
    if path.startswith(("http://", "https://", "git@")):
        raise InvalidInput(f"{path!r} is not on this machine. Clone it first, then load its folder: /repo ~/project")
    repository: Repository | None = None
    last: Progress | None = None
    async for step in runtime.context.repositories.load(state["user_id"], path):
        if isinstance(step, Repository):
            repository = step
        else:
            last = step
            say.progress(
                f"Indexing {step.done} of {step.total} files" if step.done else f"Looking through {step.total} files"
            )
    assert repository is not None
    assert last is not None
    say.text(f"**{repository.name}** is loaded: {repository.files} files, {repository.symbols} definitions")
    left_out = ", ".join(f"{count} {why}" for why, count in sorted(last.left_out.items()))
    say.text(f" ({last.changed} new or changed; left out: {left_out or 'nothing'}).\n\nAsk me where something is.")
    update = said(state, say)
    update["repository_id"] = repository.id
    return update


async def search_code(state: State, runtime: Run) -> Update:
    say = speaker(runtime)
    deps = runtime.context
    repository = await _current(state, deps)
    if repository is None:
        say.text(NOT_LOADED)
        return said(state, say)
    question = state.get("parameters", {}).get("query") or state["text"]
    found = await deps.repositories.search(state["user_id"], repository.id, question[:500])
    if found:
        _say_found(say, repository, found)
    else:
        say.text(
            f"Nothing in **{repository.name}** matches. Try other words, or `/repo {repository.path}` to read it anew."
        )
    return said(state, say)


async def _current(state: State, deps: Deps) -> Repository | None:
    """The repository of this conversation, or the one loaded last."""
    loaded = await deps.repositories.list(state["user_id"])
    chosen = state.get("repository_id")
    return next((r for r in loaded if r.id == chosen), loaded[0] if loaded else None)


def _say_found(say: Speaker, repository: Repository, found: list[Found]) -> None:
    say.text(f"In **{repository.name}**:\n")
    for place in found:
        named = f" in `{place.symbol}`" if place.symbol else ""
        language = PurePosixPath(place.path).suffix.removeprefix(".") or "text"
        fence = "`" * (3 + max((len(run) for run in place.snippet.split() if set(run) == {"`"}), default=0))
        say.text(f"\n**`{place.path}:{place.line}`**{named}\n\n{fence}{language}\n{place.snippet}\n{fence}\n")
