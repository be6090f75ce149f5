"""Accounts, sign-ins and tokens."""

import pytest
import sqlalchemy as sa

from app.errors import Conflict, InvalidInput, NotFound, RateLimited, Unauthenticated
from app.identity.access import TRIES_BY_ADDRESS, AccessService
from app.identity.accounts import AccountService, User
from app.models import audit
from app.storage.database import Database
from app.storage.tables.identity import sign_ins
from tests.fakes.clock import Clock


@pytest.fixture
def access(database: Database, accounts: AccountService, clock: Clock) -> AccessService:
    return AccessService(database=database, accounts=accounts, clock=clock)


async def test_a_sign_in_is_known_until_it_ends(access: AccessService, ada: User) -> None:
    user, sign_in_id = await access.sign_in("Ada", "correct horse", address="1")

    before = await access.user_of_sign_in(sign_in_id)
    await access.end_sign_in(sign_in_id)

    assert user == before == ada
    assert await access.user_of_sign_in(sign_in_id) is None


async def test_a_sign_in_expires(access: AccessService, ada: User, clock: Clock) -> None:
    _, sign_in_id = await access.sign_in("ada", "correct horse", address="1")

    clock.move(days=8)

    assert await access.user_of_sign_in(sign_in_id) is None


async def test_what_has_expired_is_dropped(access: AccessService, ada: User, database: Database, clock: Clock) -> None:
    await access.open_sign_in(ada)
    clock.move(days=5)
    kept = await access.open_sign_in(ada)
    clock.move(days=3)

    await access.prune()

    async with database.read() as connection:
        left = list(await connection.scalars(sa.select(sign_ins.c.id)))
    assert left == [kept]


async def test_wrong_passwords_and_unknown_names_look_the_same(access: AccessService, ada: User) -> None:
    with pytest.raises(Unauthenticated, match="name or the password is wrong"):
        await access.sign_in("ada", "wrong", address="1")
    with pytest.raises(Unauthenticated, match="name or the password is wrong"):
        await access.sign_in("nobody", "wrong", address="1")


async def test_tries_are_limited_by_name(access: AccessService, ada: User) -> None:
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await access.sign_in("ada", "wrong", address="1")

    with pytest.raises(RateLimited):
        await access.sign_in("ada", "correct horse", address="2")


async def test_tries_are_limited_by_address(access: AccessService, ada: User) -> None:
    for number in range(TRIES_BY_ADDRESS.amount):
        with pytest.raises(Unauthenticated):
            await access.sign_in(f"nobody{number}", "wrong", address="1")

    with pytest.raises(RateLimited):
        await access.sign_in("ada", "correct horse", address="1")
    await access.sign_in("ada", "correct horse", address="2")


async def test_nobody_signs_in_as_the_owner_of_a_single_user_installation(
    access: AccessService, accounts: AccountService
) -> None:
    await accounts.owner()

    with pytest.raises(Unauthenticated):
        await access.sign_in("owner", "", address="1")
    assert await accounts.has_accounts() is False


@pytest.mark.parametrize("name", ["", "a", "A B", "../x", "x" * 100, "naïve"])
async def test_what_is_no_name_is_refused(accounts: AccountService, name: str) -> None:
    with pytest.raises(InvalidInput, match="not a name"):
        await accounts.add(name, "long enough password")


async def test_short_passwords_and_taken_names_are_refused(accounts: AccountService, ada: User) -> None:
    with pytest.raises(InvalidInput, match="10 to 1024"):
        await accounts.add("grace", "short")
    with pytest.raises(Conflict):
        await accounts.add("ADA", "another password")


async def test_a_token_acts_with_its_scopes_until_it_is_revoked(access: AccessService, ada: User) -> None:
    token, secret = await access.add_token(ada, "laptop", ["read", "write"])

    user, scopes = await access.user_of_token(secret)
    await access.revoke_token(ada, token.id)

    assert (user, scopes) == (ada, ("read", "write"))
    with pytest.raises(Unauthenticated):
        await access.user_of_token(secret)


async def test_a_token_is_kept_as_a_hash(access: AccessService, ada: User, database: Database) -> None:
    from sqlalchemy import text

    _, secret = await access.add_token(ada, "laptop", ["read"])

    async with database.read() as connection:
        row = (await connection.execute(text("SELECT * FROM api_tokens"))).one()
    assert secret not in str(tuple(row))


async def test_nobody_revokes_anothers_token(access: AccessService, ada: User, eve: User) -> None:
    token, secret = await access.add_token(ada, "laptop", ["read"])

    with pytest.raises(NotFound):
        await access.revoke_token(eve, token.id)
    assert (await access.user_of_token(secret))[0] == ada


@pytest.mark.parametrize("scopes", [[], ["everything"], ["read", "root"]])
async def test_unknown_scopes_are_refused(access: AccessService, ada: User, scopes: list[str]) -> None:
    with pytest.raises(InvalidInput):
        await access.add_token(ada, "laptop", scopes)


async def test_only_administrators_get_the_admin_scope(access: AccessService, eve: User) -> None:
    with pytest.raises(InvalidInput, match="no administrator"):
        await access.add_token(eve, "laptop", ["admin"])


async def test_changes_of_accounts_and_tokens_leave_a_trail_without_secrets(
    access: AccessService, accounts: AccountService, ada: User, database: Database
) -> None:
    token, secret = await access.add_token(ada, "laptop", ["read"])
    await access.revoke_token(ada, token.id)
    await accounts.set_tier("ada", "pro")

    trail = await audit.newest(database)
    assert {entry.action for entry in trail} == {"user.add", "token.add", "token.revoke", "user.tier"}
    assert secret not in str(trail)
    assert await accounts.tier_of(ada) == "pro"
    with pytest.raises(InvalidInput, match="free, basic, pro, enterprise"):
        await accounts.set_tier("ada", "gold")
