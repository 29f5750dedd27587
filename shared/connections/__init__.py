"""Connections to everything outside, layer upon layer."""

from shared.connections.outside import MSAL_THREADS, Connections
from shared.connections.storage import TABLES

__all__ = ["MSAL_THREADS", "TABLES", "Connections"]
