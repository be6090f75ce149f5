"""The circuit breaker: after five failures in a row a provider is left alone, then tried by a single probe at a time.

The libraries we looked at let every waiting call through when a circuit half-opens. Here the probe is claimed by one
conditional UPDATE, so that it is one in all processes; a closed circuit costs no query.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from app.errors import ProviderErrorKind, StorageFailed
from app.events import log as event_log
from app.events.schema import NewEvent
from app.models import audit
from app.storage.database import Database
from app.storage.tables.models import provider_circuits, provider_rate_limits

CircuitState = Literal["closed", "open", "half-open"]

# What speaks against the provider. A rate limit has its own remedy, and the rest is about the one request.
COUNTED_KINDS: frozenset[ProviderErrorKind] = frozenset({"auth", "quota", "timeout", "network", "server"})


@dataclass(frozen=True, kw_only=True)
class Circuit:
    """``failures`` are counted in a row. ``retry_at`` is when a probe may be claimed (again)."""

    provider: str
    state: CircuitState = "closed"
    failures: int = 0
    opened_at: datetime | None = None
    retry_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Admission:
    """A call that may go out. ``probe_until`` names the probe of a half-open circuit, if the call is it."""

    provider: str
    probe_until: datetime | None = None


def after_failure(circuit: Circuit, now: datetime, *, threshold: int, cooldown: timedelta) -> Circuit:
    """One more failure opens the circuit at the threshold, and at once when it was the probe's."""
    failures = circuit.failures + 1
    if circuit.state == "closed" and failures < threshold:
        return replace(circuit, failures=failures)
    return replace(circuit, state="open", failures=failures, opened_at=now, retry_at=now + cooldown)


def after_success(circuit: Circuit) -> Circuit:
    return Circuit(provider=circuit.provider)


class Breaker:
    """One circuit for each provider. The table is shared, failures in a row included; this process keeps a copy, which
    ``refresh`` renews. ``probe_seconds`` is the longest that a probe may take before another one is let out."""

    def __init__(
        self, database: Database, *, threshold: int, cooldown_seconds: float, clock: Callable[[], datetime],
        probe_seconds: float = 0.0,
    ) -> None:  # fmt: skip
        self._database = database
        self._threshold = threshold
        self._cooldown = timedelta(seconds=cooldown_seconds)
        self._probe_time = timedelta(seconds=max(cooldown_seconds, probe_seconds))
        self._clock = clock
        self._circuits: dict[str, Circuit] = {}

    async def refresh(self) -> None:
        """Adopt what other processes and the command line have written."""
        async with self._database.read() as connection:
            rows = (await connection.execute(sa.select(provider_circuits))).mappings().all()
        for row in rows:
            self._circuits[row["provider"]] = _circuit_of(row)

    def circuits(self) -> Mapping[str, Circuit]:
        return self._circuits

    def why_closed_to(self, provider: str, now: datetime) -> str | None:
        """Why no call may go to a provider now; None when one may, or when a probe is due."""
        circuit = self._circuits.get(provider)
        if circuit is None or circuit.state == "closed" or circuit.retry_at is None or circuit.retry_at <= now:
            return None
        if circuit.state == "half-open":
            return "one call is trying whether it works again"
        return f"it failed {circuit.failures} times; tried again at {circuit.retry_at:%H:%M:%S} UTC"

    async def admit(self, provider: str) -> Admission | None:
        """Whether a call may go out now; None when it may not. For an open circuit whose time is up it is the probe."""
        circuit = self._circuits.get(provider)
        if circuit is None or circuit.state == "closed":
            return Admission(provider=provider)
        now = self._clock()
        until = now + self._probe_time

        def claim(connection: sa.Connection) -> bool:
            claimed = connection.execute(
                provider_circuits.update()
                .where(
                    provider_circuits.c.provider == provider,
                    provider_circuits.c.state != "closed",
                    provider_circuits.c.retry_at <= now,
                )
                .values(state="half-open", retry_at=until, updated_at=now)
            )
            if claimed.rowcount:
                _append(connection, "provider.circuit-half-opened", circuit, now)
            return claimed.rowcount == 1

        claiming = asyncio.ensure_future(self._database.run(claim))
        try:
            claimed = await asyncio.shield(claiming)
        except asyncio.CancelledError:  # nobody would ever tell what became of the probe
            giving_back = asyncio.ensure_future(
                self._given_back(claiming, Admission(provider=provider, probe_until=until))
            )
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(giving_back)
            raise
        if not claimed:
            await self.refresh()
            return Admission(provider=provider) if self._circuits[provider].state == "closed" else None
        self._circuits[provider] = replace(circuit, state="half-open", retry_at=until)
        return Admission(provider=provider, probe_until=until)

    async def _given_back(self, claiming: "asyncio.Future[bool]", probe: Admission) -> None:
        with contextlib.suppress(StorageFailed):  # then nothing was claimed, or its time runs out
            if await claiming:
                await self.abandon(probe)

    async def succeeded(self, admission: Admission) -> None:
        """A call went well: no failures in a row any more. An open circuit is closed by its probe alone."""
        circuit = self._circuits.get(admission.provider)
        if circuit is None or circuit == after_success(circuit):
            return
        await self._change(admission, after_success)

    async def failed(self, admission: Admission, kind: ProviderErrorKind) -> None:
        """Count a failure; one that does not speak against the provider shows that it is there."""
        if kind in COUNTED_KINDS:
            now, threshold, cooldown = self._clock(), self._threshold, self._cooldown
            await self._change(
                admission, lambda circuit: after_failure(circuit, now, threshold=threshold, cooldown=cooldown)
            )
        elif admission.probe_until is not None:
            await self.succeeded(admission)

    async def abandon(self, admission: Admission) -> None:
        """A call says nothing after all (it was stopped, or never left): a probe is given back, for the next to try."""
        if admission.probe_until is None:
            return
        now = self._clock()
        await self._change(admission, lambda circuit: replace(circuit, state="open", retry_at=now))

    async def _change(self, admission: Admission, change: Callable[[Circuit], Circuit]) -> None:
        """Change the stored circuit, failures of all processes included. What a call says counts only while the circuit
        is as it was when the call went out: closed, or half-open for this very probe."""
        provider, now = admission.provider, self._clock()

        def apply(connection: sa.Connection) -> Circuit:
            blank = {"provider": provider, "state": "closed", "failures": 0, "updated_at": now}
            connection.execute(self._database.insert(provider_circuits).values(**blank).on_conflict_do_nothing())
            query = sa.select(provider_circuits).where(provider_circuits.c.provider == provider).with_for_update()
            before = _circuit_of(connection.execute(query).mappings().one())
            probed = before.state == "half-open" and before.retry_at == admission.probe_until
            if not (probed if admission.probe_until is not None else before.state == "closed"):
                return before
            after = change(before)
            if after != before:
                self._write(connection, after, _event_of(before, after), now)
            return after

        self._circuits[provider] = await self._database.run(apply)

    async def reset(self, provider: str, *, actor: str) -> None:
        """Close a circuit by hand, and wait no more for what the provider asked us to wait for."""
        closed, now = Circuit(provider=provider), self._clock()
        self._circuits[provider] = closed

        def write(connection: sa.Connection) -> None:
            self._write(connection, closed, "provider.circuit-closed", now)
            connection.execute(provider_rate_limits.delete().where(provider_rate_limits.c.provider == provider))
            audit.record(connection, actor, "circuit.reset", provider, {}, at=now)

        await self._database.run(write)

    def _write(self, connection: sa.Connection, circuit: Circuit, event_type: str | None, now: datetime) -> None:
        values = {"state": circuit.state, "failures": circuit.failures, "opened_at": circuit.opened_at,
                  "retry_at": circuit.retry_at, "updated_at": now}  # fmt: skip
        statement = self._database.insert(provider_circuits).values(provider=circuit.provider, **values)
        connection.execute(statement.on_conflict_do_update(index_elements=["provider"], set_=values))
        if event_type is not None:
            _append(connection, event_type, circuit, now)


def _event_of(before: Circuit, after: Circuit) -> str | None:
    """What others should know of a change; a probe that is given back is no news."""
    if before.state != "closed" and after.state == "closed":
        return "provider.circuit-closed"
    opens = after.state == "open" and after.opened_at != before.opened_at
    return "provider.circuit-opened" if opens else None


def _append(connection: sa.Connection, event_type: str, circuit: Circuit, now: datetime) -> None:
    payload = {"failures": circuit.failures}
    event_log.append_in(
        connection, NewEvent(type=event_type, key=circuit.provider, user_id=None, occurred_at=now, payload=payload)
    )


def _circuit_of(row: sa.RowMapping) -> Circuit:
    return Circuit(
        provider=row["provider"], state=row["state"], failures=row["failures"], opened_at=row["opened_at"],
        retry_at=row["retry_at"],
    )  # fmt: skip
