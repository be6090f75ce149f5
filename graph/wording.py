"""Small things said in many places: money, times, and cards as text."""

from datetime import datetime
from typing import Any

Json = dict[str, Any]  # Any: JSON


def dollars(microusd: int) -> str:
    """Money for people: whole cents where that says enough, else all six decimals."""
    if microusd == 0:
        return "$0"
    if microusd % 10_000 == 0 or microusd >= 1_000_000:
        return f"${microusd / 1_000_000:.2f}"
    return f"${microusd / 1_000_000:.6f}"


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


def verdict_text(view: Json) -> str:
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
    due = f" Due again {mastery['dueAt'][:10]}." if mastery["dueAt"] else ""
    lines.append(f"Mastery of {mastery['title']}: {mastery['before']} → {mastery['after']} ({mastery['why']}).{due}")
    return "\n\n".join(lines)


def question_text(view: Json) -> str:
    current = view["current"]
    choices = "\n".join(
        f"- **{letter}**  {choice}" for letter, choice in zip("ABCDEFGH", current["choices"], strict=False)
    )
    return f"**Question {current['number']} of {view['questions']}.** {current['prompt']}\n\n{choices}"


def summary_text(view: Json) -> str:
    rows = "\n".join(f"- {row['title']}: {row['correct']} of {row['answered']}" for row in view["byConcept"])
    return f"**Session over: {view['correct']} of {view['answered']} right.**\n\n{rows}"
