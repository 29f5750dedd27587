"""The directory: people, mailboxes, apps and consents. It is read from contoso.toml and changed by control."""

import tomllib
import uuid
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.local.tenant.entities import (
    PERMISSIONS,
    Client,
    Hosting,
    Mailbox,
    ManagedIdentity,
    Organization,
    Permission,
    Person,
    Resource,
)


class Directory:
    """Contoso's people, mailboxes, apps, permissions and consents, and people of the tenants that control creates.

    Names are looked up within one tenant, and case does not matter.
    """

    def __init__(self, source: Path) -> None:
        content = tomllib.loads(source.read_text(encoding="utf-8"))
        self.tenant_id: str = content["tenant"]["id"]
        self.domain: str = content["tenant"]["domain"]
        self.name: str = content["tenant"]["name"]
        self.resources = tuple(Resource(**_with_tuples(row)) for row in content["resources"])
        self.clients = {row["id"]: Client(**_with_tuples(row)) for row in content["clients"]}
        self.identities = {
            row["client_id"]: ManagedIdentity(**_with_tuples(row)) for row in content["managed_identities"]
        }
        self.people: dict[str, Person] = {}
        self.shared: dict[str, Mailbox] = {}
        self.tenants = {self.tenant_id: Organization(id=self.tenant_id, domain=self.domain)}
        self._by_name: dict[tuple[str, str], Mailbox] = {}
        self._permissions: set[tuple[Permission, str, str]] = set()  # with the object ids of person and mailbox
        self._consents: dict[tuple[str, str], frozenset[str]] = {}
        for row in content["people"]:
            self._add_person(row)
        for row in content["shared_mailboxes"]:
            self._add_shared_mailbox(row)

    @property
    def mailbind_client(self) -> Client:
        """The app registration that people sign in to Mailbind through: the first one."""
        return next(iter(self.clients.values()))

    @property
    def mailbind_api(self) -> Resource:
        """Mailbind's API: the resource with app roles."""
        return next(resource for resource in self.resources if resource.roles)

    @property
    def graph(self) -> Resource:
        """Microsoft Graph: the first resource."""
        return self.resources[0]

    def resource(self, name: str) -> Resource | None:
        """An API by its application ID URI or its client id."""
        return next((resource for resource in self.resources if name in {resource.address, resource.app_id}), None)

    def assign_roles(self, client_id: str, roles: Iterable[str]) -> None:
        """Replace the app roles of an app. Raises ValueError for an unknown app or role."""
        known_roles = {f"{resource.address}/{role}" for resource in self.resources for role in resource.roles}
        if client_id not in self.clients or not known_roles.issuperset(roles):
            raise ValueError("clientId, roles: there is no such app, or no such app role")
        self.clients[client_id] = replace(self.clients[client_id], roles=tuple(roles))

    def replace_secret(self, client_id: str, secret: str) -> None:
        """Replace the client secret of an app; earlier ones have expired. Raises ValueError for an unknown app."""
        client = self.clients.get(client_id)
        if client is None:
            raise ValueError(f"clientId: there is no app {client_id!r}")
        expired_secrets = tuple(earlier for earlier in (*client.expired_secrets, client.secret) if earlier != secret)
        self.clients[client_id] = replace(client, secret=secret, expired_secrets=expired_secrets)

    def set_token_version(self, name: str, version: int) -> None:
        """Set the version of an API's access tokens. Raises ValueError for an unknown API."""
        if self.resource(name) is None:
            raise ValueError(f"address: there is no API {name!r}")
        self.resources = tuple(
            replace(resource, token_version=version) if name in {resource.address, resource.app_id} else resource
            for resource in self.resources
        )

    def tenant(self, segment: str) -> Organization | None:
        """A tenant by its id or its domain."""
        return next((tenant for tenant in self.tenants.values() if segment.lower() in (tenant.id, tenant.domain)), None)

    def person(self, login: str) -> Person | None:
        """A person by object id, sign-in name or address. Contoso is searched first."""
        matches = (self.mailbox(login, tenant_id) for tenant_id in self.tenants)
        mailbox = next((mailbox for mailbox in matches if mailbox), None)
        return self.people.get(mailbox.oid) if mailbox else None

    def mailbox(self, key: str, tenant_id: str | None = None) -> Mailbox | None:
        """A mailbox by object id, sign-in name or address, in a tenant (Contoso by default)."""
        return self._by_name.get((tenant_id or self.tenant_id, key.lower()))

    def create_tenant(self, domain: str, login: str) -> Person:
        """Create a tenant with one person, who has consented to Mailbind's app. The ids are derived from the names."""
        tenant_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, domain))
        self.tenants[tenant_id] = Organization(id=tenant_id, domain=domain)
        return self._add_person(_new_person(login) | {"tenant_id": tenant_id})

    def create_guest(self, address: str) -> Person:
        """Invite a person of another organization, who has consented to Mailbind's app.

        https://learn.microsoft.com/entra/external-id/user-properties#user-principal-name
        """
        guest = self._add_person(_new_person(f"{address.replace('@', '_')}#EXT#@{self.domain}"))
        self.update_person(guest, home_address=address, mail=address, hosting="unlicensed")
        return self.people[guest.oid]

    def set_hosting(self, mailbox: Mailbox, hosting: Hosting) -> None:
        """Change where the mailbox is."""
        self._store(replace(mailbox, hosting=hosting))

    def move_address(self, mailbox: Mailbox, address: str) -> None:
        """Make an address an alias of this mailbox, and remove it from the mailbox that had it."""
        owner = self.mailbox(address, mailbox.tenant_id)
        if owner is not None and owner.oid != mailbox.oid:
            substitute = f"{owner.oid}@{self.tenants[owner.tenant_id].domain}"
            changes: dict[str, Any] = {
                name: substitute for name in ("upn", "address") if getattr(owner, name).lower() == address.lower()
            }
            aliases = tuple(alias for alias in owner.aliases if alias != address)
            self._store(replace(owner, aliases=aliases, **changes))
        self._store(replace(mailbox, aliases=(*mailbox.aliases, address)))

    def can_open(self, person: Person, mailbox: Mailbox) -> bool:
        """Whether the mailbox is the person's own, or they have Full Access to it."""
        return person.oid == mailbox.oid or self._has("full_access", person, mailbox)

    def can_send_as(self, person: Person, mailbox: Mailbox) -> bool:
        """Whether the mailbox is the person's own, or they have Send As: recipients see the mailbox only.

        https://learn.microsoft.com/graph/outlook-send-mail-from-other-user
        """
        return person.oid == mailbox.oid or self._has("send_as", person, mailbox)

    def can_send_on_behalf(self, person: Person, mailbox: Mailbox) -> bool:
        """Whether the person has Send on Behalf: recipients see the person too."""
        return self._has("send_on_behalf", person, mailbox)

    def people_with(self, permission: Permission, mailbox: Mailbox) -> list[str]:
        """Sign-in names of the people with a permission."""
        return sorted(
            self.people[person].upn
            for granted, person, shared in self._permissions
            if (granted, shared) == (permission, mailbox.oid)
        )

    def grant(self, permission: Permission, person: Person, mailbox: Mailbox) -> None:
        """Give the person a permission on the mailbox."""
        self._permissions.add((permission, person.oid, mailbox.oid))

    def withdraw(self, permission: Permission, person: Person, mailbox: Mailbox) -> None:
        """Take a permission on the mailbox from the person."""
        self._permissions.discard((permission, person.oid, mailbox.oid))

    def update_person(self, person: Person, **changes: Any) -> None:  # noqa: ANN401 - the types are those of Person
        """Change some fields of a person."""
        self._store(replace(person, **changes))

    def consented_scopes(self, person: Person, client: Client) -> frozenset[str]:
        """Full scope addresses that the person has consented to for the app."""
        return self._consents.get((person.oid, client.id), frozenset())

    def add_consent(self, person: Person, client: Client, scopes: Iterable[str]) -> None:
        """Add scopes to the consent, as Entra does; earlier ones stay."""
        self._consents[person.oid, client.id] = self.consented_scopes(person, client) | frozenset(scopes)

    def set_consent(self, person: Person, client: Client, scopes: Iterable[str]) -> None:
        """Replace the consent."""
        self._consents[person.oid, client.id] = frozenset(scopes)

    def create_people(self, count: int, mailbox: Mailbox | None, first: int = 1) -> list[str]:
        """Create people (person0001@…) and return their sign-in names. Existing people stay as they are."""
        names = [f"person{number:04}@{self.domain}" for number in range(first, first + count)]
        for name in names:
            person = self.person(name) or self._add_person(_new_person(name))
            if mailbox:
                self.grant("full_access", person, mailbox)
        return names

    def create_shared_mailboxes(self, count: int, person: Person) -> list[str]:
        """Create shared mailboxes (shared0001@…) and return their addresses. Existing mailboxes stay as they are."""
        names = [f"shared{number:04}@{self.domain}" for number in range(1, count + 1)]
        for name in names:
            mailbox = self.mailbox(name) or self._add_shared_mailbox(_new_person(name) | {"address": name})
            self.grant("full_access", person, mailbox)
            self.grant("send_as", person, mailbox)
        return names

    def _add_person(self, row: dict[str, Any]) -> Person:
        tenant_id = row.get("tenant_id", self.tenant_id)
        person = Person(oid=row["oid"], upn=row["upn"], address=row["upn"], name=row["name"], tenant_id=tenant_id)
        self._store(person)
        if row["consented"]:
            self.add_consent(person, self.mailbind_client, self.mailbind_client.permissions)
        return person

    def _add_shared_mailbox(self, row: dict[str, Any]) -> Mailbox:
        fields = {name: row[name] for name in ("oid", "upn", "address", "name")}
        mailbox = Mailbox(**fields, tenant_id=self.tenant_id)
        self._store(mailbox)
        for permission in PERMISSIONS:
            self._permissions.update(
                (permission, self._by_name[self.tenant_id, upn].oid, mailbox.oid) for upn in row.get(permission, [])
            )
        return mailbox

    def _has(self, permission: Permission, person: Person, mailbox: Mailbox) -> bool:
        return (permission, person.oid, mailbox.oid) in self._permissions

    def _store(self, mailbox: Mailbox) -> None:
        """Store a mailbox and replace its entries in the index of names."""
        old_mailbox = self.people.get(mailbox.oid) or self.shared.get(mailbox.oid)
        for name in old_mailbox.names if old_mailbox else ():
            if (indexed := self.mailbox(name, mailbox.tenant_id)) and indexed.oid == mailbox.oid:
                del self._by_name[indexed.tenant_id, name.lower()]
        if isinstance(mailbox, Person):
            self.people[mailbox.oid] = mailbox
        else:
            self.shared[mailbox.oid] = mailbox
        self._by_name.update({(mailbox.tenant_id, name.lower()): mailbox for name in mailbox.names})


def _new_person(name: str) -> dict[str, Any]:
    # The id is derived from the name, so that refresh tokens remain valid after a restart.
    return {"oid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)), "upn": name, "name": name, "consented": True}


def _with_tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
