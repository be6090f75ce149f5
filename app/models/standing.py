"""How providers and models stand now: what was observed here, and what other processes have written."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from app.models import quality
from app.models.breaker import Breaker
from app.models.budget import Budget, Purse
from app.models.catalog import Model
from app.models.log import recent_outcomes
from app.models.room import closed
from app.models.selector import SPENT, Knowledge, Learned, Outcome, Track
from app.storage.database import Database
from app.storage.tables.models import provider_rate_limits

OUTCOMES_KEPT = 1000
REMEMBERED = timedelta(days=3)  # what is older weighs next to nothing
REFRESH_SECONDS = 1.0  # how old may be what other processes have written
LONGEST_WAIT = timedelta(hours=1)
FIRST_TOKENS_KEPT = 200
FEWEST_FIRST_TOKENS = 20  # before a 95th percentile means anything
HEDGE_PERCENTILE = 0.95
WAITS = "it asked us to wait"


class Standing:
    def __init__(self, *, database: Database, purse: Purse, breaker: Breaker, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._purse = purse
        self._breaker = breaker
        self._clock = clock
        self._tracks: dict[str, Track] = {}
        self._first_tokens: dict[str, deque[int]] = {}
        self._learned: Mapping[tuple[str, str], Learned] = {}
        self._closed: Mapping[str, Literal["off", "spent"]] = {}
        self.budgets: Sequence[Budget] = ()
        self._limited_until: dict[str, datetime] = {}
        self._refreshed_at = float("-inf")
        self._refreshing = asyncio.Lock()

    async def open(self) -> None:
        """Remember how the calls of the last days went."""
        since = self._clock() - REMEMBERED
        for outcome, first_token_ms in await recent_outcomes(self._database, since, limit=OUTCOMES_KEPT):
            self.remember(outcome, first_token_ms=first_token_ms)

    async def refresh(self, *, force: bool = False) -> None:
        """Read what other processes have written, at most once a second."""
        if not force and time.monotonic() - self._refreshed_at < REFRESH_SECONDS:
            return
        async with self._refreshing:
            if not force and time.monotonic() - self._refreshed_at < REFRESH_SECONDS:
                return
            self.budgets = await self._purse.budgets(self._clock())
            self._closed = closed(self.budgets)
            self._learned = await quality.learned(self._database)
            await self._breaker.refresh()
            async with self._database.read() as connection:
                limits = await connection.execute(sa.select(provider_rate_limits))
                self._limited_until = {row.provider: row.limited_until for row in limits}
            self._refreshed_at = time.monotonic()

    def is_spent(self, provider: str) -> bool:
        """Whether a provider's budget for 30 days is spent, as far as is known."""
        return self._closed.get(provider) == "spent"

    def why_unusable(self, provider: str, *, allow_burst: bool = False, is_free: bool = False) -> str | None:
        """Why no call goes to a provider now; None when one does. A spent budget keeps back no model that is free."""
        now = self._clock()
        if self._closed.get(provider) == "off":
            return "its budget is switched off"
        if self.is_spent(provider) and not allow_burst and not is_free:
            return SPENT
        if wait := self.wait_seconds(provider):
            return f"{WAITS} until {now + timedelta(seconds=wait):%H:%M:%S} UTC"
        return self._breaker.why_closed_to(provider, now)

    def wait_seconds(self, provider: str) -> float:
        """How long a provider asked us to leave it alone, from now on."""
        now = self._clock()
        until = self._limited_until.get(provider, now)
        return (until - now).total_seconds() if now < until <= now + LONGEST_WAIT else 0.0  # else a clock was ahead

    def soonest(self, providers: Iterable[str], *, within: float) -> str | None:
        """The first of those providers that asked to be left alone to be done with it, if within so many seconds."""
        waits = {provider: wait for provider in providers if 0 < (wait := self.wait_seconds(provider)) <= within}
        return min(waits, key=lambda provider: waits[provider], default=None)

    def knowledge(self, models: Sequence[Model], *, allow_burst: bool = False) -> Knowledge:
        """What the selector needs to know about these models."""
        kinds = {(model.provider, model.is_free) for model in models}
        reasons = {
            (provider, is_free): self.why_unusable(provider, allow_burst=allow_burst, is_free=is_free)
            for provider, is_free in kinds
        }
        return Knowledge(
            now=self._clock(),
            tracks=self._tracks,
            learned=self._learned,
            excluded={model.id: why for model in models if (why := reasons[model.provider, model.is_free])},
        )

    def remember(self, outcome: Outcome, *, first_token_ms: int | None = None) -> None:
        track = self._tracks.get(outcome.model_id, Track(at=outcome.at))
        self._tracks[outcome.model_id] = track.after(outcome)
        if first_token_ms is not None:
            kept = self._first_tokens.setdefault(outcome.model_id, deque(maxlen=FIRST_TOKENS_KEPT))
            kept.append(first_token_ms)

    def forgive(self, provider: str) -> None:
        """Forget recent failures of a provider's models: it has another key."""
        for model_id, track in self._tracks.items():
            if model_id.partition("/")[0] == provider:
                self._tracks[model_id] = track.forgiven()

    def usual_first_token_seconds(self, model_id: str) -> float | None:
        """By when 95 of 100 answers of a model have begun; None before enough were seen."""
        kept = self._first_tokens.get(model_id, ())
        if len(kept) < FEWEST_FIRST_TOKENS:
            return None
        return sorted(kept)[int(len(kept) * HEDGE_PERCENTILE)] / 1000

    async def note_rate_limit(self, provider: str, wait_seconds: float | None) -> None:
        """A provider asked us to wait: no process asks it anything until then."""
        now = self._clock()
        until = now + min(timedelta(seconds=wait_seconds or 0.0), LONGEST_WAIT)
        known = self._limited_until.get(provider, until)
        until = self._limited_until[provider] = max(until, known) if known <= now + LONGEST_WAIT else until
        values = {"limited_until": until, "retry_after_seconds": wait_seconds, "updated_at": now}

        def write(connection: sa.Connection) -> None:
            statement = self._database.insert(provider_rate_limits).values(provider=provider, **values)
            hits = {"hits": provider_rate_limits.c.hits + 1}
            connection.execute(statement.on_conflict_do_update(index_elements=["provider"], set_=values | hits))

        await self._database.run(write)
