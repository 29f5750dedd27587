"""Convert records to table entities and back, with a schema number."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, NamedTuple, get_args, get_type_hints

import msgspec

from shared.domain.errors import RowUnreadable
from shared.domain.formats import clamp_timestamp
from shared.domain.registration import PendingRegistration, RegistrationStatus
from shared.domain.secret import Secret

SCHEMA = 1

type Entity = dict[str, Any]


def to_entity(record: Any, partition: str, row: str) -> Entity:  # noqa: ANN401 - any of our frozen dataclasses
    """A record's fields as properties: compound ones as JSON, timestamps as ISO 8601 in UTC, None not at all."""
    entity: Entity = {"PartitionKey": partition, "RowKey": row, "schema": SCHEMA}
    for field in fields(record):
        value = getattr(record, field.name)
        if value is not None:
            entity[field.name] = _property(value)
    return entity


def from_entity[T](kind: type[T], entity: Mapping[str, Any]) -> T:
    """The record of an entity. Unknown properties are ignored, and timestamps limited by `clamp_timestamp`.

    Raises RowUnreadable.
    """
    shape = shape_of(kind)
    try:
        if kind is PendingRegistration and "mailboxes" not in entity:
            entity = _with_mailboxes(entity)
        known = {name: value for name, value in entity.items() if name in shape.names}
        for name in shape.compound & known.keys():
            known[name] = msgspec.json.decode(known[name])
        record = msgspec.convert(known, kind, dec_hook=lambda _, value: value)
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError):
        # The message of the original error may contain the value.
        raise RowUnreadable(kind.__name__) from None
    within_range: T = _within_range(record)
    return within_range


def seal_identity(table: str, entity: Mapping[str, Any], name: str) -> str:
    """The identity that a property's secret is sealed for: its table, its row and its name."""
    return f"{table}|{entity['PartitionKey']}|{entity['RowKey']}|{name}"


class Shape(NamedTuple):
    """The fields of a kind of record: all, those that are sealed at rest, and those that are stored as JSON."""

    names: frozenset[str]
    sealed: frozenset[str]
    compound: frozenset[str]


def shape_of(kind: Any) -> Shape:  # noqa: ANN401 - any of our frozen dataclasses
    """The shape of a kind of record (cached)."""
    return _shape(kind)


@cache
def _shape(kind: Any) -> Shape:  # noqa: ANN401 - as above
    hints = get_type_hints(kind)
    sealed = frozenset(name for name, hint in hints.items() if Secret in (hint, *get_args(hint)))
    return Shape(frozenset(hints), sealed, frozenset(name for name, hint in hints.items() if not _is_scalar(hint)))


def _within_range(record: Any) -> Any:  # noqa: ANN401 - any of our frozen dataclasses
    """The record with all its timestamps limited by `clamp_timestamp`, also in nested records."""
    changed = {}
    for field in fields(record):
        value = getattr(record, field.name)
        clamped = value
        if isinstance(value, datetime):
            clamped = clamp_timestamp(value)
        elif is_dataclass(value):
            clamped = _within_range(value)
        if clamped is not value and clamped != value:
            changed[field.name] = clamped
    return replace(record, **changed) if changed else record


def _with_mailboxes(entity: Mapping[str, Any]) -> Entity:
    """A registration from before registrations could have several mailboxes."""
    stage = entity["stage"]
    state = {
        RegistrationStatus.COMPLETED: entity.get("outcome"),
        RegistrationStatus.FAILED: "refused" if entity.get("failure") else None,
        RegistrationStatus.WAITING_FOR_ACCESS: stage,
        RegistrationStatus.REPLACED: stage,
    }.get(stage)
    mailbox = {name: entity.get(name) for name in ("account", "email", "name", "principal_id", "failure")}
    mailboxes = [{**mailbox, "state": state or RegistrationStatus.PENDING}]
    return {**entity, "mailboxes": msgspec.json.encode(mailboxes).decode()}


def _is_scalar(hint: Any) -> bool:  # noqa: ANN401 - a type or a union of types
    # bool is an int, and our enumerations are str
    return any(isinstance(kind, type) and issubclass(kind, (str, int, datetime, Secret)) for kind in _kinds(hint))


def _kinds(hint: Any) -> tuple[Any, ...]:  # noqa: ANN401 - as above
    return hint.__args__ if isinstance(hint, UnionType) else (hint,)


def _property(value: Any) -> Any:  # noqa: ANN401 - whatever a field holds
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str | int | Secret):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return msgspec.json.encode(value).decode()
