"""Challenges in the conversation: start, submit pasted code, hint, coach, reveal, skip."""

from typing import Any
from zoneinfo import ZoneInfo

from app.learning import views
from app.learning.coaching import Coached
from app.learning.started import Started
from app.learning.submission import Revealed, Submission
from app.models.wording import dollars
from graph import wording
from graph.answering import say_alerts
from graph.deps import Deps
from graph.intents.handed_in import fenced_code
from graph.nodes.base import Run, said, say_badges, speaker
from graph.reply import Speaker
from graph.state import State, Update

NOTHING_IN_HAND = "You have no challenge in hand. Start one: *give me an easy python challenge about strings*."


async def challenge(state: State, runtime: Run) -> Update:
    say = speaker(runtime)
    wanted = state.get("parameters", {}).get("do", "start")
    if wanted == "start":
        await _start(state, runtime.context, say)
        return said(state, say)
    started = await runtime.context.challenges.open_in_thread(state["user_id"], state["thread_id"])
    if started is None:
        say.text(NOTHING_IN_HAND)
    elif wanted == "submit":
        await _submit(state, runtime.context, say, started)
    elif wanted == "hint":
        _say_hint(say, await runtime.context.challenges.hint(state["user_id"], started.id))
    elif wanted == "reveal":
        _say_solution(say, await runtime.context.challenges.reveal(state["user_id"], started.id))
    elif wanted == "coach":
        _say_coached(say, await runtime.context.coach.ask(state["user_id"], started.id))
        await say_alerts(state, runtime.context, say)
    else:
        await runtime.context.challenges.skip(state["user_id"], started.id)
        say.text(f"Skipped **{started.challenge.title}**. It will come back.")
        say.action("Another one", "/challenge")
    return said(state, say)


async def _start(state: State, deps: Deps, say: Speaker) -> None:
    slots = state.get("parameters", {})
    topics = [topic for topic in slots.get("topics", []) if _has_challenges(deps, topic)]
    asked_for = slots.get("topics", [])
    if asked_for and not topics:
        say.text(
            f"There are no challenges about **{asked_for[0]}** yet, but there are questions: `/train {asked_for[0]}`."
        )
        say.action(f"Train {asked_for[0]}", f"/train {asked_for[0]}")
        return
    started = await deps.challenges.start(
        state["user_id"], thread_id=state["thread_id"], concept=topics[0] if topics else None,
        difficulty=slots.get("difficulty"), language=slots.get("language"),
    )  # fmt: skip
    view = views.started_view(started)
    how = (
        "Write your answer in the card." if view["material"] else "Write your solution in the editor, or paste it here."
    )
    if started.is_check:
        say.text("You solved one like this with help. This one is for you alone: no hints. ")
    say.text(f"Here is one of about {started.challenge.minutes} minutes. {how}")
    say.block("ChallengeCard", view, wording.challenge_text(view), key=started.id)


async def _submit(state: State, deps: Deps, say: Speaker, started: Started) -> None:
    slots = state.get("parameters", {})
    code = slots.get("code")
    if not code:
        found = fenced_code(state["text"])
        if found is None:
            say.text("Paste your code between two lines of ```` ``` ````, or press Submit in the card.")
            return
        slots = {**slots, "language": found[0]}
        code = found[1]
    say.progress("Running your code")
    since = deps.clock()
    submission = await deps.challenges.submit(
        state["user_id"], started.id, code, language=slots.get("language") or None
    )
    say_verdict(say, submission, deps, await deps.zone(state["user_id"]))
    await say_badges(say, deps, state["user_id"], since=since)


def say_verdict(say: Speaker, submission: Submission, deps: Deps, zone: ZoneInfo) -> None:
    view: dict[str, Any] = views.submission_view(submission, deps.curriculum)  # Any: JSON
    view["title"] = submission.started.challenge.title
    say.block("Verdict", view, wording.verdict_text(view, zone))
    say.text(submission.feedback)
    if submission.started.session_id is not None and submission.started.status != "open":
        say.action("Go on with the session", "/train next")
    elif submission.graded.verdict == "passed":
        say.action("Next challenge", "/challenge")
        say.action("How am I doing", "/stats")
    elif submission.started.hints_shown < len(submission.started.challenge.hints):
        say.action("Hint", "/hint")


def _say_hint(say: Speaker, started: Started) -> None:
    number, total = started.hints_shown, len(started.challenge.hints)
    say.text(f"**Hint {number} of {total}.** {started.hints[-1]}")
    if number < total:
        say.action("Another hint", "/hint")


def _say_coached(say: Speaker, coached: Coached) -> None:
    model = coached.model or "a model"
    has_cost = coached.model is not None or coached.cost_microusd > 0
    cost = f"\n\n*{model}, {dollars(coached.cost_microusd)}*" if has_cost else ""
    told = f"\n\n*({coached.told})*" if coached.told else ""
    say.text(f"{coached.observation}\n\n**{coached.question}**{told}{cost}".lstrip())


def _say_solution(say: Speaker, revealed: Revealed) -> None:
    say.text(
        f"A solution of **{revealed.started.challenge.title}**:\n\n```{revealed.language}\n{revealed.solution.strip()}\n```"
        f"\n\n{revealed.explanation.strip()}\n\nOne like it will come back, for you to solve alone."
    )
    say.action("Another one", "/challenge")


def _has_challenges(deps: Deps, concept: str) -> bool:
    return any(challenge.concept == concept for challenge in deps.curriculum.challenges)
