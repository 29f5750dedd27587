"""Microsoft: sign-in and refresh at Entra, probes of mailboxes, and verification of callers' tokens."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from shared.domain.account import Principal
from shared.domain.caller import Caller
from shared.domain.clouds import Resource
from shared.domain.failure import GRAPH_UNAVAILABLE, Failure, MailboxRefusal
from shared.domain.formats import same_address
from shared.domain.oauth_app import OAuthApp
from shared.domain.secret import Secret
from shared.domain.sign_in_refusal import SignInRefusal
from shared.domain.tokens import TokenSet


class SignedIn(NamedTuple):
    """The result of redeeming a code: the principal and its tokens."""

    principal: Principal
    tokens: TokenSet


class EntraFailed(Exception):
    """The token endpoint refused or did not answer; `failure` classifies it.

    Errors that a browser brings back from the authorize endpoint are SignInRefused instead.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.code)
        self.failure = failure


class SignInInvalid(Exception):
    """The response of a sign-in is not valid; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class SignInRefused(SignInInvalid):
    """The browser brought back an error of the authorize endpoint. Anyone can forge such an error."""

    def __init__(self, refusal: SignInRefusal) -> None:
        super().__init__(refusal.value)


class EntraSetup(Protocol):
    """Checks of an OAuth app's configuration, by calls that change nothing. Raises EntraFailed."""

    async def discover(self, app: OAuthApp) -> None:
        """Read the authority's metadata: its endpoints and its issuer."""

    async def authenticate(self, app: OAuthApp) -> None:
        """Have Entra accept the client's credential (client credentials flow)."""


class Entra(Protocol):
    """Sign-in and refresh. Raises EntraFailed, EntraBusy before a request is sent, and `redeem` SignInInvalid."""

    async def begin(
        self, app: OAuthApp, *, state: Secret, login_hint: str | None, claims: str | None
    ) -> tuple[str, Secret]:
        """The URL to redirect the browser to, and the flow to store until the code is redeemed."""

    async def redeem(self, app: OAuthApp, flow: Secret, answer: Mapping[str, str]) -> SignedIn:
        """The principal, with tokens for the app's primary resource."""

    async def refresh(
        self,
        app: OAuthApp,
        refresh_token: Secret,
        resource: Resource | None = None,
        claims: str | None = None,
        *,
        principal: Principal | None = None,
    ) -> TokenSet:
        """New tokens for one resource, by default the primary one. `claims` answer a claims challenge.

        Tokens of another person than the `principal` are refused.
        """


class SignInEntra(Entra, Protocol):
    """Entra, with the extra call that sign-ins need."""

    async def finish(self, app: OAuthApp, refresh_token: Secret, principal: Principal) -> TokenSet:
        """New tokens for a person whose binding failed because storage was unavailable after the code was redeemed."""


class Person(NamedTuple):
    """Microsoft's data about the signed-in person.

    `user_principal_name` identifies the person among all tenants, because its domain is verified in only one of them
    (Entra: "Add your custom domain name"). `mail` is set by administrators of the person's tenant and is not verified
    (Entra: "Secure applications and APIs by validating claims"). `addresses` are known addresses of the person's own
    mailbox, and `inbox` is the id of its inbox folder. `trusted_addresses` are those, and earlier sign-in names, that
    identify the person because nobody else's administrators can have entered them.
    """

    user_principal_name: str | None
    mail: str | None
    name: str | None
    addresses: frozenset[str] = frozenset()
    inbox: str | None = None
    trusted_addresses: frozenset[str] = frozenset()

    def is_named(self, address: str) -> bool:
        """Whether the address belongs to this person."""
        return any(same_address(address, own) for own in (self.user_principal_name, *self.trusted_addresses))


class MailboxRefused(Exception):
    """Microsoft refused access to the mailbox. `claims` are those of a claims challenge."""

    def __init__(self, refusal: MailboxRefusal, claims: str | None = None) -> None:
        super().__init__(refusal)
        self.refusal = refusal
        self.claims = claims


class MailboxUnavailable(Exception):
    """Microsoft did not answer, or asked for a later retry; or `code` says that our own settings are wrong."""

    def __init__(self, code: str = GRAPH_UNAVAILABLE) -> None:
        super().__init__(code)
        self.code = code


class MailboxProbe(Protocol):
    """Probe of mailboxes with a token for one resource. Raises MailboxRefused and MailboxUnavailable."""

    async def person(self, app: OAuthApp, signed_in: SignedIn) -> Person: ...

    async def open(self, app: OAuthApp, token: Secret, email: str, *, shared: bool) -> str | None:
        """Open the inbox of a shared mailbox, or of the person's own, without changing anything.

        Returns the folder's id, which stays the same when the mailbox is renamed, or None if the protocol has no ids.
        """

    async def own_address(self, app: OAuthApp, token: Secret) -> str | None:
        """The address of the person's own mailbox as their profile has it, or None if the protocol has no profiles."""

    async def close(self) -> None: ...


type MailboxProbes = Mapping[Resource, MailboxProbe]
"""The probe for each resource."""


class EntraCallers(Protocol):
    """Verification of applications' Entra access tokens."""

    async def __call__(self, token: Secret) -> Caller:
        """The caller that the token was issued to. Raises InvalidToken, and Unavailable."""
