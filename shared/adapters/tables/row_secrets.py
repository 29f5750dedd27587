"""The secrets of a row: opened when it is read, sealed when it is written."""

import logging
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from shared.adapters.tables.mapping import Entity, seal_identity, shape_of
from shared.adapters.tables.sealed_kinds import sealed_names
from shared.adapters.tables.sealed_parts import parted, whole
from shared.domain.errors import KeyUnavailable, SealBroken
from shared.domain.secret import SealedSecret, Secret
from shared.ports import Sealer

log = logging.getLogger(__name__)


class Opening(Enum):
    """When the secrets of a row are opened."""

    AT_ONCE = auto()
    WHEN_USED = auto()
    IF_POSSIBLE = auto()
    """At once; when they do not open, the record is without them, so that it can be shown, mended and deleted.

    While their data key is out of reach, they are opened when they are used, so that other records go on.
    """


async def opened(sealer: Sealer, table: str, kind: type, entity: Mapping[str, Any], opening: Opening) -> Entity:
    """The entity with secrets in place of sealed values. Raises SealBroken for what is opened at once and does not."""
    names = shape_of(kind).sealed & entity.keys()
    places = {name: seal_identity(table, entity, name) for name in names}
    try:
        return {**entity, **{name: await _opened(sealer, places[name], whole(entity, name), opening) for name in names}}
    except SealBroken:
        if opening is not Opening.IF_POSSIBLE:
            raise
        log.exception("secrets do not open", extra={"table": table, "row": entity["PartitionKey"]})
        return {name: value for name, value in entity.items() if name not in names}


async def _opened(sealer: Sealer, place: str, sealed: str, opening: Opening) -> Secret:
    if opening is Opening.WHEN_USED:
        return await sealer.closed(place, sealed)
    try:
        return await sealer.unseal(place, sealed)
    except KeyUnavailable:
        if opening is not Opening.IF_POSSIBLE:
            raise
        return await sealer.closed(place, sealed)


async def sealed(sealer: Sealer, table: str, entity: Entity) -> Entity:
    """The entity with sealed values in place of secrets. Raises TypeError for one that a rotation would not find."""
    places = {name: seal_identity(table, entity, name) for name, value in entity.items() if isinstance(value, Secret)}
    unknown = places.keys() - sealed_names(table, entity["RowKey"])
    if unknown:
        raise TypeError(f"SEALED_KINDS lacks {', '.join(sorted(unknown))} of {table}")
    protected = dict(entity)
    for name, place in places.items():
        protected |= parted(name, await _seal(sealer, place, entity[name]))
    return protected


async def _seal(sealer: Sealer, place: str, secret: Secret) -> str:
    """Sealed anew, under the newest data key. What does not open goes back as it lay, so that the rest can change."""
    try:
        return await sealer.seal(place, secret)
    except SealBroken:
        if isinstance(secret, SealedSecret) and secret.place == place:
            return secret.sealed
        raise
