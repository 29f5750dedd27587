"""Which account a confined call uses, whose mailbox it opens, and what its answer may be."""

import json
from dataclasses import replace

import pytest

from infra.local.visitor import Visitor
from shared.domain.caller import Caller
from shared.domain.confined.batches import MailRequest
from shared.domain.confined.refused import AnswerOverLimit, NotConfined, WrongSender
from shared.domain.errors import NotAuthorized, NotFound
from shared.ports import App
from shared.usecases.accounts.change import AccountChange, change_account, remove_account
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.mail.answers import MailAnswer
from shared.usecases.mail.open_named import open_named
from shared.usecases.mail.use_mailbox import confine, use_mailbox
from tests.journey.conftest import Tenant
from tests.usecases.conftest import SUPPORT, NewPerson, Register, bind


async def administrator() -> Caller:
    return ADMINISTRATOR


async def call(app: App, mailbox: str, draft: dict[str, object] | None = None) -> MailAnswer:
    """List messages, or create a draft."""
    method, content = ("POST", json.dumps(draft).encode()) if draft else ("GET", b"")
    request = MailRequest(method, f"users/{mailbox}/messages", {}, {}, content)
    confined = confine(ADMINISTRATOR, request)
    opened = await open_named(app, ADMINISTRATOR, confined.matched.mailbox)
    return await use_mailbox(app, administrator, opened, confined)


def people_at_graph(tenant: Tenant) -> set[str]:
    return {event["person"] for event in tenant.events("graph called") if event["path"].endswith("/messages")}


async def test_a_healthy_account_of_the_mailbox_is_used(
    app: App, visitor: Visitor, tenant: Tenant, person: NewPerson
) -> None:
    first, second = person(), person()
    accounts = [await bind(app, visitor, login) for login in (first, second)]
    for account in accounts:
        await change_account(app, account, AccountChange(paused=True), {})
        with pytest.raises(NotAuthorized, match="paused"):
            await call(app, account)
    await change_account(app, accounts[1], AccountChange(paused=False), {})

    assert 200 == (await call(app, SUPPORT)).status
    assert {second} == people_at_graph(tenant)

    await change_account(app, accounts[0], AccountChange(paused=False), {})
    await remove_account(app, accounts[1])

    assert 200 == (await call(app, SUPPORT)).status
    assert {first, second} == people_at_graph(tenant)
    await remove_account(app, accounts[0])
    with pytest.raises(NotFound):
        await call(app, SUPPORT)


async def test_own_mailbox_is_opened_by_the_object_id(
    app: App, visitor: Visitor, tenant: Tenant, person: NewPerson
) -> None:
    login = person()
    account = await bind(app, visitor, login, email=None, delegated=False)

    assert 200 == (await call(app, account)).status
    assert 200 == (await call(app, login)).status
    (path, *_) = {event["path"] for event in tenant.events("graph called") if event["path"].endswith("/messages")}
    assert login not in path
    with pytest.raises(WrongSender, match=login):
        await call(app, account, {"from": {"emailAddress": {"address": SUPPORT}}})
    await remove_account(app, account)


async def test_an_account_that_is_opened_by_imap_has_no_graph(
    app: App, visitor: Visitor, person: NewPerson, register: Register
) -> None:
    account = await bind(app, visitor, person(), type=await register(base_scopes=("imap",)))

    with pytest.raises(NotConfined, match="IMAP"):
        await call(app, account)
    await remove_account(app, account)


async def test_an_answer_over_the_limit_says_what_to_do(app: App, visitor: Visitor, person: NewPerson) -> None:
    account = await bind(app, visitor, person())
    small = replace(app, config=replace(app.config, max_answer_bytes=1000))

    with pytest.raises(AnswerOverLimit, match=r"\$select"):
        await call(small, account)
    await remove_account(app, account)
