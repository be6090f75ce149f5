"""Small things said in many places: money, times, and cards as text."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

Json = dict[str, Any]  # Any: JSON


def until(moment: datetime, now: datetime) -> str:
    """When something is due, from now."""
    days = (moment.date() - now.date()).days
    if days <= 0:
        return "today"
    return "tomorrow" if days == 1 else f"in {days} days"


def challenge_text(view: Json) -> str:
    examples = "\n".join(f"- `{e['input']}` gives `{e['expected']}`" for e in view["examples"])
    signature = next(lang["signature"] for lang in view["languages"] if lang["name"] == view["language"])
    return (
        f"**{view['title']}** ({view['concept']}, {view['difficulty']})\n\n{view['statement'].strip()}\n\n"
        f"{_material_text(view['material'])}`{signature}`\n\n{examples}"
    )


def _material_text(material: Json | None) -> str:
    if material is None:
        return ""
    choices = "".join(f"- {choice}\n" for choice in material["choices"])
    return f"```\n{material['text'].strip()}\n```\n\n{choices}\n"


def day_of(iso: str, zone: ZoneInfo) -> str:
    """The day of a moment by somebody's own clock."""
    return datetime.fromisoformat(iso).astimezone(zone).date().isoformat()


def verdict_text(view: Json, zone: ZoneInfo) -> str:
    lines = [f"**{view['message']}** Score {view['score']} of 100, {view['wallMs']} ms."]
    failing = view["firstFailing"]
    if failing:
        got = failing["error"] or failing["got"]
        lines.append(
            f"Case {failing['number']}: `{failing['input']}` should give `{failing['expected']}`, got `{got}`."
        )
        lines += [f"`{line}`" for line in failing["trace"]]
        if failing["stdout"]:
            lines.append(f"It printed: `{failing['stdout'].strip()}`")
    mastery = view["mastery"]
    due = f" Due again {day_of(mastery['dueAt'], zone)}." if mastery["dueAt"] else ""
    lines.append(f"Mastery of {mastery['title']}: {mastery['before']} → {mastery['after']} ({mastery['why']}).{due}")
    return "\n\n".join(lines)


def question_text(view: Json) -> str:
    current = view["current"]
    choices = "\n".join(
        f"- **{letter}**  {choice}" for letter, choice in zip("ABCDEFGH", current["choices"], strict=False)
    )
    return f"**Question {current['number']} of {view['questions']}.** {current['prompt']}\n\n{choices}"


def summary_text(view: Json, zone: ZoneInfo) -> str:
    rows = "\n".join(f"- {row['title']}: {row['correct']} of {row['answered']}" for row in view["byConcept"])
    due = f"\n\nNext due: {day_of(view['nextDueAt'], zone)}." if view["nextDueAt"] else ""
    return f"**Session over: {view['correct']} of {view['answered']} right.**\n\n{rows}{due}"


def plan_text(view: Json) -> str:
    rows = "\n".join(
        f"- {one['day']}: {', '.join(one['titles'])}" + (f" ({one['status']})" if one["status"] != "coming" else "")
        for one in view["sessions"]
    )
    return (
        f"**{view['goal']} on {view['goalDay']}**: {view['done']} of {len(view['sessions'])} sessions done.\n\n{rows}"
    )


def stats_text(view: Json) -> str:
    streak = view["streak"]
    lines = [
        f"{view['passed']} challenges passed in {view['submitted']} submissions; "
        f"{view['correct']} of {view['answered']} questions right; streak of {streak['current']} days."
    ]
    alone, aided = view["alone"], view["aided"]
    if alone["ended"] or aided["ended"]:
        lines.append(
            f"Solved alone: {alone['solved']} of {alone['ended']}; with help: {aided['solved']} of {aided['ended']}."
            + ("" if view["gap"] is None else f" Gap without help: {max(0, view['gap'])} points.")
        )
    lines += [f"- {c['title']}: mastery {c['mastery']} of 100, due {c['due'] or 'never'}" for c in view["concepts"]]
    if view["standing"]["percentile"] is not None:
        lines.append(f"Ahead of {view['standing']['percentile']} % of {view['standing']['n'] - 1} others.")
    if view["next"]:
        lines.append(f"Next: {view['next']['title']} ({view['next']['reason']}).")
    return "\n".join(lines)


def badges_text(view: Json, zone: ZoneInfo) -> str:
    earned = "\n".join(
        f"- **{b['title']}**: {b['description']} ({day_of(b['awardedAt'], zone)})" for b in view["earned"]
    )
    missing = "\n".join(
        f"- {b['title']}: {b['description']} ({b['percent']} %)" for b in view["badges"] if not b["awardedAt"]
    )
    revoked = "\n".join(f"- {b['title']}: {b['revokedWhy']}" for b in view["badges"] if b["revokedAt"])
    taken = f"\n\nTaken back:\n\n{revoked}" if revoked else ""
    head = f"{len(view['earned'])} of {len(view['badges'])} badges."
    return f"{head}\n\n{earned}\n\nStill to earn:\n\n{missing}{taken}".strip()


def leaderboard_text(view: Json) -> str:
    if not view["places"]:
        return f"A ranking is shown from {view['fewest']} ranked learners on; there are {view['n']}."
    return "\n".join(
        f"{p['rank']}. {p['name']}: {p['points']}" + (" (you)" if p["own"] else "") for p in view["places"]
    )


def path_text(view: Json) -> str:
    return "\n".join(f"{n}. {s['title']}: {s['reason']}" for n, s in enumerate(view["steps"], 1))
