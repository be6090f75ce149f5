"""The purse: the sum of calls can never pass a budget."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.util.concurrency import await_

from app.errors import BudgetExceeded, Conflict, InvalidInput, NotFound
from app.events import log as event_log
from app.identity.accounts import User
from app.models import audit, ledger
from app.models.budget import HOLD_LIFETIME, MICROUSD, Budget, Purse, intent_owner, limit_of, microusd
from app.models.log import prune
from app.storage.database import Database
from app.storage.tables.models import charges, holds
from tests.fakes.clock import Clock


@pytest.fixture
async def purse(database: Database) -> Purse:
    opened = Purse(database)
    await opened.open(["openai", "anthropic", "ollama"])
    return opened


async def test_a_clock_that_was_ahead_lets_nothing_go(purse: Purse, clock: Clock, ada: User) -> None:
    await _limit(purse, clock, ada, 20)
    await _reserve(purse, clock, ada, "call", 20)
    await purse.settle("call", cost_microusd=20 * MICROUSD, now=clock())

    await purse.sweep(clock() + timedelta(days=31))
    ahead = (await _openai(purse, clock)).spent_microusd
    await purse.sweep(clock())
    await purse.sweep(clock())

    assert (ahead, (await _openai(purse, clock)).spent_microusd) == (0, 20 * MICROUSD)
    with pytest.raises(BudgetExceeded, match=r"may cost up to \$1\.00: \$0 of \$20\.00 is left"):
        await _reserve(purse, clock, ada, "another", 1)


async def test_another_bill_of_the_same_id_is_told(purse: Purse, clock: Clock, ada: User) -> None:
    async def book(provider: str, dollars: float) -> ledger.Settled:
        cost = microusd(dollars)
        return await purse.record(
            "bill-1", provider=provider, user_id=ada.id, cost_microusd=cost, actor=ada.id, now=clock()
        )

    first, again = await book("openai", 1.5), await book("openai", 1.5)
    with pytest.raises(Conflict, match="something else is booked"):
        await book("anthropic", 2.5)

    assert (first.booked, again.booked) == (True, False)
    assert first.cost_microusd == again.cost_microusd == 1_500_000
    assert (microusd(1e-7), microusd(1.1), microusd(0)) == (1, 1_100_000, 0)


async def test_an_alert_that_is_true_no_more_is_not_told(purse: Purse, clock: Clock, ada: User) -> None:
    await purse.set_limit("user", ada.id, limit_microusd=limit_of(1), active=True, actor=ada.id, now=clock())
    await _reserve(purse, clock, ada, "old", 0.9)
    await purse.settle("old", cost_microusd=900_000, now=clock())
    clock.move(days=29)
    await _reserve(purse, clock, ada, "new", 0.05)
    await purse.settle("new", cost_microusd=50_000, now=clock())
    clock.move(days=2)

    assert await purse.tell(ada.id, is_admin=False, now=clock()) == []


async def _limit(purse: Purse, clock: Clock, ada: User, dollars: float) -> None:
    await purse.set_limit(
        "provider", "openai", limit_microusd=limit_of(dollars), active=True, actor=ada.id, now=clock()
    )


async def _openai(purse: Purse, clock: Clock) -> Budget:
    return (await purse.budgets(clock(), ids=["provider:openai"]))[0]


async def _reserve(purse: Purse, clock: Clock, ada: User, call: str, dollars: float, **more: Any) -> None:
    await purse.reserve(
        call, provider="openai", user_id=ada.id, amount_microusd=round(dollars * MICROUSD), now=clock(), **more
    )


async def test_two_hundred_calls_at_once_never_pass_a_budget_for_twenty(purse: Purse, clock: Clock, ada: User) -> None:
    await _limit(purse, clock, ada, 20)

    async def call(number: int) -> bool:
        try:
            await _reserve(purse, clock, ada, f"call-{number}", 1)
        except BudgetExceeded:
            return False
        await purse.settle(f"call-{number}", cost_microusd=MICROUSD, now=clock())
        return True

    went_out = await asyncio.gather(*(call(number) for number in range(200)))

    budget = await _openai(purse, clock)
    assert sum(went_out) == 20
    assert (budget.spent_microusd, budget.held_microusd) == (20 * MICROUSD, 0)


async def test_a_call_is_booked_once_at_its_real_cost(purse: Purse, clock: Clock, ada: User) -> None:
    await _reserve(purse, clock, ada, "call", 5)

    first = await purse.settle("call", cost_microusd=12, now=clock())
    second = await purse.settle("call", cost_microusd=12, now=clock())

    budget = await _openai(purse, clock)
    assert (first.booked, second.booked) == (True, False)
    assert (budget.spent_microusd, budget.held_microusd) == (12, 0)


async def test_a_call_may_be_as_dear_as_a_limit(purse: Purse, clock: Clock, ada: User) -> None:
    await _limit(purse, clock, ada, 1_000_000)
    await _reserve(purse, clock, ada, "dear", 900_000)

    settled = await purse.settle("dear", cost_microusd=800_000 * MICROUSD, now=clock())

    assert (settled.booked, (await _openai(purse, clock)).spent_microusd) == (True, 800_000 * MICROUSD)


async def test_a_released_hold_costs_nothing(purse: Purse, clock: Clock, ada: User) -> None:
    await _reserve(purse, clock, ada, "call", 5)

    await purse.release("call", now=clock())

    budget = await _openai(purse, clock)
    assert (budget.spent_microusd, budget.held_microusd) == (0, 0)


async def test_the_hold_of_a_dead_process_is_charged_in_full(purse: Purse, clock: Clock, ada: User) -> None:
    await _reserve(purse, clock, ada, "call", 5)
    clock.move(seconds=HOLD_LIFETIME.total_seconds())

    swept = await purse.sweep(clock())

    assert swept == 1
    assert (await _openai(purse, clock)).spent_microusd == 5 * MICROUSD


async def test_what_is_older_than_thirty_days_frees_room(purse: Purse, clock: Clock, ada: User) -> None:
    await _limit(purse, clock, ada, 5)
    await _reserve(purse, clock, ada, "old", 5)
    await purse.settle("old", cost_microusd=None, now=clock())
    clock.move(days=30, seconds=1)

    shown = (await _openai(purse, clock)).spent_microusd
    await _reserve(purse, clock, ada, "new", 5)

    assert shown == 0


async def test_the_users_own_cap_holds_as_well(purse: Purse, clock: Clock, ada: User, database: Database) -> None:
    await purse.set_limit("user", ada.id, limit_microusd=limit_of(1), active=True, actor=ada.id, now=clock())

    with pytest.raises(BudgetExceeded, match="Your budget"):
        await _reserve(purse, clock, ada, "call", 2)

    async with database.read() as connection:
        left = await connection.scalar(sa.select(sa.func.count()).select_from(holds))
    assert left == 0
    assert (await _openai(purse, clock)).held_microusd == 0


async def test_a_burst_is_used_only_when_asked_for(purse: Purse, clock: Clock, ada: User) -> None:
    await _limit(purse, clock, ada, 1)

    with pytest.raises(BudgetExceeded):
        await _reserve(purse, clock, ada, "call", 3)
    await _reserve(purse, clock, ada, "call", 3, allow_burst=True)

    burst = (await purse.budgets(clock(), ids=["burst:openai"]))[0]
    assert burst.held_microusd == 3 * MICROUSD


async def test_a_budget_of_zero_lets_only_free_calls_out(purse: Purse, clock: Clock, ada: User) -> None:
    await purse.reserve("free", provider="ollama", user_id=ada.id, amount_microusd=0, now=clock())

    with pytest.raises(BudgetExceeded):
        await purse.reserve("paid", provider="ollama", user_id=ada.id, amount_microusd=1, now=clock())


async def test_a_switched_off_provider_is_not_called(purse: Purse, clock: Clock, ada: User) -> None:
    await purse.set_limit("provider", "openai", limit_microusd=None, active=False, actor=ada.id, now=clock())

    with pytest.raises(BudgetExceeded):
        await _reserve(purse, clock, ada, "call", 0.01)


async def test_a_call_that_cannot_be_booked_keeps_back_no_other(
    purse: Purse, clock: Clock, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _reserve(purse, clock, ada, "broken", 5)
    await _reserve(purse, clock, ada, "call", 3)
    settle = purse.settle

    async def settled(call_id: str, **more: Any) -> ledger.Settled:
        if call_id == "broken":
            raise IntegrityError("INSERT INTO events", {}, Exception("FOREIGN KEY constraint failed"))
        return await settle(call_id, **more)

    monkeypatch.setattr(purse, "settle", settled)
    clock.move(seconds=HOLD_LIFETIME.total_seconds())

    await purse.sweep(clock())

    budget = await _openai(purse, clock)
    assert (budget.spent_microusd, budget.held_microusd) == (3 * MICROUSD, 5 * MICROUSD)


async def test_an_alert_of_a_clock_that_was_ahead_keeps_back_no_other(
    purse: Purse, clock: Clock, ada: User, database: Database
) -> None:
    await _limit(purse, clock, ada, 20)
    for days in (400, 0):
        now = clock() + timedelta(days=days)
        await purse.record(f"bill-{days}", provider="openai", user_id=ada.id, cost_microusd=19 * MICROUSD,
                           actor=ada.id, now=now)  # fmt: skip

    async with database.read() as connection:
        alerts = await event_log.newest(connection, types=("budget.warning", "budget.exceeded"))
    assert [alert.type for alert in alerts] == ["budget.exceeded", "budget.warning"]


async def test_each_alert_comes_once(purse: Purse, clock: Clock, ada: User, database: Database) -> None:
    await _limit(purse, clock, ada, 10)
    for number in range(10):
        await _reserve(purse, clock, ada, f"call-{number}", 1)
        await purse.settle(f"call-{number}", cost_microusd=None, now=clock())
    for number in range(3):
        with pytest.raises(BudgetExceeded):
            await _reserve(purse, clock, ada, f"late-{number}", 1)

    async with database.read() as connection:
        warnings = await event_log.newest(connection, type_prefix="budget.warning")
        exceeded = await event_log.newest(connection, type_prefix="budget.exceeded")

    assert (len(warnings), len(exceeded)) == (1, 1)


async def test_sums_equal_their_rows(purse: Purse, clock: Clock, ada: User, database: Database) -> None:
    for number in range(5):
        await _reserve(purse, clock, ada, f"call-{number}", 0.5)
        await purse.settle(f"call-{number}", cost_microusd=1000 + number, now=clock())

    async with database.read() as connection:
        booked = await connection.scalar(sa.select(sa.func.sum(charges.c.amount_microusd)))

    assert booked == (await _openai(purse, clock)).spent_microusd == 5010


async def test_an_unknown_provider_has_no_budget(purse: Purse, clock: Clock, ada: User) -> None:
    with pytest.raises(NotFound):
        await purse.set_limit("provider", "nobody", limit_microusd=1, active=True, actor=ada.id, now=clock())


@pytest.mark.parametrize("amount", [-1.0, float("nan"), float("inf"), 1e9])
def test_what_is_no_amount_is_refused(amount: float) -> None:
    with pytest.raises(InvalidInput):
        limit_of(amount)


async def test_an_intents_cap_holds_beside_the_others(purse: Purse, clock: Clock, ada: User) -> None:
    owner = intent_owner(ada.id, "general.chat")
    await purse.set_limit("intent", owner, limit_microusd=limit_of(1), active=True, actor=ada.id, now=clock())

    with pytest.raises(BudgetExceeded, match=r"Your budget for general\.chat"):
        await _reserve(purse, clock, ada, "chat", 2, intent="general.chat")
    await _reserve(purse, clock, ada, "other", 2, intent="learn.review-topic")

    assert (await _openai(purse, clock)).held_microusd == 2 * MICROUSD


async def test_an_alert_does_not_come_again_while_the_window_rolls(
    purse: Purse, clock: Clock, ada: User, database: Database
) -> None:
    await _limit(purse, clock, ada, 10)
    for number in range(40):
        await _reserve(purse, clock, ada, f"call-{number}", 0.31)
        await purse.settle(f"call-{number}", cost_microusd=None, now=clock())
        clock.move(seconds=24 * 3600)

    async with database.read() as connection:
        warnings = await event_log.newest(connection, type_prefix="budget.warning")

    assert len(warnings) == 1


async def test_what_was_spent_elsewhere_is_booked_once(purse: Purse, clock: Clock, ada: User) -> None:
    for _ in range(2):
        await purse.record("bill-1", provider="openai", user_id=ada.id, cost_microusd=5, actor=ada.id, now=clock())

    assert (await _openai(purse, clock)).spent_microusd == 5
    with pytest.raises(NotFound):
        await purse.record("bill-2", provider="nobody", user_id=ada.id, cost_microusd=5, actor=ada.id, now=clock())


async def test_opposite_orders_never_deadlock(purse: Purse, clock: Clock, ada: User, eve: User) -> None:
    for user in (ada, eve):
        await purse.set_limit("user", user.id, limit_microusd=limit_of(100), active=True, actor=ada.id, now=clock())

    async def spend(number: int) -> None:
        user = (ada, eve)[number % 2]
        await purse.reserve(f"c{number}", provider=("openai", "anthropic")[number % 2], user_id=user.id,
                            amount_microusd=10, now=clock(), allow_burst=number % 3 == 0)  # fmt: skip
        await (purse.settle(f"c{number}", cost_microusd=7, now=clock()) if number % 5 else purse.release(f"c{number}", now=clock()))  # fmt: skip

    await asyncio.wait_for(asyncio.gather(*(spend(number) for number in range(120))), 30)

    assert all(budget.held_microusd == 0 for budget in await purse.budgets(clock()))
    assert sum(b.spent_microusd for b in await purse.budgets(clock()) if b.kind == "user") == 96 * 7


async def test_a_new_cap_counts_what_was_spent_before_it(purse: Purse, clock: Clock, ada: User) -> None:
    await _reserve(purse, clock, ada, "old", 1)
    await purse.settle("old", cost_microusd=None, now=clock())
    clock.move(days=31)
    await _reserve(purse, clock, ada, "lately", 3, intent="general.chat")
    await purse.settle("lately", cost_microusd=None, now=clock())
    await _reserve(purse, clock, ada, "running", 4)

    cap = await purse.set_limit("user", ada.id, limit_microusd=limit_of(8), active=True, actor=ada.id, now=clock())
    of_chat = await purse.set_limit(
        "intent", intent_owner(ada.id, "general.chat"), limit_microusd=limit_of(8), active=True, actor=ada.id,
        now=clock(),
    )  # fmt: skip
    with pytest.raises(BudgetExceeded):
        await _reserve(purse, clock, ada, "too much", 2)
    await purse.settle("running", cost_microusd=MICROUSD, now=clock())

    after = (await purse.budgets(clock(), ids=[cap.id]))[0]
    assert (cap.spent_microusd, cap.held_microusd) == (3 * MICROUSD, 4 * MICROUSD)
    assert (of_chat.spent_microusd, of_chat.held_microusd) == (3 * MICROUSD, 0)
    assert (after.spent_microusd, after.held_microusd) == (4 * MICROUSD, 0)


@pytest.mark.xdist_group("postgres")
@pytest.mark.parametrize("database", ["postgres"], indirect=True)  # SQLite writes one transaction at a time
@pytest.mark.parametrize("step", ["reserve", "settle"])
async def test_a_cap_that_is_set_while_a_call_is_held_or_booked_misses_nothing(
    purse: Purse, clock: Clock, ada: User, database: Database, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The call's transaction is stopped in the middle, in another process as it were, while the cap is set."""
    await _limit(purse, clock, ada, 10)
    reached, go_on = asyncio.Event(), asyncio.Event()
    name = "write_holds" if step == "reserve" else "book"
    original = getattr(ledger, name)

    def paused(*arguments: object, **more: object) -> object:
        reached.set()
        await_(go_on.wait())
        return original(*arguments, **more)

    if step == "settle":
        await _reserve(purse, clock, ada, "a", 4)
    monkeypatch.setattr(ledger, name, paused)
    holding = _reserve(purse, clock, ada, "a", 4) if step == "reserve" else None
    call = asyncio.ensure_future(holding or purse.settle("a", cost_microusd=3_000_000, now=clock()))
    await reached.wait()
    cap = asyncio.create_task(
        purse.set_limit("user", ada.id, limit_microusd=limit_of(8), active=True, actor=ada.id, now=clock())
    )
    await asyncio.wait({cap}, timeout=0.5)
    go_on.set()
    await asyncio.gather(call, cap)

    budget = (await purse.budgets(clock(), ids=[f"user:{ada.id}"]))[0]
    held_and_spent = (4_000_000, 0) if step == "reserve" else (0, 3_000_000)
    assert (budget.held_microusd, budget.spent_microusd) == held_and_spent
    await purse.sweep(clock() + timedelta(hours=1))
    charged = 4_000_000 if step == "reserve" else 3_000_000
    assert (await purse.budgets(clock(), ids=[f"user:{ada.id}"]))[0].spent_microusd == charged
    assert await purse.spent_by(ada.id) == charged


async def test_a_cap_that_was_lifted_and_set_again_has_missed_nothing(purse: Purse, clock: Clock, ada: User) -> None:
    for active in (True, False):
        await purse.set_limit("user", ada.id, limit_microusd=limit_of(8), active=active, actor=ada.id, now=clock())
        await _reserve(purse, clock, ada, f"call-{active}", 2)
        await purse.settle(f"call-{active}", cost_microusd=None, now=clock())

    cap = await purse.set_limit("user", ada.id, limit_microusd=None, active=True, actor=ada.id, now=clock())

    assert cap.spent_microusd == 4 * MICROUSD


async def test_what_an_administrator_allows_holds_beside_ones_own_cap(
    purse: Purse, clock: Clock, ada: User, eve: User
) -> None:
    await purse.set_limit("allowance", eve.id, limit_microusd=limit_of(1), active=True, actor=ada.id, now=clock())
    await purse.set_limit("user", eve.id, limit_microusd=limit_of(100), active=True, actor=eve.id, now=clock())
    await purse.set_limit("user", eve.id, limit_microusd=None, active=False, actor=eve.id, now=clock())

    with pytest.raises(BudgetExceeded, match="an administrator set for you"):
        await _reserve(purse, clock, eve, "call", 2)


async def test_equal_bills_at_once_are_booked_once(purse: Purse, clock: Clock, ada: User) -> None:
    booked = await asyncio.gather(
        *(
            purse.record("bill", provider="openai", user_id=ada.id, cost_microusd=5, actor=ada.id, now=clock())
            for _ in range(8)
        )
    )

    days = await purse.history(ada.id, since=clock() - timedelta(days=1))
    assert [(day.provider, day.calls, day.spent_microusd) for day in days] == [("openai", 1, 5)]
    assert days[0].day == clock().date().isoformat()
    assert await purse.history("somebody", since=clock() - timedelta(days=1)) == []
    assert sum(settled.booked for settled in booked) == 1
    assert (await _openai(purse, clock)).spent_microusd == 5
    assert await purse.spent_by(ada.id) == 5


async def _alerts(purse: Purse, clock: Clock, user: User) -> list[tuple[str, str]]:
    told = await purse.tell(user.id, is_admin=user.is_admin, now=clock())
    return [(alert.kind, alert.budget_id) for alert in told]


async def test_old_charges_are_no_reason_for_a_warning(purse: Purse, clock: Clock, ada: User) -> None:
    await _limit(purse, clock, ada, 10)
    await _reserve(purse, clock, ada, "old", 8.8)
    await purse.settle("old", cost_microusd=None, now=clock())
    clock.move(days=40)
    await _reserve(purse, clock, ada, "new", 0.4)

    await purse.settle("new", cost_microusd=None, now=clock())

    assert await _alerts(purse, clock, ada) == []
    assert (await _openai(purse, clock)).spent_microusd == 400_000


async def test_a_limit_set_again_tells_nothing_again_and_a_lower_one_does(
    purse: Purse, clock: Clock, ada: User
) -> None:
    await _limit(purse, clock, ada, 10)
    await purse.record("bill", provider="openai", user_id=ada.id, cost_microusd=9 * MICROUSD, actor=ada.id, now=clock())
    told = [await _alerts(purse, clock, ada)]
    for dollars in (10, 10, 8, 100):
        clock.move(seconds=1)
        await _limit(purse, clock, ada, dollars)
        told.append(await _alerts(purse, clock, ada))
    await purse.set_limit("user", ada.id, limit_microusd=limit_of(5), active=True, actor=ada.id, now=clock())
    told.append(await _alerts(purse, clock, ada))

    assert told == [
        [("warning", "provider:openai")], [], [], [("exceeded", "provider:openai")], [],
        [("exceeded", f"user:{ada.id}")],
    ]  # fmt: skip


async def test_a_call_too_dear_is_not_the_end_of_a_budget(purse: Purse, clock: Clock, ada: User) -> None:
    await _limit(purse, clock, ada, 1)

    with pytest.raises(BudgetExceeded):
        await _reserve(purse, clock, ada, "call", 2)

    assert await _alerts(purse, clock, ada) == []


async def test_each_alert_is_told_once_to_whom_it_concerns(purse: Purse, clock: Clock, ada: User, eve: User) -> None:
    await _limit(purse, clock, ada, 10)
    await purse.set_limit("user", eve.id, limit_microusd=limit_of(9), active=True, actor=eve.id, now=clock())
    await _reserve(purse, clock, eve, "near", 9)
    await purse.settle("near", cost_microusd=None, now=clock())

    first = [await _alerts(purse, clock, user) for user in (ada, eve)]
    again = [await _alerts(purse, clock, user) for user in (ada, eve)]
    await purse.record("rest", provider="openai", user_id=ada.id, cost_microusd=MICROUSD, actor=ada.id, now=clock())
    at_its_end = [await _alerts(purse, clock, user) for user in (ada, eve)]

    assert first == [[("warning", "provider:openai")], [("exceeded", f"user:{eve.id}")]]
    assert again == [[], []]
    assert at_its_end == [[("exceeded", "provider:openai")], []]


async def test_an_alert_that_two_chats_look_for_at_once_is_told_once(purse: Purse, clock: Clock, ada: User) -> None:
    await purse.record("one", provider="openai", user_id=ada.id, cost_microusd=950_000, actor=ada.id, now=clock())
    await purse.set_limit("user", ada.id, limit_microusd=MICROUSD, active=True, actor=ada.id, now=clock())

    told = await asyncio.gather(*(purse.tell(ada.id, is_admin=False, now=clock()) for _ in range(8)))

    assert sorted(map(len, told)) == [0, 0, 0, 0, 0, 0, 0, 1]


async def test_a_call_that_was_swept_says_what_it_was_charged(purse: Purse, clock: Clock, ada: User) -> None:
    await purse.reserve("one", provider="openai", user_id=ada.id, amount_microusd=700, now=clock())
    clock.move(hours=1)
    await purse.sweep(clock())

    settled = await purse.settle("one", cost_microusd=5, now=clock())

    released = await purse.release("one", now=clock())

    assert (settled.booked, settled.cost_microusd) == (False, 700)
    assert (released.booked, released.cost_microusd) == (False, 700)


async def test_what_was_spent_long_ago_rolls_off_after_a_long_standstill_too(
    purse: Purse, clock: Clock, ada: User, database: Database
) -> None:
    await _reserve(purse, clock, ada, "old", 5)
    await purse.settle("old", cost_microusd=None, now=clock())
    clock.move(days=402)

    await prune(database, clock())
    await purse.sweep(clock())

    assert (await _openai(purse, clock)).spent_microusd == 0


async def test_a_clock_that_was_far_ahead_gives_no_budget_back(
    purse: Purse, clock: Clock, ada: User, database: Database
) -> None:
    await _reserve(purse, clock, ada, "new", 5)
    await purse.settle("new", cost_microusd=None, now=clock())
    ahead = clock() + timedelta(days=401)

    await purse.sweep(ahead)
    await prune(database, ahead)
    await purse.sweep(clock())

    assert (await _openai(purse, clock)).spent_microusd == 5 * MICROUSD


async def test_a_cap_that_was_lifted_raises_no_alert(purse: Purse, clock: Clock, ada: User) -> None:
    for kind in ("user", "allowance"):
        await purse.set_limit(kind, ada.id, limit_microusd=limit_of(1), active=False, actor=ada.id, now=clock())  # type: ignore[arg-type]
    await _reserve(purse, clock, ada, "call", 5)
    await purse.settle("call", cost_microusd=None, now=clock())
    await purse.record("bill", provider="openai", user_id=ada.id, cost_microusd=MICROUSD, actor=ada.id, now=clock())

    assert await _alerts(purse, clock, ada) == []


async def test_a_provider_that_is_switched_off_is_not_paid_from_its_burst(
    purse: Purse, clock: Clock, ada: User
) -> None:
    await purse.set_limit("provider", "openai", limit_microusd=None, active=False, actor=ada.id, now=clock())

    with pytest.raises(BudgetExceeded, match=r"^The budget for openai is switched off\. See /budget\.$"):
        await _reserve(purse, clock, ada, "call", 1, allow_burst=True)

    assert all(budget.held_microusd == 0 for budget in await purse.budgets(clock()))


async def test_what_is_said_of_a_budget_without_room_is_true(purse: Purse, clock: Clock, ada: User) -> None:
    async def refused(dollars: float, **more: Any) -> str:
        with pytest.raises(BudgetExceeded) as raised:
            await _reserve(purse, clock, ada, "call", dollars, **more)
        return str(raised.value.user_message)

    await _limit(purse, clock, ada, 0)
    none = await refused(1)
    await _limit(purse, clock, ada, 2)
    await purse.record("bill", provider="openai", user_id=ada.id, cost_microusd=MICROUSD, actor=ada.id, now=clock())
    later, never = await refused(1.5, model="gpt-5"), await refused(3)
    await purse.set_limit("burst", "openai", limit_microusd=None, active=False, actor=ada.id, now=clock())
    burst = await refused(3, allow_burst=True)

    assert none.endswith("$0 of $0 is left. See /budget.")
    assert "for a call of openai/gpt-5, which may cost up to $1.50: $1.00 of $2.00 is left" in later
    assert later.endswith("it frees up as the last 30 days roll on.")
    assert never.endswith("$1.00 of $2.00 is left. See /budget.")
    assert burst == "The burst budget for openai is switched off. See /budget."


async def test_one_bill_with_several_providers_at_once_is_booked_with_one(
    purse: Purse, clock: Clock, ada: User
) -> None:
    async def book(provider: str, bill: int) -> str:
        try:
            settled = await purse.record(
                f"bill-{bill}", provider=provider, user_id=ada.id, cost_microusd=1, actor=ada.id, now=clock()
            )
        except Conflict:
            return "conflict"
        return "booked" if settled.booked else "known"

    providers = ("openai", "anthropic", "ollama")
    told = await asyncio.gather(*(book(provider, bill) for bill in range(8) for provider in providers))

    assert sorted(told) == ["booked"] * 8 + ["conflict"] * 16
    assert sum(budget.spent_microusd for budget in await purse.budgets(clock()) if budget.kind == "provider") == 8


async def test_a_limit_that_does_not_change_leaves_no_trace_and_one_that_does_all_of_it(
    purse: Purse, clock: Clock, ada: User, database: Database
) -> None:
    for limit, active in ((None, None), (limit_of(20), True), (limit_of(7), None)):
        await purse.set_limit("provider", "openai", limit_microusd=limit, active=active, actor=ada.id, now=clock())

    rows = await audit.newest(database)

    assert [row.detail for row in rows if row.action == "budget.change"] == [
        {"before": {"limitMicrousd": 20 * MICROUSD, "active": True},
         "after": {"limitMicrousd": 7 * MICROUSD, "active": True}}
    ]  # fmt: skip
