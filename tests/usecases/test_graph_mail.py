"""A call of confined access to the local tenant, with the token of a bound account."""

import json

from infra.local.visitor import Visitor
from shared.ports import App, GraphCall
from shared.usecases.tokens.hand_out import hand_out
from tests.journey.conftest import Tenant
from tests.usecases.conftest import SUPPORT, NewPerson, bind

INBOX_ID = GraphCall("GET", f"/v1.0/users/{SUPPORT}/mailFolders/inbox", "$select=id")


async def test_graph_answers_a_call(app: App, visitor: Visitor, person: NewPerson, tenant: Tenant) -> None:
    assert tenant
    assert 32 * 1024 * 1024 == app.config.max_answer_bytes
    handed_out = await hand_out(app, await bind(app, visitor, person()))
    cloud = app.config.clouds["global"]

    answer = await app.graph_mail(cloud, handed_out.access_token, INBOX_ID, app.config.max_answer_bytes)

    assert (200, "application/json") == (answer.status, answer.headers["content-type"].partition(";")[0])
    assert json.loads(answer.body)["id"]
