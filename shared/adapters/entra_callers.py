"""Callers that show an access token of Entra's: line-of-business apps and managed identities. Knows PyJWT."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import msgspec

from shared.adapters.signing_keys import SigningKeys
from shared.domain.account import is_guid
from shared.domain.caller import Caller, CallingApplication, EntraTrust, Scope, entra_caller_id
from shared.domain.errors import InvalidToken
from shared.domain.failure import is_finite_number
from shared.domain.formats import fingerprint
from shared.domain.secret import Secret
from shared.domain.ttl_cache import TTLCache
from shared.ports import Clock

ALGORITHM = "RS256"
SKEW = 60.0  # seconds by which clocks may differ
REMEMBERED = 10_000
# Then it is verified again, so that a key which is withdrawn stops; verifying costs little.
TRUSTED_FOR = timedelta(minutes=5)
# Times are checked here, against the clock of the app.
OPTIONS: Any = {"require": ["exp", "nbf", "iss", "aud"], "verify_exp": False, "verify_nbf": False, "verify_iat": False}


class Claims(msgspec.Struct, frozen=True):
    """What is read of a token (entra-docs access-token-claims-reference.md): v1.0 says `appid`, v2.0 says `azp`."""

    tid: str
    oid: str
    sub: str
    aud: str | list[str]
    exp: float
    nbf: float
    roles: list[str] = []
    appid: str | None = None
    azp: str | None = None
    app_displayname: str | None = None
    idtyp: str | None = None
    scp: str | None = None


@dataclass(frozen=True)
class EntraCallerTokens:
    """Verifies each token once, and remembers it by its SHA-256 for some minutes, no longer than it is good.

    `note` is told of each token that was verified.
    """

    trust: EntraTrust
    authority_host: str
    ca_file: str | None
    clock: Clock
    note: Callable[[CallingApplication], None]
    _verified: TTLCache[Caller] = field(default_factory=lambda: TTLCache(REMEMBERED))

    async def __call__(self, token: Secret) -> Caller:
        """Whom the token was issued to. Raises InvalidToken, and Unavailable when keys cannot be fetched."""
        now, name = self.clock(), fingerprint(token)
        known = self._verified.get(name, now)
        if known is not None:
            return known
        claims = await self._verify(token.reveal(), now)
        caller = self._caller(claims)
        self.note(self._application(claims, caller, now))
        until = datetime.fromtimestamp(min(claims.exp, (now + TRUSTED_FOR).timestamp()), UTC)
        self._verified.put(name, caller, now, until)
        return caller

    @cached_property
    def _issuers(self) -> dict[str, tuple[str, SigningKeys]]:
        """Both versions of access tokens, each with its tenant and the keys that its own metadata names.

        Which of them Entra issues is up to the API's registration, v1.0 unless it says otherwise; it names the v1.0
        issuer by the security token service of the cloud (entra-docs access-tokens.md, "v1.0 and v2.0 tokens").
        """
        host = self.authority_host
        sts = "https://sts.chinacloudapi.cn" if host.endswith(".cn") else "https://sts.windows.net"
        found = {}
        for tenant in self.trust.tenants:
            keys = f"{host}/{tenant}/discovery"
            found[f"{sts}/{tenant}/"] = tenant, SigningKeys(f"{keys}/keys", self.ca_file)
            found[f"{host}/{tenant}/v2.0"] = tenant, SigningKeys(f"{keys}/v2.0/keys", self.ca_file)
        return found

    async def _verify(self, token: str, now: datetime) -> Claims:
        import jwt  # noqa: PLC0415 - callers with an API token do without

        try:
            # Read before it is believed, to find the keys that decide whether it is; an unknown issuer has none.
            unverified: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
            issuer, kid = str(unverified.get("iss")), jwt.get_unverified_header(token).get("kid")
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise InvalidToken("Bad token") from None
        known = self._issuers.get(issuer)
        if known is None or not isinstance(kid, str):
            raise InvalidToken("The token is not of a tenant whose applications may call")
        tenant, keys = known
        key = await keys.get(kid, now)
        if key is None:
            raise InvalidToken("The token is signed with a key that its tenant does not have")
        try:
            read = jwt.decode(token, key, [ALGORITHM], options=OPTIONS, audience=self.trust.audiences, issuer=issuer)
            claims = msgspec.convert(read, Claims)
        except jwt.InvalidAudienceError:
            raise InvalidToken("The token is for another API: ask for one with Mailbind's application ID URI") from None
        except (jwt.PyJWTError, ValueError, RecursionError):  # msgspec's errors are ValueErrors
            raise InvalidToken("Bad token") from None
        _check(claims, tenant, now.timestamp())
        return claims

    def _caller(self, claims: Claims) -> Caller:
        """Roles are named like our scopes; those that are not mean nothing here.

        One application can call from several tenants, so the tenant is part of its id.
        """
        client, scopes = _client(claims), frozenset(Scope(role) for role in claims.roles if role in Scope)
        name = claims.app_displayname or client
        return Caller(entra_caller_id(claims.tid, client), name, scopes, self.trust.bindings.get(client))

    def _application(self, claims: Claims, caller: Caller, now: datetime) -> CallingApplication:
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        return CallingApplication(
            id=caller.id,
            name=caller.name,
            client=_client(claims),
            scopes=caller.scopes,
            issued=datetime.fromtimestamp(claims.nbf, UTC),
            last_seen=now,
            tenant=claims.tid.lower(),
            audience=next((one for one in audiences if one in self.trust.audiences), None),
        )


def _client(claims: Claims) -> str:
    return (claims.azp or claims.appid or "").lower()


def _check(claims: Claims, tenant: str, now: float) -> None:
    """Raise InvalidToken unless it is of the issuer's tenant, good now, and an application's own."""
    times = is_finite_number(claims.nbf) and is_finite_number(claims.exp) and claims.nbf >= 0
    if claims.tid.lower() != tenant or not times:
        raise InvalidToken("Bad token")
    if not claims.nbf - SKEW <= now < claims.exp + SKEW:
        raise InvalidToken("The token has expired, or is not valid yet: ask for a new one")
    # `scp` is for people's tokens only, whose `sub` is pairwise while an application's is its `oid`; so it is for ID
    # tokens, which may be for the same client id and may carry a person's roles (entra-docs claims-validation.md).
    own = claims.scp is None and claims.idtyp in {None, "app"} and claims.sub == claims.oid
    if not own or not (claims.azp or claims.appid):
        raise InvalidToken("The token is a person's: only applications and managed identities call with Entra's tokens")
    # Accounts are bound to applications by their client id, so one that is no GUID would escape its binding.
    if not is_guid(_client(claims)):
        raise InvalidToken("Bad token")
