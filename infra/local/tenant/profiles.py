"""Graph's users: the signed-in person, and others by object id, sign-in name or address.

https://learn.microsoft.com/graph/api/user-get
"""

from typing import Any

from infra.local.tenant.bearer import Caller
from infra.local.tenant.entities import Mailbox, Person
from infra.local.tenant.failures import Refusal
from infra.local.tenant.graph_request import Answer, GraphRequest
from infra.local.tenant.mail.query import read_options
from infra.local.tenant.tenant import Tenant

OTHER_PROFILE_SCOPES = {"User.ReadBasic.All"}
OWN_PROFILE_SCOPES = OTHER_PROFILE_SCOPES | {"User.Read"}

# Properties that are returned only on $select. https://learn.microsoft.com/graph/api/resources/user#properties
ON_SELECT = {"proxyAddresses"}


def read_profile(tenant: Tenant, caller: Caller, key: str | None, request: GraphRequest) -> Answer:
    """The user with this id, sign-in name or address; None is the caller. Raises Refusals."""
    user = tenant.directory.mailbox(key, caller.person.tenant_id) if key else caller.person
    is_own = user is not None and user.oid == caller.person.oid
    caller.require_any(OWN_PROFILE_SCOPES if is_own else OTHER_PROFILE_SCOPES, refusal="Authorization_RequestDenied")
    if user is None:
        raise Refusal("Request_ResourceNotFound", mailbox=key or "")
    return Answer(_select(_user(tenant, user), read_options(request.options).select))


def _user(tenant: Tenant, user: Mailbox) -> dict[str, Any]:
    given, _, family = user.name.partition(" ")
    mail = user.mail if isinstance(user, Person) and user.mail else user.address
    home_address = user.home_address if isinstance(user, Person) else None
    return {
        "@odata.context": f"{tenant.origin}/v1.0/$metadata#users/$entity",
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


def _select(entity: dict[str, Any], selected: tuple[str, ...] | None) -> dict[str, Any]:
    """The properties that `$select` names, and the annotations.

    https://learn.microsoft.com/graph/query-parameters#select-parameter
    """
    if selected is None:
        return {name: value for name, value in entity.items() if name not in ON_SELECT}
    if unknown := next((name for name in selected if name not in entity), None):
        reason = f"Parsing OData Select and Expand failed: Could not find a property named '{unknown}'."
        raise Refusal("BadRequest", reason=reason)
    return {name: value for name, value in entity.items() if name in selected or name.startswith("@")}
