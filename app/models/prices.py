"""LiteLLM's price map: what it says of a model."""

import importlib.util
import json
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

PRICE_MAP = "model_prices_and_context_window_backup.json"

PriceEntry = Mapping[str, Any]  # Any: foreign JSON


def price_of(provider: str, name: str) -> PriceEntry:
    """What LiteLLM's price map says about a model; empty when it does not know it."""
    prices = _price_map()
    for key in (f"{provider}/{name}", name):
        entry = prices.get(key)
        if entry is not None and _is_of(entry.get("litellm_provider", provider), provider):
            return entry
    return {}


def _is_of(named: str, provider: str) -> bool:
    """Whether the map means the provider; it has names of its own for some of its ways to be asked."""
    return named in (provider, f"{provider}_converse", f"{provider}_chat") or named.startswith(f"{provider}-")


@lru_cache(maxsize=1)
def _price_map() -> dict[str, dict[str, Any]]:
    """The map lies in the package as JSON and is read without importing it (2 to 5 s and 190 MB)."""
    spec = importlib.util.find_spec("litellm")
    assert spec is not None
    assert spec.origin is not None
    with (Path(spec.origin).parent / PRICE_MAP).open(encoding="utf-8") as lines:
        prices: dict[str, dict[str, Any]] = json.load(lines)
    return prices


def dearer_output(known: PriceEntry) -> Decimal | None:
    """The price of output: where what is thought is dearer than what is said, the price of that."""
    prices = [known.get("output_cost_per_token"), known.get("output_cost_per_reasoning_token")]
    return max((price for one in prices if (price := per_million(one)) is not None), default=None)


def per_million(price_per_token: float | None) -> Decimal | None:
    return None if price_per_token is None else Decimal(str(price_per_token)) * 1_000_000
