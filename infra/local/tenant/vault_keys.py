"""The RSA keys of the tenant's vault. They live as long as the tenant runs."""

import uuid
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa


@dataclass(slots=True)
class KeyVersion:
    """One version of a key."""

    id: str
    key: rsa.RSAPrivateKey = field(repr=False)
    enabled: bool = True


@dataclass(slots=True)
class VaultKeys:
    """Keys by name, each with its versions, oldest first."""

    _keys: dict[str, list[KeyVersion]] = field(default_factory=dict)

    def create_version(self, name: str) -> str:
        """Create a key, or a new version of an existing key; returns the version's id."""
        version = KeyVersion(uuid.uuid4().hex, rsa.generate_private_key(public_exponent=65537, key_size=2048))
        self._keys.setdefault(name, []).append(version)
        return version.id

    def find(self, name: str, version_id: str) -> KeyVersion | None:
        """A version of a key; an empty id means the newest version."""
        versions = reversed(self._keys.get(name, []))
        return next((version for version in versions if version_id in ("", version.id)), None)

    def set_enabled(self, name: str, version_id: str, *, enabled: bool) -> None:
        """Enable or disable a version. Raises ValueError for an unknown version."""
        version = self.find(name, version_id)
        if version is None:
            raise ValueError("version: there is no such key or version")
        version.enabled = enabled

    def destroy(self, name: str) -> None:
        """Delete and purge a key with all its versions. What it wrapped can no longer be unwrapped."""
        self._keys.pop(name, None)
