"""Decodes bodies and queries into msgspec types, field by field, so that an answer names every fault and no value.

A type's constraints `min_length`, `max_length`, `pattern`, `ge` and `le` hold as msgspec defines them; a number needs
both bounds. `Meta(extra=…)` adds what they cannot express:

- `must`: what a value has to be, in the words of the message, such as "be a tenant id".
- `check`: a function that returns what is wrong with a text, or None.
- `max_bytes`: the longest text in UTF-8. `lower`: the text is read in lower case.
- `empty`: what is wrong with an empty value; True keeps it. Without it an empty text counts as absent.
- `items`: what a list holds, in the words of the message.
- `any_text`: a text may have control characters, such as line breaks. `exact`: blanks around it are kept.
- `single`: an object may stand for a list of one.
- `absent`: further values that count as absent, as a tuple. `null_is_empty`: null stands for an empty list.

EmailEngine's spellings are accepted here and nowhere else: an empty text is an absent field, booleans and numbers may
be texts, and one text may stand for a list of texts.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache, partial
from itertools import islice
from typing import Any, ClassVar

import azure.functions as func
import msgspec
from msgspec import UNSET, inspect

from shared.domain.errors import InvalidInput
from shared.domain.formats import parse_timestamp
from shared.http.bounds import is_form, read_flat_body
from shared.http.refusals import InvalidJson

TRUE = {"y", "true", "1"}
FALSE = {"n", "false", "0"}
NOT_A_TIMESTAMP = "must be a date and time such as 2027-01-31T00:00:00Z, in the years 2000 to 2099"
MAX_NAME_CHARACTERS = 64  # of an unknown field, as an answer repeats it
MAX_UNKNOWN_FIELDS = 50  # that an answer names, of each object: a body of 4 MiB may have half a million
MAX_DIGITS = 20  # of a number; Python takes long ones at a cost that grows with their square

type Read = Callable[[Any, "Faults", str], Any]


class Body(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A body or a query; every other field is refused. In one with faults, a field that cannot be read is UNSET.

    `refused` are fields that are refused with a message of their own, unless they are empty or false. `example` is a
    request that works, in JSON; by default it is made of the examples of the required fields, or of the first one.
    """

    refused: ClassVar[Mapping[str, str]] = {}
    example: ClassVar[Mapping[str, Any]] = {}

    @property
    def given(self) -> dict[str, Any]:
        """The values that were given, by attribute."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}

    def __repr__(self) -> str:
        """Without values, which may be secrets."""
        return f"{type(self).__name__}(…)"


class Faults(dict[str, str]):
    """What is wrong with a request, by field."""

    def add(self, name: str, what: str) -> None:
        """Note a fault of a field, such as "must be a boolean". The first one of a field stands."""
        self.setdefault(name, f'"{name}" {what}')

    def refuse(self) -> None:
        """Raise InvalidInput when there are any."""
        if self:
            raise InvalidInput(self)


def read_object(req: func.HttpRequest) -> dict[str, Any]:
    """The JSON object of a request's body, or the fields of a form. Raises InvalidJson and InvalidInput."""
    if is_form(req):
        return dict[str, Any](read_flat_body(req))
    try:
        decoded = msgspec.json.decode(req.get_body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidJson("Invalid request payload JSON format") from None
    if not isinstance(decoded, dict):
        raise InvalidInput({"": "the body must be an object"})
    return decoded


def decode[T: msgspec.Struct](body_type: type[T], values: Mapping[str, Any], faults: Faults, prefix: str = "") -> T:
    """The values as this type. Faults are added under the fields' names, with `prefix` before them."""
    fields, unknown = {}, dict.fromkeys(values)
    for name, attribute, required, read in _readers(body_type):
        unknown.pop(name, None)
        value = read(values[name], faults, prefix + name) if name in values else UNSET
        if value is UNSET and required:
            faults.add(prefix + name, "is required")
        if value is not UNSET or required:
            fields[attribute] = value
    for name in islice(unknown, MAX_UNKNOWN_FIELDS):
        _refuse_unknown(body_type, prefix + name[:MAX_NAME_CHARACTERS], name, values[name], faults)
    return body_type(**fields)


def is_plain(text: str) -> bool:
    """Whether text is free of control characters and of halves of surrogate pairs, which no storage takes."""
    return text.isprintable() or not any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in text)


def _refuse_unknown(body_type: type[msgspec.Struct], key: str, name: str, value: object, faults: Faults) -> None:
    message = getattr(body_type, "refused", {}).get(name)
    if message is None:
        faults.setdefault(key, "this field is not allowed")
    elif value:
        faults.add(key, message)


@cache
def _readers(body_type: type[msgspec.Struct]) -> tuple[tuple[str, str, bool, Read], ...]:
    described = inspect.type_info(body_type)
    assert isinstance(described, inspect.StructType)  # noqa: S101 - narrows the type
    return tuple((field.encode_name, field.name, field.required, _reader(field.type)) for field in described.fields)


def _reader(described: inspect.Type) -> Read:
    """The function that reads values of a type."""
    kind, extra, nullable = _unwrapped(described)
    read = _READERS[type(kind)](kind, extra)
    return partial(_read, read, extra, nullable)


def _read(read: Read, extra: Mapping[str, Any], nullable: bool, value: Any, faults: Faults, key: str) -> Any:  # noqa: ANN401, FBT001 - any JSON
    if value is None and nullable:
        return None
    if any(value is absent for absent in extra.get("absent", ())):
        return UNSET
    if isinstance(value, str) and not value.strip():
        empty = extra.get("empty", UNSET)
        if isinstance(empty, str):
            faults.add(key, empty)
        return "" if empty is True else UNSET
    return read(value, faults, key)


def _unwrapped(described: inspect.Type) -> tuple[inspect.Type, Mapping[str, Any], bool]:
    """The type itself, what its `Meta` adds, and whether null is a value of it."""
    extra: dict[str, Any] = {}
    nullable = False
    while isinstance(described, (inspect.Metadata, inspect.UnionType)):
        if isinstance(described, inspect.Metadata):
            extra = (described.extra or {}) | extra
            described = described.type
        else:
            nullable = any(isinstance(each, inspect.NoneType) for each in described.types)
            (described,) = (each for each in described.types if not isinstance(each, inspect.NoneType))
    return described, extra, nullable


def _text_reader(kind: inspect.StrType, extra: Mapping[str, Any]) -> Read:
    pattern = re.compile(kind.pattern) if kind.pattern else None
    check: Callable[[str], str | None] | None = extra.get("check")

    def fault_of(text: str) -> str | None:
        if kind.max_length is not None and len(text) > kind.max_length:
            return f"must be at most {kind.max_length} characters long"
        if not extra.get("any_text") and not is_plain(text):
            return "must not contain control characters"
        if len(text.encode(errors="replace")) > extra.get("max_bytes", float("inf")):
            return f"must be at most {extra['max_bytes']} bytes long in UTF-8"
        if len(text) < (kind.min_length or 0) or (pattern is not None and not pattern.search(text)):
            return f"must {extra.get('must', f'be at least {kind.min_length} characters long')}"
        return check(text) if check else None

    def read(value: Any, faults: Faults, key: str) -> Any:  # noqa: ANN401 - any JSON
        if not isinstance(value, str):
            faults.add(key, "must be a string")
            return UNSET
        text = value if extra.get("exact") else value.strip()
        if extra.get("lower"):
            text = text.lower()
        fault = fault_of(text)
        if fault:
            faults.add(key, fault)
        return UNSET if fault else text

    return read


def _choice_reader(words: Mapping[str, Any], extra: Mapping[str, Any]) -> Read:
    must = extra.get("must", f"be one of [{', '.join(words)}]")

    def read(value: Any, faults: Faults, key: str) -> Any:  # noqa: ANN401 - any JSON
        text = value.strip() if isinstance(value, str) else ""
        word = words.get(text.lower() if extra.get("lower") else text, UNSET)
        if word is UNSET:
            faults.add(key, f"must {must}")
        return word

    return read


def _enum_reader(kind: inspect.EnumType, extra: Mapping[str, Any]) -> Read:
    return _choice_reader({str(word.value): word for word in kind.cls}, extra)


def _literal_reader(kind: inspect.LiteralType, extra: Mapping[str, Any]) -> Read:
    return _choice_reader({str(word): word for word in kind.values}, extra)


def _boolean_reader(_: inspect.BoolType, _extra: Mapping[str, Any]) -> Read:
    def read(value: Any, faults: Faults, key: str) -> Any:  # noqa: ANN401 - any JSON
        spelled = str(value).strip().lower() if isinstance(value, (bool, str, int)) else "?"
        if spelled in TRUE | FALSE:
            return spelled in TRUE
        faults.add(key, "must be a boolean")
        return UNSET

    return read


def _number_reader(kind: inspect.IntType, _: Mapping[str, Any]) -> Read:
    assert kind.ge is not None and kind.le is not None, "a number needs both bounds"  # noqa: PT018, S101 - narrows the types
    least, most = kind.ge, kind.le

    def read(value: Any, faults: Faults, key: str) -> Any:  # noqa: ANN401 - any JSON
        # 2.0 is a whole number too (JSON Schema validation section 6.1.1).
        text = str(int(value) if isinstance(value, float) and value.is_integer() else value).strip().lstrip("0") or "0"
        is_number = not isinstance(value, bool) and text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
        if is_number and least <= int(text) <= most:
            return int(text)
        faults.add(key, f"must be a whole number from {least} to {most}")
        return UNSET

    return read


def _timestamp_reader(_: inspect.DateTimeType, _extra: Mapping[str, Any]) -> Read:
    def read(value: Any, faults: Faults, key: str) -> Any:  # noqa: ANN401 - any JSON
        try:
            return parse_timestamp(value)
        except (TypeError, ValueError):
            faults.add(key, NOT_A_TIMESTAMP)
            return UNSET

    return read


def _list_reader(kind: inspect.ListType, extra: Mapping[str, Any]) -> Read:
    item, item_extra, _ = _unwrapped(kind.item_type)
    read_item = _READERS[type(item)](item, item_extra)
    least, most = kind.min_length or 0, kind.max_length
    what = extra.get("items", "strings")
    assert most is not None or not least, "a list with a minimum needs a maximum"  # noqa: S101 - of a declaration
    size = f"{least} to {most} {what}" if least else f"at most {most} {what}" if most else what

    def read_items(values: list[Any], faults: Faults, key: str) -> Any:  # noqa: ANN401 - UNSET as well
        found = Faults()
        items = [read_item(value, found, f"{key}[{index}]") for index, value in enumerate(values)]
        if isinstance(item, inspect.StructType):
            # Each keeps its place, so that a use case can add the faults that it finds.
            faults |= {name: fault for name, fault in found.items() if name not in faults}
            return [decode(item.cls, {}, Faults()) if value is UNSET else value for value in items]
        if found:
            faults.add(key, f"must be a list of {what}")
        return UNSET if found else list(dict.fromkeys(items))

    def read(value: Any, faults: Faults, key: str) -> Any:  # noqa: ANN401 - any JSON
        values = [] if value is None and extra.get("null_is_empty") else value
        if isinstance(value, str) and not isinstance(item, inspect.StructType):
            values = [value]
        if isinstance(value, dict) and extra.get("single"):
            values = [value]
        if isinstance(values, list) and least <= len(values) <= (len(values) if most is None else most):
            return read_items(values, faults, key)
        faults.add(key, f"must be a list of {size}")
        return UNSET

    return read


def _texts_by_name_reader(kind: inspect.DictType, extra: Mapping[str, Any]) -> Read:
    """An object with any names. A fault of a value is that of the object, because its name is the caller's."""
    value_kind, value_extra, _ = _unwrapped(kind.value_type)
    assert isinstance(value_kind, inspect.StrType) and kind.max_length is not None  # noqa: PT018, S101 - of a declaration
    read_text, most = _text_reader(value_kind, value_extra), kind.max_length
    what = extra.get("items", "strings")

    def read(value: Any, faults: Faults, key: str) -> Any:  # noqa: ANN401 - any JSON
        found = Faults()
        if isinstance(value, dict) and len(value) <= most:
            texts = {name: read_text(text, found, "") for name, text in value.items()}
            if not found:
                return texts
        faults.add(key, f"must be an object with at most {most} {what}")
        return UNSET

    return read


def _struct_reader(kind: inspect.StructType, _: Mapping[str, Any]) -> Read:
    def read(value: Any, faults: Faults, key: str) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(value, dict):
            return decode(kind.cls, value, faults, f"{key}.")
        faults.add(key, "must be an object")
        return UNSET

    return read


_READERS: Mapping[type[inspect.Type], Callable[[Any, Mapping[str, Any]], Read]] = {
    inspect.StrType: _text_reader,
    inspect.EnumType: _enum_reader,
    inspect.LiteralType: _literal_reader,
    inspect.BoolType: _boolean_reader,
    inspect.IntType: _number_reader,
    inspect.DateTimeType: _timestamp_reader,
    inspect.ListType: _list_reader,
    inspect.StructType: _struct_reader,
    inspect.DictType: _texts_by_name_reader,
}
