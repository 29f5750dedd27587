"""Function keys: who may call a function whose level is not anonymous."""

import os
import secrets
from dataclasses import dataclass, field
from hmac import compare_digest

KEY_BYTES = 40


def _from_environment(name: str) -> str:
    return os.environ.get(name) or secrets.token_urlsafe(KEY_BYTES)


@dataclass(frozen=True, slots=True)
class Keys:
    """The host's two keys, from settings or made at its start."""

    master: str = field(default_factory=lambda: _from_environment("MAILBIND_HOST_MASTER_KEY"))
    function: str = field(default_factory=lambda: _from_environment("MAILBIND_HOST_FUNCTION_KEY"))

    def opens(self, level: str, header: str | None, code: str | None) -> bool:
        """Tell whether a call with this `x-functions-key` header or `code` parameter may use a function of this level.

        The header wins; the master key opens every level, the function key opens `function`, and nothing less than
        the master key opens `admin` (https://learn.microsoft.com/azure/azure-functions/function-keys-how-to).
        """
        if level == "anonymous":
            return True
        given = (header or code or "").encode()
        accepted = [self.master, self.function] if level == "function" else [self.master]
        return any(compare_digest(given, key.encode()) for key in accepted)
