"""What tests of grants look at: the grant of an account, its events, its state, and what Microsoft was asked."""

import json

from shared.domain.formats import table_key
from shared.domain.grant import DelegatedGrant
from shared.ports import App, Stored
from shared.usecases.accounts.read import known_account
from tests.conftest import lose, storage_of
from tests.journey.conftest import Tenant

# A claims challenge of an API.
CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'


async def grant_of(app: App, account: str) -> Stored[DelegatedGrant]:
    """The grant that serves the account, as it is stored."""
    bound = (await known_account(app, account)).account.value
    stored = await app.stores.principals.grant(bound.principal_id, bound.app)
    assert stored is not None
    return stored


async def lose_tokens(app: App, account: str, *names: str) -> None:
    """Have the grant's tokens, or those named, as they are when their data key is gone."""
    grant = (await grant_of(app, account)).value
    await lose(app, "Principals", table_key(grant.principal.id), f"grant~{table_key(grant.app)}", *names)


async def events_of(app: App, account: str) -> list[str]:
    """The names of the account's events that are stored."""
    raw = storage_of(app).get_table_client("Principals")
    found = raw.query_entities("RowKey ge 'event~' and account eq @of", parameters={"of": account})
    return [row["name"] async for row in found]


def refreshes(tenant: Tenant, person: str) -> int:
    """How often Entra was asked to refresh a grant of the person."""
    return sum(each.get("person") == person for what in ("refreshed", "failed") for each in tenant.events(what))


def padded(length: int) -> str:
    """Claims with that many characters made up by the caller."""
    return json.dumps({"access_token": {"acrs": {"value": "c1"}, "x": "x" * length}})
