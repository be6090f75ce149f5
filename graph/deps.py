"""The services that nodes may use: LangGraph's context schema."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from app.analytics.badges import BadgeSystem
from app.analytics.ranking import RankingService
from app.analytics.reports import ReportService
from app.context.repositories import RepositoryService
from app.identity.accounts import AccountService
from app.learning.challenges import ChallengeService
from app.learning.coaching import CoachService
from app.learning.curriculum import Curriculum
from app.learning.plans import PlanService
from app.learning.training import TrainingService
from app.models.budget import Purse
from app.models.gateway import Gateway
from app.orchestration.engine import WorkflowEngine
from app.storage.database import Database
from app.zones import zone_named
from graph.intents.classifier import Classifier


@dataclass(frozen=True, kw_only=True)
class Deps:
    database: Database
    classifier: Classifier
    curriculum: Curriculum
    challenges: ChallengeService
    coach: CoachService
    training: TrainingService
    plans: PlanService
    gateway: Gateway
    purse: Purse
    repositories: RepositoryService
    reports: ReportService
    badges: BadgeSystem
    ranking: RankingService
    accounts: AccountService
    engine: WorkflowEngine
    clock: Callable[[], datetime]

    async def today(self, user_id: str) -> date:
        """The date by the learner's own clock."""
        return self.clock().astimezone(await self.zone(user_id)).date()

    async def zone(self, user_id: str) -> ZoneInfo:
        """The time zone that this person's days are counted by."""
        return await zone_named((await self.accounts.preferences(user_id)).timezone)
