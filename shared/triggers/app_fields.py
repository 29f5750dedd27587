"""Reads the fields of an OAuth app: what a request says of it, by the name of RegisteredApp's field."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.certificates import MUST, read_certificate
from shared.domain.account import is_guid
from shared.domain.clouds import BASE_SCOPES, CLOUDS
from shared.domain.oauth_app import MULTITENANT_AUTHORITIES, Authentication, parse_mail_domain
from shared.domain.secret import MASK, Secret
from shared.triggers.fields import Fields

MOST = 50
LONGEST_PEM = 16 * 1024
FIXED = "cannot be changed: register another app"
# MSAL asks for them by itself, and takes them from nobody (MSAL Python: reserved scopes).
RESERVED = {"openid", "profile", "offline_access"}


def read_app(body: Mapping[str, Any], *, new: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """What is said, and what was wrong with it. An empty text says nothing; null takes away what may be missing."""
    read = AppFields(Fields(body))
    read.text("name", "name", 256)
    read.text("description", "description", 1024, clears=True)
    read.text("title", "title", 256, clears=True)
    read.text("redirectUrl", "redirect_url", 1024)
    read.switch("enabled", "enabled")
    read.switch("credentialReuse", "credential_reuse")
    read.word("clientId", "client_id", is_guid, "an application (client) id")
    read.word("authority", "authority", _is_authority, "a tenant id, organizations or common")
    read.word("managedIdentity", "managed_identity", is_guid, "the client id of a user-assigned managed identity")
    read.word("cloud", "cloud", CLOUDS.__contains__, f"one of [{', '.join(CLOUDS)}]")
    read.word("authentication", "authentication", _is_way, f"one of [{', '.join(Authentication)}]", Authentication)
    read.texts("tenants", "tenants", is_guid, "tenant ids", str.lower)
    read.texts("mailDomains", "mail_domains", _is_mail_domain, "domain=tenant id")
    read.texts("extraScopes", "extra_scopes", _is_scope, "scopes")
    read.texts("skipScopes", "skip_scopes", _is_scope, "scopes")
    read.secret("clientSecret", "client_secret", new=new)
    read.secret("clientSecret2", "client_secret_2", new=new, clears=True)
    read.moment("secretExpires", "secret_expires")
    read.moment("secretExpires2", "secret_expires_2")
    read.certificate(new=new)
    if new:
        read.fixed()
        read.require("name", "clientId", "authority", "provider")
    else:
        read.refuse("provider", "baseScopes")
    return read.told, read.fields.finish()


@dataclass(slots=True)
class AppFields:
    """Takes fields one by one; `told` is what was said."""

    fields: Fields
    told: dict[str, Any] = field(default_factory=dict)

    def text(self, name: str, key: str, longest: int, *, clears: bool = False) -> None:
        """Free text."""
        value = self.fields.text(name, longest=longest, nullable=clears)
        if value is not None or (clears and self._is_null(name)):
            self.told[key] = value

    def word(
        self,
        name: str,
        key: str,
        fits: Callable[[str], bool],
        must: str,
        kind: Callable[[str], Any] = str,
    ) -> None:
        """A text that fits, whatever its case."""
        value = (self.fields.text(name) or "").lower()
        if value and not fits(value):
            self.fields.fault(name, f"must be {must}")
        elif value:
            self.told[key] = kind(value)

    def switch(self, name: str, key: str) -> None:
        """A boolean."""
        value = self.fields.switch(name)
        if self._is_said(name):
            self.told[key] = value

    def texts(
        self,
        name: str,
        key: str,
        fits: Callable[[str], bool],
        what: str,
        kind: Callable[[str], str] = str,
    ) -> None:
        """A list, or one of its texts; an empty one and null say that there are none."""
        if self.fields.take(name) in ([], None):
            if name in self.fields.values:
                self.told[key] = ()
        elif self._is_said(name):
            self.told[key] = tuple(map(kind, self.fields.texts(name, fits, what, MOST)))

    def secret(self, name: str, key: str, *, new: bool, clears: bool = False) -> None:
        """A secret; what it reads back as leaves it as it is."""
        value = self.fields.text(name, nullable=clears)
        if value == MASK and new:
            self.fields.fault(name, "must be the secret itself")
        elif value != MASK and (value is not None or (clears and self._is_null(name))):
            self.told[key] = Secret(value) if value else None

    def moment(self, name: str, key: str) -> None:
        """When something ends."""
        value = self.fields.moment(name)
        if value is not None or self._is_null(name):
            self.told[key] = value

    def certificate(self, *, new: bool) -> None:
        """A certificate with its private key; when it ends, it says itself."""
        pem = self.fields.take("certificate")
        if pem in (None, "") or (pem == MASK and not new):
            return
        found = read_certificate(pem) if isinstance(pem, str) and len(pem) <= LONGEST_PEM else None
        if found is None:
            self.fields.fault("certificate", f"must be {MUST}")
            return
        certificate, end = found
        self.told |= {"certificate": certificate.certificate, "private_key": certificate.private_key}
        self.told["secret_expires"] = end

    def fixed(self) -> None:
        """What is said once and for all."""
        if self.fields.text("provider") not in {None, "outlook"}:
            self.fields.fault("provider", "must be outlook: Mailbind signs people in at Microsoft only")
        self.texts("baseScopes", "base_scopes", BASE_SCOPES.__contains__, f"words of [{', '.join(BASE_SCOPES)}]")
        if not self.told.get("base_scopes", "default"):
            self.fields.fault("baseScopes", "must not be empty")
            del self.told["base_scopes"]

    def require(self, *names: str) -> None:
        """What a new app cannot do without."""
        for name in names:
            if not self._is_said(name):
                self.fields.fault(name, "is required")

    def refuse(self, *names: str) -> None:
        """What cannot be changed."""
        for name in names:
            self.fields.take(name)
            if self._is_said(name):
                self.fields.fault(name, FIXED)

    def _is_said(self, name: str) -> bool:
        value = self.fields.values.get(name)
        return name in self.fields.values and not (isinstance(value, str) and not value.strip())

    def _is_null(self, name: str) -> bool:
        return name in self.fields.values and self.fields.values[name] is None


def _is_authority(text: str) -> bool:
    return is_guid(text) or text in MULTITENANT_AUTHORITIES


def _is_mail_domain(text: str) -> bool:
    domain, tenant = parse_mail_domain(text)
    return 0 < len(domain) <= 255 and "." in domain and not any(map(str.isspace, domain)) and is_guid(tenant)  # noqa: PLR2004 - RFC 1035 section 2.3.4


def _is_way(text: str) -> bool:
    return text in set(Authentication)


def _is_scope(text: str) -> bool:
    """A scope token (RFC 6749 section 3.3) that MSAL does not ask for by itself."""
    return 0 < len(text) <= 256 and text.lower() not in RESERVED and all("!" <= letter <= "~" for letter in text)  # noqa: PLR2004 - as long as other fields
