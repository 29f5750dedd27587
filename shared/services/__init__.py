"""Every use case with what it needs, layer upon layer."""

from shared.services.timers import WORK_AT_ONCE, Services

__all__ = ["WORK_AT_ONCE", "Services"]
