"""Tells sealed text by how it looks, which the app itself never does."""

from shared.adapters.sealing import SEALED_PATTERN


def data_key_of(value: object) -> str | None:
    """The id of the data key that a sealed value names, or None when it is not sealed."""
    found = SEALED_PATTERN.fullmatch(value) if isinstance(value, str) else None
    return found[1] if found else None
