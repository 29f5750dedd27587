"""An id that differs only in case from that of an account never takes that account over."""

import itertools

import pytest

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.domain.errors import BindingConflict, InvalidInput
from shared.ports import App
from shared.usecases.accounts.read import known_account
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.complete import complete_sign_in
from shared.usecases.sign_in.further import FurtherAccount, add_account
from shared.usecases.sign_in.start import reauthorize_account
from tests.journey.conftest import Tenant
from tests.usecases.conftest import (
    REDIRECT_URL,
    SALES,
    SUPPORT,
    NewPerson,
    ask,
    bind,
    choose_person,
    end_of,
    go_to_microsoft,
    sign_in,
)

numbers = itertools.count(1)


@pytest.fixture
def ids() -> tuple[str, str]:
    number = next(numbers)
    return f"aB3x{number}", f"Ab3X{number}"


async def mailbox_of(app: App, account: str) -> tuple[str, str]:
    bound = (await known_account(app, account)).account.value
    return bound.id, bound.email


async def test_form_names_the_account_that_exists(
    app: App, visitor: Visitor, person: NewPerson, ids: tuple[str, str]
) -> None:
    who, (first, second) = person(), ids
    await bind(app, visitor, who, account=first)

    with pytest.raises(InvalidInput) as refused:
        await ask(app, account=second, email=SALES)

    assert ["account"] == list(refused.value.fields)
    assert f'"{first}"' in refused.value.fields["account"]
    assert (first, SUPPORT) == await mailbox_of(app, first)
    assert "existing" == end_of(await sign_in(app, visitor, await ask(app, account=first), who))
    link = await reauthorize_account(app, second, REDIRECT_URL, {}, ADMINISTRATOR)
    assert "existing" == end_of(await sign_in(app, visitor, link, who))


async def test_further_account_needs_another_id(
    reusing_app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, ids: tuple[str, str]
) -> None:
    who, (first, second) = person(), ids
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    await bind(reusing_app, visitor, who, account=first)
    request = FurtherAccount(account=second, mailbox=SALES, provider=APP_ID, through=first, change_mailbox=True)

    with pytest.raises(BindingConflict) as refused:
        await add_account(reusing_app, request, {}, ADMINISTRATOR)

    assert "account_id_in_use" == refused.value.code
    assert (first, SUPPORT) == await mailbox_of(reusing_app, first)


async def test_newer_link_in_another_case_ends_the_earlier_one(
    app: App, visitor: Visitor, person: NewPerson, ids: tuple[str, str]
) -> None:
    who, (first, second) = person(), ids
    link = await ask(app, account=second)
    begun = await go_to_microsoft(app, visitor, link)
    await bind(app, visitor, who, account=first)

    ended = end_of(await complete_sign_in(app, await choose_person(visitor, begun.picker, who), begun.cookie))

    assert "link_replaced" == ended
    assert (first, SUPPORT) == await mailbox_of(app, first)
