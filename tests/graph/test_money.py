"""Only a plain order with one amount of dollars sets a limit; questions, stories and guesses change nothing."""

import pytest

from app.bootstrap import Services
from app.errors import InvalidInput, NotAllowed, NotFound
from app.identity.accounts import User
from app.models.budget import MICROUSD, budget_id
from app.models.limits import CAPPED_INTENTS
from app.models.room import closed
from app.models.tasks import KIND_OF
from graph.intents.money import is_order, wish_of
from graph.reply import Reply
from tests.graph.test_conversation import say


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("cap my spending at 5 dollars a month", {"amount_usd": 5.0}),
        ("Please cap my spending at $5/mo", {"amount_usd": 5.0}),
        ("can you cap my spending at 5 bucks?", {"amount_usd": 5.0}),
        ("set my budget to 1,000 dollars", {"amount_usd": 1000.0}),
        ("set my cap to $1,234.50", {"amount_usd": 1234.5}),
        ("cap my spending at 5,50 dollars", {"amount_usd": 5.5}),
        ("cap my spending at $1k", {"amount_usd": 1000.0}),
        ("cap my spending at $5 k", {"amount_usd": 5000.0}),
        ("cap my spending at 0,500 dollars", {"amount_usd": 0.5}),
        ("cap my chats at 2 dollars", {"amount_usd": 2.0, "capped_intent": "general.chat"}),
        ("Cap my spending at $5. My 2 friends use it too.", {"amount_usd": 5.0}),
        ("cap my spending at 5 dollars, but please do it now", {"amount_usd": 5.0}),
        ("turn my cap off", {"lifts": True}),
        ("disable my spending cap", {"lifts": True}),
        ("set my cap to off", {"lifts": True}),
        ("I don't want a spending cap anymore", {"lifts": True}),
        ("cap my spending at a thousand dollars", {"amount_usd": 1000.0}),
        ("set my cap at twenty five dollars", {"amount_usd": 25.0}),
        ("limit my spending to 50 cents", {"amount_usd": 0.5}),
        ("set my budget to 20 dollars for 30 days", {"amount_usd": 20.0}),
        ("raise my cap from $5 to $20", {"amount_usd": 20.0}),
        ("I am broke. Cap my spending at $5.", {"amount_usd": 5.0}),
        ("never let me spend more than 5 dollars", {"amount_usd": 5.0}),
        ("I don't want to spend more than $5", {"amount_usd": 5.0}),
        ("my budget is 5 dollars", {"amount_usd": 5.0}),
        ("set my budget to 10", {"amount_usd": 10.0}),
        ("limit training to 2 dollars", {"amount_usd": 2.0, "capped_intent": "learn.review-topic"}),
        ("spend at most 3 dollars on chat", {"amount_usd": 3.0, "capped_intent": "general.chat"}),
        ("set the anthropic budget to $12.50", {"amount_usd": 12.5, "provider": "anthropic"}),
        ("set burst budget for openai to 2 dollars", {"amount_usd": 2.0, "provider": "openai", "is_burst": True}),
        *(
            (text, {"amount_usd": 5.0})
            for text in (
                "my monthly budget is 5 dollars. Thanks a lot!",
                "Budget: $5. Cheers!",
                "Hi there. My budget is 5 dollars.",
                "Only spend 5 dollars. Not more!",
                "Spend at most $5. Can you do that?",
                "My budget is 5 dollars. Set it.",
                "Can we cap my spending at 5 dollars?",
                "cap at 5 dollars. And explain recursion",
            )
        ),
        ("don't let me spend more than $10. And explain recursion", {"amount_usd": 10.0}),
        ("set a budget of $5 for anna", {"amount_usd": 5.0, "provider": "anna"}),
        ("remove my $5 cap", {"lifts": True}),
        ("no limit on my spending", {"lifts": True}),
        ("remove the chat cap", {"lifts": True, "capped_intent": "general.chat"}),
        ("cap my spending at two hundred and fifty dollars", {"amount_usd": 250.0}),
        ("Claude is expensive. Cap my spending at 5 dollars.", {"amount_usd": 5.0}),
        ("cap my chat with gpt at 2 dollars", {"amount_usd": 2.0, "capped_intent": "general.chat"}),
        ("set anna's budget to 7 dollars", {"amount_usd": 7.0, "provider": "anna"}),
        ("reset my 30-day budget to 9 dollars", {"amount_usd": 9.0}),
        ("my budget is spent. raise it to 10 dollars", {"amount_usd": 10.0}),
        ("I want a budget of 7 dollars", {"amount_usd": 7.0}),
        ("put a cap of 5 dollars on my spending", {"amount_usd": 5.0}),
        ("set budget 5", {"amount_usd": 5.0}),
        ("increase my budget to $10 please", {"amount_usd": 10.0}),
        ("set a ten dollar cap", {"amount_usd": 10.0}),
        ("set a two hundred dollar budget", {"amount_usd": 200.0}),
        ("cap my spending at twelve hundred dollars", {"amount_usd": 1200.0}),
        ("set a five-dollar cap", {"amount_usd": 5.0}),
        ("cap my spending at a dollar", {"amount_usd": 1.0}),
        ("set my budget to a thousand five hundred dollars", {"amount_usd": 1500.0}),
        ("cap my spending at 50¢", {"amount_usd": 0.5}),
        ("cap my spending at US$5", {"amount_usd": 5.0}),
        ("remove my cap please", {"lifts": True}),
        ("cap my spending at .5 dollars", {"amount_usd": 0.5}),
        ("cap the chat at 2 dollars", {"amount_usd": 2.0, "capped_intent": "general.chat"}),
        ("set the budget for the lessons to 2 dollars", {"amount_usd": 2.0, "capped_intent": "learn.review-topic"}),
        ("raise the cap to 20", {"amount_usd": 20.0}),
        ("lift the cap", {"lifts": True}),
        ("Got it. Set my budget to 5 dollars.", {"amount_usd": 5.0}),
        ("Thanks for the help. Set my budget to 5 dollars.", {"amount_usd": 5.0}),
        ("I have 2 exams at 9. Set my budget to 5 dollars.", {"amount_usd": 5.0}),
        ("Set my budget to 5 dollars. I actually mean it.", {"amount_usd": 5.0}),
        ("from now on only spend 5 dollars", {"amount_usd": 5.0}),
        ("lift the budget for lessons", {"lifts": True, "capped_intent": "learn.review-topic"}),
    ],
)
def test_an_order_is_followed_as_it_was_meant(text: str, wish: dict[str, object]) -> None:
    assert wish_of(text) == wish


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("I don't want to spend more than $10 per month", True),
        ("remove the cap on lessons", True),
        ("no limits", False),
        ("set my budget to 10", False),  # the classifier decides
        ("what is a budget of $5 good for?", False),
    ],
)
def test_what_is_an_order_of_money_beyond_doubt(text: str, order: bool) -> None:
    assert is_order(text) is order


@pytest.mark.parametrize(
    "text",
    [
        "how much of my $5 budget is left?",
        "why does my budget tracker show $0 instead of $20",
        "if the total cost is above $100 apply a discount",
        "how much did I spend on openai, more than 10 dollars?",
        "don't cap my spending at 5 dollars",
        "put 5 dollars in the variable price",
        "what would it cost to cap my spending at 5 dollars?",
        "set my budget to 5 dollars. " * 20,
        "my budget is not 5 dollars",
        "the limit of 5 dollars is wrong",
        "my budget is at 90 percent",
        "set an alert when my spending reaches 3 dollars",
        "limit the output to 12 lines",
        "give me the budget for 2026",
        "lift the rate limit",
        "remove duplicates with a limit",
        "My budget is 1000 dollars. Which laptop should I buy?",
        "Can I spend up to 20 dollars?",
        "Can I only spend 7 dollars?",
        "Could I spend only $4 here?",
        "Will you limit my spending to 3 dollars?",
        "Can I raise my limit to 50 dollars?",
        "May I set the budget for anthropic to 60 dollars?",
        "My monthly budget is 2000 dollars. Write a function that splits it into rent and food.",
        "The budget is 300 dollars. Solve this knapsack problem in Python.",
        "Spend at most 100 dollars. That is the constraint of my integer program; solve it",
        "Unlimited budget. How would you design a chat system",
        "No limits. Tell me everything about recursion",
        "Budget: 2000 dollars. Write a function that splits it into rent and food.",
        "Limit: 300 dollars. Solve this knapsack problem in Python.",
        "Cap of 100 dollars. How would you code it",
        "Budget is 300 dollars. Solve the knapsack.",
        "limit = 1000",
        "no cap",
        "no limits",
        "",
    ],
)
def test_a_question_or_a_story_orders_nothing(text: str) -> None:
    assert wish_of(text) == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cap my spending at 5 euros", "US dollars"),
        ("turn off my spending", "may mean that nothing shall be spent"),
        ("cancel my chat spending", "may mean that nothing shall be spent"),
        ("set openai budget to 5 dollars, no burst", "which of the provider's budgets"),
        ("remove my cap for this chat", "not for one conversation"),
        ("remove my cap for two months", "until it is set again"),
        ("remove all my caps", "one at a time"),
        ("remove my cap on chat and lessons", "more than one kind of use"),
        ("cap my spending on lessons and chat at 2 dollars", "more than one kind of use"),
        ("cap my spending on everything but chat at 2 dollars", "leaves nothing out"),
        ("remove the cap on everything but lessons", "leaves nothing out"),
        ("cap my spending at $5 per chat", "30 rolling days"),
        ("cap my spending at 5 dollars. make that 6", "more than one amount"),
        ("budget = 1000", "a line of a program"),
        ("budget: 1000", "a line of a program"),
        ("budget : 1000", "a line of a program"),
        ("budget == 1000", "a line of a program"),
        ("budget += 1000", "a line of a program"),
        ("BUDGET := 1000", "a line of a program"),
        ("set budget = 1000", "a line of a program"),
        ("spending = 1000", "a line of a program"),
        ("cap = 5", "a line of a program"),
        ("cap me at €5", "US dollars"),
        ("cap my spending at $5 per week", "30 rolling days"),
        ("limit my spending to 5 dollars a day", "30 rolling days"),
        ("raise my budget by 1 dollar", "not by how much"),
        ("raise my limit 5 dollars", "not by how much"),
        ("add 5 dollars to the openai budget", "not by how much"),
        ("put 5 dollars on my budget", "not by how much"),
        ("cap everybody at 5 dollars", "what 'everybody' means"),
        ("cap my tasks at 2 dollars", "what 'tasks' means"),
        ("cap my spending at 5 dollars until friday", "what 'until' means"),
        ("make a budget app with a limit of 5 dollars", "what 'app' means"),
        ("cap this chat at 5 dollars", "not for one conversation"),
        ("set my budget to 5 or 10 dollars", "more than one amount"),
        ("cap my spending at -5 dollars", "less than nothing"),
        ("set my budget to 1.000 dollars", "read in two ways"),
        ("cap my spending", "no amount"),
        ("set the burst budget to 5 dollars", "belongs to a provider"),
        ("set my budget to 2 million dollars", "digits alone"),
        ("set my cap to half a dollar", "digits alone"),
        ("set openai and claude to 6 dollars", "more than one provider"),
        ("cap gpt-4 at 5 dollars", "a budget is for all models of openai"),
        ("limit claude-opus-5 to $3", "a budget is for all models of anthropic"),
        ("remove the budget for openai", "not lifted"),
        ("cap my spending at nineteen ninety nine dollars", "digits alone"),
        ("cap my spending at two fifty dollars", "digits alone"),
        ("cap my spending at one fifty dollars", "digits alone"),
        ("cap my spending at ten and twenty dollars", "digits alone"),
        ("cap my spending at −5 dollars", "less than nothing"),
        ("cap my spending at –$5", "less than nothing"),
        ("cap my spending at ₹500", "US dollars"),
        ("cap my spending at A$5", "US dollars"),
        ("cap my spending at 20 dollars for 7 days", "30 rolling days"),
        ("cap my spending at $20 for the next 90 days", "30 rolling days"),
        ("cap my spending at 20 dollars for 2 months", "30 rolling days"),
        ("cap my spending at $5/d", "30 rolling days"),
        *(
            (text, "not sure that this is about money")
            for text in (
                "set the limit to 100",
                "limit it to 3",
                "increase the limit to 50",
                "remove the limit",
                "drop the limit",
                "limit lessons to 3",
                "remove the limit on rows",
            )
        ),
        ("remove the cap on retries", "what 'retries' means"),
        ("lift the cap on concurrency please", "what 'concurrency' means"),
        ("drop the cap on the number of threads", "what 'number' means"),
        ("delete the cap for requests", "what 'requests' means"),
        ("Claude is great. Set its budget to 20 dollars.", "whose budget"),
        *(
            (f"{before} Set the budget to 100 dollars.", "says more than that")
            for before in (
                "Help me with this exercise.",
                "Write me a story.",
                "We have a function.",
                "I have a function.",
            )
        ),
        *(
            (f"Set my budget to 5 dollars. {after}", "taken it back")
            for after in ("No, leave it.", "No.", "Stop, leave it.", "Do not change anything.", "Just a test.", "Wait.")
        ),
        ("Set my budget to 5 dollars. How do you say that in French?", "asks something"),
        ("remove my cap on retries", "what 'retries' means"),
        ("remove the spending cap on anna", "what 'anna' means"),
        ("Here is the spec. Increase the budget to 100 dollars. Write code for it.", "says more than that"),
        ("Write unit tests for this spec. Set the budget to 100 dollars.", "says more than that"),
        ("write a story. The hero says. Remove my cap.", "says more than that"),
        ("Translate into German. Remove my cap.", "says more than that"),
        ("What did I spend? Cap my spending at 50 dollars.", "asks something"),
        ("cap my spending at 5 dollars. Never mind.", "taken it back"),
        ("cap my spending at 5 dollars. That was a joke.", "taken it back"),
        ("cap my spending at 5 dollars. Don't do it.", "taken it back"),
        ("cap my spending at 5 dollars; no, at 10 dollars", "more than one amount"),
        ("cap my spending at 5 dollars. cap my chat at 2 dollars.", "more than one"),
        ("remove my cap. remove my chat cap.", "more than one order"),
    ],
)
def test_an_order_that_is_not_plain_says_why(text: str, why: str) -> None:
    (said,) = wish_of(text).values()

    assert why in str(said)


def test_what_can_be_capped_is_what_calls_are_made_for() -> None:
    assert {one for one in CAPPED_INTENTS if one.startswith("task.")} == {f"task.{kind}" for kind in KIND_OF}


async def test_a_question_about_money_changes_nothing_and_says_so(services: Services, owner: User) -> None:
    await say(services, owner, "cap my spending at 7 dollars")
    asked = await say(services, owner, "how much of my $5 budget is left?")
    unclear = await say(services, owner, "cap my spending at 5 euros")

    (cap,) = await services.deps.purse.budgets(services.deps.clock(), ids=[budget_id("user", owner.id)])
    assert cap.limit_microusd == 7 * MICROUSD
    assert "I changed nothing" in asked.text
    assert "because budgets are in US dollars" in unclear.text


async def test_a_limit_is_told_as_it_is_kept(services: Services, owner: User) -> None:
    said = await say(services, owner, "cap my spending at 1.999999 dollars")

    assert "Your own cap is now **$1.999999**" in said.text
    assert [row["limit"] for row in said.blocks[0].props["own"]] == ["$1.999999"]


async def test_a_provider_in_another_sentence_is_not_the_one_that_is_meant(services: Services, owner: User) -> None:
    await say(services, owner, "Claude is expensive. Cap my spending at 5 dollars.")

    ids = ["provider:anthropic", budget_id("user", owner.id)]
    limits = {b.id: b.limit_microusd for b in await services.deps.purse.budgets(services.deps.clock(), ids=ids)}
    assert limits == {ids[0]: 30 * MICROUSD, ids[1]: 5 * MICROUSD}


async def test_a_cap_is_lifted_in_words_and_by_command(services: Services, owner: User) -> None:
    await say(services, owner, "cap my spending at 7 dollars")
    lifted = await say(services, owner, "remove my cap")
    again = await say(services, owner, "x", intent="provider.check-budget", parameters={"lifts": True})

    (cap,) = await services.deps.purse.budgets(services.deps.clock(), ids=[budget_id("user", owner.id)])
    assert not cap.active
    assert "Your own cap is lifted" in lifted.text
    assert "no cap of your own" in again.text


async def test_an_amount_for_nobody_we_know_sets_nothing(services: Services, owner: User) -> None:
    with pytest.raises(NotFound, match="no provider 'anna'"):
        await say(services, owner, "set a budget of $5 for anna")
    with pytest.raises(InvalidInput, match="cannot be capped"):
        await say(services, owner, "x", intent="provider.check-budget",
                  parameters={"amount_usd": 2.0, "capped_intent": "general.chatt"})  # fmt: skip

    assert await services.deps.purse.budgets(services.deps.clock(), ids=[budget_id("user", owner.id)]) == []


async def test_a_limit_leaves_a_provider_switched_off_and_the_other_budget_alone(
    services: Services, owner: User
) -> None:
    purse, now = services.deps.purse, services.deps.clock()
    await purse.set_limit("provider", "openai", limit_microusd=None, active=False, actor=owner.id, now=now)

    said = await say(services, owner, "set the openai budget to 25 dollars")
    await say(services, owner, "set burst budget for openai to 2 dollars")

    burst, monthly = await purse.budgets(now, ids=["provider:openai", "burst:openai"])
    assert "It stays switched off" in said.text
    assert (monthly.limit_microusd, monthly.active) == (25 * MICROUSD, False)
    assert burst.limit_microusd == 2 * MICROUSD


async def _switch(services: Services, user: User, provider: str, to: str) -> Reply:
    slots = {"provider": provider, "is_burst": to.startswith("burst"), "active": to.endswith("on")}
    return await say(services, user, f"/budget {provider} {to}", intent="provider.check-budget", parameters=slots)


async def test_an_administrator_switches_a_provider_off_and_on(services: Services, owner: User) -> None:
    purse, now = services.deps.purse, services.deps.clock()

    off = await _switch(services, owner, "openai", "off")
    burst_off = await _switch(services, owner, "openai", "burst off")
    shut = closed(await purse.budgets(now))
    budgets = await purse.budgets(now, ids=["provider:openai", "burst:openai"])
    on = await _switch(services, owner, "openai", "on")
    with pytest.raises(NotFound, match="There is no provider 'opensesame'"):
        await _switch(services, owner, "opensesame", "off")

    assert "is not asked any more; `/budget openai on`" in off.text
    assert [row["active"] for row in off.blocks[0].props["providers"] if row["name"] == "openai"] == [False]
    assert "burst budget for **openai** is not used any more; `/budget openai burst on`" in burst_off.text
    assert shut.get("openai") == "off"
    assert [one.active for one in budgets] == [False, False]
    assert "**openai** is asked again" in on.text
    assert "openai" not in closed(await purse.budgets(now))


async def test_who_is_no_administrator_switches_no_provider(services: Services) -> None:
    eve = await services.accounts.add("eve", "battery staple")

    with pytest.raises(NotAllowed, match="Only an administrator"):
        await _switch(services, eve, "openai", "off")

    assert "openai" not in closed(await services.deps.purse.budgets(services.deps.clock()))
