"""Entra's authorize endpoint: pick an account, consent, redirect with a code.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#request-an-authorization-code

The forms post to the same address that showed them, so the authorize request stays in the query.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from infra.local.tenant.authorize_request import (
    AuthorizeRequest,
    ReturnAddress,
    read_authorize_request,
    read_return_address,
)
from infra.local.tenant.discovery import check_tenant
from infra.local.tenant.entities import Client, Person
from infra.local.tenant.error_responses import entra_error_body
from infra.local.tenant.failures import Refusal, find_failure
from infra.local.tenant.grants import Grant, seal_grant
from infra.local.tenant.pages import error_page, render_page
from infra.local.tenant.sessions import Sessions, read_sessions, write_sessions
from infra.local.tenant.tenant import Tenant
from infra.local.tenant.tokens import client_info

# The authorize endpoint has another name for a missing consent than the token endpoint, and no invalid_grant.
# https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#error-codes-for-authorization-endpoint-errors
AUTHORIZE_ERRORS = {"65001": "consent_required"}
AUTHORIZE_ERROR_WORDS = {"invalid_grant": "interaction_required"}
MAX_PEOPLE_SHOWN = 20  # in the account picker; a person named by login_hint is always shown


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a browser: the authorize request, the browser's sessions, and the submitted form.

    `segment` is the tenant in the path, or `organizations` or `common`.
    """

    segment: str
    return_address: ReturnAddress
    request: AuthorizeRequest
    sessions: Sessions
    form: Mapping[str, object]

    @property
    def client(self) -> Client:
        """The app that sent the authorize request."""
        return self.return_address.client

    def button(self, name: str) -> str:
        """The value of the button that was pressed, or an empty string."""
        return str(self.form.get(name, ""))


class AuthorizeEndpoint:
    """GET /{tenant}/oauth2/v2.0/authorize, and POST of its forms."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    async def handle(self, request: Request) -> Response:
        """Show the next page, or redirect to the app with a code or an error."""
        try:
            segment = check_tenant(self._tenant, request.path_params["tenant"])
            return_address = read_return_address(self._tenant, request.query_params)
        except Refusal as refusal:
            return error_page(self._tenant, refusal)
        form = await request.form() if request.method == "POST" else FormData()
        try:
            authorize_request = read_authorize_request(self._tenant, request.query_params, return_address.client)
            sessions = read_sessions(self._tenant, request)
            return self._next_page(Visit(segment, return_address, authorize_request, sessions, form))
        except Refusal as refusal:
            return self._redirect_with_error(return_address, refusal)

    def _next_page(self, visit: Visit) -> Response:
        hinted_person = self._tenant.directory.person(visit.request.login_hint)
        hinted_id = hinted_person.oid if hinted_person else None
        if fault := self._tenant.conditions.next_fault("authorize", person=hinted_id):
            raise Refusal(fault.failure)
        if visit.button("cancel"):
            self._tenant.note("cancelled", client=visit.client.id)
            # Cancelling has a subcode and no AADSTS number.
            fields = {"error": "access_denied", "error_subcode": "cancel"}
            return visit.return_address.respond(self._tenant, fields)
        person = self._tenant.directory.person(visit.button("login"))
        if person and visit.button("consent") and person.oid in visit.sessions:
            return self._apply_consent_decision(visit, person)
        if person:
            return self._sign_in(visit, person)
        return self._use_session_or_picker(visit, hinted_person)

    def _use_session_or_picker(self, visit: Visit, hinted_person: Person | None) -> Response:
        """Use single sign-on if exactly one session fits, unless the prompt forbids it."""
        signed_in_people = [self._tenant.directory.people[oid] for oid in visit.sessions]
        hint, prompt = visit.request.login_hint, visit.request.prompt
        candidates = [person for person in signed_in_people if not hint or person == hinted_person]
        if prompt == "none" and not candidates:
            raise Refusal("50058")
        if prompt == "none" and len(candidates) > 1:
            raise Refusal("16000")
        if len(candidates) == 1 and prompt not in ("login", "select_account"):
            return self._ask_consent(visit, candidates[0])
        return self._show_picker(visit, hinted_person)

    def _show_picker(self, visit: Visit, hinted_person: Person | None) -> Response:
        self._tenant.note(
            "authorize shown",
            client=visit.client.id,
            prompt=visit.request.prompt or None,
            login_hint=visit.request.login_hint or None,
            claims=visit.request.claims,
        )
        people = list(self._tenant.directory.people.values())[:MAX_PEOPLE_SHOWN]
        if hinted_person is not None and hinted_person not in people:
            people.insert(0, hinted_person)
        client_name = visit.client.name
        return render_page(self._tenant, "picker.html", people=people, hinted=hinted_person, client=client_name)

    def _sign_in(self, visit: Visit, person: Person) -> Response:
        if person.disabled:
            return error_page(self._tenant, Refusal("50057"))
        client = visit.client
        if visit.segment in self._tenant.directory.tenants and visit.segment != person.tenant_id:
            refusal = Refusal(
                "50020", person=person.upn, tenant=visit.segment, client=client.id, client_name=client.name
            )
            return error_page(self._tenant, refusal)
        self._tenant.note("signed in", person=person.upn, client=client.id)
        sessions = visit.sessions | {person.oid: self._tenant.now()}
        response = self._ask_consent(replace(visit, sessions=sessions), person)
        write_sessions(self._tenant, response, sessions)
        return response

    def _ask_consent(self, visit: Visit, person: Person) -> Response:
        """Ask for consent once; `prompt=consent` asks again."""
        client, prompt = visit.client, visit.request.prompt
        requested = {scope.address for scope in visit.request.scopes.permissions}
        missing = requested - self._tenant.directory.consented_scopes(person, client)
        if not missing and prompt != "consent":
            return self._issue_code(visit, person)
        if prompt == "none":
            raise Refusal("65001", client=client.id, client_name=client.name)
        if person.admin_consent_required:
            self._tenant.note("failed", endpoint="authorize", failure="90094", person=person.upn)
            body = entra_error_body(self._tenant, find_failure("entra", "90094"), {"client_name": client.name})
            return render_page(self._tenant, "approval.html", person=person, message=body["error_description"])
        self._tenant.note("consent shown", person=person.upn, client=client.id)
        return render_page(self._tenant, "consent.html", person=person, client=client.name, scopes=sorted(requested))

    def _apply_consent_decision(self, visit: Visit, person: Person) -> Response:
        """Handle a button of the consent page, or the return from *Need admin approval*."""
        client = visit.client
        if person.admin_consent_required:
            raise Refusal("90094", client_name=client.name)
        if visit.button("consent") != "accept":
            self._tenant.note("consent declined", person=person.upn, client=client.id)
            raise Refusal("65004")
        scopes = [scope.address for scope in visit.request.scopes.permissions]
        self._tenant.directory.add_consent(person, client, scopes)
        self._tenant.note("consented", person=person.upn, client=client.id)
        return self._issue_code(visit, person)

    def _issue_code(self, visit: Visit, person: Person) -> Response:
        request = visit.request
        grant = Grant(
            kind="authorization_code",
            id=str(uuid.uuid4()),
            person=person.oid,
            client=visit.client.id,
            scope=request.scope,
            signed_in=visit.sessions[person.oid],
            issued=self._tenant.now(),
            redirect_uri=visit.return_address.redirect_uri,
            challenge=request.challenge,
            nonce=request.nonce,
        )
        self._tenant.note("code issued", person=person.upn, client=visit.client.id, claims=request.claims)
        fields = {
            "code": seal_grant(grant, self._tenant.keys.seal),
            "client_info": client_info(person) if request.client_info else None,
            "session_state": str(uuid.uuid4()),
        }
        return visit.return_address.respond(self._tenant, fields)

    def _redirect_with_error(self, return_address: ReturnAddress, refusal: Refusal) -> Response:
        self._tenant.note("failed", endpoint="authorize", failure=refusal.key, client=return_address.client.id)
        failure = find_failure("entra", refusal.key)
        body = entra_error_body(self._tenant, failure, refusal.details)
        fields = {
            "error": AUTHORIZE_ERRORS.get(refusal.key) or AUTHORIZE_ERROR_WORDS.get(failure.error, failure.error),
            "error_description": body["error_description"],
            "error_uri": body["error_uri"],
        }
        return return_address.respond(self._tenant, fields)
