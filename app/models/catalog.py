"""Which models there are, what they cost, and how good and fast we take them to be before we have seen them work."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property
from itertools import chain
from math import ceil
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from app.errors import SettingsError
from app.models.prices import PriceEntry, dearer_output, per_million, price_of
from app.yaml_files import parse

Task = Literal["chat", "code", "explain", "grade", "summarize", "classify", "extract", "translate"]
TASKS: tuple[Task, ...] = ("chat", "code", "explain", "grade", "summarize", "classify", "extract", "translate")
Capability = Literal["streaming", "vision", "tools", "json"]

BUILT_IN = Path(__file__).with_name("catalog.yaml")
LONG_INPUT = re.compile(r"input_cost_per_token_above_(\d+)k_tokens")
MILLION = 1_000_000
DEFAULT_CONTEXT_TOKENS = 8192
DEFAULT_OUTPUT_TOKENS = 4096

# What these serve runs on one's own machines, so that a price of 0 is one.
SELF_HOSTED = frozenset({"ollama", "ollama_chat", "hosted_vllm", "vllm", "lm_studio", "llamafile", "xinference",
                         "docker_model_runner", "lemonade"})  # fmt: skip
# Of the map's modes: those that every wire speaks, and what LiteLLM's makes of another one.
_ANSWERING = ("chat", "completion")
_ANSWERING_OVER_LITELLM = (*_ANSWERING, "responses")
# What some models charge beside tokens and searches, and we do not count.
UNCOUNTED_FEES = ("citation_cost_per_token", "output_cost_per_image_token")

# Nothing is published about a model that somebody pulled by a tag of their own: a middling one, until it was seen.
OLLAMA_QUALITY = 0.55
OLLAMA_SPEED = 0.50
PREFERRED_QUALITY = 0.80  # of a model that the settings name and the catalog does not have


@dataclass(frozen=True, kw_only=True)
class LongPrice:
    """What a model costs, all of it, once a request has more than ``above_tokens`` tokens of input."""

    above_tokens: int
    input_price: Decimal
    output_price: Decimal
    cached_price: Decimal
    cache_write_price: Decimal


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model of one provider.

    Prices are US dollars for a million tokens, which is the same number as micro-dollars for one token;
    ``request_price`` is micro-dollars for a request. Where ``cached_price`` or ``cache_write_price`` is None, what is
    read from or written to the provider's cache costs what other input does. ``quality`` (by kind of task) and
    ``speed`` are between 0 and 1.
    ``thinks_unseen`` says that it may bill tokens that no answer shows.
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
    cached_price: Decimal | None = None
    cache_write_price: Decimal | None = None
    request_price: Decimal = Decimal(0)
    long_prices: tuple[LongPrice, ...] = ()
    thinks_unseen: bool = False
    capabilities: frozenset[str] = field(default_factory=lambda: frozenset({"streaming"}))

    @cached_property
    def id(self) -> str:
        return f"{self.provider}/{self.name}"

    @cached_property
    def is_free(self) -> bool:
        prices = (self.input_price, self.output_price, self.request_price, self.cached_price, self.cache_write_price)
        return not any(prices)

    @cached_property
    def ceilings(self) -> tuple[float, float, float]:
        """No less, in micro-dollars, than what a request costs, a token of input, and one of output."""
        prices: list[Model | LongPrice] = [self, *self.long_prices]
        of_input = [price for one in prices for price in (one.input_price, one.cached_price, one.cache_write_price)]
        dearest_input = max(price for price in of_input if price is not None)
        return float(self.request_price), float(dearest_input), float(max(one.output_price for one in prices))

    def cost_microusd(
        self, *, input_tokens: int, output_tokens: int, cached_tokens: int = 0, cache_write_tokens: int = 0
    ) -> int:
        """What a request costs, rounded up to a whole micro-dollar. ``cached_tokens`` (read from the provider's cache)
        and ``cache_write_tokens`` are part of ``input_tokens``."""
        prices: Model | LongPrice = self
        for long in self.long_prices:
            if input_tokens > long.above_tokens:
                prices = long
        read = min(cached_tokens, input_tokens)
        written = min(cache_write_tokens, input_tokens - read)
        return ceil(
            self.request_price
            + prices.input_price * (input_tokens - read - written)
            + (prices.input_price if prices.cached_price is None else prices.cached_price) * read
            + (prices.input_price if prices.cache_write_price is None else prices.cache_write_price) * written
            + prices.output_price * output_tokens
        )


Share = Annotated[float, Field(ge=0, le=1)]


class CatalogEntry(BaseModel):
    """One model of a catalog file. What is left out is as it is known of a built-in model, or filled from LiteLLM's
    price map."""

    model_config = ConfigDict(extra="forbid")

    provider: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    name: str = Field(min_length=1, max_length=120)
    wire: Literal["anthropic", "openai", "gemini", "litellm"] | None = None
    input_usd_per_million: Decimal | None = Field(None, ge=0, le=MILLION)
    cached_input_usd_per_million: Decimal | None = Field(None, ge=0, le=MILLION)
    cache_write_usd_per_million: Decimal | None = Field(None, ge=0, le=MILLION)
    output_usd_per_million: Decimal | None = Field(None, ge=0, le=MILLION)
    usd_per_request: Decimal | None = Field(None, ge=0, le=MILLION)
    context_tokens: int | None = Field(None, gt=0)
    max_output_tokens: int | None = Field(None, gt=0)
    quality: dict[str, Share] = Field(default_factory=lambda: {"default": 0.6})
    speed: Share = 0.5
    capabilities: frozenset[Capability] | None = None

    def over(self, known: "CatalogEntry | None") -> "CatalogEntry":
        """This entry, with what it leaves out as it is known. Prices that are given are not mixed with others."""
        if known is None:
            return self
        given = self.model_fields_set
        left_out = known.model_fields_set - given - (_PRICES if given & _PRICES else frozenset())
        return self.model_copy(update={name: getattr(known, name) for name in left_out})

    @field_validator("provider")
    @classmethod
    def _is_free_to_use(cls, value: str) -> str:
        if value == "null":
            raise ValueError("the provider 'null' is the product's own, for tests")
        return value

    @field_validator("quality", mode="before")
    @classmethod
    def _one_number_for_all(cls, value: object) -> object:
        return {"default": value} if isinstance(value, int | float) else value

    @field_validator("quality")
    @classmethod
    def _known_tasks(cls, value: dict[str, float]) -> dict[str, float]:
        unknown = value.keys() - {*TASKS, "default"}
        if unknown:
            raise ValueError(f"{sorted(unknown)!r} are no kinds of task; there are {', '.join(TASKS)} and default")
        if "default" not in value and value.keys() != set(TASKS):
            raise ValueError("give a default for the kinds of task that are not named")
        return value


_PRICES = frozenset(name for name in CatalogEntry.model_fields if "usd" in name)


class CatalogFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    models: list[CatalogEntry]

    @field_validator("models")
    @classmethod
    def _each_once(cls, value: list[CatalogEntry]) -> list[CatalogEntry]:
        ids = Counter(f"{entry.provider}/{entry.name}" for entry in value)
        if twice := [model_id for model_id, count in ids.items() if count > 1]:
            raise ValueError(f"{', '.join(twice[:5])} stands there twice")
        return value


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All models that may be called, and why some that were asked for may not."""

    models: tuple[Model, ...]
    refused: Mapping[str, str]

    @cached_property
    def by_id(self) -> Mapping[str, Model]:
        return {model.id: model for model in self.models}

    def find(self, name: str) -> Model | None:
        """A model by ``provider/name``, or else by its name alone, whatever the case of its letters."""
        wanted = name.strip()
        if exact := self.by_id.get(wanted):
            return exact
        ids = (model for model in self.models if model.id.lower() == wanted.lower())
        names = (model for model in self.models if model.name.lower() == wanted.lower())
        return next(chain(ids, names), None)

    def with_ollama(self, tags: Iterable[str]) -> "Catalog":
        """The same catalog with the models that a local Ollama offers; what is written here of one of them holds."""
        others = tuple(model for model in self.models if model.provider != "ollama")
        written = {model.name: model for model in self.models if model.provider == "ollama"}
        offered = (written.get(tag) or written.get(tag.removesuffix(":latest")) or ollama_model(tag) for tag in tags)
        return Catalog(models=(*others, *offered), refused=self.refused)


def load_catalog(file: Path | None, preferred: Iterable[tuple[str, str]] = (), *, today: date) -> Catalog:
    """The built-in models, those of ``file``, and ``preferred`` (provider, name) pairs of the settings.

    A model without a known price, or past the end that its provider announced, is refused rather than called.

    Raises:
        SettingsError: ``file`` cannot be read or does not fit the schema, or a preferred name is none.
    """
    entries = _read_file(BUILT_IN)
    known = {(entry.provider, entry.name) for entry in entries}
    try:
        entries += [
            CatalogEntry(provider=provider, name=name, quality={"default": PREFERRED_QUALITY})
            for provider, name in preferred
            if (provider, name) not in known
        ]
    except ValidationError as error:
        raise SettingsError(f"A …_DEFAULT_MODEL is no name of a model: {error.errors()[0]['input']!r:.200}.") from error
    by_id = {(entry.provider, entry.name): entry for entry in entries}
    entries += [entry.over(by_id.get((entry.provider, entry.name))) for entry in (_read_file(file) if file else [])]
    models: dict[str, Model] = {}
    refused: dict[str, str] = {}
    for entry in entries:
        model = _model_of(entry, today)
        model_id = f"{entry.provider}/{entry.name}"
        models.pop(model_id, None)
        refused.pop(model_id, None)
        if isinstance(model, Model):
            models[model_id] = model
        else:
            refused[model_id] = model
    return Catalog(models=tuple(models.values()), refused=refused)


def ollama_model(tag: str) -> Model:
    return Model(
        provider="ollama", name=tag, wire="openai", input_price=Decimal(0), output_price=Decimal(0),
        context_tokens=DEFAULT_CONTEXT_TOKENS, max_output_tokens=DEFAULT_OUTPUT_TOKENS,
        quality=dict.fromkeys(TASKS, OLLAMA_QUALITY), speed=OLLAMA_SPEED,
    )  # fmt: skip


def wire_of(provider: str) -> Literal["anthropic", "openai", "gemini", "litellm"]:
    match provider:
        case "anthropic" | "gemini":
            return provider
        case "openai" | "deepseek" | "ollama":
            return "openai"
        case _:
            return "litellm"


def _model_of(entry: CatalogEntry, today: date) -> Model | str:
    """The model, or the reason why it is refused."""
    if entry.wire not in (None, wire_of(entry.provider)):
        return f"{entry.provider} is asked over the wire {wire_of(entry.provider)!r} and no other; leave `wire` out"
    known = price_of(entry.provider, entry.name)
    ends_on = known.get("deprecation_date")
    if ends_on and date.fromisoformat(ends_on) <= today:
        return f"its provider ends it on {ends_on}"
    answering = _ANSWERING_OVER_LITELLM if wire_of(entry.provider) == "litellm" else _ANSWERING
    if known.get("mode", "chat") not in answering:
        return f"it gives no answers in a chat (LiteLLM's price map says: {known['mode']})"
    if "text" not in known.get("supported_output_modalities", ("text",)):
        return "it gives no answers in words (says LiteLLM's price map)"
    mapped = {} if _is_unpriced(entry, known) else known
    free = Decimal(0) if entry.provider == "ollama" else None  # it runs here, whatever its name
    input_price = _first(entry.input_usd_per_million, per_million(mapped.get("input_cost_per_token")), free)
    output_price = _first(entry.output_usd_per_million, dearer_output(mapped), free)
    if input_price is None or output_price is None:
        return "its price is not known; give input_usd_per_million and output_usd_per_million in TOOLOO_CATALOG"
    default = entry.quality.get("default", 0.0)
    return Model(
        provider=entry.provider, name=entry.name, wire=wire_of(entry.provider),
        input_price=input_price, output_price=output_price,
        cached_price=_first(
            entry.cached_input_usd_per_million,
            # a price given by hand is not mixed with the map's
            None if entry.input_usd_per_million is not None else per_million(known.get("cache_read_input_token_cost")),
        ),
        cache_write_price=_cache_write_price(entry, known, ""),
        request_price=(_request_price(entry, known) if entry.usd_per_request is None else entry.usd_per_request)
        * MILLION,
        context_tokens=entry.context_tokens or known.get("max_input_tokens") or DEFAULT_CONTEXT_TOKENS,
        max_output_tokens=entry.max_output_tokens or known.get("max_output_tokens") or DEFAULT_OUTPUT_TOKENS,
        quality={task: entry.quality.get(task, default) for task in TASKS}, speed=entry.speed,
        capabilities=frozenset(entry.capabilities) if entry.capabilities is not None else _capabilities(known),
        long_prices=_long_prices(entry, known),
        # Anthropic's models think only where they are asked to, and we do not ask.
        thinks_unseen=bool(known.get("supports_reasoning")) and entry.provider != "anthropic",
    )  # fmt: skip


def _is_unpriced(entry: CatalogEntry, known: PriceEntry) -> bool:
    """The map says 0 also of what somebody charges for: that is a price only of what runs on one's own machines. Nor is
    the price known of what has fees that we do not count."""
    if entry.provider in SELF_HOSTED:
        return False
    prices = (known.get("input_cost_per_token"), known.get("output_cost_per_token"))
    return not all(prices) or any(known.get(fee) for fee in UNCOUNTED_FEES)


def _request_price(entry: CatalogEntry, known: PriceEntry) -> Decimal:
    """What a request costs beside its tokens: for a model that searches at each, also the dearest search."""
    price = Decimal(str(known.get("input_cost_per_request") or 0))
    if entry.provider == "perplexity" or "search" in entry.name:
        fees = (known.get("search_context_cost_per_query") or {}).values()
        price += max((Decimal(str(fee)) for fee in fees), default=Decimal(0))
    return price


def _cache_write_price(entry: CatalogEntry, known: PriceEntry, suffix: str) -> Decimal | None:
    """Also of Anthropic's models, which write their cache only where they are asked to: what lies between may ask."""
    if entry.cache_write_usd_per_million is not None:
        return entry.cache_write_usd_per_million
    if entry.input_usd_per_million is not None:
        return None
    return per_million(known.get(f"cache_creation_input_token_cost{suffix}") or None)


def _long_prices(entry: CatalogEntry, known: PriceEntry) -> tuple[LongPrice, ...]:
    """The steps in which a price rises with the length of the input, the shortest first. What is given by hand does
    not rise."""
    steps: list[LongPrice] = []
    by_hand = (entry.input_usd_per_million, entry.output_usd_per_million)
    if None not in by_hand:
        return ()
    for name, price in known.items():
        if (step := LONG_INPUT.fullmatch(name)) and price:
            suffix = f"_above_{step[1]}k_tokens"
            output = known.get(f"output_cost_per_token{suffix}") or known["output_cost_per_token"]
            cached = known.get(f"cache_read_input_token_cost{suffix}") or price
            written = _cache_write_price(entry, known, suffix)
            prices = [Decimal(str(value)) * MILLION for value in (price, output, cached)]
            dear_input = prices[0] if by_hand[0] is None else by_hand[0]
            dear_cached = entry.cached_input_usd_per_million
            if dear_cached is None:
                dear_cached = prices[2] if by_hand[0] is None else by_hand[0]
            steps.append(
                LongPrice(
                    above_tokens=int(step[1]) * 1000, input_price=dear_input,
                    output_price=prices[1] if by_hand[1] is None else by_hand[1], cached_price=dear_cached,
                    cache_write_price=dear_input if written is None else written,
                )
            )  # fmt: skip
    return tuple(sorted(steps, key=lambda step: step.above_tokens))


def _capabilities(known: PriceEntry) -> frozenset[str]:
    flags = {
        "vision": known.get("supports_vision"),
        "tools": known.get("supports_function_calling"),
        "json": known.get("supports_response_schema"),
    }
    return frozenset({"streaming", *(name for name, on in flags.items() if on)})


def _first(*values: Decimal | None) -> Decimal | None:
    return next((value for value in values if value is not None), None)


def _read_file(file: Path) -> list[CatalogEntry]:
    try:
        text = file.read_text(encoding="utf-8")
        document = tomllib.loads(text) if file.suffix.lower() == ".toml" else parse(text)
        return CatalogFile.model_validate(document).models
    except RecursionError as error:
        raise SettingsError(f"The catalog {str(file)!r} (TOOLOO_CATALOG) is nested too deeply.") from error
    except (OSError, yaml.YAMLError, ValueError) as error:  # also of decoding, of TOML, of a date that is none
        raise SettingsError(f"The catalog {str(file)!r} (TOOLOO_CATALOG) cannot be used: {error}") from error
