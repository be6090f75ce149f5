"""What teachers do on the command line: write a challenge, check it, run a program in the sandbox."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import cli
from app.errors import InvalidInput
from app.learning.languages import LANGUAGES

runner = CliRunner()


def run(*arguments: str, stdin: str | None = None) -> tuple[int, str]:
    result = runner.invoke(cli, list(arguments), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_a_new_challenge_is_sound_and_a_spoilt_one_is_not(tmp_path: Path) -> None:
    code, said = run("challenge", "new", "count-vowels", "--kind", "sql", "--concept", "sql", "--folder", str(tmp_path))
    file = tmp_path / "count-vowels.yaml"
    good = run("challenge", "check", str(tmp_path))
    file.write_text(file.read_text().replace("pages > 100 ORDER", "pages > 90 ORDER"))
    bad = run("challenge", "check", str(file), "--json")

    assert (code, good[0], bad[0]) == (0, 0, 1)
    assert f"tooloo challenge check {file}" in said
    assert "is sound (sql)" in good[1]
    (row,) = json.loads(bad[1])
    assert "does not pass" in row["problems"][0]


def test_two_challenges_of_one_id_are_a_problem(tmp_path: Path) -> None:
    run("challenge", "new", "count-vowels", "--folder", str(tmp_path))
    text = (tmp_path / "count-vowels.yaml").read_text()
    (tmp_path / "other.yaml").write_text(text)
    (tmp_path / "ours.yaml").write_text(text.replace("id: count-vowels", "id: running-total"))

    code, said = run("challenge", "check", str(tmp_path), "--json")

    problems = {Path(row["file"]).name: row["problems"] for row in json.loads(said)}
    assert code == 1
    assert problems["count-vowels.yaml"] == []
    assert "only one of them would be used" in problems["other.yaml"][0]
    assert "TooLoo has a challenge 'running-total' already" in problems["ours.yaml"][0]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param(["challenge", "new", "Count Vowels"], "is no id", id="a name that is no id"),
        pytest.param(["challenge", "new", "x", "--kind", "song"], "is no kind", id="no kind"),
        pytest.param(["challenge", "new", "x", "--concept", "songs"], "'songs' is no concept", id="no concept"),
        pytest.param(["challenge", "new", "there"], "is there already", id="a file that is there"),
        pytest.param(["challenge", "check", "."], "no challenge file", id="an empty folder"),
        pytest.param(["sandbox", "run", "program.cobol"], "is not a language", id="no language"),
        pytest.param(["sandbox", "run", "empty.py"], "no code to run", id="an empty program"),
    ],
)
def test_bad_input_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("program.cobol", "empty.py"):
        (tmp_path / name).touch()
    if "there" in arguments:
        (tmp_path / "there.yaml").touch()

    with pytest.raises(InvalidInput, match=problem):
        run(*arguments)


def test_a_broken_file_is_reported_beside_the_sound_ones(tmp_path: Path) -> None:
    run("challenge", "new", "good", "--folder", str(tmp_path))
    (tmp_path / "bad.yaml").write_text("id: [")

    code, said = run("challenge", "check", str(tmp_path))

    assert code == 1
    assert "good.yaml is sound (python)" in said
    assert "bad.yaml has problems" in said


@pytest.mark.parametrize(
    ("name", "source", "status", "exit_code"),
    [
        ("a.py", "print(input()[::-1])", "ok", 0),
        ("a.py", "1/0", "error", 1),
        ("a.c", "int main(", "compile_error", 2),
        ("a.sh", "sleep 99", "timeout", 3),
        ("a.sh", "yes", "killed", 4),
    ],
)
def test_a_program_runs_in_the_sandbox(tmp_path: Path, name: str, source: str, status: str, exit_code: int) -> None:
    (tmp_path / name).write_text(source)

    code, said = run("sandbox", "run", str(tmp_path / name), "--json", stdin="abc\n")

    result = json.loads(said)
    assert (code, result["status"]) == (exit_code, status)
    assert result["stdout"].startswith("cba") == (status == "ok")


def test_languages_say_what_to_install() -> None:
    rows = json.loads(run("languages", "--json")[1])

    assert [row["name"] for row in rows] == list(LANGUAGES)
    assert all(row["usable"] for row in rows)
    assert "TypeScript" in run("languages")[1]


def test_the_schema_names_every_kind() -> None:
    schema = json.loads(run("challenge", "schema")[1])

    assert set(schema["discriminator"]["mapping"]) == {
        "write", "fix", "complete", "predict", "read", "test", "sql", "shell",
    }  # fmt: skip
