"""Settings: read from two places, checked, and the same as the README says."""

import re
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("# comment\nPORT=9000\nLOG_LEVEL='DEBUG'\nUNKNOWN=1\n")
    monkeypatch.setenv("LOG_LEVEL", "ERROR")

    settings = load_settings(file)

    assert (settings.port, settings.log_level) == (9000, "ERROR")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("PORT=9000\nthis is no setting\n", "line 2"),
        ("PORT=many\n", "PORT"),
        ("PORT=70000\n", "PORT"),
        ("LOG_LEVEL=LOUD\n", "LOG_LEVEL"),
        ("DATABASE_URL=mysql://x\n", "postgresql://"),
        ("TOTAL_TIMEOUT_SECONDS=-1\n", "TOTAL_TIMEOUT_SECONDS"),
    ],
)
def test_a_broken_file_gets_a_sentence_that_names_the_place(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / ".env"
    file.write_text(text)

    with pytest.raises(SettingsError, match=words):
        load_settings(file)


def test_a_binary_file_gets_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"\xff\xfe\x00PORT")

    with pytest.raises(SettingsError, match="cannot be read as text"):
        load_settings(file)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("DATABASE_URL=mysql://user:hunter2@host/db\nOPENAI_API_KEY=sk-secret\n")

    with pytest.raises(SettingsError) as caught:
        load_settings(file)

    assert "hunter2" not in str(caught.value)
    assert "sk-secret" not in repr(Settings(openai_api_key="sk-secret"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("coach", False),
    ],
)
def test_what_is_loopback(host: str, loopback: bool) -> None:
    assert Settings(host=host).is_loopback is loopback


@pytest.mark.parametrize(
    ("public_url", "single"),
    [
        (None, True),
        ("http://localhost:8000", True),
        ("http://[::1]:8000", True),
        ("https://coach.example.org", False),
        ("http://coach.localhost", False),
    ],
)
def test_behind_a_proxy_there_is_no_single_user(public_url: str | None, single: bool) -> None:
    assert Settings(tooloo_public_url=public_url).is_single_user is single


@pytest.mark.parametrize(
    "url", ["postgresql://ada:p#s?[s@host/x", "postgresql://ada@[::1]:5432/x", "postgresql://host/x",
            "postgresql://postgres:@/postgres?host=/tmp/x"],
)  # fmt: skip
def test_an_address_that_postgresql_takes_is_taken(tmp_path: Path, url: str) -> None:
    (tmp_path / ".env").write_text(f"DATABASE_URL='{url}'\n")

    assert load_settings(tmp_path / ".env").database_url is not None


def test_a_database_with_a_broken_port_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://ada:secret@host:port/x\n")

    with pytest.raises(SettingsError, match="DATABASE_URL: has a port") as told:
        load_settings(tmp_path / ".env")
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("address", ["coach.example.org", "ftp://x.org", "https://", "http://[1", "http://x.org:a"])
def test_a_public_address_is_a_whole_one(tmp_path: Path, address: str) -> None:
    (tmp_path / ".env").write_text(f"TOOLOO_PUBLIC_URL={address}\n")

    with pytest.raises(SettingsError, match="TOOLOO_PUBLIC_URL"):
        load_settings(tmp_path / ".env")


def test_where_others_sign_in_no_folder_may_be_loaded_unless_it_is_named() -> None:
    assert Settings().repo_roots == (Path.home(),)
    assert Settings(tooloo_public_url="https://coach.example.org").repo_roots == ()
    assert Settings(host="0.0.0.0").repo_roots == ()
    assert Settings(host="0.0.0.0", tooloo_repo_roots=(Path("/srv"),)).repo_roots == (Path("/srv"),)


def test_the_readme_lists_every_setting() -> None:
    table = re.search(r"<!-- settings -->(.*?)<!-- /settings -->", (ROOT / "README.md").read_text(), re.DOTALL)

    assert table is not None
    listed = dict(re.findall(r"\| `([A-Z_]+)` \|.*?\| ([^|]+) \|", table[1]))
    assert listed == {name.upper(): field.description for name, field in Settings.model_fields.items()}


def test_the_readme_tells_every_default() -> None:
    table = re.search(r"<!-- settings -->(.*?)<!-- /settings -->", (ROOT / "README.md").read_text(), re.DOTALL)
    assert table is not None
    listed = dict(re.findall(r"\| `([A-Z_]+)` \| `?([^|`]*?)`? ?\|", table[1]))
    in_words = {
        "TOOLOO_DATA_DIR": "the platform's data folder",
        "TOOLOO_REPO_ROOTS": "the home folder; none where others can sign in",
    }

    assert listed == {
        name.upper(): in_words.get(name.upper(), _shown(field.default)) for name, field in Settings.model_fields.items()
    }


def _shown(default: object) -> str:
    if default is None:
        return ""
    return ", ".join(default) if isinstance(default, tuple) else str(default)


def test_a_key_is_taken_without_the_blanks_around_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", " sk-key\n")

    key = load_settings(tmp_path / ".env").openai_api_key

    assert key is not None
    assert key.get_secret_value() == "sk-key"


@pytest.mark.parametrize("key", ["sk-kéy", "sk one", "sk\x00x"])
def test_what_is_no_key_is_said_without_showing_it(tmp_path: Path, key: str) -> None:
    file = tmp_path / ".env"
    file.write_text(f"ANTHROPIC_API_KEY='{key}'\n")

    with pytest.raises(SettingsError, match="ANTHROPIC_API_KEY: cannot be sent") as caught:
        load_settings(file)

    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((f"{provider}_BASE_URL", value) for provider in ("ANTHROPIC", "OPENAI", "GEMINI", "DEEPSEEK", "OLLAMA")
          for value in ("garbage", "localhost:11434", "ftp://x", "http://x:99999", "http://[::1", "http://")),
        ("REDIS_URL", "garbage"), ("REDIS_URL", "http://x"), ("REDIS_URL", "redis://h:port/0"),
        ("PRIMARY_PROVIDER", "anthropic,openai"), ("PRIMARY_PROVIDER", "Größe"), ("FALLBACK_CHAIN", "claude;gemini"),
        ("OPENAI_ORGANIZATION", "\u043e\u0440\u0433"), ("OPENAI_ORGANIZATION", "a\nb"),
        ("METRICS_API_KEY", "\u043a\u043b\u044e\u0447"),
    ],
)  # fmt: skip
def test_what_could_not_be_used_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=f"{name}: "):
        load_settings(Path("/nowhere"))


def test_an_address_may_stand_between_blanks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", " http://localhost:11434/v1 ")
    monkeypatch.setenv("PRIMARY_PROVIDER", " Claude ")

    settings = load_settings(Path("/nowhere"))

    assert settings.ollama_base_url == "http://localhost:11434/v1"
    assert settings.tie_order[0] == "anthropic"
