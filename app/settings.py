"""The settings: read once from the environment and ``.env``, checked, and frozen."""

import io
import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import platformdirs
from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.errors import SettingsError

ENV_FILE = Path(".env")

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


def _default_data_dir() -> Path:
    return Path(platformdirs.user_data_dir("tooloo", appauthor=False))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        return is_whole and value.isprintable() and " " not in value
    except ValueError:  # of a port that is no number, or of brackets that do not close
        return False


def _is_redis(value: str) -> bool:
    try:
        parts = urlsplit(value.strip())
        return parts.scheme in ("redis", "rediss", "unix") and parts.port != 0
    except ValueError:
        return False


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]

PROVIDER_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
# Providers by the names of what they make, as people write them.
PROVIDER_ALIASES = {"claude": "anthropic", "gpt": "openai", "chatgpt": "openai", "google": "gemini"}


class Settings(BaseSettings):
    """What the environment decides. Names of fields are the names of the variables, in lower case."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on")
    tooloo_data_dir: AbsolutePath = Field(
        default_factory=_default_data_dir, description="Folder of databases, uploads and indexes"
    )
    database_url: SecretStr | None = Field(None, description="postgresql://… to use PostgreSQL instead of SQLite files")
    tooloo_public_url: str | None = Field(None, description="Address people use, such as https://coach.example.org")
    tooloo_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Further host names the server answers to, separated by commas"
    )
    tooloo_repo_roots: Annotated[tuple[Path, ...] | None, NoDecode] = Field(
        None, description="Folders from which repositories may be loaded, separated by commas"
    )
    tooloo_catalog: AbsolutePath | None = Field(None, description="YAML or TOML file with further models and prices")
    tooloo_challenges_dir: AbsolutePath | None = Field(None, description="Folder of your own challenges, as YAML files")
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="console on a terminal, json otherwise")

    anthropic_api_key: SecretStr | None = Field(None, description="Key for Claude models")
    anthropic_base_url: str | None = Field(None, description="Another address for the Anthropic API")
    claude_default_model: str | None = Field(None, description="Claude model to take where its provider is asked for")
    openai_api_key: SecretStr | None = Field(None, description="Key for OpenAI models")
    openai_organization: str | None = Field(None, description="OpenAI organization")
    openai_base_url: str | None = Field(None, description="Another address for the OpenAI API")
    openai_default_model: str | None = Field(None, description="OpenAI model to take where its provider is asked for")
    google_api_key: SecretStr | None = Field(None, description="Key for Gemini models")
    gemini_base_url: str | None = Field(None, description="Another address for the Gemini API")
    gemini_default_model: str | None = Field(None, description="Gemini model to take where its provider is asked for")
    deepseek_api_key: SecretStr | None = Field(None, description="Key for DeepSeek models")
    deepseek_base_url: str | None = Field(None, description="Another address for the DeepSeek API")
    ollama_base_url: str = Field("http://localhost:11434", description="Where Ollama listens")
    tooloo_secret_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="Secret for stored keys and cookies, equal on all servers; else own files",
    )
    provider_fallback_enabled: bool = Field(True, description="Ask the next model when one fails")
    provider_logging_enabled: bool = Field(True, description="Keep a log of model calls (never their text)")
    provider_circuit_threshold: int = Field(5, ge=1, le=1000, description="Failures in a row that open a circuit")
    provider_circuit_timeout: int = Field(
        60_000, ge=100, le=86_400_000, description="Milliseconds until an open one is tried again"
    )
    primary_provider: str | None = Field(None, description="Provider that comes first when scores tie")
    fallback_chain: Annotated[tuple[str, ...], NoDecode] = Field(
        ("anthropic", "gemini", "openai", "deepseek", "ollama"),
        description="Order of providers when scores tie",
    )
    connect_timeout_seconds: Seconds = Field(10, description="Time to reach a provider")
    first_token_timeout_seconds: Seconds = Field(60, description="Time to a provider's first word")
    between_tokens_timeout_seconds: Seconds = Field(30, description="Longest pause in an answer")
    total_timeout_seconds: Seconds = Field(300, description="Longest time for one answer")
    tooloo_allow_unisolated_code: bool = Field(
        False, description="Run code without isolation where nothing isolates; on one's own machine only"
    )
    tooloo_hedging: bool = Field(
        False, description="Ask a second model when the first is unusually slow to begin; both are paid"
    )
    tooloo_exploration_share: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share of questions that go to another model than the best, to learn about it",
    )
    enable_response_caching: bool = Field(True, description="Give equal tasks of a user the same answer for a while")
    response_cache_ttl_seconds: Seconds = Field(300, description="How long equal tasks share an answer")
    redis_url: SecretStr | None = Field(None, description="redis://… for several servers: task limits, shared answers")
    metrics_api_key: SecretStr | None = Field(None, description="Key for GET /api/v1/tasks/metrics (Prometheus)")

    @field_validator("tooloo_allowed_hosts", "fallback_chain", mode="before")
    @classmethod
    def _split_words(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(word.strip().lower() for word in value.split(",") if word.strip())
        return value

    @field_validator("tooloo_repo_roots", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(_absolute(Path(word.strip())) for word in value.split(",") if word.strip())
        return value

    @field_validator(
        "anthropic_api_key", "openai_api_key", "google_api_key", "deepseek_api_key", "openai_organization",
        mode="before",
    )  # fmt: skip
    @classmethod
    def _clean_key(cls, value: object) -> object:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not isinstance(text, str):
            return value
        if not text.strip().isascii() or not text.strip().isprintable() or " " in text.strip():
            raise ValueError("cannot be sent: write it as it was given, in one line of plain letters and digits")
        return text.strip() or None

    @field_validator(
        "anthropic_base_url",
        "openai_base_url",
        "gemini_base_url",
        "deepseek_base_url",
        "ollama_base_url",
        mode="before",
    )
    @classmethod
    def _clean_address(cls, value: object) -> object:
        return value.strip() if isinstance(value, str) else value

    @field_validator("metrics_api_key")
    @classmethod
    def _sendable(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not (value.get_secret_value().isascii() and value.get_secret_value().isprintable()):
            raise ValueError("cannot be sent: use plain letters and digits, in one line")
        return value

    @field_validator("anthropic_base_url", "openai_base_url", "gemini_base_url", "deepseek_base_url", "ollama_base_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and not _is_address(value):
            raise ValueError("must be a whole address, such as http://localhost:11434")
        return value

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not _is_redis(value.get_secret_value()):
            raise ValueError("must be a whole address, such as redis://localhost:6379/0")
        return value

    @field_validator("primary_provider", mode="before")
    @classmethod
    def _one_word(cls, value: object) -> object:
        return value.strip().lower() or None if isinstance(value, str) else value

    @field_validator("primary_provider", "fallback_chain")
    @classmethod
    def _providers(cls, value: Any) -> Any:  # Any: of either field
        names = (value,) if isinstance(value, str) else value or ()
        if bad := next((name for name in names if not PROVIDER_NAME.fullmatch(name)), None):
            raise ValueError(f"{bad!r} is no name of a provider; FALLBACK_CHAIN takes several, separated by commas")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql:// (leave it empty to use SQLite files in TOOLOO_DATA_DIR)")
        if value and re.search(r":[^@/\d\]:]+(?:/|$)", value.get_secret_value().rpartition("@")[2]):
            raise ValueError("has a port that is no number")
        return value

    @field_validator("tooloo_public_url")
    @classmethod
    def _whole_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not _is_address(value):
            raise ValueError("must be a whole address, such as https://coach.example.org")
        return value

    @property
    def is_loopback(self) -> bool:
        """Whether the server listens for this machine alone."""
        return _is_loopback(self.host)

    @property
    def is_single_user(self) -> bool:
        """Whether nobody else can come in: not over the network, nor through a proxy at ``tooloo_public_url``."""
        proxied = self.tooloo_public_url is not None and not _is_loopback(
            urlsplit(self.tooloo_public_url).hostname or ""
        )
        return self.is_loopback and not proxied

    @property
    def repo_roots(self) -> tuple[Path, ...]:
        """Folders from which repositories may be loaded: what lies in a home folder is not for others."""
        if self.tooloo_repo_roots is not None:
            return self.tooloo_repo_roots
        return (Path.home(),) if self.is_single_user else ()

    @property
    def tie_order(self) -> tuple[str, ...]:
        """Providers in the order in which they come when scores tie."""
        first = (self.primary_provider,) if self.primary_provider else ()
        names = [name.strip().lower() for name in (*first, *self.fallback_chain)]
        return tuple(dict.fromkeys(PROVIDER_ALIASES.get(name, name) for name in names))

    @property
    def base_url(self) -> str:
        """The address to print and to build links from, without a slash at its end."""
        if self.tooloo_public_url:
            return self.tooloo_public_url.rstrip("/")
        host = "localhost" if self.is_loopback else self.host
        return f"http://{host}:{self.port}"


def load_settings(env_file: Path = ENV_FILE) -> Settings:
    """Read and check the settings.

    Raises:
        SettingsError: a line of ``env_file`` cannot be read, or a value does not fit; the message names it.
    """
    try:
        return Settings(**_env_file_values(env_file))
    except ValidationError as error:
        lines = [_readable(detail) for detail in error.errors()]
        raise SettingsError("These settings do not fit:\n" + "\n".join(lines)) from None


def _env_file_values(env_file: Path) -> dict[str, Any]:  # Any: pydantic checks the values
    """Values of ``.env`` for our own fields; a variable of the environment wins over its line."""
    if not env_file.is_file():
        return {}
    try:
        text = env_file.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{env_file} cannot be read as text ({error}). Fix or remove it.") from error
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            raise SettingsError(
                f"{env_file}, line {binding.original.line}: not of the form NAME=value. "
                "Fix the line or put a # before it."
            )
    known = {name.upper(): name for name in Settings.model_fields}
    return {
        known[name.upper()]: value
        for name, value in dotenv_values(stream=io.StringIO(text), interpolate=False).items()
        if value and name.upper() in known and not os.environ.get(name.upper())
    }


def _readable(detail: object) -> str:
    assert isinstance(detail, dict)
    name = str(detail["loc"][0]).upper() if detail["loc"] else "?"
    secret = "KEY" in name or name in ("DATABASE_URL", "REDIS_URL")
    shown = "" if secret else f" (got {detail['input']!r})"
    message = str(detail["msg"]).removeprefix("Value error, ")
    return f"  {name}: {message}{shown}"
