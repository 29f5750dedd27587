"""The HTTP API: one module for each resource, with the types of its requests and answers and its operations.

A request comes to `shared.http.handling`, which knows the caller, decodes the request into the operation's types, and
calls the handler here. The handler calls one use case and answers with a type. The description of the API is made of
the same declarations (`shared.reference`).
"""

from shared.api import (
    access_tokens,
    account_changes,
    accounts,
    add_account,
    api_tokens,
    health,
    mail,
    oauth_apps,
    registrations,
    settings,
    webhooks,
)

# A module that adds operations to another one's resource is imported for that.
__all__ = ["RESOURCES", "account_changes", "add_account", "settings"]

# In the order of the description.
RESOURCES = (
    registrations.resource,
    accounts.resource,
    access_tokens.resource,
    mail.resource,
    webhooks.resource,
    oauth_apps.resource,
    api_tokens.resource,
    health.resource,
)
