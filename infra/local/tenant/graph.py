"""The Graph calls that Mailbind makes: read a user, and open the inbox of a mailbox.

https://learn.microsoft.com/graph/api/user-get
https://learn.microsoft.com/graph/api/mailfolder-get
"""

import uuid
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.local.tenant.bearer import Caller, read_caller
from infra.local.tenant.entities import Mailbox, Person
from infra.local.tenant.error_responses import graph_error_response
from infra.local.tenant.failures import Refusal
from infra.local.tenant.tenant import Tenant, timestamp

# The .Shared permissions cover a person's own mailbox too.
# https://learn.microsoft.com/graph/permissions-reference#mailreadshared
SHARED_MAIL_SCOPES = {"Mail.ReadBasic.Shared", "Mail.Read.Shared", "Mail.ReadWrite.Shared"}
MAIL_SCOPES = SHARED_MAIL_SCOPES | {"Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"}
OTHER_PROFILE_SCOPES = {"User.ReadBasic.All"}
OWN_PROFILE_SCOPES = OTHER_PROFILE_SCOPES | {"User.Read"}

# Properties that are returned only on $select. https://learn.microsoft.com/graph/api/resources/user#properties
ON_SELECT = {"proxyAddresses"}

Entity = dict[str, Any]


class GraphEndpoint:
    """GET /v1.0/me, /v1.0/users/{id}, and the inbox of either. An id is an object id, a sign-in name or an address."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    async def profile(self, request: Request) -> Response:
        """Return a user."""
        return self._respond(request, self._profile)

    async def inbox(self, request: Request) -> Response:
        """Return the inbox of a mailbox that the caller can open."""
        return self._respond(request, self._inbox)

    def _respond(self, request: Request, read: Callable[[Caller, str | None], Entity]) -> Response:
        now = timestamp(self._tenant.now())[:19]
        headers = _request_ids(request)
        person: Person | None = None
        try:
            caller = self._caller(request)
            person = caller.person
            self._raise_fault(person, request)
            body = _select(read(caller, request.path_params.get("id")), request.query_params.get("$select"))
            response: Response = JSONResponse(body, headers=headers)
        except Refusal as refusal:
            response = graph_error_response(refusal, headers, now)
        self._tenant.note(
            "graph called",
            path=request.url.path,
            status=response.status_code,
            person=person.upn if person else None,
            request_id=request.headers.get("client-request-id"),
        )
        return response

    def _raise_fault(self, person: Person, request: Request) -> None:
        if fault := self._tenant.conditions.next_fault("graph", person=person.oid):
            mailbox = request.path_params.get("id", person.upn)
            reason = "Access token has expired or is not yet valid."
            raise Refusal(fault.failure, retry_after=fault.retry_after, mailbox=mailbox, reason=reason)

    def _caller(self, request: Request) -> Caller:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refusal("InvalidAuthenticationToken", reason="Access token is empty.")
        graph = self._tenant.directory.graph
        return read_caller(self._tenant, token, graph.address, graph.app_id, self._tenant.origin)

    def _profile(self, caller: Caller, key: str | None) -> Entity:
        user = self._tenant.directory.mailbox(key, caller.person.tenant_id) if key else caller.person
        is_own = user is not None and user.oid == caller.person.oid
        caller.require_any(
            OWN_PROFILE_SCOPES if is_own else OTHER_PROFILE_SCOPES, refusal="Authorization_RequestDenied"
        )
        if user is None:
            raise Refusal("Request_ResourceNotFound", mailbox=key or "")
        return self._user(user)

    def _inbox(self, caller: Caller, key: str | None) -> Entity:
        caller.require_any(MAIL_SCOPES, refusal="Authorization_RequestDenied")
        mailbox = self._tenant.directory.mailbox(key, caller.person.tenant_id) if key else caller.person
        if mailbox is None:
            raise Refusal("ErrorInvalidUser", mailbox=key or "")
        if mailbox.oid != caller.person.oid:
            # Full Access is not enough. https://learn.microsoft.com/graph/outlook-share-messages-folders
            caller.require_any(SHARED_MAIL_SCOPES, refusal="ErrorAccessDenied")
        if mailbox.hosting != "exchangeOnline":
            is_group = mailbox.hosting == "group"
            raise Refusal("ErrorGroupIsUsedInNonGroupURI" if is_group else "MailboxNotEnabledForRESTAPI")
        if not self._tenant.directory.can_open(caller.person, mailbox):
            raise Refusal("ErrorAccessDenied")
        return self._folder(mailbox)

    def _user(self, user: Mailbox) -> Entity:
        given, _, family = user.name.partition(" ")
        mail = user.mail if isinstance(user, Person) and user.mail else user.address
        home_address = user.home_address if isinstance(user, Person) else None
        return {
            "@odata.context": f"{self._tenant.origin}/v1.0/$metadata#users/$entity",
            "id": user.oid,
            "mail": mail,
            "userPrincipalName": user.upn,
            "businessPhones": [],
            "displayName": user.name,
            "givenName": given,
            "surname": family,
            **dict.fromkeys(("jobTitle", "mobilePhone", "officeLocation", "preferredLanguage")),
            "proxyAddresses": [f"SMTP:{home_address or user.address}", *(f"smtp:{alias}" for alias in user.aliases)],
        }

    def _folder(self, mailbox: Mailbox) -> Entity:
        # A folder's id is constant and identifies the mailbox under all of its names.
        # https://learn.microsoft.com/graph/outlook-immutable-id
        key = mailbox.oid.replace("-", "")
        return {
            "@odata.context": f"{self._tenant.origin}/v1.0/$metadata#users('{mailbox.oid}')/mailFolders/$entity",
            "id": f"AAMkA{key}AAAAAAEMAAA=",
            "displayName": "Inbox",
            "parentFolderId": f"AAMkA{key}AAAAAAEIAAA=",
            **dict.fromkeys(("childFolderCount", "unreadItemCount", "totalItemCount", "sizeInBytes"), 0),
            "isHidden": False,
        }


def _request_ids(request: Request) -> dict[str, str]:
    """The id of the request, and the client's own id if it sent one.

    https://learn.microsoft.com/graph/best-practices-concept#reliability-and-support
    """
    request_id = str(uuid.uuid4())
    return {"request-id": request_id, "client-request-id": request.headers.get("client-request-id", request_id)}


def _select(entity: Entity, select: str | None) -> Entity:
    """The properties that `$select` names, and the annotations.

    https://learn.microsoft.com/graph/query-parameters#select-parameter
    """
    if select is None:
        return {name: value for name, value in entity.items() if name not in ON_SELECT}
    selected = [name.strip() for name in select.split(",")]
    if unknown := next((name for name in selected if name not in entity), None):
        reason = f"Parsing OData Select and Expand failed: Could not find a property named '{unknown}'."
        raise Refusal("BadRequest", reason=reason)
    return {name: value for name, value in entity.items() if name in selected or name.startswith("@")}
