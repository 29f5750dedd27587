"""A sign-in that repairs many accounts costs a few transactions."""

from collections import Counter
from urllib.parse import urlsplit

from infra.local.azurite import Azurite
from shared.bootstrap import build
from shared.domain.account import AccountState
from shared.domain.event import parse_source
from shared.domain.formats import table_key
from shared.domain.invited_mailbox import BindRequest
from shared.domain.tokens import TokenSet
from shared.domain.work import OUTBOX_SHARD
from shared.ports import App, Insert, SignedIn
from shared.usecases.sign_in.proof import Proof
from shared.usecases.sign_in.write_binding import ProvenRequest, write_transaction
from tests.conftest import settings_for
from tests.contract.records import APP, account, grant, principal
from tests.faults.lossy_proxy import lossy_proxy

ILL = 120


async def test_sign_in_repairs_all_accounts_in_few_transactions(services: App, azurite: Azurite) -> None:
    who, now = principal(), services.clock()
    held, well = grant(who, now), account(who, now)
    ill = [account(who, now).with_error(AccountState.AUTHENTICATION_ERROR, "needs_sign_in", now) for _ in range(ILL)]
    await services.stores.principals.commit(who.id, [Insert(held), Insert(well)])
    for start in range(0, ILL, 100):
        await services.stores.principals.commit(who.id, [Insert(one) for one in ill[start : start + 100]])
    app = await services.oauth_apps.get(APP)
    assert app is not None
    request = BindRequest("0" * 64, well.id, well.email, None, delegated=True)
    tokens = TokenSet(held.refresh_token, held.access_token, held.access_expires, held.scopes)
    proven = ProvenRequest(request, app, SignedIn(who, tokens), Proof(well.email, well.name, shared=True))
    port = urlsplit(azurite.tables_url).port or 0
    async with lossy_proxy(port) as (proxy, through):
        other = build(settings_for(azurite.connection_string.replace(f":{port}/", f":{through}/")))
        partition = await other.stores.principals.partition(who.id)
        before = proxy.requests

        await write_transaction(other, proven, partition, partition.accounts[table_key(well.id)].value)

        assert proxy.requests - before < ILL / 4
        await other.close()
    now_held = (await services.stores.principals.partition(who.id)).accounts.values()
    assert (ILL + 1, set()) == (len(now_held), {one.value.last_error for one in now_held} - {None})
    told = [
        await services.stores.outboxes.read(*parse_source(work.owner), work.item)
        for work in await services.stores.agenda.due(OUTBOX_SHARD, services.clock(), None, 10 * ILL)
        if work.owner == f"principal:{who.id}"
    ]
    assert dict.fromkeys((one.id for one in ill), 1) == Counter(event.account for event in told if event)
