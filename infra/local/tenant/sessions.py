"""Who is signed in in a browser: a sealed cookie, so that a restart signs nobody out."""

from typing import Any

import msgspec
from cryptography.fernet import InvalidToken
from starlette.requests import Request
from starlette.responses import Response

from infra.local.tenant.directory import Person
from infra.local.tenant.tenant import Tenant

COOKIE = "ESTSAUTH"
ATTRIBUTES: dict[str, Any] = {"path": "/", "secure": True, "httponly": True, "samesite": "none"}
Sessions = dict[str, float]  # object id: when that person signed in, in epoch seconds


def read_sessions(tenant: Tenant, request: Request) -> Sessions:
    """Sign-ins of this browser that still stand: revoked ones and those of disabled people are gone."""
    try:
        value = tenant.keys.seal.decrypt(request.cookies.get(COOKIE, ""))
        sessions = msgspec.json.decode(value, type=Sessions)
    except (InvalidToken, msgspec.DecodeError):
        return {}
    return {oid: at for oid, at in sessions.items() if stands(tenant.directory.people.get(oid), at)}


def stands(person: Person | None, signed_in: float) -> bool:
    """Whether a sign-in of that time is still good."""
    return person is not None and not person.disabled and signed_in > person.revoked_at


def write_sessions(tenant: Tenant, response: Response, sessions: Sessions) -> None:
    """Remember the sign-ins in the browser."""
    response.set_cookie(COOKIE, tenant.keys.seal.encrypt(msgspec.json.encode(sessions)).decode(), **ATTRIBUTES)


def forget_sessions(response: Response) -> None:
    """Sign the browser out."""
    response.delete_cookie(COOKIE, **ATTRIBUTES)
