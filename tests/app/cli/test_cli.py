"""The command line as a process: what it prints, and sentences instead of tracebacks."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.events.schema import EVENT_TYPES

ROOT = Path(__file__).parents[3]


def tooloo(
    *arguments: str, folder: Path, stdin: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "TOOLOO_DATA_DIR": str(folder / "data"), **environment}
    return subprocess.run(
        [sys.executable, "-m", "app.cli.main", *arguments], cwd=ROOT, env=env, input=stdin, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip


def test_accounts_and_tokens(tmp_path: Path) -> None:
    added = tooloo("user", "add", "ada", "--admin", folder=tmp_path, stdin="correct horse\n")
    again = tooloo("user", "add", "ada", folder=tmp_path, stdin="correct horse\n")
    token = tooloo("token", "add", "laptop", "--user", "ada", "--scope", "read", folder=tmp_path)
    listed = tooloo("token", "list", "--user", "ada", folder=tmp_path)
    token_id = listed.stdout.split("\t")[0]
    revoked = tooloo("token", "revoke", token_id, "--user", "ada", folder=tmp_path)

    assert "Made the account ada (admin)" in added.stdout
    assert (again.returncode, "is taken" in again.stderr) == (1, True)
    assert token.stdout.splitlines()[-1].startswith("tooloo_")
    assert token.stdout.splitlines()[-1] not in listed.stdout
    assert "Revoked" in revoked.stdout
    assert "Traceback" not in again.stderr


def test_events_can_be_listed_and_replayed(tmp_path: Path) -> None:
    tooloo("user", "add", "ada", folder=tmp_path, stdin="correct horse\n")

    listed = tooloo("events", "list", "--type", "user.", "--json", folder=tmp_path)
    replayed = tooloo("events", "replay", "learner-stats", folder=tmp_path)
    dead = tooloo("events", "dead", folder=tmp_path)
    unknown = tooloo("events", "replay", "nobody", folder=tmp_path)

    assert '"type": "user.created"' in listed.stdout
    assert "built again" in replayed.stdout
    assert "0 dead letters" in dead.stdout
    assert (unknown.returncode, "learner-stats" in unknown.stderr) == (1, True)


def test_the_graph_is_printed(tmp_path: Path) -> None:
    assert tooloo("graph", folder=tmp_path).stdout.startswith("---")


def test_the_doctor_says_what_isolates_code(tmp_path: Path) -> None:
    found = tooloo("doctor", folder=tmp_path)

    assert found.returncode == 0
    assert "bubblewrap with seccomp isolates code" in found.stdout


def test_the_doctor_names_the_challenges_that_are_left_out(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "broken.yaml").write_text("id: broken")
    subprocess.run(
        [sys.executable, "-m", "app.cli.main", "challenge", "new", "of-our-own", "--folder", str(own)], cwd=ROOT,
        check=True, capture_output=True,
    )  # fmt: skip

    found = tooloo("doctor", folder=tmp_path, TOOLOO_CHALLENGES_DIR=str(own)).stdout

    assert f"of TooLoo, and 1 of {own}" in found
    assert f"left out     {own / 'broken.yaml'}: The challenge file 'broken.yaml' cannot be used" in found


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"PORT": "many"}, "PORT"),
        ({"HOST": "0.0.0.0", "PORT": "0"}, "tooloo user add NAME --admin"),
        ({"HOST": "no.such.host.invalid", "PORT": "0"}, "no address of this machine"),
        ({"TOOLOO_DATA_DIR": "/proc/nowhere", "PORT": "0"}, "cannot be written to"),
        ({"DATABASE_URL": "postgresql://127.0.0.1:9/x", "PORT": "0"}, "cannot be reached"),
        ({"TOOLOO_CATALOG": "/proc/nowhere.yaml", "PORT": "0"}, "TOOLOO_CATALOG"),
        ({"PRIMARY_PROVIDER": "nonsense", "PORT": "0"}, "names 'nonsense'. There are: anthropic,"),
        ({"REDIS_URL": "redis://h:notaport/x", "PORT": "0"}, "REDIS_URL: must be a whole address"),
        ({"OPENAI_BASE_URL": "http://[::1", "PORT": "0"}, "OPENAI_BASE_URL: must be a whole address"),
    ],
)
def test_what_keeps_the_server_from_starting_is_a_sentence(
    tmp_path: Path, environment: dict[str, str], words: str
) -> None:
    refused = tooloo("serve", folder=tmp_path, **environment)

    assert refused.returncode == 1
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        refused = tooloo("serve", folder=tmp_path, PORT=str(taken.getsockname()[1]))

    assert (refused.returncode, "is in use" in refused.stderr) == (1, True)


def test_a_database_of_a_newer_version_is_said(tmp_path: Path) -> None:
    import sqlite3

    tooloo("migrate", folder=tmp_path)
    connection = sqlite3.connect(tmp_path / "data" / "tooloo.sqlite")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()

    refused = tooloo("serve", folder=tmp_path, PORT="0")

    assert (refused.returncode, "newer version" in refused.stderr) == (1, True)


@pytest.mark.parametrize("name", ["checkpoints.sqlite", "workflows.sqlite"])
def test_a_damaged_file_beside_the_database_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(b"this is no database " * 100)

    refused = tooloo("serve", folder=tmp_path, PORT="0")

    assert (refused.returncode, f"{name}' cannot be used" in refused.stderr) == (1, True)


def test_every_event_type_is_published_somewhere() -> None:
    source = "\n".join(path.read_text() for folder in ("app", "graph") for path in (ROOT / folder).rglob("*.py")
                       if path.name != "schema.py")  # fmt: skip
    dynamic = {"workflow.completed", "workflow.failed", "budget.warning", "budget.exceeded"}  # by an f-string

    missing = [name for name in EVENT_TYPES if f'"{name}"' not in source and name not in dynamic]

    assert missing == []


def test_the_commands_of_the_readme_exist(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    helped = tooloo("--help", folder=tmp_path).stdout

    for command in re.findall(r"\| `tooloo (\w+)", readme):
        assert command in helped
