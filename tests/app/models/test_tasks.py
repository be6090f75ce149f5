"""Typed tasks: their form, shared answers, limits by tier, priorities, and the trail they leave."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import limits
import pytest
import redis
from fakeredis import TcpFakeServer
from limits.aio.storage import MemoryStorage, Storage
from redis.asyncio.lock import Lock

from app.bootstrap import open_shared
from app.errors import BudgetSpent, InvalidInput, ProviderFailed, RateLimited, StorageFailed
from app.identity.accounts import AccountService, User
from app.models import audit, quality
from app.models import log as call_log
from app.models.answers import Answers, OwnAnswers, TaskResult
from app.models.budget import Purse
from app.models.call import CallRequest
from app.models.gate import EACH_AT_ONCE, MOST_WAITING, Gate
from app.models.gateway import Gateway
from app.models.run import Answered
from app.models.tasks import TaskRequest, TaskService
from app.storage.database import Database
from graph.prompts import load, render
from tests.fakes.clock import Clock
from tests.fakes.hashing import quick_hasher
from tests.fakes.providers import FakeProviders, Script

load()
POSITIVE = '{"sentiment": "positive", "confidence": 0.9}'


def says(text: str, **more: Any) -> Script:
    return Script(words=(text,), **more)


@pytest.fixture
def service(gateway: Gateway, sqlite: Database, clock: Clock) -> TaskService:
    return new_service(gateway, sqlite, clock)


def new_service(
    gateway: Gateway, database: Database, clock: Clock, shared: tuple[Storage, Answers] | None = None
) -> TaskService:
    storage, answers = shared or (MemoryStorage(), OwnAnswers(300))
    return TaskService(
        database=database, gateway=gateway, storage=storage, metrics=gateway.metrics, prompt=render, clock=clock,
        answers=answers,
    )  # fmt: skip


async def submit(service: TaskService, user: User, content: str = "I like it.", **more: Any) -> TaskResult:
    more.setdefault("type", "sentiment_analysis")
    tier = more.pop("tier", "enterprise")
    return await service.submit(TaskRequest(content=content, **more), user_id=user.id, tier=tier)


@pytest.mark.parametrize(
    ("request_", "answer", "output", "told"),
    [
        ({"type": "sentiment_analysis"}, POSITIVE, {"sentiment": "positive", "confidence": 0.9}, "Judge the sentiment"),
        ({"type": "classify", "labels": ("bug", "idea")}, '```json\n{"label": "bug", "confidence": 1}\n```',
         {"label": "bug", "confidence": 1}, "bug, idea"),
        ({"type": "extract", "fields": ("name", "age")}, '{"name": "Ada", "age": null}', {"name": "Ada", "age": None},
         "name, age"),
        ({"type": "summarize", "sentences": 2}, "Short.", "Short.", "at most 2 sentences"),
        ({"type": "translate", "language": "French"}, "Bonjour.", "Bonjour.", "into French"),
        ({"type": "code_review"}, "Line 1 is wrong.", "Line 1 is wrong.", "Review the code"),
        ({"type": "generate"}, "A poem.", "A poem.", "Write what"),
    ],
)  # fmt: skip
async def test_each_type_has_its_prompt_and_its_form(
    service: TaskService, providers: FakeProviders, learner: User, request_: dict[str, Any], answer: str, output: Any,
    told: str,
) -> None:  # fmt: skip
    providers.scripts["*"] = says(answer)

    result = await submit(service, learner, **request_)

    assert result.output == output
    assert told in str(providers.calls[0]["body"])
    assert result.cost_microusd > 0
    assert result.tokens_used == 120


@pytest.mark.parametrize(
    "answer",
    ["no", "[]", "{}", f'{{"sentiment": "neutral", "confidence": {"9" * 400}}}', '{"sentiment": "great", "confidence": 1}', '{"sentiment": "neutral", "confidence": 7}',
     '{"sentiment": "neutral", "confidence": true}', '{"sentiment": "neutral", "confidence": 1, "more": 2}',
     '{"sentiment": "neutral", "confidence": NaN}', '{"sentiment": "neutral", "confidence": 1e999}', '{"sentiment": "neutral", "confidence": 1, "\\ud83d": 2}'],
)  # fmt: skip
async def test_an_answer_of_another_form_is_asked_for_once_more_then_an_error(
    service: TaskService, gateway: Gateway, providers: FakeProviders, learner: User, sqlite: Database, answer: str
) -> None:
    providers.scripts["*"] = says(answer)

    with pytest.raises(ProviderFailed, match="in the form that this task needs"):
        await submit(service, learner)

    await gateway.settled()
    learned = await quality.learned(sqlite)
    assert len(providers.calls) == 2
    assert sum(one.total for one in learned.values()) == 1.0
    assert sum(one.good for one in learned.values()) == 0.0


async def test_the_second_try_may_fit_and_both_are_paid(
    service: TaskService, providers: FakeProviders, learner: User
) -> None:
    providers.queues["*"] = deque([says("I would say it is positive.")])
    providers.scripts["*"] = says(POSITIVE)

    result = await submit(service, learner)

    assert result.output["sentiment"] == "positive"
    assert result.cost_microusd == 2 * (100 * 0.1 + 20 * 0.5)  # the prices of the best for it, claude-haiku-5-5


async def test_equal_tasks_in_flight_share_one_call_but_not_between_users(
    service: TaskService, providers: FakeProviders, learner: User, sqlite: Database, clock: Clock
) -> None:
    providers.scripts["*"] = says(POSITIVE, first_pause_seconds=0.3)
    accounts = AccountService(database=sqlite, clock=clock, hasher=quick_hasher())
    other = await accounts.add("other", "correct horse")

    results = await asyncio.gather(
        *(submit(service, learner) for _ in range(10)), *(submit(service, other) for _ in range(3))
    )

    assert len(providers.calls) == 2
    assert [result.shared for result in results].count(False) == 2


async def test_an_equal_task_gets_the_same_answer_for_a_while(
    service: TaskService, providers: FakeProviders, learner: User
) -> None:
    providers.scripts["*"] = says(POSITIVE)

    first = await submit(service, learner)
    second = await submit(service, learner, priority="high", source="elsewhere")
    other_words = await submit(service, learner, "I hate it.")

    assert (first.task_id, first.shared, second.shared) == (second.task_id, False, True)
    assert not other_words.shared
    assert len(providers.calls) == 2


async def test_without_a_cache_every_task_is_asked(
    gateway: Gateway, sqlite: Database, clock: Clock, providers: FakeProviders, learner: User
) -> None:
    providers.scripts["*"] = says(POSITIVE)
    service = new_service(gateway, sqlite, clock, (MemoryStorage(), OwnAnswers(0)))

    await submit(service, learner)
    await submit(service, learner)

    assert len(providers.calls) == 2


async def test_a_failure_is_not_kept(service: TaskService, providers: FakeProviders, learner: User) -> None:
    providers.scripts["*"] = Script(status=401)
    with pytest.raises(ProviderFailed):
        await submit(service, learner)
    providers.scripts["*"] = says(POSITIVE)

    assert (await submit(service, learner)).output["sentiment"] == "positive"


async def test_a_call_is_stopped_when_the_last_who_waits_is_gone(
    service: TaskService, providers: FakeProviders, learner: User, gateway: Gateway
) -> None:
    providers.scripts["*"] = says(POSITIVE, first_pause_seconds=5)
    waiting = [asyncio.create_task(submit(service, learner)) for _ in range(2)]
    while not providers.calls:
        await asyncio.sleep(0.01)

    waiting[0].cancel()
    await asyncio.sleep(0.05)
    still_running = not waiting[1].done()
    waiting[1].cancel()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    for _ in range(100):
        await asyncio.sleep(0.02)
        if not service._in_flight:
            break

    assert still_running
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert service._in_flight == {}


async def test_the_cost_of_a_call_is_told_though_whoever_made_it_has_left(
    service: TaskService, providers: FakeProviders, learner: User, sqlite: Database
) -> None:
    providers.scripts["*"] = says(POSITIVE, first_pause_seconds=0.5)
    waiting = [asyncio.create_task(submit(service, learner)) for _ in range(3)]
    while not providers.calls:
        await asyncio.sleep(0.01)

    waiting[0].cancel()
    results = await asyncio.gather(*waiting[1:])

    trail = [entry.detail.get("costMicrousd") for entry in await audit.newest(sqlite)]
    assert sorted(result.shared for result in results) == [False, True]
    assert sorted(cost for cost in trail if cost is not None) == [0, results[0].cost_microusd]


async def test_the_preferred_provider_is_asked_first_then_the_fallbacks_and_no_other(
    service: TaskService, providers: FakeProviders, learner: User
) -> None:
    providers.scripts["*"] = Script(status=401)
    providers.scripts["gemini-2.5-flash"] = providers.scripts["gemini-3.8-flash"] = says(POSITIVE)

    result = await submit(service, learner, preferred_provider="deepseek", fallback_providers=("gemini",))

    asked = [call["wire"] for call in providers.calls]
    assert result.provider == "gemini"
    assert asked[0] == "openai"  # DeepSeek speaks that wire
    assert set(asked) == {"openai", "gemini"}


async def test_the_null_provider_answers_with_the_content_and_asks_nobody(
    service: TaskService, providers: FakeProviders, learner: User
) -> None:
    result = await submit(service, learner, "echo this", type="generate", preferred_provider="null")

    assert (result.output, result.provider, result.cost_microusd) == ("echo this", "null", 0)
    assert providers.calls == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"content": "  "}, "no content"),
        ({"content": "x" * 100_001}, "too long"),
        ({"type": "classify", "labels": ("one", "one")}, "two different labels"),
        ({"type": "extract"}, "input.fields"),
    ],
)
async def test_a_task_that_does_not_fit_gets_a_sentence(
    service: TaskService, providers: FakeProviders, learner: User, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        await submit(service, learner, **more)

    assert providers.calls == []


@pytest.fixture
def redis_url() -> Iterator[str]:
    server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"redis://127.0.0.1:{server.server_address[1]}"
    with redis.Redis.from_url(url) as client:  # Redis says that it does not know a script; the fake hangs up instead
        for script in Path(limits.__file__).parent.rglob("*.lua"):
            client.script_load(script.read_text())
        client.script_load(Lock.LUA_RELEASE_SCRIPT)
    yield url
    server.shutdown()
    server.server_close()


async def test_a_tier_has_its_limit(service: TaskService, providers: FakeProviders, learner: User) -> None:
    providers.scripts["*"] = says(POSITIVE)
    for _ in range(10):
        await submit(service, learner, tier="free")

    with pytest.raises(RateLimited, match="free tier") as caught:
        await submit(service, learner, tier="free")

    assert 0 < caught.value.retry_after_seconds <= 61
    await submit(service, learner, tier="pro")


@pytest.mark.filterwarnings("ignore")  # the fake server's own
async def test_two_servers_count_together_in_redis(
    gateway: Gateway, sqlite: Database, clock: Clock, providers: FakeProviders, learner: User, redis_url: str
) -> None:
    providers.scripts["*"] = says(POSITIVE)
    async with open_shared(redis_url, 300) as one, open_shared(redis_url, 300) as another:
        servers = [new_service(gateway, sqlite, clock, shared) for shared in (one, another)]
        for number in range(10):
            await submit(servers[number % 2], learner, tier="free")

        with pytest.raises(RateLimited):
            await submit(servers[0], learner, tier="free")


@pytest.mark.filterwarnings("ignore")
async def test_when_redis_is_gone_the_sentence_names_it(
    gateway: Gateway, sqlite: Database, clock: Clock, providers: FakeProviders, learner: User
) -> None:
    async with open_shared("redis://127.0.0.1:9", 300) as shared:
        service = new_service(gateway, sqlite, clock, shared)

        with pytest.raises(StorageFailed, match="REDIS_URL"):
            await submit(service, learner)

    assert providers.calls == []


@pytest.mark.filterwarnings("ignore")
async def test_without_redis_an_answer_is_not_lost(
    gateway: Gateway, sqlite: Database, clock: Clock, providers: FakeProviders, learner: User
) -> None:
    providers.scripts["*"] = says(POSITIVE)
    async with open_shared("redis://127.0.0.1:9", 300) as (_, answers):
        service = new_service(gateway, sqlite, clock, (MemoryStorage(), answers))

        assert (await submit(service, learner)).output["sentiment"] == "positive"


@pytest.fixture
async def servers(
    gateway: Gateway, sqlite: Database, clock: Clock, redis_url: str
) -> AsyncIterator[tuple[TaskService, TaskService]]:
    async with open_shared(redis_url, 300) as one, open_shared(redis_url, 300) as another:
        yield new_service(gateway, sqlite, clock, one), new_service(gateway, sqlite, clock, another)


@pytest.mark.filterwarnings("ignore")
async def test_equal_tasks_share_one_call_and_one_answer_on_two_servers(
    servers: tuple[TaskService, TaskService], providers: FakeProviders, learner: User
) -> None:
    providers.scripts["*"] = says(POSITIVE, first_pause_seconds=0.3)

    first, second = await asyncio.gather(*(submit(server, learner) for server in servers))
    third = await submit(servers[1], learner)

    assert len(providers.calls) == 1
    assert {first.shared, second.shared} == {True, False}
    assert third.shared
    assert (second.task_id, second.output, second.at.tzinfo) == (first.task_id, first.output, first.at.tzinfo)
    assert (third.task_id, third.alternatives) == (first.task_id, first.alternatives)


@pytest.mark.filterwarnings("ignore")
async def test_an_answer_that_cannot_be_shared_is_not_lost(
    servers: tuple[TaskService, TaskService], providers: FakeProviders, learner: User
) -> None:
    deep = '{"name": ' + '{"a":' * 400 + "1" + "}" * 400 + "}"
    providers.scripts["*"] = says(deep)

    result = await submit(servers[0], learner, type="extract", fields=("name",))

    assert result.output.keys() == {"name"}
    assert len(providers.calls) == 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("how", "calls"), [("fails", 3), ("is stopped", 2)])  # what has no form is asked for twice
async def test_where_the_call_of_one_server_fails_or_is_stopped_the_other_asks(
    servers: tuple[TaskService, TaskService], providers: FakeProviders, learner: User, how: str, calls: int
) -> None:
    providers.queues["*"] = deque([says("no", first_pause_seconds=0.5)] * 2 if how == "fails" else [])
    providers.scripts["*"] = says(POSITIVE, first_pause_seconds=0.5)
    running = asyncio.create_task(submit(servers[0], learner))
    while not providers.calls:
        await asyncio.sleep(0.01)
    waiting = asyncio.create_task(submit(servers[1], learner))
    await asyncio.sleep(0.2)
    calls_before = len(providers.calls)
    if how == "is stopped":
        running.cancel()

    with pytest.raises(ProviderFailed if how == "fails" else asyncio.CancelledError):
        await running
    result = await waiting

    assert (calls_before, len(providers.calls), result.shared) == (1, calls, False)


async def test_who_is_urgent_goes_first(service: TaskService, providers: FakeProviders, learner: User) -> None:
    providers.scripts["*"] = says(POSITIVE, first_pause_seconds=1)
    running = [asyncio.create_task(submit(service, learner, f"running {n}")) for n in range(EACH_AT_ONCE)]
    while len(providers.calls) < EACH_AT_ONCE:
        await asyncio.sleep(0.01)

    later = [
        asyncio.create_task(submit(service, learner, f"{priority} {n}", priority=priority))
        for priority in ("low", "normal", "high")
        for n in range(EACH_AT_ONCE // 2)
    ]
    await asyncio.gather(*running, *later)

    order = [str(call["body"]) for call in providers.calls[EACH_AT_ONCE:]]
    first_half = order[:EACH_AT_ONCE]
    assert sum("high" in body for body in first_half) == EACH_AT_ONCE // 2
    assert sum("low" in body for body in first_half) == 0


async def test_who_shares_a_call_waits_no_longer_than_they_want_to(
    service: TaskService, providers: FakeProviders, learner: User
) -> None:
    providers.scripts["*"] = says(POSITIVE, first_pause_seconds=3)
    patient = asyncio.create_task(submit(service, learner, timeout_seconds=30))
    while not providers.calls:
        await asyncio.sleep(0.01)

    with pytest.raises(ProviderFailed, match="longer than its 1 s"):
        await submit(service, learner, timeout_seconds=1)

    assert (await patient).output["sentiment"] == "positive"
    assert len(providers.calls) == 1


async def test_who_shares_a_call_that_was_too_slow_goes_on_with_the_time_they_have_left(
    service: TaskService, providers: FakeProviders, learner: User
) -> None:
    providers.scripts["*"] = says(POSITIVE, first_pause_seconds=4)
    hasty = asyncio.create_task(submit(service, learner, timeout_seconds=1.5, preferred_provider="openai"))
    while not providers.calls:
        await asyncio.sleep(0.01)
    patient = [
        asyncio.create_task(submit(service, learner, timeout_seconds=30, preferred_provider="openai")) for _ in range(2)
    ]
    just_as_hasty = asyncio.create_task(submit(service, learner, timeout_seconds=1.5, preferred_provider="openai"))
    await asyncio.sleep(0.2)
    asked = len(providers.calls)
    providers.scripts["*"] = says(POSITIVE)

    for one in (hasty, just_as_hasty):
        with pytest.raises(ProviderFailed, match=r"longer than its 1\.5 s|took too long"):
            await one
    first, second = await asyncio.gather(*patient)

    assert asked == 1
    assert first.output["sentiment"] == second.output["sentiment"] == "positive"
    assert len(providers.calls) == 2
    assert first.task_id == second.task_id


async def test_a_task_that_is_refused_or_stopped_leaves_its_trail_too(
    service: TaskService, providers: FakeProviders, learner: User, sqlite: Database
) -> None:
    providers.scripts["*"] = says(POSITIVE, first_pause_seconds=5)
    with pytest.raises(InvalidInput):
        await submit(service, learner, "")
    running = asyncio.create_task(submit(service, learner))
    while not providers.calls:
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    trail = [entry for entry in await audit.newest(sqlite) if entry.action == "task.submit"]
    assert {entry.detail["status"] for entry in trail} == {"failed", "stopped"}


async def test_a_task_that_failed_says_in_its_trail_what_it_cost(
    service: TaskService, providers: FakeProviders, learner: User, sqlite: Database
) -> None:
    providers.scripts["*"] = says("I would say it is positive.")

    with pytest.raises(ProviderFailed) as failure:
        await submit(service, learner)

    [entry] = [entry for entry in await audit.newest(sqlite) if entry.action == "task.submit"]
    assert entry.detail["costMicrousd"] == failure.value.cost_microusd == 2 * (100 * 0.1 + 20 * 0.5)


async def test_every_task_leaves_a_trail_without_its_content(
    service: TaskService, providers: FakeProviders, learner: User, sqlite: Database, clock: Clock
) -> None:
    providers.scripts["*"] = says(POSITIVE)

    await submit(service, learner, "a private matter")
    clock.move(seconds=1)
    await submit(service, learner, "a private matter")

    trail = [entry for entry in await audit.newest(sqlite) if entry.action == "task.submit"]
    assert [(entry.action, entry.subject, entry.detail["shared"]) for entry in trail] == [
        ("task.submit", "sentiment_analysis", True),
        ("task.submit", "sentiment_analysis", False),
    ]
    assert "private" not in str(trail)


@pytest.mark.parametrize(("finish", "asked"), [("length", 2), ("content_filter", 2), ("stop", 1)])
async def test_an_answer_that_was_cut_short_says_so_and_is_not_kept(
    service: TaskService, providers: FakeProviders, learner: User, finish: Any, asked: int
) -> None:
    providers.scripts["*"] = says("Half an answ", finish=finish)

    first = await submit(service, learner, type="generate")
    await submit(service, learner, type="generate")

    assert (first.finish, first.output) == (finish, "Half an answ")
    assert len(providers.calls) == asked


async def test_an_empty_answer_is_none(service: TaskService, providers: FakeProviders, learner: User) -> None:
    providers.queues["*"] = deque([says(" ")])
    providers.scripts["*"] = says("Hello.")

    result = await submit(service, learner, type="generate")

    assert result.output == "Hello."
    assert len(providers.calls) == 2


async def test_an_answer_of_any_depth_is_only_another_form(
    service: TaskService, providers: FakeProviders, learner: User
) -> None:
    providers.scripts["*"] = says('{"a":' * 5000 + "1" + "}" * 5000)

    with pytest.raises(ProviderFailed, match="form that this task needs"):
        await submit(service, learner)


async def test_a_result_that_was_paid_is_given_though_its_trail_cannot_be_written(
    service: TaskService, providers: FakeProviders, learner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise StorageFailed("The disk is full.")

    providers.scripts["*"] = says(POSITIVE)
    monkeypatch.setattr(audit, "record", broken)

    assert (await submit(service, learner)).output["sentiment"] == "positive"


async def test_a_provider_that_hangs_gives_way_and_is_known_to_have_hung(
    service: TaskService, gateway: Gateway, providers: FakeProviders, learner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.models.call.FAIR_SECONDS", 1.0)
    slow = [model.name for model in gateway.catalog.models if model.provider == "openai"]
    providers.scripts |= dict.fromkeys(slow, says(POSITIVE, first_pause_seconds=30))
    providers.scripts["*"] = says(POSITIVE)

    result = await submit(
        service, learner, preferred_provider="openai", fallback_providers=("anthropic",), timeout_seconds=8.0
    )

    assert result.provider == "anthropic"
    assert gateway.breaker.circuits()["openai"].failures > 0


async def test_impatience_speaks_against_no_provider(
    service: TaskService, gateway: Gateway, providers: FakeProviders, learner: User, sqlite: Database
) -> None:
    providers.scripts["*"] = says(POSITIVE, first_pause_seconds=30)
    for number in range(6):
        with pytest.raises(ProviderFailed, match="took too long"):
            await submit(service, learner, f"n {number}", preferred_provider="openai", timeout_seconds=0.8)
    await gateway.log.flush()

    circuit = gateway.breaker.circuits().get("openai")
    stats = await call_log.stats(sqlite, since=datetime.now(UTC) - timedelta(days=1))
    logged = await call_log.newest(sqlite)
    assert circuit is None or (circuit.state, circuit.failures) == ("closed", 0)
    assert sum(one.failures for one in stats) == 0
    assert {row["status"] for row in logged} == {"stopped"}
    assert all(row["cost_microusd"] == row["held_microusd"] > 0 for row in logged)


async def test_what_has_no_time_left_is_not_asked(
    service: TaskService, providers: FakeProviders, learner: User
) -> None:
    providers.scripts["*"] = says("no", first_pause_seconds=1.1)

    with pytest.raises(ProviderFailed, match="took longer"):
        await submit(service, learner, timeout_seconds=1.5, preferred_provider="openai")

    assert len(providers.calls) == 1


async def test_what_has_waited_too_long_for_its_place_is_not_asked(
    service: TaskService, providers: FakeProviders, learner: User
) -> None:
    providers.scripts["*"] = says(POSITIVE, first_pause_seconds=1)
    running = [asyncio.create_task(submit(service, learner, f"running {n}")) for n in range(EACH_AT_ONCE)]
    while len(providers.calls) < EACH_AT_ONCE:
        await asyncio.sleep(0.01)

    with pytest.raises(RateLimited, match="Too many tasks run already"):
        await submit(service, learner, "late", timeout_seconds=1.2)
    await asyncio.gather(*running)

    assert len(providers.calls) == EACH_AT_ONCE


async def test_nobody_fills_the_queue_alone() -> None:
    gate = Gate()

    async def wait(user: str) -> None:
        async with gate.through("normal", user):
            await asyncio.sleep(60)

    tasks = [asyncio.create_task(wait("ada")) for _ in range(EACH_AT_ONCE + MOST_WAITING // 2)]
    tasks += [asyncio.create_task(wait("eve")) for _ in range(EACH_AT_ONCE + 1)]
    await asyncio.sleep(0)

    with pytest.raises(RateLimited):
        await wait("ada")
    for task in tasks[EACH_AT_ONCE : EACH_AT_ONCE + 2]:
        task.cancel()
    await asyncio.sleep(0)
    again = asyncio.create_task(wait("ada"))
    await asyncio.sleep(0)

    assert not again.done()
    for task in (*tasks, again):
        task.cancel()
    await asyncio.gather(*tasks, again, return_exceptions=True)
    assert gate._running.total() == 0


async def test_one_user_leaves_places_for_others(
    service: TaskService, providers: FakeProviders, learner: User, sqlite: Database, clock: Clock
) -> None:
    providers.scripts["*"] = says(POSITIVE, first_pause_seconds=3)
    other = await AccountService(database=sqlite, clock=clock, hasher=quick_hasher()).add("other", "correct horse")
    many = [asyncio.create_task(submit(service, learner, f"n {n}")) for n in range(2 * EACH_AT_ONCE)]
    while len(providers.calls) < EACH_AT_ONCE:
        await asyncio.sleep(0.01)

    quick = await submit(service, other, "now", type="generate", preferred_provider="null", timeout_seconds=1)
    with pytest.raises(RateLimited, match="Too many tasks run already"):
        await submit(service, learner, "one more", timeout_seconds=0.1)
    for one in many:
        one.cancel()
    await asyncio.gather(*many, return_exceptions=True)

    assert quick.output == "now"
    assert len(providers.calls) == EACH_AT_ONCE


async def test_the_fallbacks_are_asked_though_the_preferred_provider_has_many_models(
    service: TaskService, gateway: Gateway, providers: FakeProviders, learner: User
) -> None:
    broken = [model.name for model in gateway.catalog.models if model.provider == "openai"]
    providers.scripts |= dict.fromkeys(broken, Script(status=404))
    providers.scripts["*"] = says(POSITIVE)

    result = await submit(service, learner, preferred_provider="openai", fallback_providers=("anthropic",))

    assert len(broken) >= 4
    assert result.provider == "anthropic"


async def test_a_second_try_that_no_budget_has_room_for_tells_what_the_first_one_cost(
    service: TaskService, gateway: Gateway, providers: FakeProviders, purse: Purse, learner: User, sqlite: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    providers.scripts["*"] = says("no JSON at all")
    complete = gateway.complete

    async def the_last(request: CallRequest) -> Answered:
        answer = await complete(request)
        now = datetime.now(UTC)
        await purse.set_limit("user", learner.id, limit_microusd=0, active=True, actor=learner.id, now=now)
        return answer

    monkeypatch.setattr(gateway, "complete", the_last)

    with pytest.raises(BudgetSpent) as raised:
        await submit(service, learner)

    (entry,) = [entry for entry in await audit.newest(sqlite) if entry.action.startswith("task")]
    spent = await purse.spent_by(learner.id)
    assert len(providers.calls) == 1
    assert raised.value.cost_microusd == entry.detail["costMicrousd"] == spent > 0


async def test_a_mistake_of_ours_leaves_its_trail_too(
    service: TaskService, learner: User, sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(service, "_answered", broken)

    with pytest.raises(KeyError):
        await submit(service, learner)

    (entry,) = [entry for entry in await audit.newest(sqlite) if entry.action.startswith("task")]
    assert entry.detail["status"] == "failed"


async def test_what_a_shared_failure_cost_is_told_once(
    service: TaskService, providers: FakeProviders, purse: Purse, learner: User, sqlite: Database
) -> None:
    providers.scripts["*"] = says("no JSON at all", first_pause_seconds=0.2)

    failures = await asyncio.gather(*(submit(service, learner) for _ in range(5)), return_exceptions=True)

    told = [failure.cost_microusd for failure in failures if isinstance(failure, ProviderFailed)]
    audited = [entry.detail.get("costMicrousd", 0) for entry in await audit.newest(sqlite)]
    spent = await purse.spent_by(learner.id)
    assert len(told) == 5
    assert sum(told) == sum(audited) == spent > 0


async def test_alternatives_are_of_the_providers_that_were_asked_for(
    service: TaskService, providers: FakeProviders, learner: User
) -> None:
    providers.scripts["*"] = says(POSITIVE)

    result = await submit(service, learner, fallback_providers=("gemini", "deepseek"))

    assert result.alternatives
    assert {name.partition("/")[0] for name in result.alternatives} <= {"gemini", "deepseek"}


async def test_the_provider_for_tests_is_asked_alone(service: TaskService, learner: User) -> None:
    with pytest.raises(InvalidInput, match="is for tests, and asked alone"):
        await submit(service, learner, fallback_providers=("openai", "null"))
