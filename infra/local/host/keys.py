"""Function keys, which open functions whose level is not anonymous."""

import os
import secrets
from dataclasses import dataclass, field
from hmac import compare_digest

KEY_BYTES = 40


def _from_environment(name: str) -> str:
    return os.environ.get(name) or secrets.token_urlsafe(KEY_BYTES)


@dataclass(frozen=True, slots=True)
class Keys:
    """The host's two keys: from the environment, or random."""

    master: str = field(default_factory=lambda: _from_environment("MAILBIND_HOST_MASTER_KEY"))
    function: str = field(default_factory=lambda: _from_environment("MAILBIND_HOST_FUNCTION_KEY"))

    def opens(self, level: str, header: str | None, code: str | None) -> bool:
        """Whether this `x-functions-key` header or `code` parameter opens a function of this level.

        The header wins. The master key opens every level, the function key only `function`.
        https://learn.microsoft.com/azure/azure-functions/function-keys-how-to
        """
        if level == "anonymous":
            return True
        key_given = (header or code or "").encode()
        accepted = [self.master, self.function] if level == "function" else [self.master]
        return any(compare_digest(key_given, key.encode()) for key in accepted)
