"""Counters for Prometheus. Each process counts its own; no label holds anything of a person."""

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from app.models.breaker import Circuit
from app.models.budget import MICROUSD, Budget
from app.models.log import CallRecord

CIRCUIT_NUMBERS = {"closed": 0, "half-open": 1, "open": 2}


class Metrics:
    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        by_model = ["provider", "model"]
        self._calls = Counter(
            "tooloo_model_calls_total", "Calls of models", [*by_model, "status", "kind"], registry=registry
        )
        self._cost = Counter("tooloo_model_cost_usd_total", "What calls cost, in dollars", by_model, registry=registry)
        self._tokens = Counter(
            "tooloo_model_tokens_total", "Tokens in and out", [*by_model, "direction"], registry=registry
        )
        self._first_token = Histogram(
            "tooloo_model_first_token_seconds", "Time to the first token", ["provider"], registry=registry
        )
        self._duration = Histogram("tooloo_model_call_seconds", "Time of a call", ["provider"], registry=registry)
        self._tasks = Counter("tooloo_tasks_total", "Tasks by how they ended", ["type", "status"], registry=registry)
        self.tasks_running = Gauge("tooloo_tasks_running", "Tasks that run or wait", registry=registry)
        self._spent = Gauge("tooloo_budget_spent_usd", "Spent in 30 days", ["budget"], registry=registry)
        self._held = Gauge("tooloo_budget_held_usd", "Held for calls that run", ["budget"], registry=registry)
        self._limit = Gauge("tooloo_budget_limit_usd", "Limit for 30 days", ["budget"], registry=registry)
        self._circuit = Gauge(
            "tooloo_circuit_state", "0 closed, 1 half-open, 2 open", ["provider"], registry=registry
        )  # fmt: skip

    def call(self, record: CallRecord) -> None:
        self._calls.labels(record.provider, record.model, record.status, record.error_kind or "").inc()
        self._cost.labels(record.provider, record.model).inc(record.cost_microusd / MICROUSD)
        self._tokens.labels(record.provider, record.model, "in").inc(record.input_tokens)
        self._tokens.labels(record.provider, record.model, "out").inc(record.output_tokens)
        if record.total_ms is not None:
            self._duration.labels(record.provider).observe(record.total_ms / 1000)
        if record.first_token_ms is not None:
            self._first_token.labels(record.provider).observe(record.first_token_ms / 1000)

    def task(self, task_type: str, status: str) -> None:
        self._tasks.labels(task_type, status).inc()

    def text(self, budgets: Sequence[Budget], circuits: Mapping[str, Circuit]) -> str:
        """Everything in Prometheus' text format; budgets of people are left out."""
        for budget in budgets:
            if budget.kind in ("provider", "burst"):
                self._spent.labels(budget.id).set(budget.spent_microusd / MICROUSD)
                self._held.labels(budget.id).set(budget.held_microusd / MICROUSD)
                self._limit.labels(budget.id).set(budget.limit_microusd / MICROUSD)
        for circuit in circuits.values():
            self._circuit.labels(circuit.provider).set(CIRCUIT_NUMBERS[circuit.state])
        return generate_latest(self._registry).decode()
