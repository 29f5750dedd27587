"""The control endpoint shows and changes the tenant's state. It listens on loopback only and needs no sign-in."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.tenant import control_bodies as bodies
from infra.local.tenant.app_credentials import FederatedCredential
from infra.local.tenant.conditions import ClaimOverrides, Fault
from infra.local.tenant.control_view import view
from infra.local.tenant.entities import PERMISSIONS, Mailbox, Person
from infra.local.tenant.failures import ENTRA_FAILURES, Refusal, find_failure
from infra.local.tenant.grants import new_refresh_token
from infra.local.tenant.imap import LOGIN_FAILURES
from infra.local.tenant.mail.deliveries import deliver
from infra.local.tenant.tenant import Tenant

OFFLINE_SCOPES = "openid profile offline_access"
THROTTLING_FAILURES = {"token": "90055", "graph": "ApplicationThrottled", "imap": "Throttled"}


class ControlEndpoint:
    """GET /control, GET and DELETE /control/events, and POST /control/{action}."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    def routes(self) -> list[Route]:
        """A route for each action."""
        actions: list[tuple[str, type[bodies.Body], Callable[[Any], dict[str, Any] | None]]] = [
            ("revoke", bodies.Revoke, self._revoke),
            ("access", bodies.Access, self._access),
            ("fail", bodies.Fail, self._fail),
            ("throttle", bodies.Throttle, self._throttle),
            ("latency", bodies.Latency, self._latency),
            ("outage", bodies.SetOutage, self._outage),
            ("lifetimes", bodies.Lifetimes, self._lifetimes),
            ("id-token", bodies.IdToken, self._id_token),
            ("app-token", bodies.AppToken, self._app_token),
            ("access-token", bodies.AccessToken, self._access_token),
            ("app", bodies.App, self._app),
            ("api", bodies.Api, self._api),
            ("signing-key", bodies.SigningKey, self._signing_key),
            ("person", bodies.ChangePerson, self._person),
            ("mailbox", bodies.SharedMailboxes, self._mailbox),
            ("address", bodies.Address, self._address),
            ("hosting", bodies.SetHosting, self._hosting),
            ("guest", bodies.Guest, self._guest),
            ("tenant", bodies.OtherTenant, self._other_tenant),
            ("sign-in", bodies.SignIn, self._sign_in),
            ("certificate", bodies.Certificate, self._certificate),
            ("federate", bodies.Federate, self._federate),
            ("vault-key", bodies.VaultKey, self._vault_key),
            ("deliver", bodies.Deliver, self._deliver),
            ("delta-state", bodies.DeltaState, self._delta_state),
            ("clock", bodies.Clock, self._clock),
            ("reset", bodies.Reset, self._reset),
        ]
        return [
            Route("/control", self._show),
            Route("/control/events", self._events),
            Route("/control/events", self._clear_events, methods=["DELETE"]),
            *(Route(f"/control/{name}", _action(body, act), methods=["POST"]) for name, body, act in actions),
        ]

    async def _show(self, _request: Request) -> Response:
        return JSONResponse(view(self._tenant))

    async def _events(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isdecimal():
            return _bad_request("after: must be a number")
        return JSONResponse({"events": self._tenant.journal.after(int(after))})

    async def _clear_events(self, _request: Request) -> Response:
        self._tenant.journal.clear()
        return JSONResponse({})

    def _revoke(self, body: bodies.Revoke) -> None:
        self._tenant.directory.update_person(self._find_person(body.person), revoked_at=self._tenant.now())

    def _access(self, body: bodies.Access) -> None:
        person, mailbox = self._find_person(body.person), self._find_mailbox(body.mailbox)
        directory = self._tenant.directory
        changes = {name: getattr(body, name) for name in PERMISSIONS if getattr(body, name) is not None}
        if not changes:
            raise ValueError("fullAccess, sendAs, sendOnBehalf: at least one of these fields is required")
        for permission, granted in changes.items():
            (directory.grant if granted else directory.withdraw)(permission, person, mailbox)

    def _fail(self, body: bodies.Fail) -> None:
        try:
            if body.endpoint == "imap":
                _ = LOGIN_FAILURES[body.failure]
            else:
                find_failure("graph" if body.endpoint == "graph" else "entra", body.failure)
        except KeyError as error:
            raise ValueError(f"failure: the {body.endpoint} endpoint has no failure {body.failure!r}") from error
        if body.endpoint == "authorize" and body.failure.startswith("http-"):
            raise ValueError("failure: use /control/outage for gateway errors of the authorize endpoint")
        person = self._find_person(body.person).oid if body.person else None
        self._tenant.conditions.faults.append(Fault(**msgspec.structs.asdict(body) | {"person": person}))

    def _throttle(self, body: bodies.Throttle) -> None:
        failure = THROTTLING_FAILURES[body.endpoint]
        self._tenant.conditions.faults.append(Fault(failure=failure, **msgspec.structs.asdict(body)))

    def _latency(self, body: bodies.Latency) -> None:
        self._tenant.conditions.latency.pop(body.endpoint, None)
        if body.milliseconds:
            self._tenant.conditions.latency[body.endpoint] = body.milliseconds / 1000

    def _outage(self, body: bodies.SetOutage) -> None:
        if body.mode == "none":
            self._tenant.conditions.outages.pop(body.endpoint, None)
        else:
            self._tenant.conditions.outages[body.endpoint] = body.mode

    def _lifetimes(self, body: bodies.Lifetimes) -> None:
        self._tenant.conditions.access_token_seconds = body.access_token_seconds

    def _id_token(self, body: bodies.IdToken) -> None:
        self._tenant.conditions.id_token_claims.waiting.append(ClaimOverrides(claims=body.claims, times=body.times))

    def _app_token(self, body: bodies.AppToken) -> None:
        self._tenant.conditions.app_token_claims.waiting.append(ClaimOverrides(claims=body.claims, times=body.times))

    def _access_token(self, body: bodies.AccessToken) -> None:
        overrides = ClaimOverrides(claims=body.claims, times=body.times)
        self._tenant.conditions.access_token_claims.waiting.append(overrides)

    def _app(self, body: bodies.App) -> None:
        if body.roles is not None:
            self._tenant.directory.assign_roles(body.client_id, body.roles)
        if body.secret is not None:
            self._tenant.directory.replace_secret(body.client_id, body.secret)

    def _api(self, body: bodies.Api) -> None:
        self._tenant.directory.set_token_version(body.address, body.token_version)

    def _signing_key(self, _body: bodies.SigningKey) -> None:
        self._tenant.replace_signing_key()

    def _person(self, body: bodies.ChangePerson) -> dict[str, Any] | None:
        directory = self._tenant.directory
        if body.create is not None:
            mailbox = self._find_mailbox(body.mailbox) if body.mailbox else None
            return {"people": directory.create_people(body.create, mailbox, body.first)}
        if body.upn is None:
            raise ValueError("upn: this field or create is required")
        if body.refusal and body.refusal not in ENTRA_FAILURES:
            raise ValueError(f"refusal: Entra has no failure {body.refusal!r}")
        person = self._find_person(body.upn, "upn")
        changes = {
            "disabled": body.disabled,
            "admin_consent_required": body.admin_consent_required,
            "refusal": body.refusal,
            "mail": body.mail,
            "upn": body.sign_in_name,
            "address": body.address,
        }
        directory.update_person(person, **{name: value for name, value in changes.items() if value is not None})
        if body.consented is not None:
            all_or_none = directory.mailbind_client.permissions if body.consented else ()
            scopes = body.consented if isinstance(body.consented, list) else all_or_none
            directory.set_consent(person, directory.mailbind_client, scopes)
        return None

    def _mailbox(self, body: bodies.SharedMailboxes) -> dict[str, Any]:
        person = self._find_person(body.person)
        return {"mailboxes": self._tenant.directory.create_shared_mailboxes(body.create, person)}

    def _address(self, body: bodies.Address) -> None:
        self._tenant.directory.move_address(self._find_mailbox(body.mailbox), body.address)

    def _hosting(self, body: bodies.SetHosting) -> None:
        self._tenant.directory.set_hosting(self._find_mailbox(body.mailbox), body.hosting)

    def _guest(self, body: bodies.Guest) -> dict[str, Any]:
        return {"person": self._tenant.directory.create_guest(body.address).upn}

    def _other_tenant(self, body: bodies.OtherTenant) -> dict[str, Any]:
        return {"tenantId": self._tenant.directory.create_tenant(body.domain, body.person).tenant_id}

    def _sign_in(self, body: bodies.SignIn) -> dict[str, Any]:
        directory = self._tenant.directory
        client = directory.clients.get(body.client_id or directory.mailbind_client.id)
        if client is None:
            raise ValueError(f"clientId: there is no app {body.client_id!r}")
        person = self._find_person(body.person)
        directory.add_consent(person, client, client.permissions)
        scope = " ".join([*client.permissions, OFFLINE_SCOPES])
        return {"refreshToken": new_refresh_token(self._tenant, person, client, scope, self._tenant.now())}

    def _certificate(self, body: bodies.Certificate) -> None:
        self._tenant.app_credentials.add_certificate(self._tenant.directory.mailbind_client.id, body.pem)

    def _federate(self, body: bodies.Federate) -> None:
        credential = FederatedCredential(**msgspec.structs.asdict(body))
        self._tenant.app_credentials.add_federated(self._tenant.directory.mailbind_client.id, credential)

    def _vault_key(self, body: bodies.VaultKey) -> dict[str, Any]:
        vault = self._tenant.vault
        match body.change:
            case "make":
                version = vault.create_version(body.name)
                return {"key": f"{self._tenant.origin}/keys/{body.name}", "version": version}
            case "destroy":
                vault.destroy(body.name)
            case _:
                vault.set_enabled(body.name, body.version or "", enabled=body.change == "enable")
        return {}

    def _deliver(self, body: bodies.Deliver) -> dict[str, Any]:
        try:
            messages = deliver(self._tenant, self._find_mailbox(body.mailbox), body)
        except Refusal as refusal:
            raise ValueError(f"message, folder: {refusal.key} {refusal.details}") from refusal
        return {
            "ids": [message.id for message in messages],
            "immutableIds": [message.immutable_id for message in messages],
            "immutableAttachmentIds": [
                [attachment.id_in(message.immutable_id) for attachment in message.attachments] for message in messages
            ],
        }

    def _delta_state(self, _body: bodies.DeltaState) -> None:
        self._tenant.mail.expire_delta_state()

    def _clock(self, body: bodies.Clock) -> None:
        self._tenant.conditions.clock_ahead_seconds += body.advance_seconds

    def _reset(self, _body: bodies.Reset) -> None:
        self._tenant.reset()

    def _find_person(self, login: str, field: str = "person") -> Person:
        if person := self._tenant.directory.person(login):
            return person
        raise ValueError(f"{field}: there is no person {login!r}")

    def _find_mailbox(self, key: str) -> Mailbox:
        if mailbox := self._tenant.directory.mailbox(key):
            return mailbox
        raise ValueError(f"mailbox: there is no mailbox {key!r}")


def _action[B: bodies.Body](
    body: type[B], act: Callable[[B], dict[str, Any] | None]
) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        try:
            return JSONResponse(act(msgspec.json.decode(await request.body() or b"{}", type=body)) or {})
        except ValueError as error:  # msgspec's errors are ValueErrors too, and name the field
            return _bad_request(str(error))

    return handle


def _bad_request(message: str) -> Response:
    return JSONResponse({"error": message}, 400)
