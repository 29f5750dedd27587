"""The public keys by which one issuer's tokens are verified."""

import asyncio
import logging
import ssl
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from shared.domain.errors import Unavailable

if TYPE_CHECKING:
    from jwt import PyJWK

log = logging.getLogger(__name__)

# Entra rolls its keys without notice, so that a token may name one that nobody has seen; asking for every such token
# would let anybody make us ask (entra-docs signing-key-rollover.md). A key that is withdrawn stops within RENEWED.
RENEWED = timedelta(hours=1)
PAUSE = timedelta(minutes=1)
PAUSE_AFTER_FAILURE = timedelta(seconds=5)
PATIENCE = 5.0  # seconds


@dataclass(slots=True)
class SigningKeys:
    """A JSON Web Key Set (RFC 7517) at an address, fetched when first needed, and again for keys that it lacks.

    When nobody answers there, the keys that are known go on.
    """

    url: str
    ca_file: str | None
    _keys: "dict[str, PyJWK]" = field(default_factory=dict)
    _fetched: datetime | None = None
    _tried: datetime | None = None
    _fetching: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def get(self, kid: str, now: datetime) -> "PyJWK | None":
        """The key of that id, or None. Raises Unavailable when it may be one that could not be fetched."""
        if self._wants(kid, now) or (kid not in self._keys and self._fetching.locked()):
            async with self._fetching:
                if self._wants(kid, now):  # nobody fetched it while we waited
                    await self._fetch(now)
        key = self._keys.get(kid)
        if key is None and self._fetched != self._tried:
            raise Unavailable("entra_unavailable", "Microsoft's signing keys cannot be read. Try again in a moment.")
        return key

    def _wants(self, kid: str, now: datetime) -> bool:
        if self._tried is None or now < self._tried:  # never, or the clock was set back
            return True
        pause = PAUSE if self._fetched == self._tried else PAUSE_AFTER_FAILURE
        stale = self._fetched is None or now - self._fetched >= RENEWED
        return (stale or kid not in self._keys) and now - self._tried >= pause

    async def _fetch(self, now: datetime) -> None:
        import aiohttp  # noqa: PLC0415 - most of a cold start, and needed by callers of Entra's only
        import jwt  # noqa: PLC0415 - as above

        self._tried = now
        try:
            found = jwt.PyJWKSet.from_dict(await self._download())
        except (aiohttp.ClientError, TimeoutError, ValueError, jwt.PyJWKSetError) as error:
            log.warning("signing keys not fetched", extra={"error": type(error).__name__})
            return
        self._keys = {key.key_id: key for key in found.keys if key.key_id and key.key_type == "RSA"}
        self._fetched = now

    async def _download(self) -> dict[str, Any]:
        import aiohttp  # noqa: PLC0415 - as above

        trust = ssl.create_default_context(cafile=self.ca_file)
        patience = aiohttp.ClientTimeout(total=PATIENCE)
        async with (
            aiohttp.ClientSession(timeout=patience, raise_for_status=True) as session,
            session.get(self.url, ssl=trust, allow_redirects=False) as answer,
        ):
            return msgspec.json.decode(await answer.read(), type=dict[str, Any])
