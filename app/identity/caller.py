"""Who makes the current request: set once at the door, read by whatever must check ownership."""

from contextvars import ContextVar
from dataclasses import dataclass

from app.errors import NotAllowed, Unauthenticated
from app.identity.access import Scope
from app.identity.accounts import User


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a signed cookie says: the sign-in, and the name of who signed in. The two must belong together."""

    sign_in_id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Caller:
    """``user`` is None for a stranger; ``sign_in_id`` is None for tokens and the single user's REST calls."""

    user: User | None
    scopes: tuple[Scope, ...] = ()
    sign_in_id: str | None = None
    address: str = "unknown"

    def require(self, scope: Scope) -> User:
        """The user, if they may do what needs this scope.

        Raises:
            Unauthenticated: nobody is signed in.
            NotAllowed: the token's scopes or the role do not reach.
        """
        if self.user is None:
            raise Unauthenticated("Sign in first, or send a token: Authorization: Bearer tooloo_…")
        if scope not in self.scopes:
            raise NotAllowed(f"This needs the scope {scope!r}, which your token or role does not have.")
        return self.user


STRANGER = Caller(user=None)
current_caller: ContextVar[Caller] = ContextVar("current_caller", default=STRANGER)
