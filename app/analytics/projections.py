"""What happened, counted by quarter of an hour, concept and challenge: tables that the event log alone builds."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.analytics.local_time import known_zone, offset_minutes
from app.events.schema import Event
from app.models.providers.null import NULL_MODEL
from app.storage.database import Database
from app.storage.tables.analytics import (
    badge_checks,
    earned_badges,
    learner_activity,
    learner_concepts,
    learner_passes,
    learner_used,
    learners,
)

SLOT_MINUTES = 15
LONGEST_SECONDS = 24 * 3600  # of one sitting; a clock that jumped must not show as weeks of work

Json = dict[str, Any]  # Any: columns of several types
Row = tuple[Any, ...]  # Any: the same


class MetricsCollector:
    """The consumer behind /stats, badges and rankings. A batch is summed up first and then written in a few
    statements, so that a rebuild from zero takes seconds."""

    name = "learner-stats"
    types: Sequence[str] = (
        "user.created",
        "user.changed",
        "challenge.submitted",
        "challenge.passed",
        "challenge.failed",
        "challenge.finished",
        "challenge.hinted",
        "training.answered",
        "training.completed",
        "mastery.changed",
        "provider.succeeded",
        "analytics.engagement-tracked",
    )

    def __init__(self, database: Database) -> None:
        self._database = database

    async def apply(self, connection: AsyncConnection, events: Sequence[Event]) -> None:
        own = [event for event in events if event.user_id is not None]
        offsets = await self._offsets(connection, own)
        await self._people(connection, own)
        await self._slots(connection, own, offsets)
        await self._concepts(connection, own)
        await self._passes(connection, own, offsets)
        used = {key for event in own if (key := _used(event))}
        await self._add_new(connection, learner_used, [_row(learner_used, key) for key in sorted(used)])
        touched = sorted({event.user_id for event in own if event.user_id is not None})
        await self._ask_for_checks(connection, touched)

    async def reset(self, connection: AsyncConnection) -> None:
        for table in (learners, learner_activity, learner_concepts, learner_passes, learner_used):
            await connection.execute(table.delete())

    async def _ask_for_checks(self, connection: AsyncConnection, user_ids: Sequence[str]) -> None:
        """Also where one waits already: the row is written, so that whoever takes it waits for this transaction."""
        if user_ids:
            statement = self._database.insert(badge_checks)
            again = statement.on_conflict_do_update(
                index_elements=["user_id"], set_={"user_id": statement.excluded.user_id}
            )
            await connection.execute(again, [{"user_id": user_id} for user_id in user_ids])

    async def _offsets(self, connection: AsyncConnection, events: Sequence[Event]) -> dict[str, int | None]:
        """How far from UTC the learner's clock was at each event, by the zone that was theirs then."""
        people = {event.user_id for event in events}
        query = sa.select(learners.c.user_id, learners.c.timezone).where(learners.c.user_id.in_(people))
        zones = {row.user_id: row.timezone for row in await connection.execute(query)}
        found: dict[str, int | None] = {}
        for event in events:
            if event.type == "user.changed":
                zones[event.user_id] = event.payload["timezone"]
            name = zones.get(event.user_id)
            found[event.id] = offset_minutes(event.occurred_at, await known_zone(name)) if name else None
        return found

    async def _slots(
        self, connection: AsyncConnection, events: Sequence[Event], offsets: Mapping[str, int | None]
    ) -> None:
        counted = [(_slot_key(event), counts, event) for event in events if (counts := _slot_counts(event))]
        clocks: dict[Row, Json] = {}
        for key, _, event in counted:
            clocks.setdefault(key, {"utc_offset_minutes": offsets[event.id]})
        sums = _sums((key, counts) for key, counts, _ in counted)
        await self._count(connection, learner_activity, sums, once=clocks)

    async def _people(self, connection: AsyncConnection, events: Sequence[Event]) -> None:
        for event in events:
            if event.type == "user.created":
                row = {"user_id": event.user_id, "name": event.payload["name"], "timezone": None}
                await self._add_new(connection, learners, [row])
            elif event.type == "user.changed":
                change = learners.update().where(learners.c.user_id == event.user_id)
                await connection.execute(change.values(timezone=event.payload["timezone"]))

    async def _concepts(self, connection: AsyncConnection, events: Sequence[Event]) -> None:
        about = [event for event in events if isinstance(event.payload.get("concept"), str)]
        sums = _sums(((event.user_id, event.payload["concept"]), _concept_counts(event)) for event in about)
        newest: dict[Row, Json] = {}
        mastered: dict[Row, int] = {}
        best: dict[Row, int] = {}
        for event in about:
            key = (event.user_id, event.payload["concept"])
            newest[key] = {"last_at": event.occurred_at}
            if event.type == "mastery.changed":
                mastered[key] = event.payload["after"]
            elif event.type == "challenge.passed":
                best[key] = max(best.get(key, 0), event.payload["score"])
        await self._count(connection, learner_concepts, {key: sums.get(key, {}) for key in newest}, also=newest)
        for column, values in (("mastery", mastered), ("best_score", best)):
            await _set(connection, learner_concepts, column, values, only_up=column == "best_score")

    async def _passes(
        self, connection: AsyncConnection, events: Sequence[Event], offsets: Mapping[str, int | None]
    ) -> None:
        """The first pass stays as it was; a better score later is kept beside it."""
        first: dict[Row, Json] = {}
        best: dict[Row, int] = {}
        for event in events:
            if event.type == "challenge.finished" and event.payload["solved"]:
                key = (event.user_id, event.payload["challengeId"])
                if not event.payload["known"]:  # what was shown before is not passed for the first time by typing it
                    first.setdefault(key, _row(learner_passes, key) | _first_pass(event, offsets[event.id]))
                    best[key] = max(best.get(key, 0), event.payload["score"])
        await self._add_new(connection, learner_passes, list(first.values()))
        await _set(connection, learner_passes, "score", best, only_up=True)

    async def _add_new(self, connection: AsyncConnection, table: sa.Table, rows: Sequence[Json]) -> None:
        if rows:
            await connection.execute(self._database.insert(table).on_conflict_do_nothing(), rows)

    async def _count(
        self, connection: AsyncConnection, table: sa.Table, sums: Mapping[Row, Mapping[str, int]], *,
        once: Mapping[Row, Json] | None = None, also: Mapping[Row, Json] | None = None,
    ) -> None:  # fmt: skip
        """Add to rows' counters, whether the rows are there or not; ``once`` is written when a row is made, ``also``
        each time."""
        counters = [column.name for column in table.c if column.info.get("counts")]
        others = [values for values in (once, also) if values is not None]
        rows = []
        for key, counts in sums.items():
            row = _row(table, key) | dict.fromkeys(counters, 0) | dict(counts)
            for values in others:
                row |= values[key]
            rows.append(row)
        if not rows:
            return
        statement = self._database.insert(table)
        changes: Json = {name: table.c[name] + statement.excluded[name] for name in counters}
        for name in next(iter(also.values())) if also else ():
            changes[name] = statement.excluded[name]
        keys = [column.name for column in table.primary_key]
        await connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes), rows)


class EarnedBadges:
    """Which badges were awarded and revoked. An award is never changed and never repeated; a revoked one stays so."""

    name = "earned-badges"
    types: Sequence[str] = ("analytics.badge-awarded", "analytics.badge-revoked")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def apply(self, connection: AsyncConnection, events: Sequence[Event]) -> None:
        for event in events:
            key = {"user_id": event.user_id, "badge_id": event.payload["badgeId"]}
            if event.type == "analytics.badge-awarded":
                row = key | {"evidence": event.payload["evidence"], "awarded_at": event.occurred_at}
                await connection.execute(self._database.insert(earned_badges).values(**row).on_conflict_do_nothing())
                continue
            await connection.execute(
                earned_badges.update()
                .where(*(earned_badges.c[name] == value for name, value in key.items()))
                .values(revoked_at=event.occurred_at, revoked_why=event.payload["why"])
            )

    async def reset(self, connection: AsyncConnection) -> None:
        await connection.execute(earned_badges.delete())


async def _set(
    connection: AsyncConnection, table: sa.Table, column: str, values: Mapping[Row, int], *, only_up: bool = False
) -> None:
    """Set one column of rows that are there; ``only_up`` leaves what is higher already."""
    if not values:
        return
    keys = [c.name for c in table.primary_key]
    where = [table.c[name] == sa.bindparam(f"key_{name}") for name in keys]
    if only_up:
        where.append(table.c[column] < sa.bindparam("value"))
    rows = [{f"key_{n}": part for n, part in zip(keys, key, strict=True)} | {"value": v} for key, v in values.items()]
    await connection.execute(table.update().where(*where).values({column: sa.bindparam("value")}), rows)


def _first_pass(event: Event, offset: int | None) -> Json:
    seconds = int(event.payload.get("seconds", LONGEST_SECONDS))
    if not 0 <= seconds <= LONGEST_SECONDS:  # a clock that was set back makes nobody quick
        seconds = LONGEST_SECONDS
    return {
        "passed_at": event.occurred_at, "utc_offset_minutes": offset, "seconds": seconds,
        "score": event.payload["score"], "alone": not event.payload["aided"],
    }  # fmt: skip


def _row(table: sa.Table, key: Row) -> Json:
    return {column.name: part for column, part in zip(table.primary_key, key, strict=True)}


def _sums(counted: Iterable[tuple[Row, Mapping[str, int]]]) -> dict[Row, dict[str, int]]:
    sums: dict[Row, dict[str, int]] = defaultdict(dict)
    for key, counts in counted:
        for name, value in counts.items():
            sums[key][name] = sums[key].get(name, 0) + value
    return sums


def slot_of(moment: datetime) -> datetime:
    """The quarter of an hour that a moment lies in."""
    return moment.replace(minute=moment.minute - moment.minute % SLOT_MINUTES, second=0, microsecond=0)


def _slot_key(event: Event) -> Row:
    return (event.user_id, slot_of(event.occurred_at))


def _used(event: Event) -> Row | None:
    if event.type == "challenge.finished" and event.payload["solved"] and not event.payload["known"]:
        return (event.user_id, "language", event.payload["language"])
    if event.type == "provider.succeeded" and event.payload["provider"] != NULL_MODEL.provider:  # an echo is no answer
        return (event.user_id, "provider", event.payload["provider"])
    return None


def _slot_counts(event: Event) -> dict[str, int]:
    payload = event.payload
    match event.type:
        case "challenge.submitted":
            return {"submitted": 1, "score_sum": int(payload["score"])}
        case "challenge.hinted":
            return {"hints": 1}
        case "challenge.finished" if not payload["known"]:  # what was known is no pass: it was solved, or seen, before
            solved = int(payload["solved"])
            alone = {} if _is_aided(payload) else {"ended_alone": 1, "solved_alone": solved}
            return {"passed": solved, **alone}
        case "training.answered":
            return {"answered": 1, "correct": int(payload["correct"])}
        case "training.completed":
            return {"sessions": 1}
        case "analytics.engagement-tracked":
            return {"logged_minutes": int(payload["minutes"])}
        case _:
            return {}


def _concept_counts(event: Event) -> dict[str, int]:
    payload = event.payload
    match event.type:
        case "challenge.passed":
            return {"tried": 1, "succeeded": 1}
        case "challenge.failed":
            return {"tried": 1}
        case "challenge.finished" if not payload["known"]:  # a known one says nothing about working alone or helped
            how = "aided" if _is_aided(payload) else "alone"
            return {f"{how}_ended": 1, f"{how}_solved": int(payload["solved"])}
        case "training.answered":
            return {"tried": 1, "succeeded": int(payload["correct"])}
        case _:
            return {}


def _is_aided(payload: Mapping[str, Any]) -> bool:  # Any: JSON
    """Whether it was done with help; a solution that was shown after tries without any ended those, and helped none."""
    return bool(payload["aided"] or (payload["ending"] == "revealed" and not payload["attempts"]))
