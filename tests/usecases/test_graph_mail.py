"""A call of confined access to the local tenant, with the token of a bound account."""

import json

from infra.local.visitor import Visitor
from shared.ports import App, GraphCall
from shared.usecases.tokens.hand_out import hand_out
from tests.journey.conftest import Tenant
from tests.usecases.conftest import SUPPORT, NewPerson, bind

INBOX = f"/v1.0/users/{SUPPORT}/mailFolders/inbox"


async def test_graph_answers_a_call(app: App, visitor: Visitor, person: NewPerson, tenant: Tenant) -> None:
    assert tenant
    handed_out = await hand_out(app, await bind(app, visitor, person()))
    cloud = app.config.clouds["global"]

    answer = await app.graph_mail(cloud, handed_out.access_token, GraphCall("GET", INBOX, "$select=id"), 10_000)

    assert (200, "application/json") == (answer.status, answer.headers["content-type"])
    assert json.loads(answer.body)["id"]
