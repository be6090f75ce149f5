"""Keys that an administrator sets: tested on entry, encrypted at rest, never shown again."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.errors import InvalidInput, NotFound, ProviderFailed, SettingsError
from app.identity.accounts import User
from app.models import audit
from app.models.budget import Purse
from app.models.gateway import Gateway
from app.models.keys import SECRET_FILE, KeyService, cipher_of
from app.models.providers.wire import Wire
from app.opening import open_gateway, open_keys
from app.settings import Settings
from app.storage.database import Database
from app.storage.secret_file import secret_in
from app.storage.tables.models import provider_configs
from tests.app.models.conftest import MODELS, request_to, settings_for
from tests.fakes.providers import FakeProviders, Script

GOOD = "sk-good-0123456789abcdef"
pytestmark = pytest.mark.filterwarnings("ignore")  # the SDKs' own deprecations


@pytest.fixture
def settings(providers: FakeProviders, tmp_path: Path) -> Settings:
    providers.accepted_keys = frozenset({GOOD})
    none = dict.fromkeys(("anthropic_api_key", "openai_api_key", "google_api_key", "deepseek_api_key"))
    return settings_for(providers, tmp_path, **none)


async def opened(settings: Settings, database: Database) -> tuple[Gateway, KeyService]:
    gateway = await open_gateway(settings, database, Purse(database))
    return gateway, await open_keys(settings, database, gateway)


@pytest.mark.parametrize("provider", ["anthropic", "openai", "gemini", "deepseek"])
async def test_a_key_is_tested_used_at_once_and_after_a_restart(
    settings: Settings, sqlite: Database, learner: User, provider: str
) -> None:
    gateway, keys = await opened(settings, sqlite)
    before = gateway.providers()

    models = await keys.set(provider, f"  {GOOD}\n", actor=learner.id)

    answer = await gateway.complete(request_to(learner, MODELS[provider]))
    again, _ = await opened(settings, sqlite)
    assert provider not in before
    assert models == 2
    assert answer.text == "Hello from the fake."
    assert provider in again.providers()
    await gateway.close()
    await again.close()


@pytest.mark.parametrize("provider", ["anthropic", "openai", "gemini", "deepseek"])
async def test_a_wrong_key_is_refused_and_not_stored(settings: Settings, sqlite: Database, provider: str) -> None:
    gateway, keys = await opened(settings, sqlite)

    with pytest.raises(InvalidInput, match="does not accept this key") as caught:
        await keys.set(provider, "sk-wrong-0123456789", actor="ada")

    assert "sk-wrong" not in caught.value.user_message
    assert [status.source for status in await keys.status()] == ["none"] * 4
    await gateway.close()


@pytest.mark.parametrize("key", ["", "   ", "two words", "sk-\u20ac", "x" * 501, "sk-a\x00b"])
async def test_what_is_no_key_is_refused_unasked(
    settings: Settings, sqlite: Database, providers: FakeProviders, key: str
) -> None:
    gateway, keys = await opened(settings, sqlite)

    with pytest.raises(InvalidInput, match="This is no key"):
        await keys.set("openai", key, actor="ada")
    with pytest.raises(NotFound):
        await keys.set("nobody", GOOD, actor="ada")

    await gateway.close()


async def test_of_two_keys_set_at_once_the_one_that_is_stored_is_used(
    settings: Settings, sqlite: Database, providers: FakeProviders
) -> None:
    gateway, keys = await opened(settings, sqlite)
    providers.accepted_keys = frozenset({f"sk-{letter * 20}" for letter in "abcdef"})
    make, pauses, used = keys._make_wire, iter([0.3, 0.25, 0.2, 0.15, 0.1, 0.05] * 9), []

    def make_slowly(provider: str, key: str) -> Wire:
        time.sleep(next(pauses))  # whoever came first is the last to be ready
        wire = make(provider, key)
        vars(wire)["key"] = key
        return wire

    keys._make_wire = make_slowly
    async with asyncio.timeout(30):
        await asyncio.gather(*(keys.set("openai", key, actor="ada") for key in sorted(providers.accepted_keys)))
    used = vars(gateway._wires["openai"])["key"]

    assert (await keys.status())[1].ending == used[-4:]
    await gateway.close()


@pytest.mark.parametrize("body", ["{}", "[]", "null", '{"data": []}', '{"data": "abc"}', '{"models": []}'])
@pytest.mark.parametrize("provider", ["anthropic", "openai", "gemini", "deepseek"])
async def test_an_answer_that_names_no_models_proves_no_key(
    settings: Settings, sqlite: Database, provider: str, body: str
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    away = settings.model_copy(
        update={f"{name}_base_url": url for name in ("anthropic", "openai", "gemini", "deepseek")}
    )
    gateway, keys = await opened(away, sqlite)

    with pytest.raises((InvalidInput, ProviderFailed)):
        await keys.set(provider, GOOD, actor="ada")

    assert {status.source for status in await keys.status()} == {"none"}
    await gateway.close()
    server.close()


async def test_a_provider_that_is_not_there_stores_nothing(settings: Settings, sqlite: Database) -> None:
    away = settings.model_copy(update={"openai_base_url": "http://127.0.0.1:9/v1"})
    gateway, keys = await opened(away, sqlite)

    with pytest.raises(ProviderFailed):
        await keys.set("openai", GOOD, actor="ada")

    assert (await keys.status())[1].source == "none"
    await gateway.close()


async def test_at_rest_it_is_encrypted_and_its_file_is_the_servers_alone(
    settings: Settings, sqlite: Database, tmp_path: Path
) -> None:
    gateway, keys = await opened(settings, sqlite)
    await keys.set("openai", GOOD, actor="ada")

    async with sqlite.read() as connection:
        stored = (await connection.execute(sa.select(provider_configs))).mappings().one()
    trail = (await audit.newest(sqlite))[0]

    assert GOOD not in str(dict(stored))
    assert (tmp_path / "keys.key").stat().st_mode & 0o777 == 0o600
    assert (trail.action, trail.subject, trail.detail) == ("key.set", "openai", {"ending": "cdef"})
    assert GOOD not in repr(await keys.status())
    await gateway.close()


async def test_a_new_key_need_not_wait_for_what_the_old_one_was_told(settings: Settings, sqlite: Database) -> None:
    gateway, keys = await opened(settings, sqlite)
    await gateway._standing.note_rate_limit("openai", 1800)

    await keys.set("openai", GOOD, actor="ada")

    assert gateway.why_unusable("openai") is None
    await gateway.close()


async def test_another_secret_cannot_read_it_and_says_so(settings: Settings, sqlite: Database) -> None:
    gateway, keys = await opened(settings, sqlite)
    await keys.set("openai", GOOD, actor="ada")
    other = Settings(**{**settings.model_dump(), "tooloo_secret_key": "x" * 40})

    again, unreadable = await opened(other, sqlite)

    status = (await unreadable.status())[1]
    assert "enter it again" in (status.problem or "")
    assert "openai" not in again.providers()
    await gateway.close()
    await again.close()


async def test_a_key_that_its_provider_refuses_says_so_until_there_is_another(
    settings: Settings, sqlite: Database, learner: User, providers: FakeProviders
) -> None:
    gateway, keys = await opened(settings, sqlite)
    await keys.set("openai", GOOD, actor="ada")
    providers.scripts["*"] = Script(status=401)
    with pytest.raises(ProviderFailed):
        await gateway.complete(request_to(learner, "openai/gpt-5-mini"))
    await gateway.log.flush()

    refused = (await keys.status())[1]
    await asyncio.sleep(0.01)
    await keys.set("openai", GOOD, actor="ada")
    anew = (await keys.status())[1]

    await keys.remove("openai", actor="ada")
    environments = (await keys.status())[1]

    assert "was not accepted at" in (refused.problem or "")
    assert anew.problem is environments.problem is None
    await gateway.close()


async def test_a_removed_key_gives_way_to_the_environments(
    settings: Settings, sqlite: Database, providers: FakeProviders
) -> None:
    with_environment = Settings(**{**settings.model_dump(), "openai_api_key": "sk-from-the-environment"})
    gateway, keys = await opened(with_environment, sqlite)
    await keys.set("openai", GOOD, actor="ada")
    stored = (await keys.status())[1].source

    await keys.remove("openai", actor="ada")

    assert (stored, (await keys.status())[1].source) == ("stored", "environment")
    assert "openai" in gateway.providers()
    with pytest.raises(NotFound):
        await keys.remove("openai", actor="ada")
    await gateway.close()


async def test_another_process_takes_it_into_use(settings: Settings, sqlite: Database) -> None:
    gateway, keys = await opened(settings, sqlite)
    other_gateway, other_keys = await opened(settings, sqlite)

    await keys.set("openai", GOOD, actor="ada")
    await other_keys.refresh()
    there = "openai" in other_gateway.providers()
    await keys.remove("openai", actor="ada")
    await other_keys.refresh()

    assert there
    assert "openai" not in other_gateway.providers()
    await gateway.close()
    await other_gateway.close()


def test_several_processes_that_start_at_once_have_one_key_which_nobody_else_reads(tmp_path: Path) -> None:
    file = tmp_path / "keys.key"
    (tmp_path / "keys.new").touch(mode=0o644)  # as a version before left it
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda n: secret_in(file, lambda: f"secret-{n}"), range(64)))

    assert set(found) == {file.read_text()}
    assert file.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"keys.key", "keys.new"}


@pytest.mark.parametrize("held", ["", "no key at all"])
def test_a_damaged_key_file_gets_a_sentence(tmp_path: Path, held: str) -> None:
    (tmp_path / SECRET_FILE).write_text(held)

    with pytest.raises(SettingsError, match="Put it back from a backup"):
        cipher_of(tmp_path, None)


def test_a_key_file_that_cannot_be_read_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / SECRET_FILE).mkdir()

    with pytest.raises(SettingsError, match="cannot be read"):
        cipher_of(tmp_path, None)


async def test_a_new_key_is_used_though_the_old_one_had_opened_the_circuit(
    settings: Settings, sqlite: Database, learner: User, providers: FakeProviders
) -> None:
    gateway, keys = await opened(settings, sqlite)
    await keys.set("openai", GOOD, actor="ada")
    providers.scripts["gpt-5-mini"] = Script(status=401)
    for _ in range(5):
        with pytest.raises(ProviderFailed):
            await gateway.complete(request_to(learner, "openai/gpt-5-mini"))
    providers.scripts.clear()

    await keys.set("openai", GOOD, actor="ada")

    assert (await gateway.complete(request_to(learner, "openai/gpt-5-mini"))).text
    await gateway.close()


async def test_a_start_remembers_the_failures_of_a_stored_key_and_a_new_key_does_not(
    settings: Settings, sqlite: Database, providers: FakeProviders, learner: User
) -> None:
    gateway, keys = await opened(settings, sqlite)
    await keys.set("openai", GOOD, actor=learner.id)
    providers.scripts["*"] = Script(status=500)
    with pytest.raises(ProviderFailed):
        await gateway.complete(request_to(learner, MODELS["openai"]))
    await gateway.close()

    again, its_keys = await opened(settings, sqlite)
    now = datetime.now(UTC)
    remembered = again._standing._tracks[MODELS["openai"]]
    await its_keys.set("openai", GOOD, actor=learner.id)

    assert remembered.day_total == pytest.approx(1, abs=0.01)  # three tries of one request
    assert remembered.success_rate(now) == pytest.approx(2 / 3, abs=0.01)
    assert again._standing._tracks[MODELS["openai"]].success_rate(now) == 1
    await again.close()
