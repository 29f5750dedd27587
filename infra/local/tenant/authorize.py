"""Entra's authorize endpoint: pick an account, consent, go back with a code (entra-docs v2-oauth2-auth-code-flow.md).

The forms post to the very address that showed them, so the request stays in its query.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from infra.local.tenant.answers import entra_error
from infra.local.tenant.authorize_request import (
    AuthorizeRequest,
    ReturnAddress,
    read_authorize_request,
    read_return_address,
)
from infra.local.tenant.directory import Person
from infra.local.tenant.discovery import check_tenant
from infra.local.tenant.failures import Refusal, find
from infra.local.tenant.grants import Grant, seal_grant
from infra.local.tenant.pages import page, trouble
from infra.local.tenant.sessions import Sessions, read_sessions, write_sessions
from infra.local.tenant.tenant import Tenant
from infra.local.tenant.token import client_info

# The authorize endpoint names a missing consent differently from the token endpoint.
AUTHORIZE_ERROR = {"65001": "consent_required"}
SHOWN = 20  # people in the account picker; a person named by login_hint is always there


@dataclass(frozen=True, slots=True)
class Visit:
    """One look of a browser at the authorize endpoint: what is asked, who is signed in, what the person pressed.

    `segment` is the tenant that the path names, or `organizations` or `common`.
    """

    segment: str
    back: ReturnAddress
    asked: AuthorizeRequest
    sessions: Sessions
    form: Mapping[str, object]

    def pressed(self, name: str) -> str:
        """The value of the button that was pressed, or nothing."""
        return str(self.form.get(name, ""))


class AuthorizeEndpoint:
    """GET /{tenant}/oauth2/v2.0/authorize, and POST of its forms."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    async def answer(self, request: Request) -> Response:
        """Show the next page, or send the browser back to the application with a code or an error."""
        try:
            segment = check_tenant(self._tenant, request.path_params["tenant"])
            back = read_return_address(self._tenant, request.query_params)
        except Refusal as refusal:
            return trouble(self._tenant, refusal)
        form = await request.form() if request.method == "POST" else FormData()
        try:
            asked = read_authorize_request(self._tenant, request.query_params, back.client)
            return self._next(Visit(segment, back, asked, read_sessions(self._tenant, request), form))
        except Refusal as refusal:
            return self._send_back(back, refusal)

    def _next(self, visit: Visit) -> Response:
        hinted = self._tenant.directory.person(visit.asked.login_hint)
        if fault := self._tenant.conditions.next_fault("authorize", person=hinted.oid if hinted else None):
            raise Refusal(fault.failure)
        if visit.pressed("cancel"):
            self._tenant.note("cancelled", client=visit.back.client.id)
            # Backing out carries a subcode and no number of its own.
            return visit.back.respond(self._tenant, {"error": "access_denied", "error_subcode": "cancel"})
        person = self._tenant.directory.person(visit.pressed("login"))
        if person and visit.pressed("consent") and person.oid in visit.sessions:
            return self._decide(visit, person)
        if person:
            return self._sign_in(visit, person)
        return self._recognise(visit, hinted)

    def _recognise(self, visit: Visit, hinted: Person | None) -> Response:
        """Single sign-on for somebody who is signed in here already, unless the prompt says otherwise."""
        signed_in = [self._tenant.directory.people[oid] for oid in visit.sessions]
        candidates = [person for person in signed_in if not visit.asked.login_hint or person == hinted]
        silent = visit.asked.prompt == "none"
        if silent and not candidates:
            raise Refusal("50058")
        if silent and len(candidates) > 1:
            raise Refusal("16000")
        if len(candidates) == 1 and visit.asked.prompt not in ("login", "select_account"):
            return self._ask_consent(visit, candidates[0])
        return self._pick(visit, hinted)

    def _pick(self, visit: Visit, hinted: Person | None) -> Response:
        self._tenant.note(
            "authorize shown",
            client=visit.back.client.id,
            prompt=visit.asked.prompt or None,
            login_hint=visit.asked.login_hint or None,
            claims=visit.asked.claims,
        )
        people = list(self._tenant.directory.people.values())[:SHOWN]
        shown = people if hinted is None or hinted in people else [hinted, *people]
        return page(self._tenant, "picker.html", people=shown, hinted=hinted, client=visit.back.client.name)

    def _sign_in(self, visit: Visit, person: Person) -> Response:
        if person.disabled:
            return trouble(self._tenant, Refusal("50057"))
        if visit.segment in self._tenant.directory.tenants and visit.segment != person.tenant_id:
            client = visit.back.client
            refusal = Refusal(
                "50020", person=person.upn, tenant=visit.segment, client=client.id, client_name=client.name
            )
            return trouble(self._tenant, refusal)
        self._tenant.note("signed in", person=person.upn, client=visit.back.client.id)
        sessions = visit.sessions | {person.oid: self._tenant.now()}
        answer = self._ask_consent(replace(visit, sessions=sessions), person)
        write_sessions(self._tenant, answer, sessions)
        return answer

    def _ask_consent(self, visit: Visit, person: Person) -> Response:
        """Consent is asked for once; `prompt=consent` asks again (entra-docs v2-oauth2-auth-code-flow.md)."""
        wanted = {scope.address for scope in visit.asked.scopes.permissions}
        missing = wanted - self._tenant.directory.consents(person, visit.back.client)
        if not missing and visit.asked.prompt != "consent":
            return self._issue(visit, person)
        if visit.asked.prompt == "none":
            raise Refusal("65001", client=visit.back.client.id, client_name=visit.back.client.name)
        name = visit.back.client.name
        if person.admin_consent_required:
            self._tenant.note("failed", endpoint="authorize", failure="90094", person=person.upn)
            body = entra_error(self._tenant, find("entra", "90094"), {"client_name": name})
            return page(self._tenant, "approval.html", person=person, message=body["error_description"])
        self._tenant.note("consent shown", person=person.upn, client=visit.back.client.id)
        return page(self._tenant, "consent.html", person=person, client=name, scopes=sorted(wanted))

    def _decide(self, visit: Visit, person: Person) -> Response:
        """The person has pressed a button of the consent page, or has come back from *Need admin approval*."""
        if person.admin_consent_required:
            raise Refusal("90094", client_name=visit.back.client.name)
        if visit.pressed("consent") != "accept":
            self._tenant.note("consent declined", person=person.upn, client=visit.back.client.id)
            raise Refusal("65004")
        scopes = [scope.address for scope in visit.asked.scopes.permissions]
        self._tenant.directory.consent(person, visit.back.client, scopes)
        self._tenant.note("consented", person=person.upn, client=visit.back.client.id)
        return self._issue(visit, person)

    def _issue(self, visit: Visit, person: Person) -> Response:
        grant = Grant(
            kind="authorization_code",
            id=str(uuid.uuid4()),
            person=person.oid,
            client=visit.back.client.id,
            scope=visit.asked.scope,
            signed_in=visit.sessions[person.oid],
            issued=self._tenant.now(),
            redirect_uri=visit.back.redirect_uri,
            challenge=visit.asked.challenge,
            nonce=visit.asked.nonce,
        )
        self._tenant.note("code issued", person=person.upn, client=visit.back.client.id, claims=visit.asked.claims)
        code = seal_grant(grant, self._tenant.keys.seal)
        info = client_info(person) if visit.asked.client_info else None
        return visit.back.respond(self._tenant, {"code": code, "client_info": info, "session_state": str(uuid.uuid4())})

    def _send_back(self, back: ReturnAddress, refusal: Refusal) -> Response:
        self._tenant.note("failed", endpoint="authorize", failure=refusal.key, client=back.client.id)
        failure = find("entra", refusal.key)
        error = AUTHORIZE_ERROR.get(refusal.key, failure.error)
        body = entra_error(self._tenant, failure, refusal.details)
        told = {"error": error, "error_description": body["error_description"], "error_uri": body["error_uri"]}
        return back.respond(self._tenant, told)
