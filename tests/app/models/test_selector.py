"""The score is the formula as stated, and behaves as people expect of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SettingsError
from app.models.call import Call, CallRequest, TimeLimits, hold_microusd
from app.models.catalog import OLLAMA_QUALITY, TASKS, Model, load_catalog
from app.models.providers.anthropic import _later
from app.models.providers.openai import _usage as openai_usage
from app.models.providers.wire import Finished, Message, Prompt, StreamEvent, TextDelta, Usage
from app.models.selector import (
    NO_ROOM,
    Knowledge,
    Learned,
    Need,
    Outcome,
    Scored,
    Track,
    explore,
    rank,
    reason,
    speed_of,
)
from app.settings import Settings

NOW = datetime(2026, 3, 2, tzinfo=UTC)
TODAY = date(2026, 11, 20)


def model(name: str, *, price: float = 1.0, quality: float = 0.8, speed: float = 0.5) -> Model:
    return Model(
        provider="p", name=name, wire="openai", input_price=Decimal(str(price)), output_price=Decimal(str(price)),
        context_tokens=100_000, max_output_tokens=4096, quality=dict.fromkeys(TASKS, quality), speed=speed,
    )  # fmt: skip


def ranked(
    *models: Model, prefer: str | None = None, needs: frozenset[str] = frozenset(), **known: object
) -> list[Scored]:
    need = Need(task="chat", input_tokens=1000, output_tokens=1000, prefer=prefer, capabilities=needs)  # type: ignore[arg-type]
    return rank(models, need, Knowledge(**{"now": NOW, **known}))  # type: ignore[arg-type]


def after(*outcomes: Outcome, since: datetime = NOW) -> Track:
    track = Track(at=since)
    for outcome in outcomes:
        track = track.after(outcome)
    return track


def test_the_formula_is_the_one_that_is_stated() -> None:
    cheap, dear = model("cheap", price=1, quality=0.6, speed=0.9), model("dear", price=4, quality=0.9, speed=0.4)

    scores = {scored.model_id: scored.score for scored in ranked(cheap, dear)}

    assert scores["p/cheap"] == pytest.approx(0.30 * 0.75 + 0.40 * 0.6 + 0.20 * 0.9 + 0.10 * 1.0)
    assert scores["p/dear"] == pytest.approx(0.30 * 0.0 + 0.40 * 0.9 + 0.20 * 0.4 + 0.10 * 1.0)


@given(prices=st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), quality=st.floats(0.3, 1))
def test_the_cheaper_never_scores_lower(prices: tuple[float, float], quality: float) -> None:
    low, high = sorted(prices)

    scores = {
        s.model_id: s.score
        for s in ranked(model("a", price=low, quality=quality), model("b", price=high, quality=quality))
    }

    assert scores["p/a"] >= scores["p/b"]


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_of_candidates_does_not_matter(names: list[str]) -> None:
    models = {name: model(name, price=1 + ord(name) % 3) for name in "abcd"}

    order = [scored.model_id for scored in ranked(*(models[name] for name in names))]

    assert order == [scored.model_id for scored in ranked(*models.values())]


@pytest.mark.parametrize("order", [("openai", "anthropic", "gemini"), ("gemini", "openai", "anthropic")])
def test_where_scores_tie_the_order_of_providers_decides(order: tuple[str, ...]) -> None:
    equal = [replace(model("same"), provider=provider) for provider in ("anthropic", "gemini", "openai", "another")]
    need = Need(task="chat", input_tokens=1000, output_tokens=1000)

    found = [scored.provider for scored in rank(equal, need, Knowledge(now=NOW), tie_order=order)]

    assert found == [*order, "another"]


def test_the_first_provider_is_named_in_the_settings(tmp_path: Path) -> None:
    settings = Settings(tooloo_data_dir=tmp_path, primary_provider="DeepSeek", fallback_chain="gemini, openai")  # type: ignore[arg-type]

    assert settings.tie_order == ("deepseek", "gemini", "openai")


def test_prefer_free_does_not_choose_what_cannot_do_it() -> None:
    free, paid = model("free", price=0, quality=0.1), model("paid", price=5, quality=0.95)

    best = ranked(free, paid, prefer="free")

    assert [scored.model_id for scored in best if scored.excluded is None] == ["p/paid"]
    assert "not good enough" in (best[-1].excluded or "")


def test_prefer_free_does_not_choose_what_turns_out_not_to_do_it() -> None:
    models = [model("free", price=0, quality=0.5), model("paid", price=1, quality=0.95), model("dear", price=9)]
    poor = {("p/free", "chat"): Learned(good=0.0, total=20.0)}

    unseen, seen = (ranked(*models, prefer="free", learned=learned) for learned in ({}, poor))

    assert unseen[0].model_id == "p/free"
    assert [(scored.model_id, scored.excluded) for scored in seen[:2]] == [("p/paid", None), ("p/free", None)]


def failure(kind: str = "server", at: datetime = NOW) -> Outcome:
    return Outcome(model_id="p/a", error_kind=kind, at=at)


def test_a_failed_provider_is_found_again() -> None:
    track = after(*[failure()] * 5)

    assert track.success_rate(NOW) < 0.3
    assert track.success_rate(NOW + timedelta(hours=3)) > 0.99


def test_the_track_of_many_calls_weighs_each_by_its_age() -> None:
    old, new = failure(at=NOW - timedelta(minutes=15)), Outcome(model_id="p/a", error_kind=None, at=NOW)

    track = after(old, new, since=NOW - timedelta(minutes=15))

    assert track.success_rate(NOW) == pytest.approx((2 + 1) / (2 + 0.5 + 1))


def test_failures_move_a_model_down() -> None:
    assert ranked(model("a"), model("b"), tracks={"p/a": after(*[failure()] * 5)})[0].model_id == "p/b"


@pytest.mark.parametrize("kind", ["content_filter", "context_length"])
def test_what_is_not_the_models_fault_does_not_count(kind: str) -> None:
    assert after(failure(kind)) == after()


def test_uptime_counts_only_that_the_provider_was_not_there() -> None:
    track = after(failure("rate_limit"), failure("server"))

    assert track.uptime(NOW) == pytest.approx((20 + 1) / (20 + 2))


def test_one_failure_keeps_nobody_from_the_best_for_days() -> None:
    best, next_best = model("a", quality=0.85), model("b", quality=0.8)
    track = after(failure())

    order = [
        ranked(best, next_best, tracks={"p/a": track}, now=NOW + timedelta(hours=hours))[0].model_id for hours in (0, 2)
    ]

    assert order == ["p/b", "p/a"]


def test_a_new_key_does_not_wait_for_what_the_old_one_was_told() -> None:
    track = after(*[failure("auth")] * 5, failure("server"))

    assert track.success_rate(NOW) < 0.3
    assert track.forgiven().success_rate(NOW) == 1
    assert track.forgiven().uptime(NOW) == track.uptime(NOW) < 1


def test_observed_speed_moves_the_prior() -> None:
    fast = after(*[Outcome(model_id="p/a", error_kind=None, at=NOW, tokens_per_second=240.0)] * 30)

    assert fast.speed(0.5, NOW) == pytest.approx((0.5 * 10 + 0.8 * 30) / 40)
    assert speed_of(60) == 0.5


def test_a_model_that_was_slow_once_is_found_again() -> None:
    slow = after(*[Outcome(model_id="p/a", error_kind=None, at=NOW, tokens_per_second=8.0)] * 30)
    models = [model("a", quality=0.85), model("b", quality=0.83)]

    order = [ranked(*models, tracks={"p/a": slow}, now=NOW + timedelta(days=days))[0].model_id for days in (0, 1, 14)]

    assert order == ["p/b", "p/b", "p/a"]


def test_quality_is_the_prior_until_it_was_seen_often() -> None:
    assert Learned(good=0, total=0).estimate(0.8) == pytest.approx(0.8)
    assert Learned(good=0, total=20).estimate(0.8) == pytest.approx(0.4)
    assert Learned(good=2000, total=2000).estimate(0.1) > 0.98


def test_what_was_learned_moves_the_ranking_and_is_shown() -> None:
    disliked = {("p/a", "chat"): Learned(good=0.0, total=30.0)}

    best, other = ranked(model("a"), model("b"), learned=disliked)

    assert best.model_id == "p/b"
    assert (other.quality_prior, other.observations) == (0.8, 30.0)
    assert other.quality == pytest.approx(0.32)


def test_what_it_cannot_do_excludes_a_model() -> None:
    assert "cannot do json" in (ranked(model("a"), needs=frozenset({"json"}))[0].excluded or "")


@given(roll=st.floats(0, 0.999), pick=st.floats(0, 0.999), share=st.floats(0, 0.5))
def test_exploring_moves_one_candidate_to_the_front_and_loses_none(roll: float, pick: float, share: float) -> None:
    ranking = ranked(model("a", price=1), model("b", price=2), model("c", price=3), excluded={"p/c": "off"})

    explored = explore(ranking, share=share, roll=roll, pick=pick)

    assert sorted(s.model_id for s in explored) == ["p/a", "p/b", "p/c"]
    assert explored[0].model_id == ("p/b" if roll < share else "p/a")
    assert explored[-1].excluded == "off"


@given(pick=st.floats(0, 0.999))
def test_who_prefers_what_is_free_explores_what_is_free(pick: float) -> None:
    models = [model("a", price=0), model("b", price=0, quality=0.5), model("c", price=3)]
    off = {"p/b": "off"}

    free = explore(ranked(*models, prefer="free"), share=0.5, roll=0, pick=pick)
    only = explore(ranked(*models, prefer="free", excluded=off), share=0.5, roll=0, pick=pick)

    assert (free[0].model_id, only[0].model_id) == ("p/b", "p/a")


def test_a_choice_to_explore_says_so() -> None:
    ranking = ranked(model("a", price=1), model("b", price=2))

    assert "tried for once" in reason(ranking, "p/b", explored=True)
    assert "the next one that could be asked" in reason(ranking, "p/b")


def test_only_who_leads_alone_is_called_the_cheapest_or_the_fastest() -> None:
    alike = [model("a", price=1), model("b", price=1)]

    assert "best balance" in reason(ranked(*alike))
    assert "best for this task of 2" in reason(ranked(replace(alike[0], quality=dict.fromkeys(TASKS, 0.9)), alike[1]))


def test_what_costs_something_is_not_cheap_beside_what_is_free() -> None:
    free, paid = ranked(model("free", price=0), model("paid", price=5), excluded={"p/paid": NO_ROOM})

    assert (free.cost, paid.cost) == (1.0, 0.0)


def test_who_is_left_by_budgets_is_said_to_be() -> None:
    models = [model("a", price=1), model("b", price=2), model("c", price=3)]

    assert "of 2 candidates that a budget has room for" in reason(ranked(*models, excluded={"p/c": NO_ROOM}))
    assert "of 2 candidates (" in reason(ranked(*models, excluded={"p/c": "its circuit is open"}))


def test_what_is_free_and_comes_first_since_a_budget_is_spent_says_so() -> None:
    ranking = ranked(model("free", price=0, quality=0.4), model("a", price=2, quality=0.99), model("b", price=5))

    assert ranking[0].model_id == "p/a"
    assert "free comes first while a budget is spent" in reason(ranking, "p/free", free_first=True)
    assert "could be asked" in reason(ranking, "p/b", free_first=True)


def test_where_all_fell_out_they_are_shown_as_they_would_compare() -> None:
    models = [model("a", price=1), model("b", price=4)]

    none = ranked(*models, excluded={"p/a": "off", "p/b": "off"})

    assert [(s.model_id, s.score) for s in none] == [(s.model_id, s.score) for s in ranked(*models)]


def test_what_fell_out_says_why() -> None:
    found = ranked(model("a"), model("b"), excluded={"p/a": "over budget"})

    assert [(s.model_id, s.excluded) for s in found] == [("p/b", None), ("p/a", "over budget")]
    assert reason(found) == "the only model that can be used now"


def test_a_question_too_long_excludes_the_model() -> None:
    small = replace(model("small"), context_tokens=10)

    assert "too long" in (ranked(small)[0].excluded or "")


def test_no_built_in_model_lacks_a_price() -> None:
    catalog = load_catalog(None, today=TODAY)

    assert catalog.refused == {}
    assert {m.provider for m in catalog.models} == {"anthropic", "openai", "gemini", "deepseek"}
    assert all(m.input_price > 0 for m in catalog.models)


def test_a_model_without_a_price_is_refused() -> None:
    catalog = load_catalog(None, [("anthropic", "claude-of-the-future")], today=TODAY)

    assert "price is not known" in catalog.refused["anthropic/claude-of-the-future"]
    assert catalog.find("claude-of-the-future") is None


def test_a_price_of_nothing_is_believed_only_of_ones_own_machines() -> None:
    wanted = [("volcengine", "kimi-k2-thinking-251104"), ("ollama", "llama3.1")]

    catalog = load_catalog(None, wanted, today=TODAY)

    assert "price is not known" in catalog.refused["volcengine/kimi-k2-thinking-251104"]
    assert catalog.by_id["ollama/llama3.1"].is_free


def test_a_model_that_searches_costs_a_search_at_each_request() -> None:
    catalog = load_catalog(None, [("perplexity", "sonar"), ("openai", "gpt-5")], today=TODAY)

    assert catalog.by_id["perplexity/sonar"].request_price == 12_000  # the dearest of its searches, in micro-dollars
    assert catalog.by_id["openai/gpt-5"].request_price == 0


class Said:
    """A wire that says these things."""

    def __init__(self, events: tuple[StreamEvent, ...]) -> None:
        self._events = events

    async def stream(self, model: Model, prompt: Prompt) -> AsyncIterator[StreamEvent]:  # a wire's
        for event in self._events:
            yield event

    async def complete(self, model: Model, prompt: Prompt) -> list[StreamEvent]:  # a wire's
        return list(self._events)

    async def list_models(self) -> list[str]:
        return []

    async def close(self) -> None:
        return


def test_a_model_with_half_a_price_or_uncounted_fees_is_refused() -> None:
    named = [("azure", "model-router"), ("perplexity", "sonar-deep-research"), ("dashscope", "qwen-turbo")]
    catalog = load_catalog(None, named, today=TODAY)

    assert {"azure/model-router", "perplexity/sonar-deep-research"} <= catalog.refused.keys()
    assert catalog.by_id["dashscope/qwen-turbo"].output_price == Decimal("0.5")  # of what it thinks, which is dearer


def test_a_price_by_hand_is_the_only_one(tmp_path: Path) -> None:
    row = "{provider: openai, name: gpt-5.4, output_usd_per_million: 100, usd_per_request: 0}"
    (tmp_path / "c.yaml").write_text(f"models: [{row}]")

    model = load_catalog(tmp_path / "c.yaml", today=TODAY).by_id["openai/gpt-5.4"]

    mapped = load_catalog(None, today=TODAY).by_id["openai/gpt-5.4"]
    assert (model.output_price, model.request_price) == (100, 0)
    assert [(long.above_tokens, long.input_price, long.output_price) for long in model.long_prices] == [
        (long.above_tokens, long.input_price, 100) for long in mapped.long_prices
    ]
    assert model.long_prices


def test_the_end_of_a_stream_may_correct_what_was_asked() -> None:
    began = Usage(input_tokens=3, output_tokens=0)
    corrected = Usage(input_tokens=8000, output_tokens=9, cached_tokens=1000, cache_write_tokens=2000)

    assert _later(began, corrected) == corrected
    assert _later(began, Usage(input_tokens=0, output_tokens=9)) == Usage(input_tokens=3, output_tokens=9)


@pytest.mark.parametrize(("after", "is_counted"), [("", False), ("é", False), ("and more of it" * 40, True)])
async def test_a_usage_block_in_the_middle_of_an_answer_is_not_its_own(after: str, is_counted: bool) -> None:
    catalog = await asyncio.to_thread(load_catalog, None, today=TODAY)
    request = CallRequest(
        task="chat", user_id="u", thread_id=None, system="", messages=(Message(role="user", content="Hello?"),)
    )
    call = Call(request, catalog.by_id["anthropic/claude-haiku-4-5"], Said((TextDelta(text="One. "), Usage(input_tokens=50, output_tokens=2),
                                      TextDelta(text=after), Finished(reason="stop"))),
                now=datetime.now(UTC), seconds=5)  # fmt: skip

    async for _ in call.events(TimeLimits(first_token_seconds=5, between_tokens_seconds=5, total_seconds=5)):
        pass
    await call.cost()

    assert call.tokens_counted is is_counted


def test_a_model_is_found_by_its_id_before_it_is_by_anothers_name(tmp_path: Path) -> None:
    entries = [("hosted_vllm", "openai/gpt-5-mini"), ("openai", "gpt-5-mini"), ("openai", "GPT-5-mini")]
    prices = "input_usd_per_million: 1, output_usd_per_million: 1"
    rows = (f"{{provider: {provider}, name: {name}, {prices}}}" for provider, name in entries)
    (tmp_path / "c.yaml").write_text(f"models: [{', '.join(rows)}]")
    catalog = load_catalog(tmp_path / "c.yaml", today=TODAY)

    found = [catalog.find(name) for name in ("openai/gpt-5-mini", "openai/GPT-5-mini", "OPENAI/GPT-5-MINI")]

    assert [model and model.id for model in found] == ["openai/gpt-5-mini", "openai/GPT-5-mini", "openai/gpt-5-mini"]


def test_every_built_in_model_has_a_quality_of_its_own_for_each_kind_of_task() -> None:
    catalog = load_catalog(None, today=TODAY)

    assert all(set(m.quality) == set(TASKS) for m in catalog.models)
    assert all(0.3 < value <= 1 for m in catalog.models for value in m.quality.values())


def test_a_model_that_its_provider_ends_is_refused() -> None:
    catalog = load_catalog(None, [("deepseek", "deepseek-chat")], today=TODAY)

    assert catalog.refused == {"deepseek/deepseek-chat": "its provider ends it on 2026-07-24"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", "models: [{provider: acme, name: m1, input_usd_per_million: 1, output_usd_per_million: 2,"
                   " cached_input_usd_per_million: 0.1, cache_write_usd_per_million: 4, usd_per_request: 0.001,"
                   " quality: {default: 0.5, code: 0.9}}]"),
        ("c.toml", '[[models]]\nprovider = "acme"\nname = "m1"\ninput_usd_per_million = 1\n'
                   'output_usd_per_million = 2\ncached_input_usd_per_million = 0.1\ncache_write_usd_per_million = 4\nusd_per_request = 0.001\n'
                   'quality = {default = 0.5, code = 0.9}\n'),
    ],
)  # fmt: skip
def test_an_administrators_file_adds_models(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)

    added = load_catalog(tmp_path / name, today=TODAY).find("acme/m1")

    assert added is not None
    assert (added.quality["code"], added.quality["chat"], added.wire) == (0.9, 0.5, "litellm")
    cost = added.cost_microusd(input_tokens=100, output_tokens=10, cached_tokens=50, cache_write_tokens=20)
    assert cost == 1000 + 30 + 5 + 80 + 20


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5}, (10, 5)),
        ({"prompt_tokens": 10, "completion_tokens": None}, (10, 0)),
        ({"prompt_tokens": "10", "completion_tokens": 5}, (0, 0)),
        ({"prompt_tokens": 10, "completion_tokens": -100000}, (0, 0)),
        ({"prompt_tokens": 10.5, "completion_tokens": 5}, (0, 0)),
        ({"prompt_tokens": True, "completion_tokens": 5}, (0, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": "3"}}, (10, 5)),
    ],
)
def test_counts_that_are_no_numbers_book_nothing_of_their_own(
    usage: dict[str, object], counted: tuple[int, int]
) -> None:
    found = openai_usage(usage)

    assert (found.input_tokens, found.output_tokens) == counted


def test_a_price_for_writing_the_cache_alone_is_taken(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("models: [{provider: openai, name: gpt-5.4, cache_write_usd_per_million: 3}]")

    found = load_catalog(tmp_path / "c.yaml", today=TODAY).find("openai/gpt-5.4")

    assert found is not None
    assert found.cost_microusd(input_tokens=100, output_tokens=0, cache_write_tokens=100) == 300


@pytest.mark.parametrize(("cache", "price"), [("cache_write", "0"), ("cache_write", "4"), ("cached_input", "50")])
def test_a_hold_covers_the_dearest_of_the_prices(tmp_path: Path, cache: str, price: str) -> None:
    text = ("models: [{provider: acme, name: m, input_usd_per_million: 2, output_usd_per_million: 0,"
            f" {cache}_usd_per_million: {price}}}]")  # fmt: skip
    (tmp_path / "c.yaml").write_text(text)
    found = load_catalog(tmp_path / "c.yaml", today=TODAY).find("acme/m")
    assert found is not None
    request = CallRequest(
        task="chat", user_id="a", thread_id=None, system="", messages=(Message(role="user", content="x" * 1000),)
    )

    held = hold_microusd(request, found)

    assert held >= 1000 * max(2, int(price))
    assert not found.is_free


def test_what_an_administrator_writes_of_an_ollama_model_holds_while_it_is_there(tmp_path: Path) -> None:
    text = "models: [{provider: ollama, name: qwen, input_usd_per_million: 0, output_usd_per_million: 0, quality: 0.9}]"
    (tmp_path / "c.yaml").write_text(text)
    catalog = load_catalog(tmp_path / "c.yaml", today=TODAY)

    there = catalog.with_ollama(["qwen:latest", "llama:8b"])
    gone = catalog.with_ollama(["llama:8b"])

    qualities = {model.id: model.quality["chat"] for model in there.models if model.provider == "ollama"}
    assert qualities == {"ollama/qwen": 0.9, "ollama/llama:8b": OLLAMA_QUALITY}
    assert [model.id for model in gone.models if model.provider == "ollama"] == ["ollama/llama:8b"]


def test_an_ollama_model_needs_no_price(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("models: [{provider: ollama, name: 'qwen3:8b', quality: 0.9}]")

    found = load_catalog(tmp_path / "c.yaml", today=TODAY).with_ollama(["qwen3:8b"]).find("ollama/qwen3:8b")

    assert found is not None
    assert (found.is_free, found.quality["chat"]) == (True, 0.9)


def test_what_an_administrator_leaves_out_of_a_built_in_model_is_as_it_was(tmp_path: Path) -> None:
    prices = "input_usd_per_million: 0.15, output_usd_per_million: 1"
    (tmp_path / "c.yaml").write_text(f"models: [{{provider: openai, name: gpt-5.6-luna, {prices}}}]")
    built_in = load_catalog(None, today=TODAY).find("openai/gpt-5.6-luna")

    found = load_catalog(tmp_path / "c.yaml", today=TODAY).find("openai/gpt-5.6-luna")

    assert built_in is not None
    assert found is not None
    assert (found.quality, found.speed) == (built_in.quality, built_in.speed)
    assert (found.input_price, found.output_price, found.cached_price) == (Decimal("0.15"), 1, None)


@pytest.mark.parametrize(
    ("provider", "name"),
    [("vertex_ai", "gemini-2.5-flash-image"), ("novita", "baai/bge-m3"), ("vertex_ai", "gemini-2.5-pro-tts"),
     ("gemini", "gemini-2.5-pro-preview-tts"), ("vertex_ai", "deep-research-pro-preview-12-2025")],
)  # fmt: skip
def test_what_answers_in_no_words_or_charges_otherwise_is_refused(provider: str, name: str) -> None:
    catalog = load_catalog(None, [(provider, name)], today=TODAY)

    assert catalog.find(f"{provider}/{name}") is None
    assert f"{provider}/{name}" in catalog.refused


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("models: [{provider: a, name: m, input_usd_per_million: 2, output_usd_per_million: 1, input_usd_per_million: 0}]",
         "'input_usd_per_million' stands there twice"),
        ("models: []\nmodels: []", "'models' stands there twice"),
        ("models: " + "[" * 60_000, "nested too deeply"),
        ("models: " + "- " * 60_000, "nested too deeply|cannot be used"),
        ("models: [{provider: acme, name: m}, {provider: acme, name: m}]", "acme/m stands there twice"),
        ("models: [{provider: 'null', name: 'null', input_usd_per_million: 0, output_usd_per_million: 0}]",
         "the product's own"),
        ("a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
            f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in pairwise("abcdefghi")
        ) + "\nmodels: *i", "holds more than"),
    ],
)  # fmt: skip
def test_a_catalog_that_stands_there_twice_or_without_end_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "c.yaml").write_text(text)

    with pytest.raises(SettingsError, match=why):
        load_catalog(tmp_path / "c.yaml", today=TODAY)


def test_a_wire_that_its_provider_is_not_asked_over_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    priced = "input_usd_per_million: 1, output_usd_per_million: 1"
    file.write_text(
        f"models: [{{provider: groq, name: a, wire: openai, {priced}}}, {{provider: groq, name: b, wire: litellm, {priced}}}]"
    )

    catalog = load_catalog(file, today=TODAY)

    assert "over the wire 'litellm' and no other" in catalog.refused["groq/a"]
    assert "groq/b" in catalog.by_id


@pytest.mark.parametrize(
    "text",
    ["models: [", "models: 3", "[[models", "models: [{provider: x}]",
     "models: [{provider: acme, name: m, quality: {cooking: 1}}]",
     "models: [{provider: acme, name: m, quality: 7}]"],
)  # fmt: skip
def test_a_catalog_that_does_not_fit_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)

    with pytest.raises(SettingsError, match="TOOLOO_CATALOG"):
        load_catalog(tmp_path / "c.yaml", today=TODAY)


def test_cost_is_rounded_up_to_a_whole_microdollar() -> None:
    assert model("a", price=0.15).cost_microusd(input_tokens=1, output_tokens=0) == 1


def test_what_people_here_think_moves_a_model_down_and_shuts_nobody_out() -> None:
    disliked = {("p/bad", "chat"): Learned(good=0.0, total=200.0)}

    ranking = ranked(model("bad"), model("good"), learned=disliked)

    assert [(one.model_id, one.excluded) for one in ranking] == [("p/good", None), ("p/bad", None)]
