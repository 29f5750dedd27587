"""Microsoft: who signs in and calls, what a grant still gives, and whether a mailbox opens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from shared.domain.account import Principal
from shared.domain.caller import Caller
from shared.domain.clouds import Resource
from shared.domain.failure import Failure, MailboxRefusal, SignInRefusal
from shared.domain.formats import same_address
from shared.domain.oauth_app import OAuthApp
from shared.domain.secret import Secret
from shared.domain.tokens import TokenSet


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What redeeming a code proved: who, with what tokens."""

    principal: Principal
    tokens: TokenSet


class EntraFailed(Exception):
    """The token endpoint refused or did not answer; `failure` says of which kind that is.

    Never raised for what a browser brings back from the authorize endpoint: that is SignInRefused.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.code)
        self.failure = failure


class SignInInvalid(Exception):
    """What came back from the sign-in proves nothing; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class SignInRefused(SignInInvalid):
    """The browser came back with an error of the authorize endpoint, which anybody can write."""

    def __init__(self, refusal: SignInRefusal) -> None:
        super().__init__(refusal.value)


class EntraSetup(Protocol):
    """Whether an OAuth app is set up as it should be, by calls that change nothing. Raises EntraFailed."""

    async def discover(self, app: OAuthApp) -> None:
        """Have the app's authority say where its endpoints are, and that it is the issuer of its tokens."""

    async def authenticate(self, app: OAuthApp) -> None:
        """Have Entra accept the client's credential, without any person."""


class Entra(Protocol):
    """Sign-in and refresh. Raises EntraFailed, and EntraBusy before anything is asked; `redeem` also SignInInvalid."""

    async def begin(
        self, app: OAuthApp, *, state: Secret, login_hint: str | None, claims: str | None
    ) -> tuple[str, Secret]:
        """The URL to send the browser to, and the flow to keep."""

    async def redeem(self, app: OAuthApp, flow: Secret, answer: Mapping[str, str]) -> SignedIn:
        """Who signed in, with tokens for the app's home."""

    async def refresh(
        self, app: OAuthApp, refresh_token: Secret, resource: Resource | None = None, claims: str | None = None
    ) -> TokenSet:
        """New tokens for one resource, by default the app's home; `claims` answer a claims challenge."""


class SignInEntra(Entra, Protocol):
    """What people's sign-ins need besides."""

    async def finish(self, app: OAuthApp, refresh_token: Secret) -> TokenSet:
        """New tokens for a person whose binding failed at storage after the code was redeemed."""


@dataclass(frozen=True, slots=True)
class Person:
    """What Microsoft says of the signed-in person.

    `user_principal_name` says who they are among all tenants, because its domain is verified in one only (Entra: "Add
    your custom domain name"). `mail` is what administrators of their own tenant have written there, and nobody checked
    it (Entra: "Secure applications and APIs by validating claims"). `addresses` are what their own mailbox is known to
    be called, `inbox` is the id of its inbox folder.
    """

    user_principal_name: str | None
    mail: str | None
    name: str | None
    addresses: frozenset[str] = frozenset()
    inbox: str | None = None

    def is_named(self, address: str) -> bool:
        """Whether the address is this person's."""
        return same_address(address, self.user_principal_name) or same_address(address, self.mail)


class MailboxRefused(Exception):
    """Microsoft answered, and the answer is no."""

    def __init__(self, refusal: MailboxRefusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class MailboxUnavailable(Exception):
    """Microsoft did not answer, or asked to come back later."""


class MailboxProbe(Protocol):
    """What proves access, with a token for its resource. Raises MailboxRefused and MailboxUnavailable."""

    async def person(self, app: OAuthApp, signed_in: SignedIn) -> Person: ...

    async def open(self, app: OAuthApp, token: Secret, email: str, *, shared: bool) -> str | None:
        """Open the inbox of a shared mailbox, or of the person's own; nothing in it changes.

        The folder's id, which is the same whatever the mailbox is called, or None where the protocol has none.
        """

    async def close(self) -> None: ...


type MailboxProbes = Mapping[Resource, MailboxProbe]
"""How mailboxes are proven by tokens for each resource."""


class EntraCallers(Protocol):
    """Applications that call with an access token of Entra's."""

    async def __call__(self, token: Secret) -> Caller:
        """Whom the token was issued to. Raises InvalidToken, and Unavailable when that cannot be found out now."""
