"""Badges: rules over metrics, awarded once, for ever; twelve of ours and those that administrators make."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.analytics import rules
from app.analytics.facts import facts_of
from app.analytics.metrics import metrics_of
from app.errors import Conflict, InvalidInput, NotFound
from app.events import log as event_log
from app.events.schema import NewEvent
from app.models import audit
from app.storage.database import Database
from app.storage.tables.analytics import badge_checks, custom_badges, earned_badges, learners

CHECKED_AT_ONCE = 20
MOST_CUSTOM = 100
FREEZES = " (two missed a month bridged)"


@dataclass(frozen=True, kw_only=True)
class Badge:
    """``rule`` is what must hold of the metrics; ``is_custom`` ones were made here."""

    id: str
    title: str
    description: str
    rule: rules.Rule
    is_custom: bool = False


def _ours(badge_id: str, title: str, description: str, rule: str) -> Badge:
    return Badge(id=badge_id, title=title, description=description, rule=rules.parse(rule))


BADGES = (
    _ours("first-challenge", "First steps", "Pass a challenge", "challengesPassed >= 1"),
    _ours("challenge-streak-7", "A week in a row", f"Pass one on 7 days in a row{FREEZES}", "challengeStreak >= 7"),
    _ours("challenge-streak-30", "A month in a row", f"Pass one on 30 days in a row{FREEZES}",
          "challengeStreak >= 30"),
    _ours("code-master", "Code master", "Pass 100 different challenges", "challengesPassed >= 100"),
    _ours("speed-demon", "Speed demon", "Pass a new challenge alone in under 2 minutes", "fastPasses >= 1"),
    _ours("quality-focus", "Quality focus", "Score 90 or more on 5 challenges", "highScores >= 5"),
    _ours("language-polyglot", "Polyglot", "Pass challenges in 5 languages", "languages >= 5"),
    _ours("provider-switcher", "Provider switcher", "Get answers from 3 model providers", "providers >= 3"),
    _ours("night-owl", "Night owl", "Pass a new challenge between 20:00 and 06:00", "nightPasses >= 1"),
    _ours("early-bird", "Early bird", "Pass a new challenge before 08:00", "earlyPasses >= 1"),
    _ours("power-hour", "Power hour", "Pass 10 new challenges in one hour", "bestHour >= 10"),
    _ours("consistency-king", "Consistency king", f"Train on 30 days in a row{FREEZES}", "trainingStreak >= 30"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Earned:
    """``evidence`` are the metrics of the rule as they were at the award."""

    badge: Badge
    awarded_at: datetime
    evidence: dict[str, float]
    revoked_at: datetime | None
    revoked_why: str | None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a learner is, from 0 to 1; ``values`` are the metrics of the rule as they are now."""

    badge: Badge
    share: float
    values: dict[str, float]
    earned: Earned | None


class BadgeSystem:
    """``settle`` waits until the projections have followed what was just written."""

    def __init__(
        self, *, database: Database, clock: Callable[[], datetime], wake: Callable[[], None],
        settle: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._database = database
        self._clock = clock
        self._wake = wake
        self._settle = settle

    async def all(self) -> list[Badge]:
        async with self._database.read() as connection:
            return await _all(connection)

    async def earned(self, user_id: str) -> list[Earned]:
        """A learner's badges, newest first; revoked ones are among them and say so."""
        async with self._database.read() as connection:
            return list((await _earned(connection, user_id)).values())

    async def settled(self) -> None:
        """Wait, not for ever, until what was just written has been counted."""
        self._wake()
        await self._settle()

    async def fresh(self, user_id: str, *, since: datetime) -> list[Earned]:
        """The badges awarded since a moment, once what was just written has been counted."""
        await self._settle()
        return [one for one in await self.earned(user_id) if one.awarded_at >= since and one.revoked_at is None]

    async def progress(self, user_id: str) -> list[Progress]:
        """Every badge with how far the learner is: the nearest of those not earned first, then the earned ones."""
        async with self._database.read() as connection:
            earned = await _earned(connection, user_id)
            values = metrics_of(await facts_of(connection, user_id), self._clock())
            kept = [one.badge for one in earned.values()]  # also one that is awarded no more
            found = [
                Progress(
                    badge=badge, share=1.0 if badge.id in earned else badge.rule.progress(values),
                    values={name: values[name] for name in badge.rule.metrics}, earned=earned.get(badge.id),
                )
                for badge in {badge.id: badge for badge in [*await _all(connection), *kept]}.values()
            ]  # fmt: skip
        return sorted(found, key=lambda one: (one.earned is not None, -one.share))

    async def award_due(self) -> bool:
        """Look at the badges of learners of whom something new is known; False when there was nobody.

        The check and the awards are one transaction, and an award has a key that is unique in the log: whoever comes
        second, in this process or another, awards nothing.
        """
        async with self._database.read() as connection:
            waiting = list(await connection.scalars(sa.select(badge_checks.c.user_id).limit(CHECKED_AT_ONCE)))
        awarded = False
        for user_id in waiting:
            async with self._database.write() as connection:
                taken = await connection.execute(badge_checks.delete().where(badge_checks.c.user_id == user_id))
                if taken.rowcount:
                    awarded = await self._award(connection, user_id) or awarded
        if awarded:
            self._wake()
        return bool(waiting)

    async def _award(self, connection: AsyncConnection, user_id: str) -> bool:
        earned = await _earned(connection, user_id)
        open_ones = [badge for badge in await _all(connection) if badge.id not in earned]
        now = self._clock()
        values = metrics_of(await facts_of(connection, user_id), now)
        reached = [badge for badge in open_ones if badge.rule.holds(values)]
        new = [
            NewEvent(
                type="analytics.badge-awarded", key=user_id, user_id=user_id, occurred_at=now,
                payload={
                    "badgeId": badge.id, "title": badge.title,
                    "evidence": {name: values[name] for name in badge.rule.metrics},
                },
                dedupe_key=f"badge:{user_id}:{badge.id}",
            )
            for badge in reached
        ]  # fmt: skip
        return await event_log.append(connection, *new) > 0

    async def log(self, user_id: str, *, activity: str, minutes: int, key: str | None) -> bool:
        """Note practice that took place elsewhere; False when this key was noted before."""
        try:
            async with self._database.write() as connection:
                new = await event_log.append(
                    connection,
                    NewEvent(
                        type="analytics.engagement-tracked", key=user_id, user_id=user_id, occurred_at=self._clock(),
                        payload={"activity": activity, "minutes": minutes},
                        dedupe_key=f"logged:{user_id}:{key}" if key else None,
                    ),
                )  # fmt: skip
        except IntegrityError:
            return False  # two with the same key at once: the other one was noted
        self._wake()
        return new > 0

    # -- badges of one's own -----------------------------------------------------------------------------------

    async def add(self, *, title: str, description: str, rule: str, actor: str) -> Badge:
        """Make a badge; whoever reaches it already earns it at once.

        Raises:
            InvalidInput: the title, the description or the rule does not fit, or there are 100 already.
        """
        checked = rules.parse(rule)
        if not 1 <= len(title.strip()) <= 80 or not 1 <= len(description.strip()) <= 300:
            raise InvalidInput("A badge needs a title of 1 to 80 characters and a description of 1 to 300.")
        badge_id = f"custom-{uuid.uuid4().hex[:12]}"
        now = self._clock()
        async with self._database.write() as connection:
            if len(await _all(connection)) - len(BADGES) >= MOST_CUSTOM:
                raise InvalidInput(f"There are {MOST_CUSTOM} badges already. Retire one first.")
            await connection.execute(
                custom_badges.insert().values(
                    id=badge_id, title=title.strip(), description=description.strip(), rule=checked.text,
                    created_by=actor, created_at=now,
                )
            )  # fmt: skip
            await connection.run_sync(audit.record, actor, "badge.add", badge_id, {"rule": checked.text}, at=now)
            everybody = [{"user_id": user_id} for user_id in await connection.scalars(sa.select(learners.c.user_id))]
            if everybody:
                await connection.execute(self._database.insert(badge_checks).on_conflict_do_nothing(), everybody)
        self._wake()
        return Badge(id=badge_id, title=title.strip(), description=description.strip(), rule=checked, is_custom=True)

    async def preview(self, rule: str) -> list[tuple[str, dict[str, float]]]:
        """The names of those who would earn a badge now, with the metrics of its rule. Nothing is changed.

        Raises:
            InvalidInput: it is no rule.
        """
        checked = rules.parse(rule)
        reached = []
        async with self._database.read() as connection:
            people = (await connection.execute(sa.select(learners).order_by(learners.c.name))).all()
            for person in people:
                values = metrics_of(await facts_of(connection, person.user_id), self._clock())
                if checked.holds(values):
                    reached.append((person.name, {name: values[name] for name in checked.metrics}))
        return reached

    async def retire(self, badge_id: str, *, actor: str) -> None:
        """Award a badge of one's own no more; whoever has it keeps it.

        Raises:
            NotFound: there is no such badge, or it was retired before.
        """
        now = self._clock()
        async with self._database.write() as connection:
            retired = await connection.execute(
                custom_badges.update()
                .where(custom_badges.c.id == badge_id, custom_badges.c.retired_at.is_(None))
                .values(retired_at=now)
            )
            if retired.rowcount == 0:
                raise NotFound(f"There is no badge {badge_id!r} of your own. See GET /api/v1/analytics/badges.")
            await connection.run_sync(audit.record, actor, "badge.retire", badge_id, {}, at=now)

    async def revoke(self, user_id: str, badge_id: str, *, why: str, actor: str) -> None:
        """Take a badge back. The award stays in the log with the reason beside it, and is never given again.

        Raises:
            NotFound: the learner does not have it.
            Conflict: it was revoked before.
            InvalidInput: there is no reason.
        """
        if not 1 <= len(why.strip()) <= 300:
            raise InvalidInput("Say in 1 to 300 characters why the badge is revoked.")
        now = self._clock()
        async with self._database.write() as connection:
            one = (await _earned(connection, user_id)).get(badge_id)
            if one is None:
                raise NotFound(f"This learner does not have the badge {badge_id!r}.")
            if one.revoked_at is not None:
                raise Conflict(f"The badge {badge_id!r} was revoked already.")
            await event_log.append(
                connection,
                NewEvent(
                    type="analytics.badge-revoked", key=user_id, user_id=user_id, occurred_at=now,
                    payload={"badgeId": badge_id, "why": why.strip(), "by": actor},
                    dedupe_key=f"badge-revoked:{user_id}:{badge_id}",
                ),
            )  # fmt: skip
            detail = {"badge": badge_id, "why": why.strip()}
            await connection.run_sync(audit.record, actor, "badge.revoke", user_id, detail, at=now)
        self._wake()


async def _all(connection: AsyncConnection, *, retired: bool = False) -> list[Badge]:
    query = sa.select(custom_badges).order_by(custom_badges.c.created_at)
    if not retired:
        query = query.where(custom_badges.c.retired_at.is_(None))
    own = [
        Badge(id=row.id, title=row.title, description=row.description, rule=rules.parse(row.rule), is_custom=True)
        for row in await connection.execute(query)
    ]
    return [*BADGES, *own]


async def _earned(connection: AsyncConnection, user_id: str) -> dict[str, Earned]:
    known = {badge.id: badge for badge in await _all(connection, retired=True)}
    query = (
        sa.select(earned_badges)
        .where(earned_badges.c.user_id == user_id)
        .order_by(earned_badges.c.awarded_at.desc(), earned_badges.c.badge_id)
    )
    return {
        row.badge_id: Earned(
            badge=known[row.badge_id], awarded_at=row.awarded_at, evidence=row.evidence, revoked_at=row.revoked_at,
            revoked_why=row.revoked_why,
        )
        for row in await connection.execute(query)
        if row.badge_id in known
    }  # fmt: skip
