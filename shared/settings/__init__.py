"""Settings: read once, and every fault reported together, by name and never by value.

`app` reads all of them with a `reader`, which collects the faults; `entra` reads those of the OAuth app and of callers,
and `public` refuses what is unsafe at a public address.
"""

from shared.settings.app import Settings, read_settings
from shared.settings.reader import SettingsError

__all__ = ["Settings", "SettingsError", "read_settings"]
