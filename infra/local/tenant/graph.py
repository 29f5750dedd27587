"""The Graph calls that Mailbind makes: who is this, and does this mailbox open.

Shapes are those of graph-docs user-get.md and mailfolder-get.md.
"""

import uuid
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.local.tenant.answers import graph_answer
from infra.local.tenant.bearer import Caller, read_caller
from infra.local.tenant.directory import Mailbox, Person
from infra.local.tenant.failures import Refusal
from infra.local.tenant.tenant import Tenant, stamp

# Least to most privileged (graph-docs mailfolder-get.md). The .Shared ones cover a person's own mailbox as well
# (graph-docs permissions-reference.md: "including their own and shared mail").
SHARED_MAIL = {"Mail.ReadBasic.Shared", "Mail.Read.Shared", "Mail.ReadWrite.Shared"}
MAIL = SHARED_MAIL | {"Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"}
PROFILE_OF_OTHERS = {"User.ReadBasic.All"}
OWN_PROFILE = PROFILE_OF_OTHERS | {"User.Read"}

# Not in an answer by default (graph-docs resources/user.md).
ON_SELECT = {"proxyAddresses"}

Entity = dict[str, Any]


class GraphEndpoint:
    """GET /v1.0/me, /v1.0/users/{id}, and the inbox of either. An id is an object id, a sign-in name or an address."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    async def profile(self, request: Request) -> Response:
        """Answer with a user."""
        return self._answer(request, self._profile)

    async def inbox(self, request: Request) -> Response:
        """Answer with the inbox of a mailbox that the caller may open."""
        return self._answer(request, self._inbox)

    def _answer(self, request: Request, read: Callable[[Caller, str | None], Entity]) -> Response:
        moment = stamp(self._tenant.now())[:19]
        headers = _ids(request)
        person: Person | None = None
        try:
            caller = self._caller(request)
            person = caller.person
            self._meet_fault(person, request)
            body = _selected(read(caller, request.path_params.get("id")), request.query_params.get("$select"))
            answer: Response = JSONResponse(body, headers=headers)
        except Refusal as refusal:
            answer = graph_answer(refusal, headers, moment)
        self._tenant.note(
            "graph called",
            path=request.url.path,
            status=answer.status_code,
            person=person.upn if person else None,
            request_id=request.headers.get("client-request-id"),
        )
        return answer

    def _meet_fault(self, person: Person, request: Request) -> None:
        if fault := self._tenant.conditions.next_fault("graph", person=person.oid):
            mailbox = request.path_params.get("id", person.upn)
            reason = "Access token has expired or is not yet valid."
            raise Refusal(fault.failure, retry_after=fault.retry_after, mailbox=mailbox, reason=reason)

    def _caller(self, request: Request) -> Caller:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refusal("InvalidAuthenticationToken", reason="Access token is empty.")
        graph = self._tenant.directory.resources[0]
        return read_caller(self._tenant, token, graph.address, graph.app_id, self._tenant.origin)

    def _profile(self, caller: Caller, key: str | None) -> Entity:
        user = self._tenant.directory.mailbox(key, caller.person.tenant_id) if key else caller.person
        own = user is not None and user.oid == caller.person.oid
        caller.needs(OWN_PROFILE if own else PROFILE_OF_OTHERS, otherwise="Authorization_RequestDenied")
        if user is None:
            raise Refusal("Request_ResourceNotFound", mailbox=key or "")
        return self._user(user)

    def _inbox(self, caller: Caller, key: str | None) -> Entity:
        caller.needs(MAIL, otherwise="Authorization_RequestDenied")
        mailbox = self._tenant.directory.mailbox(key, caller.person.tenant_id) if key else caller.person
        if mailbox is None:
            raise Refusal("ErrorInvalidUser", mailbox=key or "")
        if mailbox.oid != caller.person.oid:
            # Full Access without a .Shared permission opens nothing (graph-docs outlook-share-messages-folders.md).
            caller.needs(SHARED_MAIL, otherwise="ErrorAccessDenied")
        if not self._tenant.directory.opens(caller.person, mailbox):
            raise Refusal("ErrorAccessDenied")
        return self._folder(mailbox)

    def _user(self, user: Mailbox) -> Entity:
        given, _, family = user.name.partition(" ")
        names = {"displayName": user.name, "givenName": given, "surname": family}
        empty = dict.fromkeys(("jobTitle", "mobilePhone", "officeLocation", "preferredLanguage"))
        mail = user.mail if isinstance(user, Person) and user.mail else user.address
        ids = {"id": user.oid, "mail": mail, "userPrincipalName": user.upn, "businessPhones": []}
        addresses = [f"SMTP:{user.address}", *(f"smtp:{alias}" for alias in user.aliases)]
        context = {"@odata.context": f"{self._tenant.origin}/v1.0/$metadata#users/$entity"}
        return {**context, **ids, **names, **empty, "proxyAddresses": addresses}

    def _folder(self, mailbox: Mailbox) -> Entity:
        # Ids of folders are constant (graph-docs outlook-immutable-id.md, containers), and name the mailbox that the
        # folder is in, whatever the mailbox was called in the request.
        key = mailbox.oid.replace("-", "")
        counts = dict.fromkeys(("childFolderCount", "unreadItemCount", "totalItemCount", "sizeInBytes"), 0)
        ids = {"id": f"AAMkA{key}AAAAAAEMAAA=", "displayName": "Inbox", "parentFolderId": f"AAMkA{key}AAAAAAEIAAA="}
        context = f"{self._tenant.origin}/v1.0/$metadata#users('{mailbox.oid}')/mailFolders/$entity"
        return {"@odata.context": context, **ids, **counts, "isHidden": False}


def _ids(request: Request) -> dict[str, str]:
    """Ids of the call: the client's own comes back (graph-docs best-practices-concept.md)."""
    made = str(uuid.uuid4())
    return {"request-id": made, "client-request-id": request.headers.get("client-request-id", made)}


def _selected(entity: Entity, select: str | None) -> Entity:
    """The properties that `$select` names, and the annotations (graph-docs query-parameters.md)."""
    if select is None:
        return {name: value for name, value in entity.items() if name not in ON_SELECT}
    wanted = [name.strip() for name in select.split(",")]
    if unknown := next((name for name in wanted if name not in entity), None):
        reason = f"Parsing OData Select and Expand failed: Could not find a property named '{unknown}'."
        raise Refusal("BadRequest", reason=reason)
    return {name: value for name, value in entity.items() if name in wanted or name.startswith("@")}
