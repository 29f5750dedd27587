"""The settings about callers: which kinds there are, and whose tokens of Entra's count."""

import re

from shared.domain.caller import Binding, EntraTrust
from shared.settings.reader import Reader

KINDS = frozenset({"tokens", "entra"})
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def read_callers(read: Reader) -> tuple[bool, EntraTrust | None]:
    """Whether API tokens let callers in, and which of Entra's tokens do; None for none."""
    kinds = read.listed("MAILBIND_CALLERS") or ({"tokens"} | ({"entra"} if _audiences(read) else set()))
    if not kinds <= KINDS:
        read.faults.append("MAILBIND_CALLERS must be tokens, entra, or both, separated by a comma")
    return "tokens" in kinds, _entra_trust(read) if "entra" in kinds else None


def _entra_trust(read: Reader) -> EntraTrust:
    audiences, tenants = _audiences(read), read.listed("MAILBIND_CALLER_TENANTS")
    if not audiences:
        read.faults.append("MAILBIND_CALLER_AUDIENCE is missing")
    if not all(GUID.fullmatch(one.lower()) or "://" in one for one in audiences):
        read.faults.append("MAILBIND_CALLER_AUDIENCE must be application ID URIs and client ids, separated by commas")
    own = read.text("MAILBIND_OAUTH_TENANT", "").lower()
    if not tenants and not GUID.fullmatch(own):
        read.faults.append("MAILBIND_CALLER_TENANTS is missing; it may be when MAILBIND_OAUTH_TENANT is a tenant id")
    if not all(map(GUID.fullmatch, tenants)):
        read.faults.append("MAILBIND_CALLER_TENANTS must be tenant ids")
    return EntraTrust(audiences, tenants or frozenset({own}), _bindings(read))


def _audiences(read: Reader) -> frozenset[str]:
    """Compared exactly; a client id is in lower case in every token."""
    words = frozenset(word.strip() for word in read.values.get("MAILBIND_CALLER_AUDIENCE", "").split(","))
    return frozenset(word.lower() if GUID.fullmatch(word.lower()) else word for word in words if word)


def _bindings(read: Reader) -> dict[str, Binding]:
    """`client id=account`, or `client id=beginning*`; one that is named twice has both."""
    found: dict[str, Binding] = {}
    for word in read.listed("MAILBIND_CALLER_ACCOUNTS"):
        client, _, account = (part.strip() for part in word.partition("="))
        if not GUID.fullmatch(client) or account in {"", "*"}:
            read.faults.append("MAILBIND_CALLER_ACCOUNTS must be pairs such as <client id>=<account or beginning*>")
            continue
        held = found.get(client, Binding())
        beginning = account.endswith("*")
        found[client] = Binding.to(
            held.accounts if beginning else (*held.accounts, account),
            (*held.prefixes, account[:-1]) if beginning else held.prefixes,
        )
    return found
