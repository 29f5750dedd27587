"""Callers with an Entra access token: line-of-business apps and managed identities. The only file that knows PyJWT."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from shared.adapters.connection_faults import ConnectionFaults
from shared.domain.account import is_guid
from shared.domain.caller import Caller, CallingApplication, EntraTrust, Scope, entra_caller_id
from shared.domain.errors import InvalidToken, Unavailable
from shared.domain.failure import ENTRA_SETUP, is_finite_number
from shared.domain.formats import fingerprint
from shared.domain.secret import Secret
from shared.domain.ttl_cache import TTLCache
from shared.ports import Clock

if TYPE_CHECKING:
    from jwt import PyJWK

log = logging.getLogger(__name__)

ALGORITHM = "RS256"
MAX_CLOCK_SKEW_SECONDS = 60.0
MAX_CACHED_TOKENS = 10_000
# After this time a token is verified again, so that a withdrawn signing key takes effect.
CACHE_TTL = timedelta(minutes=5)
# Entra changes its keys without notice, so a token may name an unknown one; a request to Entra for every such token
# would let anybody flood Entra (entra-docs signing-key-rollover.md). A withdrawn key stops working within an hour.
KEYS_TTL = timedelta(hours=1)
MIN_FETCH_INTERVAL = timedelta(minutes=1)
MIN_FETCH_INTERVAL_AFTER_FAILURE = timedelta(seconds=5)
FETCH_TIMEOUT_SECONDS = 5.0
# PyJWT does not check times, because it would use the system's clock instead of the app's.
DECODE_OPTIONS: Any = {
    "require": ["exp", "nbf", "iss", "aud"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}


class Claims(msgspec.Struct, frozen=True):
    """The claims that are read (entra-docs access-token-claims-reference.md). v1.0 has `appid`, v2.0 has `azp`."""

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

    @property
    def client_id(self) -> str:
        """The client id of the application; empty if it is missing."""
        return (self.azp or self.appid or "").lower()


class EntraCallerTokens:
    """Verifies each token once, and caches the result by the token's SHA-256 for a few minutes.

    `note` is called with the application of each token that was verified.
    """

    def __init__(
        self,
        trust: EntraTrust,
        authority_host: str,
        ca_file: str | None,
        clock: Clock,
        faults: ConnectionFaults,
        note: Callable[[CallingApplication], None],
    ) -> None:
        self._trust = trust
        self._clock = clock
        self._note = note
        self._issuers = _issuers(trust, authority_host, ca_file, faults)
        self._verified: TTLCache[Caller] = TTLCache(MAX_CACHED_TOKENS)

    async def __call__(self, token: Secret) -> Caller:
        """The caller that the token was issued to. Raises InvalidToken, and Unavailable when keys cannot be fetched."""
        now, name = self._clock(), fingerprint(token)
        cached_caller = self._verified.get(name, now)
        if cached_caller is not None:
            return cached_caller
        claims = await self._verify(token.reveal(), now)
        caller = self._caller(claims)
        self._note(self._application(claims, caller, now))
        until = datetime.fromtimestamp(min(claims.exp, (now + CACHE_TTL).timestamp()), UTC)
        self._verified.put(name, caller, now, until)
        return caller

    async def _verify(self, token: str, now: datetime) -> Claims:
        import jwt  # noqa: PLC0415 - not needed for API tokens

        try:
            # Only to find the keys to verify the token with. An unknown issuer has no keys.
            unverified: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
            issuer, key_id = str(unverified.get("iss")), jwt.get_unverified_header(token).get("kid")
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise InvalidToken("Bad token") from None
        tenant_and_keys = self._issuers.get(issuer)
        if tenant_and_keys is None or not isinstance(key_id, str):
            raise InvalidToken("The token is not of a tenant whose applications may call")
        tenant, keys = tenant_and_keys
        key = await keys.get(key_id, now)
        if key is None:
            raise InvalidToken("The token is signed with a key that its tenant does not have")
        audiences = self._trust.audiences
        try:
            verified = jwt.decode(token, key, [ALGORITHM], options=DECODE_OPTIONS, audience=audiences, issuer=issuer)
            claims = msgspec.convert(verified, Claims)
        except jwt.InvalidAudienceError:
            raise InvalidToken("The token is for another API: ask for one with Mailbind's application ID URI") from None
        except (jwt.PyJWTError, ValueError, RecursionError):  # msgspec's errors are ValueErrors
            raise InvalidToken("Bad token") from None
        _check(claims, tenant, now.timestamp())
        return claims

    def _caller(self, claims: Claims) -> Caller:
        """Roles have the names of our scopes; other roles are ignored.

        One application can call from several tenants, so the tenant is part of its id.
        """
        client, scopes = claims.client_id, frozenset(Scope(role) for role in claims.roles if role in Scope)
        name = claims.app_displayname or client
        return Caller(entra_caller_id(claims.tid, client), name, scopes, self._trust.bindings.get(client))

    def _application(self, claims: Claims, caller: Caller, now: datetime) -> CallingApplication:
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        return CallingApplication(
            id=caller.id,
            name=caller.name,
            client=claims.client_id,
            scopes=caller.scopes,
            issued=datetime.fromtimestamp(claims.nbf, UTC),
            last_seen=now,
            tenant=claims.tid.lower(),
            audience=next((audience for audience in audiences if audience in self._trust.audiences), None),
        )


def _check(claims: Claims, tenant: str, now: float) -> None:
    """Raise InvalidToken unless the token is of the issuer's tenant, valid now, and an application's own."""
    has_times = is_finite_number(claims.nbf) and is_finite_number(claims.exp) and claims.nbf >= 0
    if claims.tid.lower() != tenant or not has_times:
        raise InvalidToken("Bad token")
    if not claims.nbf - MAX_CLOCK_SKEW_SECONDS <= now < claims.exp + MAX_CLOCK_SKEW_SECONDS:
        raise InvalidToken("The token has expired, or is not valid yet: ask for a new one")
    # Only a person's token has `scp`. A person's `sub` is pairwise, an application's equals its `oid`. The latter also
    # rules out ID tokens, which may have the same client id and a person's roles (entra-docs claims-validation.md).
    is_application = claims.scp is None and claims.idtyp in {None, "app"} and claims.sub == claims.oid
    if not is_application or not claims.client_id:
        raise InvalidToken("The token is a person's: only applications and managed identities call with Entra's tokens")
    # Applications are bound to accounts by client id, so one that is no GUID would escape its binding.
    if not is_guid(claims.client_id):
        raise InvalidToken("Bad token")


class SigningKeys:
    """An issuer's public keys: a JSON Web Key Set (RFC 7517), fetched on first use, and again for unknown key ids.

    If a fetch fails, the keys that were fetched before stay in use.
    """

    def __init__(self, url: str, ca_file: str | None, faults: ConnectionFaults) -> None:
        self._url = url
        self._host = f"https://{urlsplit(url).netloc}"
        self._ca_file = ca_file
        self._faults = faults
        self._setup_is_wrong = False
        self._keys: dict[str, PyJWK] = {}
        self._fetched: datetime | None = None
        self._tried: datetime | None = None
        self._fetch_lock = asyncio.Lock()

    async def get(self, key_id: str, now: datetime) -> "PyJWK | None":
        """The key, or None. Raises Unavailable for an unknown key while the keys cannot be fetched."""
        if self._must_fetch(key_id, now) or (key_id not in self._keys and self._fetch_lock.locked()):
            async with self._fetch_lock:
                if self._must_fetch(key_id, now):  # no concurrent caller has fetched it meanwhile
                    await self._fetch(now)
        key = self._keys.get(key_id)
        if key is None and self._fetched != self._tried:
            raise _keys_unavailable(is_ours=self._setup_is_wrong)
        return key

    def _must_fetch(self, key_id: str, now: datetime) -> bool:
        if self._tried is None or now < self._tried:  # never tried, or the clock was set back
            return True
        interval = MIN_FETCH_INTERVAL if self._fetched == self._tried else MIN_FETCH_INTERVAL_AFTER_FAILURE
        is_stale = self._fetched is None or now - self._fetched >= KEYS_TTL
        return (is_stale or key_id not in self._keys) and now - self._tried >= interval

    async def _fetch(self, now: datetime) -> None:
        import aiohttp  # noqa: PLC0415 - most of a cold start, and only needed for Entra tokens
        import jwt  # noqa: PLC0415 - as above

        self._tried = now
        try:
            key_set = jwt.PyJWKSet.from_dict(await self._download())
        except (aiohttp.ClientError, OSError, ValueError, jwt.PyJWKSetError) as error:  # among them TimeoutError
            self._setup_is_wrong = self._faults.is_ours(ENTRA_SETUP, self._host, error)
            log.warning("signing keys not fetched", extra={"error": type(error).__name__})
            return
        self._faults.succeeded(ENTRA_SETUP, self._host)
        self._keys = {key.key_id: key for key in key_set.keys if key.key_id and key.key_type == "RSA"}
        self._fetched = now

    async def _download(self) -> dict[str, Any]:
        import aiohttp  # noqa: PLC0415 - as above

        trust = ssl.create_default_context(cafile=self._ca_file)
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session,
            session.get(self._url, ssl=trust, allow_redirects=False) as response,
        ):
            return msgspec.json.decode(await response.read(), type=dict[str, Any])


def _keys_unavailable(*, is_ours: bool) -> Unavailable:
    if is_ours:
        return Unavailable(ENTRA_SETUP, "Mailbind is not set up to read Microsoft's signing keys. Ask its operator.")
    return Unavailable("entra_unavailable", "Microsoft's signing keys cannot be read. Try again in a moment.")


def _issuers(
    trust: EntraTrust, authority_host: str, ca_file: str | None, faults: ConnectionFaults
) -> dict[str, tuple[str, SigningKeys]]:
    """The issuers of both versions of access tokens, each with its tenant and its signing keys.

    The API's registration decides which version Entra issues; the default is v1.0, whose issuer is the cloud's security
    token service (entra-docs access-tokens.md, "v1.0 and v2.0 tokens").
    """
    sts = "https://sts.chinacloudapi.cn" if authority_host.endswith(".cn") else "https://sts.windows.net"
    issuers = {}
    for tenant in trust.tenants:
        discovery = f"{authority_host}/{tenant}/discovery"
        issuers[f"{sts}/{tenant}/"] = tenant, SigningKeys(f"{discovery}/keys", ca_file, faults)
        issuers[f"{authority_host}/{tenant}/v2.0"] = tenant, SigningKeys(f"{discovery}/v2.0/keys", ca_file, faults)
    return issuers
