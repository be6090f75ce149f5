"""One call from the hold on its budgets to the booked cost: circuit, purse, stream, hedging, and what is remembered."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

import structlog

from app.errors import BudgetExceeded, ProviderFailed, StorageFailed
from app.models import selector
from app.models.breaker import COUNTED_KINDS, Breaker
from app.models.budget import Purse
from app.models.call import Call, TimeLimits
from app.models.catalog import Model
from app.models.log import CallLog
from app.models.metrics import Metrics
from app.models.providers.wire import Finished, StreamEvent, TextDelta, Wire, empty, failed
from app.models.run import MOST_MODELS, Answer, Run, Switched
from app.models.selector import NO_ROOM
from app.models.standing import Standing

logger = structlog.get_logger()

HOLD_MARGIN = timedelta(minutes=5)
LONGEST_NAME = 120  # of a model, as the log keeps it
LATE_BOOKING_SECONDS = (1, 2, 4, 8, 16, 32, 64, 128)
PLAIN_SHARE = 0.7  # of the time that is left, for one model while others can be asked after it


class Carrier:
    """Carries the calls of a gateway. With ``hedging``, a second model is asked when the first is slow to begin."""

    def __init__(
        self, *, purse: Purse, breaker: Breaker, log: CallLog, metrics: Metrics, standing: Standing,
        limits: TimeLimits, hedging: bool, clock: Callable[[], datetime], wire_of: Callable[[Model], Wire | None],
    ) -> None:  # fmt: skip
        self._purse = purse
        self._breaker = breaker
        self._log = log
        self._metrics = metrics
        self._standing = standing
        self._limits = limits
        self._hedging = hedging
        self._clock = clock
        self._wire_of = wire_of
        self._booking: set[asyncio.Task[None]] = set()
        self._late: set[asyncio.Task[None]] = set()

    async def reserved(self, run: Run, model: Model, chain: deque[Model]) -> Call | None:
        """A call that may leave; None when its provider, the circuit or a budget keeps it back."""
        wire, seconds = self._wire_of(model), run.seconds_left()
        why = self._standing.why_unusable(model.provider, allow_burst=run.request.allow_burst, is_free=model.is_free)
        if why is not None or wire is None:
            run.exclude(model, why or "its key was taken away")
            return None
        admission = await self._breaker.admit(model.provider)
        if admission is None:
            run.exclude(model, "its circuit is open")
            return None
        if not run.request.stream and run.shares_time:  # nothing is heard of it until its end: others get a chance too
            seconds *= PLAIN_SHARE
        shown = "".join(run.shown)
        shown = shown if shown.strip() else ""  # some providers refuse to go on from mere white space
        call = Call(run.request, model, wire, now=self._clock(), seconds=seconds, shown=shown)
        call.admission = admission
        try:
            await self._purse.reserve(
                call.id, provider=model.provider, model=model.name[:LONGEST_NAME] if self._log.enabled else None,
                task=run.request.task, user_id=run.request.user_id, intent=run.request.intent,
                thread_id=run.request.thread_id, amount_microusd=call.hold_microusd, now=call.created_at,
                allow_burst=run.request.allow_burst, lifetime=timedelta(seconds=seconds) + HOLD_MARGIN,
            )  # fmt: skip
            run.include(model)
            await self._log.put(None, *run.beginning(call, self._clock()))
        except BudgetExceeded as error:
            await self._breaker.abandon(admission)
            run.exclude(model, NO_ROOM)
            run.spent.append(error.user_message)
            free_first = sorted(chain, key=lambda other: not other.is_free)
            chain.clear()
            chain.extend(free_first)
            return None
        except BaseException:  # stopped while it was reserved: the call never left
            await self._surely(self._give_back(call))
            raise
        return call

    async def carried(self, run: Run, call: Call, chain: deque[Model]) -> AsyncGenerator[Answer]:
        """Run one reserved call to its end, or book it and raise what broke it."""
        stream = call.events(self._limits)
        switched = run.broke_off
        try:
            first: StreamEvent | None = None
            if self._hedging and call.request.stream and not run.shown:
                call, stream, first = await self._hedged(run, call, stream, chain)
            while True:
                event = first if first is not None else await anext(stream, None)
                first = None
                if event is None:
                    break
                if not isinstance(event, TextDelta):
                    continue
                if run.life.state == "Requesting" and run.request.stream:
                    run.life.to("Streaming")
                if switched is not None:
                    yield Switched(from_model_id=switched, to_model_id=call.model.id)
                    switched = run.broke_off = None
                run.shown.append(event.text)
                yield event
            if switched is not None:  # whoever goes on had nothing to add
                yield Switched(from_model_id=switched, to_model_id=call.model.id)
                run.broke_off = None
            _check_said(run, call)
        except ProviderFailed as error:
            if not call.has_ended:  # the slower one of two has, and the other broke off
                run.failed_model_id = call.model.id
            if call.has_said and "".join(run.shown).strip():
                run.broke_off = call.model.id
            await self._surely(self._end(run, call, error=error))
            raise
        except BaseException:  # stopped, or a mistake of ours: the provider may be at work all the same
            run.life.to("Failed")
            await self._surely(self._stopped(run, call, stream))
            raise
        run.life.to("Completed")
        await self._surely(self._end(run, call))
        yield run.answered(call)

    async def settled(self) -> None:
        """Wait until every call that has ended is booked, or waits for the database."""
        if self._booking:
            await asyncio.wait(self._booking)

    async def close(self) -> None:
        """Wait for no database any more: what it could not book expires, and is charged in full."""
        await self.settled()
        for late in self._late:
            late.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def _hedged(
        self, run: Run, call: Call, stream: AsyncGenerator[StreamEvent], chain: deque[Model]
    ) -> tuple[Call, AsyncGenerator[StreamEvent], StreamEvent | None]:
        """Ask a second model when the first is slower to begin than 95 of 100 times; the slower of the two is stopped.

        Both are booked: the one that is stopped in full, unless it had not left.
        """
        patience = self._standing.usual_first_token_seconds(call.model.id)
        runner = asyncio.ensure_future(anext(stream, None))
        runners = {runner: (call, stream)}
        try:
            if patience is None or not chain:
                return call, stream, await runner
            await asyncio.wait({runner}, timeout=patience)
            if not runner.done() and (second := await self._second(run, chain)) is not None:
                other = second.events(self._limits)
                runners[asyncio.ensure_future(anext(other, None))] = (second, other)
            done, _ = await asyncio.wait(runners, return_when=asyncio.FIRST_COMPLETED)
            winner = next((task for task in runners if task in done and _begins_well(task)), None)
            if winner is None and len(done) < len(runners):
                winner = next(task for task in runners if task not in done)
                await asyncio.wait({winner})
            winner = winner or runner
            for task, (loser, losing) in runners.items():
                if task is not winner:
                    await self._surely(self._lost(run, task, loser, losing))
        except BaseException:  # stopped: the first call is booked by whoever carries it, once it runs no more
            for task, (one, its_stream) in runners.items():
                if one is call:
                    await _cancelled(task)
                else:
                    await self._surely(self._lost(run, task, one, its_stream))
            raise
        won, winning = runners[winner]
        try:
            return won, winning, winner.result()
        except ProviderFailed as error:
            if won is not call:
                run.failed_model_id = won.model.id
                await self._surely(self._end(run, won, error=error))
            raise

    async def _second(self, run: Run, chain: deque[Model]) -> Call | None:
        """The call of the next model; where it may not leave, everything is as if it had not been asked."""
        kept, spent = deque(chain), list(run.spent)
        second = await self.reserved(run, chain.popleft(), chain) if run.models_tried < MOST_MODELS else None
        run.models_tried += second is not None
        if second is None:
            chain.clear()
            chain.extend(kept)
            run.spent[:] = spent
        return second

    async def _lost(
        self, run: Run, task: "asyncio.Future[StreamEvent | None]", loser: Call, stream: AsyncGenerator[StreamEvent]
    ) -> None:
        """End the slower of two calls: with what broke it, or stopped."""
        error = task.exception() if task.done() and not task.cancelled() else None
        await _cancelled(task)
        if isinstance(error, ProviderFailed):
            await self._end(run, loser, error=error)
        else:
            await self._stopped(run, loser, stream)

    async def _stopped(self, run: Run, call: Call, stream: AsyncGenerator[StreamEvent]) -> None:
        try:
            await stream.aclose()
        finally:
            await self._end(run, call, stopped=True)

    async def _give_back(self, call: Call) -> None:
        await self._purse.release(call.id, now=self._clock(), has_left=False)
        assert call.admission is not None
        await self._breaker.abandon(call.admission)

    async def _surely(self, work: Coroutine[Any, Any, None]) -> None:  # Any: what a coroutine is sent
        """Finish ``work`` though whoever waits for it is stopped meanwhile: money is booked once a call has ended."""
        task = asyncio.create_task(work)
        self._booking.add(task)
        task.add_done_callback(self._booking.discard)
        await asyncio.shield(task)

    async def _end(self, run: Run, call: Call, *, error: ProviderFailed | None = None, stopped: bool = False) -> None:
        """Book the call, once, remember how it went, and log it."""
        if call.has_ended:
            return
        call.has_ended = True
        now = self._clock()
        if error is not None:
            run.exclude(call.model, f"it failed ({error.kind})")
        owed = None if call.owes_nothing(error) else await call.cost(stopped=stopped)
        says_nothing = stopped or call.was_hurried  # of its model
        try:
            call.cost_microusd = await self._book(call.id, owed)
        except StorageFailed as failure:  # an answer is not lost because the database is gone for a while
            logger.warning("model.booking_waits", call=call.id, reason=failure.user_message)
            call.cost_microusd = owed or 0
            late = asyncio.create_task(self._book_late(call.id, owed))
            self._late.add(late)
            late.add_done_callback(self._late.discard)
        run.cost_microusd += call.cost_microusd
        if call.cost_microusd > call.hold_microusd:
            logger.warning("model.cost_above_hold", model=call.model.id, cost_microusd=call.cost_microusd,
                           held_microusd=call.hold_microusd)  # fmt: skip
        with contextlib.suppress(StorageFailed):  # what other processes hear of it can wait for the next call
            await self._tell_circuit(run, call, error, stopped=says_nothing)
        status = "stopped" if says_nothing else "failed" if error else "ok"
        record = run.record(call, status, None if says_nothing else error)
        if not says_nothing and (error is None or call.model.id not in run.blamed):
            run.blamed |= {call.model.id} if error else set()
            self._standing.remember(
                selector.Outcome(
                    model_id=call.model.id, error_kind=record.error_kind, at=now,
                    tokens_per_second=record.tokens_per_second,
                ),
                first_token_ms=call.first_token_ms,
            )  # fmt: skip
        self._metrics.call(record)
        await self._log.put(record, run.ending(call, record, now))
        logger.info("model.call", model=call.model.id, status=record.status, kind=record.error_kind,
                    cost_microusd=record.cost_microusd, total_ms=record.total_ms)  # fmt: skip

    async def _book(self, call_id: str, owed: int | None) -> int:
        """Book what a call cost, or give its hold back where it owes nothing; what was booked."""
        if owed is None:
            return (await self._purse.release(call_id, now=self._clock())).cost_microusd
        return (await self._purse.settle(call_id, cost_microusd=owed, now=self._clock())).cost_microusd

    async def _book_late(self, call_id: str, owed: int | None) -> None:
        """Book it once the database is back; after that, its hold expires and is charged in full."""
        for seconds in LATE_BOOKING_SECONDS:
            await asyncio.sleep(seconds)
            with contextlib.suppress(StorageFailed):
                await self._book(call_id, owed)
                return
        logger.error("model.not_booked", call=call_id, cost_microusd=owed)

    async def _tell_circuit(self, run: Run, call: Call, error: ProviderFailed | None, *, stopped: bool) -> None:
        assert call.admission is not None
        if stopped:
            await self._breaker.abandon(call.admission)
        elif error is None:
            await self._breaker.succeeded(call.admission)
        else:
            await self._breaker.failed(call.admission, error.kind)
            provider = call.model.provider
            if error.kind == "rate_limit" or (error.retry_after_seconds and error.kind in COUNTED_KINDS):
                await self._standing.note_rate_limit(provider, error.retry_after_seconds)
            if error.kind == "rate_limit":
                limited = {"provider": provider, "retryAfterSeconds": error.retry_after_seconds}
                await self._log.put(None, run.event(call, "provider.rate-limited", limited, self._clock()))


def _check_said(run: Run, call: Call) -> None:
    """
    Raises:
        ProviderFailed: the answer says nothing; where its length left no room for words, it is one all the same.
    """
    if call.finish == "content_filter" and not "".join(run.shown).strip():
        run.shown.clear()
        raise failed(call.model.provider, "content_filter", before_generation=False)
    if call.finish == "stop" and not "".join(run.shown).strip():
        run.shown.clear()
        raise empty(call.model.provider)


def _begins_well(task: "asyncio.Future[StreamEvent | None]") -> bool:
    """Whether what came first is the beginning of an answer, and neither an error nor an end that says nothing."""
    if task.exception() is not None:
        return False
    event = task.result()
    return event is not None and (not isinstance(event, Finished) or event.reason == "length")


async def _cancelled(task: "asyncio.Future[StreamEvent | None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
