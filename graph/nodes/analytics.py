"""Progress in the conversation: numbers and a chart of what really happened, and what comes next."""

from dataclasses import asdict
from typing import Any

from app.analytics.reports import Report
from app.learning import progress
from graph.deps import Deps
from graph.nodes.base import Run, said, speaker
from graph.state import State, Update
from graph.wording import until


async def analytics(state: State, runtime: Run) -> Update:
    say = speaker(runtime)
    deps = runtime.context
    report = await deps.reports.report(state["user_id"])
    tried = await progress.overview(deps.database, state["user_id"])
    if not tried and report.is_empty:
        say.text("You have not practised here yet, so there is nothing to count. The first challenge changes that.")
        say.action("An easy challenge", "/challenge easy")
        return said(state, say)
    view = _view(report, tried, deps)
    say.block("StatsChart", view, _text(view))
    if view["next"]:
        say.action(f"Train {view['next']['title']}", f"/train {view['next']['concept']}")
    say.action("Next challenge", "/challenge")
    return said(state, say)


def _view(report: Report, tried: list[progress.ConceptProgress], deps: Deps) -> dict[str, Any]:  # Any: JSON
    now = deps.clock()
    counted = {row.concept: row for row in report.concepts}
    concepts: list[dict[str, Any]] = []  # Any: JSON
    for row in sorted(tried, key=lambda row: -row.mastery):
        concept = deps.curriculum.concept(row.concept)
        counts = counted.get(row.concept)
        concepts.append(
            {
                "concept": row.concept,
                "title": concept.title if concept else row.concept,
                "mastery": row.mastery,
                "tried": counts.tried if counts else 0,
                "succeeded": counts.succeeded if counts else 0,
                "due": until(row.due_at, now) if row.due_at else None,
            }
        )
    waiting = [c for c in concepts if c["due"] == "today"]
    return {
        "submitted": report.submitted,
        "passed": report.passed,
        "answered": report.answered,
        "correct": report.correct,
        "averageScore": report.average_score,
        "streak": report.streak,
        "alone": {**asdict(report.alone), "percent": report.alone.percent},
        "aided": {**asdict(report.aided), "percent": report.aided.percent},
        "days": [asdict(day) for day in report.days],
        "concepts": concepts,
        "next": min(waiting, key=lambda c: c["mastery"]) if waiting else None,
    }


def _text(view: dict[str, Any]) -> str:  # Any: JSON
    lines = [
        f"{view['passed']} challenges passed in {view['submitted']} submissions; "
        f"{view['correct']} of {view['answered']} questions right; streak of {view['streak']} days."
    ]
    alone, aided = view["alone"], view["aided"]
    if alone["ended"] or aided["ended"]:
        lines.append(
            f"Solved alone: {alone['solved']} of {alone['ended']}; with help: {aided['solved']} of {aided['ended']}."
        )
    lines += [f"- {c['title']}: mastery {c['mastery']} of 100, due {c['due'] or 'never'}" for c in view["concepts"]]
    return "\n".join(lines)
