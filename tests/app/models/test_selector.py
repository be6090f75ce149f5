"""The score is the formula as stated, and behaves as people expect of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.catalog import TASKS, Model, load_catalog
from app.models.selector import Outcome, Scored, rank, reason, success_rate

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def model(name: str, *, price: float = 1.0, quality: float = 0.8, speed: float = 0.5) -> Model:
    return Model(
        provider="p", name=name, wire="openai", input_price=Decimal(str(price)), output_price=Decimal(str(price)),
        context_tokens=100_000, max_output_tokens=4096, quality=dict.fromkeys(TASKS, quality), speed=speed,
    )  # fmt: skip


def ranked(*models: Model, outcomes: tuple[Outcome, ...] = (), **more: object) -> list[Scored]:
    return rank(
        models,
        task="chat",
        input_tokens=1000,
        output_tokens=1000,
        outcomes=outcomes,
        now=NOW,
        **more,  # type: ignore[arg-type]
    )


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


def test_prefer_free_does_not_choose_what_cannot_do_it() -> None:
    free, paid = model("free", price=0, quality=0.1), model("paid", price=5, quality=0.95)

    best = ranked(free, paid, prefer="free")

    assert [scored.model_id for scored in best if scored.excluded is None] == ["p/paid"]
    assert "not good enough" in (best[-1].excluded or "")


def test_a_failed_provider_is_found_again() -> None:
    failures = [Outcome(model_id="p/a", error_kind="server", at=NOW) for _ in range(5)]

    now = success_rate(failures, NOW, half_life_seconds=900)
    later = success_rate(failures, NOW + timedelta(hours=3), half_life_seconds=900)

    assert now < 0.3
    assert later > 0.99


def test_failures_move_a_model_down() -> None:
    failed = tuple(Outcome(model_id="p/a", error_kind="server", at=NOW) for _ in range(5))

    assert ranked(model("a"), model("b"), outcomes=failed)[0].model_id == "p/b"


def test_what_fell_out_says_why() -> None:
    found = ranked(model("a"), model("b"), excluded={"p/a": "over budget"})

    assert [(s.model_id, s.excluded) for s in found] == [("p/b", None), ("p/a", "over budget")]
    assert reason(found) == "the only model that can be used now"


def test_a_question_too_long_excludes_the_model() -> None:
    small = replace(model("small"), context_tokens=10)

    assert "too long" in (ranked(small)[0].excluded or "")


def test_no_built_in_model_lacks_a_price() -> None:
    catalog = load_catalog(None)

    assert catalog.refused == {}
    assert {m.provider for m in catalog.models} == {"anthropic", "openai", "gemini", "deepseek"}
    assert all(m.input_price > 0 for m in catalog.models)


def test_a_model_without_a_price_is_refused() -> None:
    catalog = load_catalog(None, [("anthropic", "claude-of-the-future")])

    assert "price is not known" in catalog.refused["anthropic/claude-of-the-future"]
    assert catalog.find("claude-of-the-future") is None


def test_cost_is_rounded_up_to_a_whole_microdollar() -> None:
    assert model("a", price=0.15).cost_microusd(input_tokens=1, output_tokens=0) == 1
