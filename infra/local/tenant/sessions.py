"""The people who are signed in in a browser, stored in an encrypted cookie that remains valid after a restart."""

from typing import Any

import msgspec
from cryptography.fernet import InvalidToken
from starlette.requests import Request
from starlette.responses import Response

from infra.local.tenant.entities import Person
from infra.local.tenant.tenant import Tenant

COOKIE = "ESTSAUTH"
ATTRIBUTES: dict[str, Any] = {"path": "/", "secure": True, "httponly": True, "samesite": "none"}
Sessions = dict[str, float]  # object id: when the person signed in, in epoch seconds


def read_sessions(tenant: Tenant, request: Request) -> Sessions:
    """The browser's valid sign-ins, without revoked ones and those of disabled people."""
    try:
        value = tenant.keys.seal.decrypt(request.cookies.get(COOKIE, ""))
        sessions = msgspec.json.decode(value, type=Sessions)
    except (InvalidToken, msgspec.DecodeError):
        return {}
    people = tenant.directory.people
    return {oid: signed_in for oid, signed_in in sessions.items() if _is_valid(people.get(oid), signed_in)}


def _is_valid(person: Person | None, signed_in: float) -> bool:
    return person is not None and not person.disabled and signed_in > person.revoked_at


def write_sessions(tenant: Tenant, response: Response, sessions: Sessions) -> None:
    """Store the sign-ins in the browser."""
    response.set_cookie(COOKIE, tenant.keys.seal.encrypt(msgspec.json.encode(sessions)).decode(), **ATTRIBUTES)


def delete_sessions(response: Response) -> None:
    """Delete the cookie."""
    response.delete_cookie(COOKIE, **ATTRIBUTES)
