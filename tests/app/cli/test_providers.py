"""``tooloo provider``, ``models`` and ``budget``: tables for people, JSON and exit codes for scripts."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli.main import cli
from app.cli.providers import print_rows
from tests.fakes.providers import FakeProviders, Script

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, providers: FakeProviders, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command against the fake provider, which has a key for OpenAI alone."""
    for name, value in {
        "TOOLOO_DATA_DIR": str(tmp_path), "OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": f"{providers.url}/v1",
        "OLLAMA_BASE_URL": "http://127.0.0.1:9",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("app.models.gateway.RETRY_BASE_SECONDS", 0.01)
    return lambda *arguments: CliRunner().invoke(cli, [*arguments])


def test_a_test_call_shows_answer_time_and_cost_and_is_in_the_log(run: Run) -> None:
    asked = run("provider", "test", "openai")
    streamed = run("provider", "test", "openai", "--stream")
    as_json = json.loads(run("provider", "test", "openai", "--json").stdout)
    logged = json.loads(run("provider", "logs", "--json").stdout)
    stats = json.loads(run("provider", "stats", "--time", "1", "--json").stdout)

    assert (asked.exit_code, "Hello from the fake." in asked.output) == (0, True)
    assert streamed.output.startswith("Hello from the fake.\n")
    assert (as_json["ok"], as_json["answer"]) == (True, "Hello from the fake.")
    assert [row["status"] for row in logged] == ["ok"] * 3
    assert logged[0]["states"].endswith("Completed")
    assert (stats[0]["calls"], stats[0]["success"]) == (3, 1.0)


def test_a_failing_provider_exits_with_three_and_opens_its_circuit(run: Run, providers: FakeProviders) -> None:
    providers.scripts["*"] = Script(status=500)

    failed = run("provider", "test", "openai", "--json")
    opened = run("provider", "circuit", "status", "--json")
    unhealthy = run("provider", "health")
    failures = json.loads(run("provider", "logs", "--failed", "--provider", "openai", "--number", "2", "--json").stdout)
    reset = run("provider", "circuit", "reset", "openai")
    healthy = run("provider", "health", "--json")

    assert (failed.exit_code, json.loads(failed.stdout)["ok"]) == (3, False)
    assert (opened.exit_code, json.loads(opened.stdout)[0]["circuit"]) == (3, "open")
    assert (unhealthy.exit_code, "tried again at" in unhealthy.output) == (3, True)
    assert [row["kind"] for row in failures] == ["server", "server"]
    assert reset.exit_code == 0
    assert (healthy.exit_code, json.loads(healthy.stdout)) == (
        0, [{"provider": "openai", "usable": True, "reason": None}],
    )  # fmt: skip


def test_models_are_listed_with_what_would_be_picked_and_why(run: Run) -> None:
    listed = json.loads(run("models", "--task", "code", "--json").stdout)
    table = run("models")
    unknown = run("models", "--task", "cooking")

    ranked = [row for row in listed if row["rank"]]
    assert [row["rank"] for row in ranked] == list(range(1, len(ranked) + 1))
    assert all(row["model"].startswith("openai/") for row in ranked)
    assert {row["left out because"] for row in listed if not row["rank"]} == {"its provider has no key"}
    assert "Models for chat: " in table.output
    assert unknown.exit_code == 2


def test_what_would_be_picked_knows_the_owners_own_cap(run: Run) -> None:
    free = json.loads(run("models", "--json").stdout)
    run("budget", "cap", "0")
    capped = json.loads(run("models", "--json").stdout)

    assert all(row["left out because"] is None for row in free if row["rank"])
    assert {row["left out because"] for row in capped if row["model"].startswith("openai/")} == {"over budget"}


def test_budgets_are_listed_set_and_capped(run: Run) -> None:
    changed = run("budget", "set", "openai", "12.5")
    capped = run("budget", "cap", "5")
    for_chat = run("budget", "cap", "2", "--intent", "general.chat")
    rows = {(row["kind"], row["of"]): row for row in json.loads(run("budget", "list", "--json").stdout)}
    wrong = run("budget", "set", "nobody", "1")
    negative = run("budget", "cap", "--", "-3")

    assert "$12.50" in changed.output
    assert "$5.00 for 30 days" in capped.output
    assert "on general.chat" in for_chat.output
    assert rows["provider", "openai"]["limitUsd"] == 12.5
    assert (rows["user", "owner"]["limitUsd"], rows["intent", "owner: general.chat"]["limitUsd"]) == (5, 2)
    assert "There is no provider 'nobody'" in str(wrong.exception)
    assert "is not a budget" in str(negative.exception)


def test_without_a_key_it_says_how_to_give_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")

    nothing = run("provider", "health")

    assert (nothing.exit_code, "Give a key" in nothing.output) == (3, True)


def test_what_looks_like_markup_is_shown_as_it_is(
    run: Run, providers: FakeProviders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(
        'models: [{provider: openai, name: "we[/x]ird", input_usd_per_million: 1, output_usd_per_million: 1}]'
    )
    monkeypatch.setenv("TOOLOO_CATALOG", str(catalog))
    providers.scripts["*"] = Script(words=("\x1b[31m", "red", "\x07"))

    unknown = run("provider", "test", "[/x]")
    listed = run("models")
    said = run("provider", "test", "openai", "--stream")

    assert "There is no provider '[/x]'" in str(unknown.exception)
    assert "we[/x]ird" in listed.output
    assert said.output.startswith("[31mred\n")


def test_a_failure_after_a_paid_call_says_what_it_cost(run: Run, providers: FakeProviders) -> None:
    providers.scripts["*"] = Script(finish=None)

    failed = run("provider", "test", "openai", "--json")
    told = run("provider", "test", "openai")
    budgets = json.loads(run("budget", "list", "--json").stdout)

    cost = json.loads(failed.stdout)["costUsd"]
    assert cost > 0
    assert "It cost $0.0" in told.output
    assert next(row["spentUsd"] for row in budgets if (row["kind"], row["of"]) == ("provider", "openai")) >= cost


def test_ollamas_names_that_are_none_are_left_out(
    run: Run, providers: FakeProviders, monkeypatch: pytest.MonkeyPatch
) -> None:
    providers.ollama_models = ("", "x|y:1", "new\nline:3", "[/x]a:7b", "hf.co/who/what-GGUF:Q4_K_M")
    monkeypatch.setenv("OLLAMA_BASE_URL", f"{providers.url}/v1/")

    listed = json.loads(run("models", "--json").stdout)
    circuits = json.loads(run("provider", "circuit", "status", "--json").stdout)

    assert {row["provider"] for row in circuits} >= {"ollama", "openai"}
    assert run("provider", "circuit", "reset", "ollama").exit_code == 0
    assert [row["model"] for row in listed if row["model"].startswith("ollama/")] == [
        "ollama/hf.co/who/what-GGUF:Q4_K_M"
    ]


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_figure_of_a_table_is_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    row = {"at": "2026-11-27T23:00:00+00:00", "provider": "anthropic", "model": "claude-haiku-5-5", "task": "summarize",
           "status": "ok", "kind": None, "in/out": "12345/6789", "ms": 123456, "cost usd": 12.345678}  # fmt: skip

    print_rows([row, {**row, "cost usd": 0.001306}], as_json=False, title="Calls")

    said = capsys.readouterr().out
    assert [
        figure for figure in ("12345/6789", "123456", "12.345678", "0.001306", "anthropic") if figure not in said
    ] == []
    assert "".join(said.split()).count("claude") == 2
