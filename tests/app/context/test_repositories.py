"""Repositories: what is read and what is not, staying up to date, and finding the place."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
from pathlib import Path, PurePath

import pytest

from app.context.files import files_of, read_regular
from app.context.indexing import Progress, index, split_words
from app.context.repositories import Repository, RepositoryService
from app.context.search import search, words_of
from app.context.symbols import symbols_of
from app.errors import InvalidInput, NotAllowed, NotFound, StorageFailed
from app.identity.accounts import User
from app.storage.database import Database
from tests.fakes.clock import Clock
from tests.fakes.privileges import unprivileged

RETRY = '''\
import time

MOST = 5

def fetchWithRetry(url, max_attempts=MOST):
    """Try again with a growing pause."""
    for attempt in range(max_attempts):
        try:
            return fetch(url)
        except OSError:
            time.sleep(2 ** attempt)
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "roots" / "project"
    (root / "src").mkdir(parents=True)
    (root / "src" / "http_client.py").write_text(RETRY)
    (root / "src" / "login.js").write_text(
        "class Session {\n  signIn(user) { return user; }\n}\nconst hash = (x) => x;\n"
    )
    (root / "README.md").write_text("# Project\n\nIt fetches pages.\n")
    (root / ".gitignore").write_text("*.log\nbuild/\n!keep.log\n")
    (root / "x.log").write_text("retry retry retry")
    (root / "keep.log").write_text("kept")
    (root / "build").mkdir()
    (root / "build" / "out.py").write_text("def retry(): pass")
    (root / "logo.png").write_bytes(b"\x89PNG\0\0\0")
    (tmp_path / "secret.txt").write_text("retry secret")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "linked").symlink_to(tmp_path)
    return root


def indexed(project: Path, tmp_path: Path) -> Path:
    index(project, tmp_path / "index.sqlite", report=lambda _: None, stopped=lambda: False)
    return tmp_path / "index.sqlite"


def test_a_question_in_plain_words_finds_the_line(project: Path, tmp_path: Path) -> None:
    best = search(indexed(project, tmp_path), "where is the retry logic")[0]

    assert (best.path, best.line, best.symbol) == ("src/http_client.py", 5, "fetchWithRetry")
    assert "def fetchWithRetry" in best.snippet


def test_what_is_ignored_binary_or_a_link_is_left_out(project: Path, tmp_path: Path) -> None:
    progress = index(project, tmp_path / "i.sqlite", report=lambda _: None, stopped=lambda: False)

    paths = {found.path for found in search(tmp_path / "i.sqlite", "retry kept secret PNG", limit=20)}
    assert paths == {"src/http_client.py", "keep.log"}
    assert progress.left_out == {"ignored": 2, "a link": 2, "binary": 1}


def test_a_huge_file_is_left_out_unread(project: Path, tmp_path: Path) -> None:
    with (project / "huge.txt").open("wb") as file:
        file.truncate(2 * 1024**3)

    progress = index(project, tmp_path / "i.sqlite", report=lambda _: None, stopped=lambda: False)

    assert progress.left_out["larger than 1 MB"] == 1


def test_what_is_secret_by_its_name_is_left_out(project: Path, tmp_path: Path) -> None:
    (project / ".ssh").mkdir()
    for name in (".ssh/config", "id_ed25519", "server.pem", ".env", ".env.local", ".env.example"):
        (project / name).write_text("retry passphrase")

    progress = index(project, tmp_path / "i.sqlite", report=lambda _: None, stopped=lambda: False)

    assert [found.path for found in search(tmp_path / "i.sqlite", "passphrase", limit=20)] == [".env.example"]
    assert progress.left_out["secret by name"] == 5


def test_a_private_folder_is_not_looked_into(project: Path, tmp_path: Path) -> None:
    (project / "data").mkdir()
    (project / "data" / "session.key").write_text("x")
    (project / "data" / "notes.txt").write_text("passphrase")

    progress = index(
        project, tmp_path / "i.sqlite", report=lambda _: None, stopped=lambda: False, private=project / "data"
    )

    assert search(tmp_path / "i.sqlite", "passphrase") == []
    assert progress.left_out["private"] == 1


def test_strange_names_pipes_and_depths_are_survived(project: Path, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(project) + b"/caf\xe9.txt")).write_text("retry")
    (project / "src" / ".gitignore").unlink(missing_ok=True)
    os.mkfifo(project / "src" / ".gitignore")  # whoever reads it would wait for ever
    os.mkfifo(project / "pipe.txt")
    deep = os.open(project, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=deep)
        deeper = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = deeper
    os.close(deep)

    progress = index(project, tmp_path / "i.sqlite", report=lambda _: None, stopped=lambda: False)
    subprocess.run(["rm", "-rf", project / "d"], check=True)  # Python's own way to remove a tree is not deep enough

    assert progress.left_out["with a name that is no text"] == 1
    assert search(tmp_path / "i.sqlite", "where is the retry logic")[0].path == "src/http_client.py"


def test_looking_for_files_shows_how_far_it_is_and_can_be_stopped(project: Path, tmp_path: Path) -> None:
    many = project / "many"
    for number in range(60):
        (many / str(number)).mkdir(parents=True)
        (many / str(number) / "x.txt").write_text("retry")
    told: list[Progress] = []

    stopped = index(project, tmp_path / "i.sqlite", report=told.append, stopped=lambda: bool(told))

    assert [(step.done, step.total) for step in told] == [(0, 25)]
    assert stopped.changed == 0


def test_only_what_changed_is_read_again(project: Path, tmp_path: Path) -> None:
    database = indexed(project, tmp_path)
    (project / "src" / "new.py").write_text("def brand_new(): pass\n")
    (project / "src" / "login.js").unlink()

    progress = index(project, database, report=lambda _: None, stopped=lambda: False)

    assert progress.changed == 1
    assert search(database, "brand new")[0].path == "src/new.py"
    assert search(database, "sign in session") == []


def test_stopping_keeps_what_was_read(project: Path, tmp_path: Path) -> None:
    looks = iter([False] * 6)  # two folders and the end of the search, then two files

    index(project, tmp_path / "i.sqlite", report=lambda _: None, stopped=lambda: next(looks, True))
    rest = index(project, tmp_path / "i.sqlite", report=lambda _: None, stopped=lambda: False)

    assert 0 < rest.changed < rest.total


@pytest.mark.parametrize(
    ("suffix", "source", "names"),
    [
        (".py", "class A:\n    def b(self): pass\nasync def c(): pass", ["A", "b", "c"]),
        (".ts", "export class A { b(): void {} }\nconst c = () => 1;\ninterface D {}", ["A", "b", "c", "D"]),
        (".go", "package p\nfunc A() {}\ntype B struct {}", ["A", "B"]),
        (".rs", "fn a() {}\nstruct B;\nenum C {}", ["a", "B", "C"]),
        (".java", "class A { void b() {} }", ["A", "b"]),
        (".c", "int main(void) { return 0; }", ["main"]),
        (".rb", "class A\n  def b; end\nend", ["A", "b"]),
        (".sh", "hello() { echo hi; }", ["hello"]),
        (".txt", "def no(): pass", []),
    ],
)
def test_definitions_of_many_languages(suffix: str, source: str, names: list[str]) -> None:
    assert [symbol.name for symbol in symbols_of(Path("x" + suffix), source.encode())] == names


def test_identifiers_are_split_by_case_and_underscore() -> None:
    assert split_words("parseHTTPReply_now") == "parse HTTP Reply now"
    assert words_of("Where is the retryLogic?") == ["retrylogic", "retry", "logic"]


@pytest.fixture
def service(database: Database, tmp_path: Path, clock: Clock) -> RepositoryService:
    return RepositoryService(
        database=database, index_folder=tmp_path / "data" / "indexes", roots=[tmp_path / "roots"],
        private=tmp_path / "roots" / "data", clock=clock, wake=lambda: None,
    )  # fmt: skip


async def load(service: RepositoryService, user: User, path: str) -> Repository:
    return await load_path(service, user.id, path)


async def load_path(service: RepositoryService, user_id: str, path: str) -> Repository:
    steps = [step async for step in service.load(user_id, path)]
    assert isinstance(steps[-1], Repository)
    return steps[-1]


async def test_a_loaded_repository_can_be_searched_by_its_owner_alone(
    service: RepositoryService, project: Path, ada: User, eve: User
) -> None:
    repository = await load(service, ada, str(project))

    found = await service.search(ada.id, repository.id, "where is the retry logic")

    assert found[0].path == "src/http_client.py"
    with pytest.raises(NotFound):
        await service.search(eve.id, repository.id, "retry")
    with pytest.raises(NotFound):
        await service.structure(eve.id, repository.id)


async def test_loading_again_is_the_same_repository(service: RepositoryService, project: Path, ada: User) -> None:
    first, second = await load(service, ada, str(project)), await load(service, ada, f"{project}/")

    assert first.id == second.id
    assert len(await service.list(ada.id)) == 1


def test_a_part_that_cannot_be_read_is_left_out() -> None:
    with unprivileged() as folder:
        for name in ("open", "closed"):
            (folder / "project" / name).mkdir(parents=True)
            (folder / "project" / name / "x.py").write_text(RETRY)
        (folder / "project" / "closed").chmod(0)

        progress = index(folder / "project", folder / "i.sqlite", report=lambda _: None, stopped=lambda: False)
        (folder / "project" / "closed").chmod(0o700)

    assert (progress.changed, progress.left_out) == (1, {"not readable": 1})


async def test_a_folder_that_cannot_be_read_gets_a_sentence(sqlite: Database, clock: Clock) -> None:
    with unprivileged() as folder:
        (folder / "project").mkdir(mode=0)
        service = RepositoryService(
            database=sqlite,
            index_folder=folder / "indexes",
            roots=[folder],
            private=folder / "indexes",
            clock=clock,
            wake=lambda: None,
        )

        with pytest.raises(NotAllowed, match="cannot be read by the server"):
            await load_path(service, "ada", str(folder / "project"))


async def test_nothing_may_be_loaded_where_nobody_named_a_folder(
    sqlite: Database, clock: Clock, tmp_path: Path
) -> None:
    service = RepositoryService(
        database=sqlite, index_folder=tmp_path / "i", roots=[], private=tmp_path, clock=clock, wake=lambda: None
    )

    with pytest.raises(NotAllowed, match="TOOLOO_REPO_ROOTS"):
        await load_path(service, "ada", str(tmp_path))


async def test_a_folder_that_may_no_longer_be_loaded_is_not_searched(
    database: Database, clock: Clock, project: Path, tmp_path: Path, ada: User
) -> None:
    def opened(root: Path) -> RepositoryService:
        return RepositoryService(
            database=database, index_folder=tmp_path / "i", roots=[root], private=tmp_path / "i", clock=clock,
            wake=lambda: None,
        )  # fmt: skip

    repository = await load(opened(project), ada, str(project))
    narrowed = opened(project / "src")

    assert await narrowed.list(ada.id) == []
    with pytest.raises(NotFound):
        await narrowed.search(ada.id, repository.id, "retry")


async def test_first_loads_at_once_are_one_repository(
    service: RepositoryService, project: Path, ada: User, tmp_path: Path
) -> None:
    loaded = await asyncio.gather(*(load(service, ada, str(project)) for _ in range(4)))

    assert len({repository.id for repository in loaded}) == 1
    assert len(list((tmp_path / "data" / "indexes").glob("*.sqlite"))) == 1


async def test_a_damaged_index_is_said_and_made_anew(
    service: RepositoryService, project: Path, ada: User, tmp_path: Path
) -> None:
    repository = await load(service, ada, str(project))
    for file in (tmp_path / "data" / "indexes").iterdir():
        file.write_bytes(b"no database at all" * 500) if file.suffix == ".sqlite" else file.unlink()

    with pytest.raises(StorageFailed, match="Load the repository again"):
        await service.search(ada.id, repository.id, "retry")
    await load(service, ada, str(project))

    assert (await service.search(ada.id, repository.id, "retry"))[0].path == "src/http_client.py"


async def test_an_index_that_is_not_there_gets_a_sentence(
    service: RepositoryService, project: Path, ada: User, tmp_path: Path
) -> None:
    repository = await load(service, ada, str(project))
    for file in (tmp_path / "data" / "indexes").iterdir():
        file.unlink()

    with pytest.raises(StorageFailed, match="is not here"):
        await service.search(ada.id, repository.id, "retry")


async def test_an_index_of_another_version_is_not_searched_and_made_anew(
    service: RepositoryService, project: Path, ada: User, tmp_path: Path
) -> None:
    """Older ones hold what is secret by its name."""
    repository = await load(service, ada, str(project))
    (file,) = (tmp_path / "data" / "indexes").glob("*.sqlite")
    with contextlib.closing(sqlite3.connect(file)) as old:
        old.execute("UPDATE windows SET text = 'passphrase'")
        old.execute("PRAGMA user_version=1")
        old.commit()

    with pytest.raises(StorageFailed, match="an older one"):
        await service.search(ada.id, repository.id, "retry")
    await load(service, ada, str(project))

    assert "def fetchWithRetry" in (await service.search(ada.id, repository.id, "retry"))[0].snippet


def test_a_folder_that_became_a_link_meanwhile_is_not_entered(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("passphrase")
    swapped: list[bool] = []

    def look() -> bool:
        if not swapped:  # it waits in the list of folders by now
            swapped.append(True)
            (project / "src").rename(tmp_path / "away")
            (project / "src").symlink_to(outside)
        return False

    left_out: dict[str, int] = {}
    files = files_of(project, left_out, stopped=look)
    found = [next(files)[0]]
    found += [path for path, _ in files]

    assert not [path for path in found if path.startswith("src/secret")]
    with pytest.raises(OSError, match="Not a directory"):
        read_regular(project, PurePath("src/secret.txt"))


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("", InvalidInput, "Say which folder"),
        ("a\0b", InvalidInput, "Say which folder"),
        ("{root}/missing", InvalidInput, "There is no folder"),
        ("{root}/project/README.md", InvalidInput, "is a file"),
        ("/etc", NotAllowed, "outside"),
        ("{root}/project/../..", NotAllowed, "outside"),
        ("{root}/project/linked", NotAllowed, "outside"),
        ("{root}/data", NotAllowed, "own data"),
        ("{root}/data/elements", NotAllowed, "own data"),
        ("{root}/project/.git", NotAllowed, "never read"),
        ("{root}/.aws", NotAllowed, "never read"),
        ("{root}/project/.ssh/keys", NotAllowed, "never read"),
    ],
)
async def test_what_cannot_be_loaded_gets_a_sentence(
    service: RepositoryService, project: Path, ada: User, path: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await load(service, ada, path.format(root=project.parent))


@pytest.mark.parametrize("question", ["", "   ", "x" * 501, '"; DROP TABLE words; --', "***", "🦉 AND OR NOT ("])
async def test_no_question_breaks_the_search(
    service: RepositoryService, project: Path, ada: User, question: str
) -> None:
    repository = await load(service, ada, str(project))

    try:
        found = await service.search(ada.id, repository.id, question)
    except InvalidInput:
        found = []

    assert all("DROP" not in place.snippet for place in found)
