"""Microsoft's error bodies: the login service's, Graph's, and the bare ones of gateways in between."""

import base64
import json
import uuid
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from infra.local.tenant.failures import Failure, Refusal, find
from infra.local.tenant.tenant import Tenant

POLICY = "c5c0e6f4-6d6b-4f0f-9d1e-0b7f6a5c4d3e"  # the Conditional Access policy that a claims challenge names
STEP_UP = json.dumps({"access_token": {"capolids": {"essential": True, "values": [POLICY]}}})
REVOKED = json.dumps({"access_token": {"nbf": {"essential": True, "value": "1700000000"}}})


def entra_error(tenant: Tenant, failure: Failure, details: dict[str, str], correlation: str = "") -> dict[str, Any]:
    """The body of a failed token call (entra-docs reference-error-codes.md), members in Microsoft's order."""
    now = datetime.fromtimestamp(tenant.now(), UTC)
    trace, correlation = str(uuid.uuid4()), correlation or str(uuid.uuid4())
    moment = f"{now:%Y-%m-%d %H:%M:%SZ}"
    client = tenant.directory.first_client
    known = {"client": client.id, "client_name": client.name, "tenant": tenant.directory.name}
    # What a fault that control armed does not know is filled in plausibly.
    known |= {"issued": f"{now:%Y-%m-%dT%H:%M:%S.0000000Z}", "valid_from": f"{now:%Y-%m-%dT%H:%M:%S.0000000Z}"}
    known |= {"resource": tenant.directory.resources[0].app_id, "person": "", "scope": ""}
    text = failure.message(**known | details)
    ids = f"Trace ID: {trace} Correlation ID: {correlation} Timestamp: {moment}"
    body = {
        "error": failure.error,
        "error_description": f"AADSTS{failure.code}: {text} {ids}",
        "error_codes": [int(failure.code)],
        "timestamp": moment,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"{tenant.origin}/error?code={failure.code}",
        "suberror": failure.suberror,
        # A string that holds JSON, with the suberrors that a further step cures (entra-docs claims-challenge.md).
        "claims": STEP_UP if failure.claims else None,
    }
    return {name: value for name, value in body.items() if value is not None}


def entra_answer(tenant: Tenant, refusal: Refusal, request: Request) -> Response:
    """The answer of the token endpoint to a refused request."""
    failure = find("entra", refusal.key)
    if failure.bare:
        return bare(failure, refusal)
    body = entra_error(tenant, failure, refusal.details, request.headers.get("client-request-id", ""))
    headers = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache", "x-ms-request-id": body["trace_id"]}
    return JSONResponse(body, failure.status, headers | retry_after(failure, refusal))


def graph_answer(refusal: Refusal, headers: dict[str, str], moment: str) -> Response:
    """Graph's answer to a refused call (graph-docs errors.md); `headers` carry the ids that its body repeats."""
    failure = find("graph", refusal.key)
    if failure.bare:
        return bare(failure, refusal)
    inner = {name: headers[name] for name in ("request-id", "client-request-id")}
    body = {
        "error": {
            "code": failure.code,
            "message": failure.message(**refusal.details),
            "innerError": {"date": moment, **inner},
        }
    }
    return JSONResponse(body, failure.status, headers | retry_after(failure, refusal) | _challenge(failure))


def bare(failure: Failure, refusal: Refusal) -> Response:
    """What a gateway says when it cannot or will not pass a request on: no JSON."""
    text = (
        f"<html><head><title>{failure.status} {failure.text}</title></head><body><h1>{failure.text}</h1></body></html>"
    )
    return HTMLResponse(text, failure.status, retry_after(failure, refusal))


def retry_after(failure: Failure, refusal: Refusal) -> dict[str, str]:
    """The Retry-After header, in whole seconds, if there is one."""
    seconds = failure.retry_after if refusal.retry_after is None else refusal.retry_after
    return {} if seconds is None else {"Retry-After": str(seconds)}


def _challenge(failure: Failure) -> dict[str, str]:
    """The WWW-Authenticate header that comes with 401 (entra-docs claims-challenge.md)."""
    if failure.status != 401:  # noqa: PLR2004 - the status that asks for authentication
        return {}
    challenge = 'Bearer realm="", client_id="00000003-0000-0000-c000-000000000000"'
    if failure.claims:
        claims = base64.b64encode(REVOKED.encode()).decode()
        challenge += f', error="insufficient_claims", claims="{claims}"'
    return {"WWW-Authenticate": challenge}
