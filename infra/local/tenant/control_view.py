"""The tenant's state as GET /control shows it, without secrets or tokens."""

from dataclasses import asdict
from typing import Any

from infra.local.tenant.directory import Directory
from infra.local.tenant.entities import Mailbox, Person
from infra.local.tenant.tenant import Tenant, timestamp


def view(tenant: Tenant) -> dict[str, Any]:
    """Everything that control can change, as it is now."""
    directory, conditions = tenant.directory, tenant.conditions
    return {
        "tenant": {"id": directory.tenant_id, "domain": directory.domain, "now": timestamp(tenant.now())},
        "clients": [
            {"id": client.id, "name": client.name, "roles": list(client.roles)} for client in directory.clients.values()
        ],
        "people": [_person(directory, person) for person in directory.people.values()],
        "mailboxes": [_mailbox(directory, mailbox) for mailbox in directory.shared.values()],
        "faults": [
            {
                "endpoint": fault.endpoint,
                "failure": fault.failure,
                "times": fault.times,
                "person": fault.person,
                "grant": fault.grant,
                "retryAfter": fault.retry_after,
            }
            for fault in conditions.faults
        ],
        "idTokenClaims": [asdict(overrides) for overrides in conditions.id_token_claims.waiting],
        "appTokenClaims": [asdict(overrides) for overrides in conditions.app_token_claims.waiting],
        "accessTokenClaims": [asdict(overrides) for overrides in conditions.access_token_claims.waiting],
        "signingKey": tenant.keys.kid,
        "latencyMilliseconds": {name: round(seconds * 1000) for name, seconds in conditions.latency.items()},
        "outages": dict(conditions.outages),
        "accessTokenSeconds": conditions.access_token_seconds,
        "clockAheadSeconds": conditions.clock_ahead_seconds,
    }


def _person(directory: Directory, person: Person) -> dict[str, Any]:
    consented_scopes = directory.consented_scopes(person, directory.mailbind_client)
    return {
        "oid": person.oid,
        "upn": person.upn,
        "mail": person.address,
        "name": person.name,
        "hosting": person.hosting,
        "disabled": person.disabled,
        "adminConsentRequired": person.admin_consent_required,
        "consented": sorted(consented_scopes),
        "revokedAt": timestamp(person.revoked_at) if person.revoked_at else None,
    }


def _mailbox(directory: Directory, mailbox: Mailbox) -> dict[str, Any]:
    return {
        "oid": mailbox.oid,
        "upn": mailbox.upn,
        "address": mailbox.address,
        "name": mailbox.name,
        "hosting": mailbox.hosting,
        "fullAccess": directory.people_with("full_access", mailbox),
        "sendAs": directory.people_with("send_as", mailbox),
        "sendOnBehalf": directory.people_with("send_on_behalf", mailbox),
    }
