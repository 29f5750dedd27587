"""Settings: read once, and every fault reported together, by name and never by value."""

from shared.settings.app import Settings, read_settings
from shared.settings.reader import SettingsError

__all__ = ["Settings", "SettingsError", "read_settings"]
