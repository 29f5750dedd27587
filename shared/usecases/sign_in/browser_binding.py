"""What ties a page to the browser that it was shown to."""

import base64

from shared.domain.errors import SealBroken
from shared.domain.identity import fingerprint
from shared.domain.secret import Secret
from shared.ports import Entropy, Sealer
from shared.usecases import use_case


@use_case
class BrowserBinding:
    """A browser is known by a random cookie; form fields are sealed for it, and nobody else can submit them."""

    sealer: Sealer
    entropy: Entropy

    def cookie(self, known: Secret | None) -> Secret:
        """The browser's cookie, or a new one."""
        return known or Secret(base64.urlsafe_b64encode(self.entropy(32)).rstrip(b"=").decode())

    async def seal(self, purpose: str, registration: str, cookie: Secret, what: Secret) -> str:
        """A form field that only this browser can send back, for this purpose and registration."""
        return await self.sealer.seal(_identity(purpose, registration, cookie), what)

    async def seal_for_any(self, purpose: str, registration: str, what: Secret) -> str:
        """A form field that any browser can send back, for this purpose and registration."""
        return await self.sealer.seal(_identity(purpose, registration, None), what)

    async def is_sealed_for_any(self, purpose: str, registration: str, field: str) -> bool:
        """Whether a form field is one that `seal_for_any` made."""
        try:
            await self.sealer.unseal(_identity(purpose, registration, None), field)
        except SealBroken:
            return False
        return True

    async def unseal(self, purpose: str, registration: str, cookie: Secret | None, field: str) -> Secret | None:
        """What was sealed, or None when it comes from another browser or page."""
        if cookie is None:
            return None
        try:
            return await self.sealer.unseal(_identity(purpose, registration, cookie), field)
        except SealBroken:
            return None


def _identity(purpose: str, registration: str, cookie: Secret | None) -> str:
    return f"browser|{purpose}|{registration}|{fingerprint(cookie) if cookie else 'any'}"
