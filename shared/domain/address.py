"""Mailbox addresses and sign-in names: when two of them are the same."""

import unicodedata


def normal_address(address: str) -> str:
    """The form in which addresses are compared; two different mailboxes never share it.

    Case does not count (Exchange: addresses are not case-sensitive). A domain counts by its A-labels, so that the two
    ways of writing an internationalized domain are one (RFC 5890 section 2.3.2.1). Letters are lower-cased and never
    case-folded: folding makes `ss` of `ß`, and straße.example and strasse.example are two domains (RFC 5894 section
    7.2).
    """
    local, at, domain = unicodedata.normalize("NFC", address.strip().lower()).rpartition("@")
    return f"{local}{at}{'.'.join(map(_a_label, domain.split('.')))}" if at else domain


def same_address(one: str | None, other: str | None) -> bool:
    """Whether two mailbox addresses or sign-in names mean the same. For ids of accounts there is `keys.same_id`."""
    return one is not None and other is not None and normal_address(one) == normal_address(other)


def domain_of(address: str) -> str:
    """Its domain, in the form in which addresses are compared; empty without one."""
    return normal_address(address).rpartition("@")[2] if "@" in address else ""


def _a_label(label: str) -> str:
    """Punycode without a table of characters that may be registered: it is for comparing, not for looking up."""
    return label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
