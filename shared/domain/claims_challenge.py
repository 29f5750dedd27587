"""Claims challenges: the claims that a caller may pass on to Entra, and those that the next sign-in carries.

Sources: learn.microsoft.com, entra/identity-platform, "Claims challenges, claims requests and client capabilities"
[challenge], "Developer guidance for Conditional Access" [ca], "Developer guide to Conditional Access authentication
context" [context], "Continuous access evaluation enabled APIs" [cae]; OpenID Connect Core 1.0 section 5.5 [oidc].
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote_plus

from shared.domain.account import is_guid

# Longer lists do not occur: a tenant has at most 99 authentication contexts, and a challenge names those of one API.
MAX_VALUES = 10
# How much claims may add to an authorize URL, encoded, so that the URL stays below MAX_LINK_BYTES.
MAX_CLAIMS_BYTES = 1536

ACCESS_TOKEN_MEMBER = "access_token"  # noqa: S105 - the name of a member
CONTEXT_PATTERN = re.compile(r"c[1-9][0-9]?|p1")
SECONDS_PATTERN = re.compile(r"[0-9]{1,10}")


def _context(value: str) -> str | None:
    return value if CONTEXT_PATTERN.fullmatch(value) else None


def _seconds(value: str) -> str | None:
    return str(int(value)) if SECONDS_PATTERN.fullmatch(value) else None


def _address(value: str) -> str | None:
    try:
        # A zone (RFC 4007) can be any text, and no address that a service sees has one.
        return None if "%" in value else str(ip_address(value))
    except ValueError:
        return None


def _policy(value: str) -> str | None:
    return value.lower() if is_guid(value.lower()) else None


# The members of `access_token` in challenges of Microsoft's services, each with a parser for its values and a text
# for error messages. `xms_cc` is not allowed: with it a *client* declares that it can handle challenges, and gets
# tokens with a lifetime of up to 28 hours [challenge] [cae].
KNOWN_MEMBERS: Mapping[str, tuple[Callable[[str], str | None], str]] = {
    "acrs": (_context, "an authentication context such as c1"),  # [context]; p1 is Azure Resource Manager's
    "nbf": (_seconds, "a time in seconds, as digits"),  # [cae]: the token was revoked, or a policy has changed
    "xms_rp_ipaddr": (_address, "an IP address"),  # [cae]: the address that the API sees
    "capolids": (_policy, "the id of a policy"),  # [ca]
    "polids": (_policy, "the id of a policy"),  # [ca], as earlier versions have it
}


def parse_challenge(claims: object) -> tuple[str, dict[str, str]]:
    """Parse a caller's claims, decoded from JSON. Returns them as JSON again, and the faults by the path of a member.

    The result holds none of the caller's own text: names are ours, and every value was parsed as one of its kind.
    """
    faults: dict[str, str] = {}
    members = _members(claims, "", [ACCESS_TOKEN_MEMBER], faults).get(ACCESS_TOKEN_MEMBER)
    requested = _members(members, ACCESS_TOKEN_MEMBER, KNOWN_MEMBERS, faults)
    parsed = {
        member: _claim(value, f"{ACCESS_TOKEN_MEMBER}.{member}", member, faults) for member, value in requested.items()
    }
    return json.dumps({ACCESS_TOKEN_MEMBER: parsed}, separators=(",", ":")), faults


def sanitized_claims(claims: object) -> str | None:
    """The part of Microsoft's `claims` that may be stored and sent with the next sign-in, or None.

    Unknown members pass, because Microsoft knows what it asks for. Client capabilities and claims about other tokens
    are left out. Claims that would make the URL too long are dropped: a sign-in without claims is better than none.
    """
    if not isinstance(claims, str) or len(claims) > MAX_CLAIMS_BYTES:
        return None
    try:
        decoded = json.loads(claims)
        members = decoded.get(ACCESS_TOKEN_MEMBER) if isinstance(decoded, dict) else None
        kept = {name: value for name, value in members.items() if name.casefold() != "xms_cc"} if members else {}
        text = json.dumps({ACCESS_TOKEN_MEMBER: kept}, separators=(",", ":"), allow_nan=False)
    except (ValueError, AttributeError, RecursionError):
        return None
    return text if kept and len(quote_plus(text)) <= MAX_CLAIMS_BYTES else None


def _members(value: object, path: str, allowed: Collection[str], faults: dict[str, str]) -> dict[str, Any]:
    """The allowed members of an object, which must have at least one of them. Other members are faults."""
    if not isinstance(value, dict) or not value:
        faults[path] = f"must be an object with some of [{', '.join(allowed)}]"
        return {}
    unknown = [str(member)[:64] for member in value if member not in allowed]
    prefix = f"{path}." if path else ""
    faults.update({f"{prefix}{member}": "is not allowed" for member in unknown[:MAX_VALUES]})
    return {member: value[member] for member in allowed if member in value}


def _claim(value: object, path: str, member: str, faults: dict[str, str]) -> dict[str, Any]:
    """One requested claim: `essential`, and the `value` or the `values` that it must have [oidc]."""
    parse, description = KNOWN_MEMBERS[member]
    given = _members(value, path, ["essential", "value", "values"], faults)
    parsed: dict[str, Any] = {}
    if "essential" in given:
        parsed["essential"] = given["essential"] is True
        if not isinstance(given["essential"], bool):
            faults[f"{path}.essential"] = "must be a boolean"
    if "value" in given:
        parsed["value"] = _parsed(given["value"], parse)
        if parsed["value"] is None:
            faults[f"{path}.value"] = f"must be {description}"
    if "values" in given:
        values = given["values"]
        fits = isinstance(values, list) and 0 < len(values) <= MAX_VALUES
        parsed["values"] = [_parsed(item, parse) for item in values] if fits else [None]
        if None in parsed["values"]:
            faults[f"{path}.values"] = f"must be a list of 1 to {MAX_VALUES}, each {description}"
    return parsed


def _parsed(value: object, parse: Callable[[str], str | None]) -> str | None:
    return parse(value) if isinstance(value, str) else None
