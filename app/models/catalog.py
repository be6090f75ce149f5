"""Which models there are, what they cost, and how good and fast we take them to be before we have seen them work."""

import importlib.util
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import SettingsError

Task = Literal["chat", "code", "explain", "grade", "summarize", "classify"]
TASKS: tuple[Task, ...] = ("chat", "code", "explain", "grade", "summarize", "classify")
Capability = Literal["streaming", "vision", "tools", "json"]

PRICE_MAP = "model_prices_and_context_window_backup.json"
MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model of one provider.

    Prices are US dollars for a million tokens, which is the same number as micro-dollars for one token.
    ``quality`` and ``speed`` are between 0 and 1.
    """

    provider: str
    name: str
    wire: str
    input_price: Decimal
    output_price: Decimal
    context_tokens: int
    max_output_tokens: int
    quality: Mapping[str, float]
    speed: float
    capabilities: frozenset[str] = field(default_factory=lambda: frozenset({"streaming"}))

    @property
    def id(self) -> str:
        return f"{self.provider}/{self.name}"

    @property
    def is_free(self) -> bool:
        return self.input_price == 0 and self.output_price == 0

    def cost_microusd(self, *, input_tokens: int, output_tokens: int) -> int:
        """What so many tokens cost, rounded up to a whole micro-dollar."""
        return ceil(self.input_price * input_tokens + self.output_price * output_tokens)


# Priors, by the tier in which the provider itself sells the model; observed outcomes move them (selector.py).
_TIERS: dict[str, tuple[float, float]] = {  # tier: (quality, speed)
    "small": (0.68, 0.90),
    "medium": (0.82, 0.70),
    "large": (0.93, 0.45),
}

# provider, name (as in the price map), tier
_BUILT_IN = (
    ("anthropic", "claude-haiku-4-5", "small"),
    ("anthropic", "claude-sonnet-5", "medium"),
    ("anthropic", "claude-opus-5", "large"),
    ("openai", "gpt-5-mini", "small"),
    ("openai", "gpt-5.4-mini", "medium"),
    ("openai", "gpt-5.4", "large"),
    ("gemini", "gemini-2.5-flash", "small"),
    ("gemini", "gemini-3.6-flash", "medium"),
    ("gemini", "gemini-2.5-pro", "large"),
    ("deepseek", "deepseek-v4-flash", "small"),
    ("deepseek", "deepseek-v4-pro", "medium"),
)

OLLAMA_PRIOR = (0.55, 0.50)
PREFERRED_QUALITY = 0.80  # of a model that the settings name and we do not know


class CatalogEntry(BaseModel):
    """One model of an administrator's catalog file."""

    model_config = ConfigDict(extra="forbid")

    provider: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    name: str = Field(min_length=1, max_length=120)
    wire: Literal["anthropic", "openai", "gemini", "litellm"] = "litellm"
    input_usd_per_million: Decimal | None = Field(None, ge=0)
    output_usd_per_million: Decimal | None = Field(None, ge=0)
    context_tokens: int | None = Field(None, gt=0)
    max_output_tokens: int | None = Field(None, gt=0)
    quality: float = Field(0.6, ge=0, le=1)
    speed: float = Field(0.5, ge=0, le=1)


class CatalogFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    models: list[CatalogEntry]


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All models that may be called, and why some that were asked for may not."""

    models: tuple[Model, ...]
    refused: Mapping[str, str]

    def find(self, name: str) -> Model | None:
        """A model by ``provider/name`` or by its name alone."""
        wanted = name.strip().lower()
        return next((model for model in self.models if wanted in (model.id.lower(), model.name.lower())), None)

    def with_ollama(self, tags: Iterable[str]) -> "Catalog":
        """The same catalog with the models that a local Ollama offers."""
        others = tuple(model for model in self.models if model.provider != "ollama")
        return Catalog(models=others + tuple(ollama_model(tag) for tag in tags), refused=self.refused)


def load_catalog(file: Path | None, preferred: Iterable[tuple[str, str]] = ()) -> Catalog:
    """The built-in models, those of ``file``, and ``preferred`` (provider, name) pairs of the settings.

    A model without a known price is refused rather than called at an unknown cost.

    Raises:
        SettingsError: ``file`` cannot be read or does not fit the schema.
    """
    models: dict[str, Model] = {}
    refused: dict[str, str] = {}
    entries = [_built_in_entry(*row) for row in _BUILT_IN]
    built_in = {(entry.provider, entry.name) for entry in entries}
    entries += [
        CatalogEntry(provider=provider, name=name, wire=_wire(provider), quality=PREFERRED_QUALITY)
        for provider, name in preferred
        if (provider, name) not in built_in
    ]
    entries += _read_file(file) if file else []
    for entry in entries:
        model = _model_of(entry)
        if isinstance(model, Model):
            models[model.id] = model
        else:
            refused[f"{entry.provider}/{entry.name}"] = model
    return Catalog(models=tuple(models.values()), refused=refused)


def ollama_model(tag: str) -> Model:
    quality, speed = OLLAMA_PRIOR
    return Model(
        provider="ollama",
        name=tag,
        wire="openai",
        input_price=Decimal(0),
        output_price=Decimal(0),
        context_tokens=8192,
        max_output_tokens=4096,
        quality=dict.fromkeys(TASKS, quality),
        speed=speed,
    )


def _built_in_entry(provider: str, name: str, tier: str) -> CatalogEntry:
    quality, speed = _TIERS[tier]
    return CatalogEntry(provider=provider, name=name, wire=_wire(provider), quality=quality, speed=speed)


def _wire(provider: str) -> Literal["anthropic", "openai", "gemini", "litellm"]:
    match provider:
        case "anthropic" | "gemini":
            return provider
        case "openai" | "deepseek" | "ollama":
            return "openai"
        case _:
            return "litellm"


def _model_of(entry: CatalogEntry) -> Model | str:
    """The model, or the reason why it is refused."""
    known = price_of(entry.provider, entry.name)
    input_price = _first(entry.input_usd_per_million, _per_million(known.get("input_cost_per_token")))
    output_price = _first(entry.output_usd_per_million, _per_million(known.get("output_cost_per_token")))
    if input_price is None or output_price is None:
        return "its price is not known; give input_usd_per_million and output_usd_per_million in TOOLOO_CATALOG"
    return Model(
        provider=entry.provider,
        name=entry.name,
        wire=entry.wire,
        input_price=input_price,
        output_price=output_price,
        context_tokens=entry.context_tokens or known.get("max_input_tokens") or 8192,
        max_output_tokens=entry.max_output_tokens or known.get("max_output_tokens") or 4096,
        quality=dict.fromkeys(TASKS, entry.quality),
        speed=entry.speed,
        capabilities=_capabilities(known),
    )


def _capabilities(known: Mapping[str, Any]) -> frozenset[str]:  # Any: the price map is foreign JSON
    flags = {
        "vision": known.get("supports_vision"),
        "tools": known.get("supports_function_calling"),
        "json": known.get("supports_response_schema"),
    }
    return frozenset({"streaming", *(name for name, on in flags.items() if on)})


def _first(*values: Decimal | None) -> Decimal | None:
    return next((value for value in values if value is not None), None)


def _per_million(price_per_token: float | None) -> Decimal | None:
    return None if price_per_token is None else Decimal(str(price_per_token)) * MILLION


def price_of(provider: str, name: str) -> Mapping[str, Any]:  # Any: the price map is foreign JSON
    """What LiteLLM's price map says about a model; empty when it does not know it."""
    prices = _price_map()
    for key in (f"{provider}/{name}", name):
        entry = prices.get(key)
        if entry is not None and entry.get("litellm_provider", provider) == provider:
            return entry
    return {}


@lru_cache(maxsize=1)
def _price_map() -> dict[str, dict[str, Any]]:  # Any: the price map is foreign JSON
    """The map lies in the package as JSON and is read without importing it (2 to 5 s and 190 MB)."""
    spec = importlib.util.find_spec("litellm")
    assert spec is not None
    assert spec.origin is not None
    with (Path(spec.origin).parent / PRICE_MAP).open(encoding="utf-8") as lines:
        prices: dict[str, dict[str, Any]] = json.load(lines)
    return prices


def _read_file(file: Path) -> list[CatalogEntry]:
    try:
        return CatalogFile.model_validate(yaml.safe_load(file.read_text(encoding="utf-8"))).models
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise SettingsError(f"TOOLOO_CATALOG {str(file)!r} cannot be used: {error}") from error
