"""The circuit breaker: open after failures in a row, then one probe at a time, in all processes."""

import asyncio

import pytest

from app.errors import ProviderErrorKind
from app.events import log as event_log
from app.models.breaker import COUNTED_KINDS, Admission, Breaker
from app.storage.database import Database
from tests.fakes.clock import Clock

OPENAI = Admission(provider="openai")
PROBE_SECONDS = 120


def new_breaker(database: Database, clock: Clock) -> Breaker:
    return Breaker(database, threshold=5, cooldown_seconds=60, clock=clock, probe_seconds=PROBE_SECONDS)


@pytest.fixture
def breaker(database: Database, clock: Clock) -> Breaker:
    return new_breaker(database, clock)


async def fail(breaker: Breaker, times: int, kind: ProviderErrorKind = "server") -> None:
    for _ in range(times):
        await breaker.failed(OPENAI, kind)


async def test_it_opens_at_the_fifth_failure_in_a_row(breaker: Breaker, clock: Clock) -> None:
    await fail(breaker, 4)
    await breaker.succeeded(OPENAI)
    await fail(breaker, 4)
    still_closed = await breaker.admit("openai")
    await fail(breaker, 1)

    assert still_closed
    assert not await breaker.admit("openai")
    assert "failed 5 times" in (breaker.why_closed_to("openai", clock()) or "")
    assert await breaker.admit("anthropic")


async def test_failures_are_counted_in_all_processes(breaker: Breaker, clock: Clock, database: Database) -> None:
    other_process = new_breaker(database, clock)
    await fail(breaker, 3)
    await other_process.refresh()
    await other_process.succeeded(OPENAI)
    await asyncio.gather(fail(breaker, 2), fail(other_process, 2))
    still_closed = await breaker.admit("openai")

    await fail(breaker, 1)
    await other_process.refresh()

    assert still_closed
    assert not await breaker.admit("openai")
    assert not await other_process.admit("openai")


@pytest.mark.parametrize("kind", ["rate_limit", "context_length", "content_filter", "invalid_request"])
async def test_what_does_not_speak_against_the_provider_does_not_count(
    breaker: Breaker, kind: ProviderErrorKind
) -> None:
    await fail(breaker, 50, kind)

    assert kind not in COUNTED_KINDS
    assert await breaker.admit("openai")


async def test_of_fifty_waiting_calls_one_probes(breaker: Breaker, clock: Clock, database: Database) -> None:
    await fail(breaker, 5)
    clock.move(seconds=61)
    other_process = new_breaker(database, clock)
    await other_process.refresh()

    admitted = await asyncio.gather(*((breaker, other_process)[n % 2].admit("openai") for n in range(50)))

    assert sum(admission is not None for admission in admitted) == 1
    assert breaker.why_closed_to("openai", clock()) is not None


async def test_a_probe_that_succeeds_closes_it_for_all(breaker: Breaker, clock: Clock, database: Database) -> None:
    await fail(breaker, 5)
    clock.move(seconds=61)
    probe = await breaker.admit("openai")
    assert probe is not None

    await breaker.succeeded(probe)

    other_process = new_breaker(database, clock)
    await other_process.refresh()
    async with database.read() as connection:
        types = [event.type for event in await event_log.newest(connection, type_prefix="provider.circuit")]
    assert await breaker.admit("openai")
    assert await other_process.admit("openai")
    assert types[::-1] == ["provider.circuit-opened", "provider.circuit-half-opened", "provider.circuit-closed"]


async def test_a_probe_that_fails_opens_it_again_for_the_whole_time(breaker: Breaker, clock: Clock) -> None:
    await fail(breaker, 5)
    clock.move(seconds=61)
    probe = await breaker.admit("openai")
    assert probe is not None

    await breaker.failed(probe, "server")

    assert not await breaker.admit("openai")
    clock.move(seconds=59)
    assert not await breaker.admit("openai")
    clock.move(seconds=2)
    assert await breaker.admit("openai")


async def test_a_probe_that_was_stopped_is_given_back(breaker: Breaker, clock: Clock) -> None:
    await fail(breaker, 5)
    clock.move(seconds=61)
    probe = await breaker.admit("openai")
    assert probe is not None

    await breaker.abandon(probe)

    assert await breaker.admit("openai")


async def test_only_the_probe_moves_an_open_circuit(breaker: Breaker, clock: Clock, database: Database) -> None:
    await fail(breaker, 50)
    clock.move(seconds=61)
    await breaker.admit("openai")

    await breaker.abandon(OPENAI)
    await breaker.succeeded(OPENAI)
    await breaker.failed(OPENAI, "server")
    second = await breaker.admit("openai")

    async with database.read() as connection:
        types = [event.type for event in await event_log.newest(connection, type_prefix="provider.circuit")]
    assert second is None
    assert types[::-1] == ["provider.circuit-opened", "provider.circuit-half-opened"]


async def test_a_late_word_of_an_old_probe_changes_nothing(breaker: Breaker, clock: Clock) -> None:
    await fail(breaker, 5)
    clock.move(seconds=61)
    old = await breaker.admit("openai")
    clock.move(seconds=121)
    new = await breaker.admit("openai")
    assert old is not None
    assert new is not None

    await breaker.succeeded(new)
    await breaker.abandon(old)

    assert breaker.why_closed_to("openai", clock()) is None
    assert breaker.circuits()["openai"].state == "closed"


async def test_the_probe_of_a_dead_process_is_claimed_by_another(
    breaker: Breaker, clock: Clock, database: Database
) -> None:
    await fail(breaker, 5)
    clock.move(seconds=61)
    await breaker.admit("openai")
    clock.move(seconds=PROBE_SECONDS - 1)
    other_process = new_breaker(database, clock)
    await other_process.refresh()
    assert not await other_process.admit("openai")
    clock.move(seconds=2)

    other_process = new_breaker(database, clock)
    await other_process.refresh()

    assert await other_process.admit("openai")


async def test_a_probe_that_is_refused_for_another_reason_closes_it(breaker: Breaker, clock: Clock) -> None:
    await fail(breaker, 5)
    clock.move(seconds=61)
    probe = await breaker.admit("openai")
    assert probe is not None

    await breaker.failed(probe, "content_filter")

    assert await breaker.admit("openai")


async def test_it_can_be_reset_by_hand(breaker: Breaker, clock: Clock, database: Database) -> None:
    await fail(breaker, 5)

    await new_breaker(database, clock).reset("openai", actor="ada")
    await breaker.refresh()

    assert await breaker.admit("openai")


async def test_a_probe_whose_caller_is_stopped_while_it_is_claimed_is_given_back(
    breaker: Breaker, clock: Clock
) -> None:
    await fail(breaker, 5)
    clock.move(seconds=61)
    stopped = []
    for _ in range(20):
        waiting = asyncio.create_task(breaker.admit("openai"))
        await asyncio.sleep(0)
        waiting.cancel()
        stopped += await asyncio.gather(waiting, return_exceptions=True)

    assert {type(one) for one in stopped} == {asyncio.CancelledError}
    assert await breaker.admit("openai") is not None
