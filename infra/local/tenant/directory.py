"""Who is in the tenant and what they may open: read from contoso.toml, changed through the control endpoint."""

import tomllib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """A mailbox of one tenant: a person's own, or a shared one whose account nobody signs in to.

    `address` is its primary address, which need not be the sign-in name; `aliases` are its further ones.
    """

    oid: str
    upn: str
    address: str
    name: str
    tenant_id: str
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All that it is found by."""
        return (self.oid, self.upn, self.address, *self.aliases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person(Mailbox):
    """Somebody who signs in, and their own mailbox. Sign-ins up to `revoked_at` (epoch seconds) are void.

    `mail` is the property of that name where an administrator has set it to something else than the address of the
    mailbox: nobody checks that it is theirs (entra-docs claims-validation.md).
    """

    mail: str | None = None
    disabled: bool = False
    admin_consent_required: bool = False
    revoked_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """An API that tokens are for, the delegated permissions and the app roles that it knows.

    `token_version` is the `requestedAccessTokenVersion` of its manifest: 1 unless it says 2 (entra-docs
    access-tokens.md).
    """

    name: str
    app_id: str
    address: str
    scopes: tuple[str, ...]
    roles: tuple[str, ...] = ()
    token_version: int = 1

    def scope(self, name: str) -> str | None:
        """The permission as the resource spells it: their case does not matter in a request."""
        return next((known for known in self.scopes if known.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An app registration. Permissions are full scope addresses; app roles that it is assigned are written alike."""

    id: str
    name: str
    secret: str = field(repr=False)
    redirect_uris: tuple[str, ...]
    permissions: tuple[str, ...]
    roles: tuple[str, ...] = ()

    @property
    def object_id(self) -> str:
        """The id of its service principal."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, self.id))

    def accepts(self, redirect_uri: str) -> bool:
        """Whether it is registered. The port of a loopback address does not count (entra-docs reply-url.md)."""
        parts = urlsplit(redirect_uri)
        portless = parts._replace(netloc=parts.hostname or "").geturl()
        return redirect_uri in self.redirect_uris or (parts.hostname in LOOPBACK and portless in self.redirect_uris)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedIdentity:
    """A user-assigned managed identity. `trusted_by` are the apps that it may stand for, `roles` what it may do."""

    name: str
    client_id: str
    principal_id: str
    trusted_by: tuple[str, ...]
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A tenant: a domain is verified in one only, and so are the sign-in names in it (entra-docs domains-manage.md)."""

    id: str
    domain: str


class Directory:
    """People, mailboxes, apps, permissions and consents of Contoso, and people of tenants that control sets up.

    Names are looked up without regard to case, and in one tenant: no tenant finds what is in another one.
    """

    def __init__(self, source: Path) -> None:
        facts = tomllib.loads(source.read_text(encoding="utf-8"))
        self.tenant_id: str = facts["tenant"]["id"]
        self.domain: str = facts["tenant"]["domain"]
        self.name: str = facts["tenant"]["name"]
        self.resources = tuple(_resource(row) for row in facts["resources"])
        self.clients = {row["id"]: _client(row) for row in facts["clients"]}
        self.identities = {row["client_id"]: _identity(row) for row in facts["managed_identities"]}
        self.people: dict[str, Person] = {}
        self.shared: dict[str, Mailbox] = {}
        self.tenants = {self.tenant_id: Organization(id=self.tenant_id, domain=self.domain)}
        self._by_name: dict[tuple[str, str], Mailbox] = {}
        self._full_access: set[tuple[str, str]] = set()
        self._consents: dict[tuple[str, str], frozenset[str]] = {}
        for row in facts["people"]:
            self._move_in(row)
        for row in facts["shared_mailboxes"]:
            self._set_up(row)

    @property
    def first_client(self) -> Client:
        """Mailbind's own app registration."""
        return next(iter(self.clients.values()))

    def resource(self, name: str) -> Resource | None:
        """An API by its application ID URI or its client id."""
        return next((each for each in self.resources if name in {each.address, each.app_id}), None)

    def assign(self, client: str, roles: Iterable[str]) -> None:
        """Assign an app these app roles and no others."""
        known = {f"{each.address}/{role}" for each in self.resources for role in each.roles}
        if client not in self.clients or not known.issuperset(roles):
            raise ValueError("clientId, roles: there is no such app, or no such app role")
        self.clients[client] = replace(self.clients[client], roles=tuple(roles))

    def set_token_version(self, name: str, version: int) -> None:
        """Note which version of access tokens an API asks for."""
        if self.resource(name) is None:
            raise ValueError(f"address: there is no API {name!r}")
        self.resources = tuple(
            replace(each, token_version=version) if name in {each.address, each.app_id} else each
            for each in self.resources
        )

    @property
    def own_api(self) -> Resource:
        """Mailbind's own API, the one with app roles."""
        return next(each for each in self.resources if each.roles)

    def tenant(self, segment: str) -> Organization | None:
        """A tenant by its id or its domain."""
        return next((each for each in self.tenants.values() if segment.lower() in (each.id, each.domain)), None)

    def person(self, login: str) -> Person | None:
        """Find somebody by object id, sign-in name or address; those of Contoso first."""
        found = next((box for box in (self.mailbox(login, each) for each in self.tenants) if box), None)
        return self.people.get(found.oid) if found else None

    def mailbox(self, key: str, tenant_id: str | None = None) -> Mailbox | None:
        """Find a mailbox of a tenant, or of Contoso, by object id, sign-in name or address."""
        return self._by_name.get((tenant_id or self.tenant_id, key.lower()))

    def set_up_tenant(self, domain: str, login: str) -> Person:
        """Another tenant with one person in it, who has consented to Mailbind's app. Ids follow from the names."""
        tenant_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, domain))
        self.tenants[tenant_id] = Organization(id=tenant_id, domain=domain)
        oid = str(uuid.uuid5(uuid.NAMESPACE_DNS, login))
        return self._move_in({"oid": oid, "upn": login, "name": login, "consented": True, "tenant_id": tenant_id})

    def give_address(self, mailbox: Mailbox, address: str) -> None:
        """Have an address lead to this mailbox, and to no other one any more."""
        owner = self.mailbox(address, mailbox.tenant_id)
        if owner is not None and owner.oid != mailbox.oid:
            spare = f"{owner.oid}@{self.tenants[owner.tenant_id].domain}"
            moved = {name: spare for name in ("upn", "address") if getattr(owner, name).lower() == address.lower()}
            self._keep(replace(owner, aliases=tuple(one for one in owner.aliases if one != address), **moved))
        self._keep(replace(mailbox, aliases=(*mailbox.aliases, address)))

    def opens(self, person: Person, mailbox: Mailbox) -> bool:
        """Whether the person may open the mailbox: it is theirs, or they have Full Access."""
        return person.oid == mailbox.oid or (person.oid, mailbox.oid) in self._full_access

    def openers(self, mailbox: Mailbox) -> list[str]:
        """Sign-in names of everybody with Full Access."""
        return sorted(self.people[person].upn for person, box in self._full_access if box == mailbox.oid)

    def give_access(self, person: Person, mailbox: Mailbox) -> None:
        """Give Full Access."""
        self._full_access.add((person.oid, mailbox.oid))

    def take_access(self, person: Person, mailbox: Mailbox) -> None:
        """Take Full Access away."""
        self._full_access.discard((person.oid, mailbox.oid))

    def change(self, person: Person, **changes: Any) -> None:  # noqa: ANN401 - the types are those of Person
        """Note something new about a person."""
        self._keep(replace(person, **changes))

    def consents(self, person: Person, client: Client) -> frozenset[str]:
        """Full scope addresses that the person has let the app have."""
        return self._consents.get((person.oid, client.id), frozenset())

    def consent(self, person: Person, client: Client, scopes: Iterable[str]) -> None:
        """Let the app have further scopes. Earlier ones stay, as a consent in Entra grows."""
        self._consents[person.oid, client.id] = self.consents(person, client) | frozenset(scopes)

    def set_consents(self, person: Person, client: Client, scopes: Iterable[str]) -> None:
        """Let the app have these scopes and no others."""
        self._consents[person.oid, client.id] = frozenset(scopes)

    def populate(self, count: int, mailbox: Mailbox | None, first: int = 1) -> list[str]:
        """Move people in (person0001@ …; those who are there stay) and return their sign-in names."""
        names = [f"person{number:04}@{self.domain}" for number in range(first, first + count)]
        for name in names:
            person = self.person(name) or self._move_in(
                # The same name gets the same id again, so refresh tokens outlive a restart.
                {"oid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)), "upn": name, "name": name, "consented": True}
            )
            if mailbox:
                self.give_access(person, mailbox)
        return names

    def share(self, count: int, person: Person) -> list[str]:
        """Set shared mailboxes up (shared0001@ …; those that are there stay) and return their addresses."""
        names = [f"shared{number:04}@{self.domain}" for number in range(1, count + 1)]
        for name in names:
            row = {"oid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)), "upn": name, "address": name, "name": name}
            self.give_access(person, self.mailbox(name) or self._set_up({**row, "full_access": []}))
        return names

    def _move_in(self, row: dict[str, Any]) -> Person:
        tenant_id = row.get("tenant_id", self.tenant_id)
        person = Person(oid=row["oid"], upn=row["upn"], address=row["upn"], name=row["name"], tenant_id=tenant_id)
        self._keep(person)
        if row["consented"]:
            self.consent(person, self.first_client, self.first_client.permissions)
        return person

    def _set_up(self, row: dict[str, Any]) -> Mailbox:
        names = {name: row[name] for name in ("oid", "upn", "address", "name")}
        mailbox = Mailbox(**names, tenant_id=self.tenant_id)
        self._keep(mailbox)
        for upn in row["full_access"]:
            self._full_access.add((self._by_name[self.tenant_id, upn].oid, mailbox.oid))
        return mailbox

    def _keep(self, mailbox: Mailbox) -> None:
        """Note a mailbox as it is now, and by which names it is found."""
        before = self.people.get(mailbox.oid) or self.shared.get(mailbox.oid)
        for name in before.names if before else ():
            if (known := self.mailbox(name, mailbox.tenant_id)) and known.oid == mailbox.oid:
                del self._by_name[known.tenant_id, name.lower()]
        if isinstance(mailbox, Person):
            self.people[mailbox.oid] = mailbox
        else:
            self.shared[mailbox.oid] = mailbox
        self._by_name.update({(mailbox.tenant_id, name.lower()): mailbox for name in mailbox.names})


def _client(row: dict[str, Any]) -> Client:
    return Client(**_with_tuples(row))


def _identity(row: dict[str, Any]) -> ManagedIdentity:
    return ManagedIdentity(**_with_tuples(row))


def _resource(row: dict[str, Any]) -> Resource:
    return Resource(**_with_tuples(row))


def _with_tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
