"""Claims challenges: which claims a caller may pass on to Entra, and which are kept for the next sign-in.

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

from shared.domain.principal import is_guid

# No entry of a claim lists more: authentication contexts are 99 in a tenant, and a challenge names those of one API.
MAX_VALUES = 10
# What claims may add to an authorize URL, encoded, so that all of it stays below MAX_LINK_BYTES.
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
        # A zone (RFC 4007) is any text, and no address that a service sees has one.
        return None if "%" in value else str(ip_address(value))
    except ValueError:
        return None


def _policy(value: str) -> str | None:
    return value.lower() if is_guid(value.lower()) else None


# Members of `access_token` that challenges of Microsoft's services hold: how each of their values is written, and by
# whom. `xms_cc` is none of them: with it a *client* declares that it can handle challenges, and gets tokens that live
# for up to 28 hours [challenge] [cae].
KNOWN_MEMBERS: Mapping[str, tuple[Callable[[str], str | None], str]] = {
    "acrs": (_context, "an authentication context such as c1"),  # [context]; p1 is Azure Resource Manager's
    "nbf": (_seconds, "a time in seconds, as digits"),  # [cae]: the token was revoked, or a policy has changed
    "xms_rp_ipaddr": (_address, "an IP address"),  # [cae]: the address that the API sees
    "capolids": (_policy, "the id of a policy"),  # [ca]
    "polids": (_policy, "the id of a policy"),  # [ca], as earlier versions have it
}


def parse_challenge(claims: object, name: str = "claims") -> tuple[str, dict[str, str]]:
    """A caller's claims, decoded from JSON, written again from the members that are known; and what is wrong, by field.

    Nothing of the caller's own text is in the result: names are ours, and each value is one of its kind.
    """
    faults: dict[str, str] = {}
    within = f"{name}.{ACCESS_TOKEN_MEMBER}"
    members = _members(claims, name, [ACCESS_TOKEN_MEMBER], faults).get(ACCESS_TOKEN_MEMBER)
    wanted = _members(members, within, KNOWN_MEMBERS, faults)
    built = {member: _member(value, f"{within}.{member}", member, faults) for member, value in wanted.items()}
    return json.dumps({ACCESS_TOKEN_MEMBER: built}, separators=(",", ":")), faults


def sanitized_claims(claims: object) -> str | None:
    """What Microsoft returned as `claims`, as it may be kept and carried by the next sign-in; None for what may not.

    Members that are not known here pass, because Microsoft knows what it asks for. Client capabilities do not, nor what
    is about other tokens, nor what makes the URL too long: a sign-in without claims is better than none.
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


def _members(value: object, name: str, allowed: Collection[str], faults: dict[str, str]) -> dict[str, Any]:
    """The members of an object that are allowed, of which at least one must be there; others are faults."""
    if not isinstance(value, dict) or not value:
        faults[name] = f'"{name}" must be an object with some of [{", ".join(allowed)}]'
        return {}
    unknown = [str(member)[:64] for member in value if member not in allowed]
    faults.update({f"{name}.{member}": "this field is not allowed" for member in unknown[:MAX_VALUES]})
    return {member: value[member] for member in allowed if member in value}


def _member(value: object, name: str, member: str, faults: dict[str, str]) -> dict[str, Any]:
    """One claim that is asked for: `essential`, and the `value` or the `values` that it must have [oidc]."""
    write, what = KNOWN_MEMBERS[member]
    asked = _members(value, name, ["essential", "value", "values"], faults)
    built: dict[str, Any] = {}
    if "essential" in asked:
        built["essential"] = asked["essential"] is True
        if not isinstance(asked["essential"], bool):
            faults[f"{name}.essential"] = f'"{name}.essential" must be a boolean'
    if "value" in asked:
        built["value"] = _written(asked["value"], write)
        if built["value"] is None:
            faults[f"{name}.value"] = f'"{name}.value" must be {what}'
    if "values" in asked:
        values = asked["values"]
        fits = isinstance(values, list) and 0 < len(values) <= MAX_VALUES
        built["values"] = [_written(each, write) for each in values] if fits else [None]
        if None in built["values"]:
            faults[f"{name}.values"] = f'"{name}.values" must be a list of 1 to {MAX_VALUES}, each {what}'
    return built


def _written(value: object, write: Callable[[str], str | None]) -> str | None:
    return write(value) if isinstance(value, str) else None
