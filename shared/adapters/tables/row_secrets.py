"""The secrets of a row: which properties are sealed, unsealing when the row is read, sealing when it is written.

Which ones is known from the kind of the record, never from how a value looks: anyone may write text that looks sealed
in a name or a description. Sealed text that is too long for one property is split over several: `name`, `name__2`,
`name__3` and so on. Property names follow the rules for C# identifiers (Understanding the Table service data model).
"""

import logging
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Any

from shared.adapters.tables.mapping import Entity, seal_identity, shape_of
from shared.domain.errors import KeyUnavailable, NotStorable, SealBroken
from shared.domain.grant import DelegatedGrant
from shared.domain.invited_mailbox import PendingAccount
from shared.domain.limit import LimitSalt
from shared.domain.oauth_app import RegisteredApp
from shared.domain.registration import SignInAttempt
from shared.domain.secret import SealedSecret, Secret
from shared.domain.webhook import Webhook
from shared.ports import Sealer

log = logging.getLogger(__name__)

# Every kind of record with a secret, by its table and its row key up to `~`. Where row keys are empty, other kinds of
# the table have no property of the same name. `sealed` writes no other secret, so a key rotation misses none.
SEALED_KINDS: Mapping[str, Mapping[str, type]] = {
    "Principals": {"grant": DelegatedGrant, "pending": PendingAccount},
    "Registrations": {"signin": SignInAttempt},
    "Limits": {"": LimitSalt},
    "OAuthApps": {"": RegisteredApp},
    "Webhooks": {"": Webhook},
}

# A string property takes 64 KiB of UTF-16 (Understanding the Table service data model); sealed text is ASCII.
MAX_PROPERTY_CHARACTERS = 32 * 1024
# A row takes 1 MiB (same source). Four parts for each of a grant's three secrets leave a quarter of it for the rest.
MAX_PARTS = 4


class Unsealing(Enum):
    """When the secrets of a row are unsealed."""

    NOW = auto()
    WHEN_USED = auto()
    IF_POSSIBLE = auto()
    """Now. If that fails, the record comes without its secrets, so that it can be shown, repaired and deleted.

    While their data key is unavailable, they are unsealed when they are used, so that other records remain readable.
    """


def sealed_names(table: str, row_key: str) -> frozenset[str]:
    """The properties of a row with that key that are sealed, if the row has them."""
    kind = SEALED_KINDS.get(table, {}).get(row_key.partition("~")[0])
    return shape_of(kind).sealed if kind else frozenset()


async def unsealed(sealer: Sealer, table: str, kind: type, entity: Mapping[str, Any], unsealing: Unsealing) -> Entity:
    """The entity with secrets in place of sealed values. Raises SealBroken when unsealing now fails."""
    names = shape_of(kind).sealed & entity.keys()
    try:
        secrets = {
            name: await _unseal(sealer, seal_identity(table, entity, name), joined(entity, name), unsealing)
            for name in names
        }
    except SealBroken:
        if unsealing is not Unsealing.IF_POSSIBLE:
            raise
        log.exception("secrets do not open", extra={"table": table, "row": entity["PartitionKey"]})
        return {name: value for name, value in entity.items() if name not in names}
    return {**entity, **secrets}


async def _unseal(sealer: Sealer, identity: str, sealed_text: str, unsealing: Unsealing) -> Secret:
    if unsealing is Unsealing.WHEN_USED:
        return await sealer.unseal_when_used(identity, sealed_text)
    try:
        return await sealer.unseal(identity, sealed_text)
    except KeyUnavailable:
        if unsealing is not Unsealing.IF_POSSIBLE:
            raise
        return await sealer.unseal_when_used(identity, sealed_text)


async def sealed(sealer: Sealer, table: str, entity: Entity) -> Entity:
    """The entity with sealed values in place of secrets. Raises TypeError for a secret that SEALED_KINDS lacks."""
    identities = {
        name: seal_identity(table, entity, name) for name, value in entity.items() if isinstance(value, Secret)
    }
    unknown = identities.keys() - sealed_names(table, entity["RowKey"])
    if unknown:
        raise TypeError(f"SEALED_KINDS lacks {', '.join(sorted(unknown))} of {table}")
    sealed_entity = dict(entity)
    for name, identity in identities.items():
        sealed_entity |= split(name, await _seal(sealer, identity, entity[name]))
    return sealed_entity


async def _seal(sealer: Sealer, identity: str, secret: Secret) -> str:
    """Seal under the newest data key. A value that cannot be unsealed stays as it is, so that the rest can change."""
    try:
        return await sealer.seal(identity, secret)
    except SealBroken:
        if isinstance(secret, SealedSecret) and secret.place == identity:
            return secret.sealed
        raise


def split(name: str, sealed_text: str) -> dict[str, str]:
    """The properties that hold the text, in their order. Raises NotStorable when it needs too many."""
    starts = range(0, max(len(sealed_text), 1), MAX_PROPERTY_CHARACTERS)
    if len(starts) > MAX_PARTS:
        raise NotStorable
    names = [name, *(f"{name}__{number}" for number in range(2, len(starts) + 1))]
    return {
        part: sealed_text[start : start + MAX_PROPERTY_CHARACTERS] for part, start in zip(names, starts, strict=True)
    }


def joined(entity: Mapping[str, Any], name: str) -> str:
    """The text that was split. It is sealed as one value, so a missing or exchanged part makes unsealing fail."""
    return "".join(str(entity[part]) for part in _part_names(entity, name))


def _part_names(entity: Mapping[str, Any], name: str) -> Iterator[str]:
    part, number = name, 2
    while part in entity:
        yield part
        part, number = f"{name}__{number}", number + 1
