"""Callers cannot change each other's webhooks, and none can use up the limit."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from shared.domain.caller import ApiToken, Binding, Caller, Scope
from shared.domain.errors import Conflict, Forbidden, LimitReached, NotFound
from shared.domain.event import EventName
from shared.domain.secret import Secret
from shared.domain.webhook import Delivery, Webhook, webhook_id
from shared.ports import App
from shared.usecases.events.webhook_care import Redelivered, ping_webhook, redeliver, remove_webhook
from shared.usecases.events.webhooks import (
    MAX_WEBHOOKS,
    MAX_WEBHOOKS_PER_CALLER,
    MAX_WEBHOOKS_PER_ORIGIN,
    Subscribed,
    Subscription,
    subscribe,
)
from tests.events.conftest import ADMIN, SECRET, Receiver, Teller, deliver, named

VICTIM, RIVAL = (Caller(f"token:{name}", name, frozenset({Scope.WEBHOOKS})) for name in ("victim", "rival"))
OTHER = Secret("another secret, long enough")


async def ask(app: App, url: str, caller: Caller, *events: str, secret: Secret | None = None) -> Subscribed:
    return await subscribe(app, Subscription(Secret(url), events or ("*",), secret=secret, verify=False), {}, caller)


async def test_who_knows_a_webhooks_url_neither_signs_nor_narrows_it(
    app: App, teller: Teller, receiver: Receiver
) -> None:
    url = receiver.url("ok/owned")
    token = ApiToken("victim", "victim", VICTIM.scopes, app.clock(), ADMIN.id)
    await app.stores.api_tokens.insert(token)  # a webhook hears of something only while its maker may
    first = await ask(app, url, VICTIM, secret=Secret(SECRET))

    second = await ask(app, url, RIVAL, "accountDeleted", secret=OTHER)

    assert (True, True) == (second.new, first.webhook.id != second.webhook.id)
    kept = await app.stores.webhooks.get(first.webhook.id)
    assert kept is not None
    assert (Secret(SECRET), ("*",), VICTIM.id) == (kept.value.secret, kept.value.events, kept.value.created_by)
    await teller.tell(named(), EventName.ACCOUNT_ADDED)
    await deliver(app)
    assert [True] == [record["verified"] for record in receiver.took("ok/owned")]
    # A repeated request finds the caller's own webhook.
    again = await ask(app, url, VICTIM)
    assert (False, first.webhook.id) == (again.new, again.webhook.id)


async def test_only_owner_and_administrators_manage_a_webhook(app: App, receiver: Receiver) -> None:
    await app.stores.api_tokens.insert(ApiToken("mine", "mine", VICTIM.scopes, app.clock(), ADMIN.id))
    owner = replace(VICTIM, id="token:mine")
    made = (await ask(app, receiver.url("ok/mine"), owner)).webhook.id
    bound = replace(RIVAL, binding=Binding(prefixes=("x-",)))

    for act in (partial(remove_webhook, app), partial(ping_webhook, app), partial(redeliver, app)):
        with pytest.raises(Forbidden):
            await act(made, RIVAL)
        with pytest.raises(NotFound):
            await act(made, bound)
    assert 0 == len(receiver.took("ok/mine"))

    assert None is await ping_webhook(app, made, owner)
    assert Redelivered(0, more=False) == await redeliver(app, made, ADMIN)
    await remove_webhook(app, made, owner)
    assert None is await app.stores.webhooks.get(made)


@pytest.mark.parametrize("reason", ["off", "gone", "owner"])
async def test_webhook_that_gets_no_events_is_not_redelivered(app: App, receiver: Receiver, reason: str) -> None:
    """Its parked events would be deleted."""
    owner = replace(VICTIM, id=f"token:{named()}") if reason == "owner" else ADMIN
    made = (await ask(app, receiver.url(f"ok/{named()}"), owner)).webhook
    stored = await app.stores.webhooks.get(made.id)
    assert stored is not None
    changed = {"off": replace(made, enabled=False), "gone": made.marked_gone(app.clock())}.get(reason, made)
    await app.stores.webhooks.replace(stored, changed)
    now = app.clock()
    parked = Delivery(made.id, "0" * 28, "lane", "accountAdded", "{}", now, parked=now)
    await app.stores.deliveries.put([parked])

    with pytest.raises(Conflict, match="Nothing was redelivered"):
        await redeliver(app, made.id, ADMIN)

    assert ["0" * 28] == [each.value.id for each in await app.stores.deliveries.parked(made.id, 10)]


async def test_webhook_whose_id_names_no_caller_is_still_its_makers(app: App, receiver: Receiver) -> None:
    """As ids were before callers had webhooks of their own."""
    url = receiver.url("ok/before")
    identity = webhook_id(Secret(url), None, None)
    await app.stores.webhooks.insert(Webhook(identity, url, ("*",), app.clock(), VICTIM.id, Secret(url), OTHER))

    mine = await ask(app, url, VICTIM, "accountAdded")
    theirs = await ask(app, url, RIVAL)
    administrators = await ask(app, url, ADMIN, "accountAdded")

    assert [(False, identity)] * 2 == [(one.new, one.webhook.id) for one in (mine, administrators)]
    assert (True, True) == (theirs.new, theirs.webhook.id != identity)
    kept = await app.stores.webhooks.get(identity)
    assert kept is not None
    assert (("accountAdded",), OTHER, VICTIM.id) == (kept.value.events, kept.value.secret, kept.value.created_by)


async def test_one_caller_cannot_use_up_all_webhooks(app: App) -> None:
    """Its own are counted, and those of one origin, so that neither is anybody's alone."""
    bound = replace(RIVAL, binding=Binding(("nobody",)))
    for number in range(MAX_WEBHOOKS_PER_CALLER):
        await ask(app, f"http://127.0.0.1:9/?{number}", bound)
    with pytest.raises(LimitReached, match=f"{MAX_WEBHOOKS_PER_CALLER} webhooks of this caller"):
        await ask(app, "http://127.0.0.1:9/?more", bound)

    assert (await ask(app, "http://127.0.0.1:9/", VICTIM)).new
    assert not (await ask(app, "http://127.0.0.1:9/?1", bound)).new  # what is there may be asked for again


async def test_concurrent_subscriptions_respect_the_limit(app: App) -> None:
    hasty = replace(RIVAL, id=f"token:{named()}")
    for number in range(MAX_WEBHOOKS_PER_CALLER - 5):
        url = f"https://{named()}.example/{number}"
        await app.stores.webhooks.insert(Webhook(named(), url, ("*",), app.clock(), hasty.id, Secret(url), OTHER))

    asked = [ask(app, f"http://127.0.0.1:9/?{number}", hasty) for number in range(20)]
    answers = await asyncio.gather(*asked, return_exceptions=True)

    assert 15 == sum(isinstance(answer, LimitReached) for answer in answers)
    assert MAX_WEBHOOKS_PER_CALLER == sum(one.created_by == hasty.id for one in await app.stores.webhooks.all())


@pytest.mark.parametrize(
    ("others", "whose", "most"), [("", "to this origin", MAX_WEBHOOKS_PER_ORIGIN), ("s", "in all", MAX_WEBHOOKS)]
)
async def test_webhooks_are_limited_for_each_target_and_the_app(app: App, others: str, whose: str, most: int) -> None:
    for number in range(most):
        url = f"http{others}://127.0.0.1:9/{number}"
        await app.stores.webhooks.insert(
            Webhook(named(), url, ("*",), app.clock(), f"token:{number}", Secret(url), OTHER)
        )

    with pytest.raises(LimitReached, match=whose):
        await ask(app, "http://127.0.0.1:9/x", VICTIM)
