"""Microsoft's error responses: those of Entra, of Graph, and of gateways in between."""

import base64
import json
import uuid
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from infra.local.tenant.failures import Failure, Refusal, find_failure
from infra.local.tenant.tenant import Tenant

POLICY_ID = "c5c0e6f4-6d6b-4f0f-9d1e-0b7f6a5c4d3e"  # the Conditional Access policy that a claims challenge names
STEP_UP_CLAIMS = json.dumps({"access_token": {"capolids": {"essential": True, "values": [POLICY_ID]}}})
REVOKED_CLAIMS = json.dumps({"access_token": {"nbf": {"essential": True, "value": "1700000000"}}})


def entra_error_body(
    tenant: Tenant, failure: Failure, details: dict[str, str], correlation: str = ""
) -> dict[str, Any]:
    """The body of a failed token request, with its members in Microsoft's order.

    https://learn.microsoft.com/entra/identity-platform/reference-error-codes#handling-error-codes-in-your-application
    """
    now = datetime.fromtimestamp(tenant.now(), UTC)
    trace, correlation = str(uuid.uuid4()), correlation or str(uuid.uuid4())
    timestamp = f"{now:%Y-%m-%d %H:%M:%SZ}"
    text = failure.message(**_default_details(tenant, now) | details)
    ids = f"Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}"
    body = {
        "error": failure.error,
        "error_description": f"AADSTS{failure.code}: {text} {ids}",
        "error_codes": [int(failure.code), *failure.further_codes],
        "timestamp": timestamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"{tenant.origin}/error?code={failure.code}",
        "suberror": failure.suberror,
        # A string of JSON. https://learn.microsoft.com/entra/identity-platform/claims-challenge
        "claims": STEP_UP_CLAIMS if failure.claims else None,
    }
    return {name: value for name, value in body.items() if value is not None}


def _default_details(tenant: Tenant, now: datetime) -> dict[str, str]:
    """Plausible details for a failure that control armed, which has none of its own."""
    client, timestamp = tenant.directory.mailbind_client, f"{now:%Y-%m-%dT%H:%M:%S.0000000Z}"
    return {
        "client": client.id,
        "client_name": client.name,
        "tenant": tenant.directory.name,
        "issued": timestamp,
        "valid_from": timestamp,
        "resource": tenant.directory.graph.app_id,
        "person": "",
        "scope": "",
    }


def entra_error_response(tenant: Tenant, refusal: Refusal, request: Request) -> Response:
    """The token endpoint's response to a refused request."""
    failure = find_failure("entra", refusal.key)
    if failure.is_gateway:
        return gateway_error_response(failure, refusal)
    body = entra_error_body(tenant, failure, refusal.details, request.headers.get("client-request-id", ""))
    headers = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache", "x-ms-request-id": body["trace_id"]}
    return JSONResponse(body, failure.status, headers | retry_after_header(failure, refusal))


def graph_error_response(refusal: Refusal, headers: dict[str, str], timestamp: str) -> Response:
    """Graph's response to a refused request; `headers` carry the request ids, which the body repeats.

    https://learn.microsoft.com/graph/errors
    """
    failure = find_failure("graph", refusal.key)
    if failure.is_gateway:
        return gateway_error_response(failure, refusal)
    ids = {name: headers[name] for name in ("request-id", "client-request-id")}
    body = {
        "error": {
            "code": failure.code,
            "message": failure.message(**refusal.details),
            "innerError": {"date": timestamp, **ids},
        }
    }
    return JSONResponse(body, failure.status, headers | retry_after_header(failure, refusal) | _challenge(failure))


def gateway_error_response(failure: Failure, refusal: Refusal) -> Response:
    """The response of a gateway that does not pass a request on: HTML without JSON."""
    text = (
        f"<html><head><title>{failure.status} {failure.text}</title></head><body><h1>{failure.text}</h1></body></html>"
    )
    return HTMLResponse(text, failure.status, retry_after_header(failure, refusal))


def retry_after_header(failure: Failure, refusal: Refusal) -> dict[str, str]:
    """The Retry-After header in whole seconds, if there is one."""
    seconds = failure.retry_after if refusal.retry_after is None else refusal.retry_after
    return {} if seconds is None else {"Retry-After": str(seconds)}


def _challenge(failure: Failure) -> dict[str, str]:
    """The WWW-Authenticate header of a 401.

    https://learn.microsoft.com/entra/identity-platform/claims-challenge
    """
    if failure.status != 401:  # noqa: PLR2004 - HTTP's status for missing authentication
        return {}
    challenge = 'Bearer realm="", client_id="00000003-0000-0000-c000-000000000000"'
    if failure.claims:
        claims = base64.b64encode(REVOKED_CLAIMS.encode()).decode()
        challenge += f', error="insufficient_claims", claims="{claims}"'
    return {"WWW-Authenticate": challenge}
