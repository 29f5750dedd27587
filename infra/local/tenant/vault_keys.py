"""The keys that the tenant's vault holds: RSA, with versions, as long as the tenant runs."""

import uuid
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa


@dataclass(slots=True)
class Version:
    """One version of a key."""

    id: str
    key: rsa.RSAPrivateKey = field(repr=False)
    enabled: bool = True


@dataclass(slots=True)
class VaultKeys:
    """Keys by name, each with its versions, the oldest first."""

    _keys: dict[str, list[Version]] = field(default_factory=dict)

    def make(self, name: str) -> str:
        """A new key, or a new version of one that is there; returns the version's id."""
        made = Version(uuid.uuid4().hex, rsa.generate_private_key(public_exponent=65537, key_size=2048))
        self._keys.setdefault(name, []).append(made)
        return made.id

    def find(self, name: str, version: str) -> Version | None:
        """A version; an empty id means the newest."""
        return next((each for each in reversed(self._keys.get(name, [])) if version in ("", each.id)), None)

    def enable(self, name: str, version: str, *, enabled: bool) -> None:
        """Enable or disable a version. Raises ValueError when there is none."""
        found = self.find(name, version)
        if found is None:
            raise ValueError("version: there is no such version of such a key")
        found.enabled = enabled

    def destroy(self, name: str) -> None:
        """Delete a key with all its versions and purge it: nothing that it wrapped opens again."""
        self._keys.pop(name, None)
