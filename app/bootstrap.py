"""The composition root: settings in, services out. Everything real is opened and closed here."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
from limits.aio.storage import MemoryStorage, RedisStorage, Storage

from app.analytics.badges import BadgeSystem
from app.analytics.projections import EarnedBadges, MetricsCollector
from app.analytics.ranking import RankingService
from app.analytics.reports import ReportService
from app.context.repositories import RepositoryService
from app.events.bus import Bus, Consumer
from app.identity.access import AccessService
from app.identity.accounts import AccountService
from app.learning.challenges import ChallengeService
from app.learning.coaching import CoachService
from app.learning.curriculum import load_curriculum
from app.learning.fitting import FittingService
from app.learning.languages import find_toolchains
from app.learning.plans import PlanService
from app.learning.sandbox.probe import Isolation, probe
from app.learning.training import TrainingService
from app.models.answers import Answers, OwnAnswers
from app.models.budget import Purse
from app.models.keys import KeyService
from app.models.log import prune
from app.models.quality import GradedAnswers
from app.models.tasks import TaskService
from app.opening import may_run_unisolated, open_database, open_gateway, open_keys, utc_now
from app.orchestration.actions import Actions
from app.orchestration.engine import WorkflowEngine
from app.orchestration.executor import ExecutorSlot, FileSlot, PostgresSlot
from app.orchestration.store import WorkStore
from app.settings import Settings
from app.storage.database import Database, postgres_url
from graph import prompts
from graph.checkpoints import Checkpoints, postgres_checkpoints, sqlite_checkpoints
from graph.conversation import Conversation
from graph.deps import Deps
from graph.intents.classifier import load_classifier

logger = structlog.get_logger()

SWEEP_SECONDS = 60
KEYS_SECONDS = 5
SLOT_SECONDS = 10
SETTLE_SECONDS = 2.0  # a badge that is found later than this shows at the next look
PRUNE_SECONDS = 3600
FIT_SECONDS = 3600.0
REDIS_SECONDS = 5.0  # that it may take to answer


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the three doors use."""

    settings: Settings
    database: Database
    bus: Bus
    accounts: AccountService
    access: AccessService
    isolation: Isolation
    keys: KeyService
    tasks: TaskService
    deps: Deps
    conversation: Conversation


def consumers(database: Database) -> list[Consumer]:
    """Everything that follows the event log."""
    return [MetricsCollector(database), EarnedBadges(database), GradedAnswers(database)]


def follow(database: Database) -> tuple[Bus, BadgeSystem]:
    """The bus with all that follows the log, and the badges that are looked at when it has been followed."""
    badges = BadgeSystem(
        database=database, clock=utc_now, wake=lambda: bus.wake(), settle=lambda: bus.settled(SETTLE_SECONDS)
    )
    bus = Bus(database, consumers(database), afterwards=badges.award_due)
    return bus, badges


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Everything, with its background work.

    Raises:
        SettingsError, StorageFailed: as ``open_database``; or a pool, catalog or key does not fit.
    """
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings))
        bus, badges = follow(database)
        accounts = AccountService(database=database, clock=utc_now)
        access = AccessService(database=database, accounts=accounts, clock=utc_now)
        await asyncio.to_thread(prompts.load)
        await asyncio.to_thread(find_toolchains)
        isolation = await probe(allow_unisolated=may_run_unisolated(settings))
        logger.info("sandbox.probed", isolated=isolation.sandbox is not None, reason=isolation.reason)
        deps = await _open_deps(settings, database, bus, isolation, stack, badges=badges, accounts=accounts)
        checkpoints = await stack.enter_async_context(_checkpoints(settings))
        keys = await open_keys(settings, database, deps.gateway)
        redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
        kept_seconds = settings.response_cache_ttl_seconds if settings.enable_response_caching else 0
        storage, answers = await stack.enter_async_context(open_shared(redis_url, kept_seconds))
        tasks = TaskService(
            database=database, gateway=deps.gateway, metrics=deps.gateway.metrics, prompt=prompts.render, clock=utc_now,
            storage=storage, answers=answers,
        )  # fmt: skip
        await stack.enter_async_context(_background(bus, database, deps, keys, access))
        yield Services(
            settings=settings, database=database, bus=bus, accounts=accounts, access=access, isolation=isolation,
            keys=keys, tasks=tasks, deps=deps, conversation=Conversation(checkpoints, deps),
        )  # fmt: skip


async def _open_deps(
    settings: Settings, database: Database, bus: Bus, isolation: Isolation, stack: AsyncExitStack, *,
    badges: BadgeSystem, accounts: AccountService,
) -> Deps:  # fmt: skip
    curriculum = await asyncio.to_thread(load_curriculum, own=settings.tooloo_challenges_dir)
    for file, reason in curriculum.left_out.items():
        logger.warning("challenge.left_out", file=file, reason=reason)
    reports = ReportService(database=database, clock=utc_now)
    repositories = RepositoryService(
        database=database, index_folder=settings.tooloo_data_dir / "indexes", roots=settings.repo_roots,
        private=settings.tooloo_data_dir, clock=utc_now, wake=bus.wake,
    )  # fmt: skip
    purse = Purse(database)
    gateway = await open_gateway(settings, database, purse)
    stack.push_async_callback(gateway.close)
    engine = WorkflowEngine(
        store=WorkStore(database=database, clock=utc_now, wake=bus.wake),
        actions=Actions(database=database, repositories=repositories, reports=reports, clock=utc_now),
        slot=_slot(settings), system_url=_system_url(settings), clock=utc_now,
    )  # fmt: skip
    await engine.open()
    stack.push_async_callback(engine.close)
    challenges = ChallengeService(
        database=database, curriculum=curriculum, isolation=isolation, clock=utc_now, wake=bus.wake
    )
    return Deps(
        database=database, classifier=await asyncio.to_thread(load_classifier), curriculum=curriculum,
        challenges=challenges, coach=CoachService(challenges=challenges, gateway=gateway, prompt=prompts.render),
        training=TrainingService(
            database=database, curriculum=curriculum, challenges=challenges, clock=utc_now, wake=bus.wake
        ),
        plans=PlanService(database=database, curriculum=curriculum, clock=utc_now),
        gateway=gateway, purse=purse, repositories=repositories, reports=reports, engine=engine, clock=utc_now,
        badges=badges, ranking=RankingService(database=database, clock=utc_now), accounts=accounts,
    )  # fmt: skip


@asynccontextmanager
async def open_shared(redis_url: str | None, kept_seconds: float) -> AsyncIterator[tuple[Storage, Answers]]:
    """Where task limits are counted and answers are kept for so long: in this process, or in Redis for several."""
    own = OwnAnswers(kept_seconds)
    if redis_url is None:
        yield MemoryStorage(), own
        return
    from redis.asyncio import ConnectionPool, Redis  # a quarter of a second that most starts need not wait

    from app.models.redis_answers import RedisAnswers

    pool = ConnectionPool.from_url(redis_url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)
    try:
        storage = await asyncio.to_thread(
            lambda: RedisStorage(
                f"async+{redis_url}",
                connection_pool=pool,  # type: ignore[arg-type]  # documented, and typed too narrowly
                implementation="redispy",
                wrap_exceptions=True,
            )
        )
        yield storage, RedisAnswers(Redis(connection_pool=pool), kept_seconds) if kept_seconds else own
    finally:
        await pool.aclose()


@asynccontextmanager
async def _background(
    bus: Bus, database: Database, deps: Deps, keys: KeyService, access: AccessService
) -> AsyncIterator[None]:
    fitting = FittingService(database=database, clock=utc_now)
    tasks = [
        asyncio.create_task(bus.run()),
        asyncio.create_task(_repeated("budget.sweep", lambda: _sweep(deps), SWEEP_SECONDS)),
        asyncio.create_task(_repeated("workflow.slot", deps.engine.keep_slot, SLOT_SECONDS)),
        asyncio.create_task(_repeated("keys.refresh", keys.refresh, KEYS_SECONDS)),
        asyncio.create_task(_repeated("log.prune", lambda: prune(database, utc_now()), PRUNE_SECONDS)),
        asyncio.create_task(_repeated("sign-ins.prune", access.prune, PRUNE_SECONDS)),
        asyncio.create_task(_repeated("cards.fit", fitting.fit_everybody, FIT_SECONDS)),
    ]
    try:
        yield
    finally:
        while waiting := [task for task in tasks if not task.done()]:
            for task in waiting:  # again, where one was lost: Python 3.11's wait_for can swallow a cancellation
                task.cancel()
            await asyncio.wait(waiting, timeout=1)


async def _sweep(deps: Deps) -> None:
    """Charge and log the calls of processes that died."""
    await deps.purse.sweep(utc_now())
    await deps.gateway.log.log_lost(utc_now())


async def _repeated(name: str, work: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Run ``work`` again and again, such as dropping old rows."""
    while True:
        try:
            await work()
        except Exception:  # it must outlive a database that is gone for a while
            logger.exception("background.failed", work=name)
        await asyncio.sleep(seconds)


def _system_url(settings: Settings) -> str:
    if settings.database_url:
        return postgres_url(settings.database_url.get_secret_value(), "psycopg")
    return f"sqlite:///{settings.tooloo_data_dir / 'workflows.sqlite'}"


def _slot(settings: Settings) -> ExecutorSlot:
    if settings.database_url:
        return PostgresSlot(settings.database_url.get_secret_value())
    return FileSlot(settings.tooloo_data_dir)


def _checkpoints(settings: Settings) -> contextlib.AbstractAsyncContextManager[Checkpoints]:
    if settings.database_url:
        return postgres_checkpoints(settings.database_url.get_secret_value())
    return sqlite_checkpoints(settings.tooloo_data_dir / "checkpoints.sqlite")
