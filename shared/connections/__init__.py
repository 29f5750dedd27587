"""Connections to everything outside, layer upon layer."""

from shared.connections.outside import TIMER_THREADS, Connections
from shared.connections.storage import TABLES

__all__ = ["TABLES", "TIMER_THREADS", "Connections"]
