"""A caller and a person are told that a grant serves too many accounts."""

import secrets
from dataclasses import replace

from shared.domain.formats import table_key
from shared.ports import Insert, Remove
from shared.usecases.accounts.read import known_account
from tests.journey.many import SUPPORT, Many, where_grants_serve_many  # noqa: F401 - a fixture
from tests.journey.test_add_account import add, parent, refusal, wish


async def test_eleventh_account_of_a_mailbox_is_refused(many: Many) -> None:
    account, principals = parent(many), many.instance.stores.principals
    bound = (await known_account(many.instance, account)).account.value
    more = [replace(bound, id=f"stored-{secrets.token_hex(6)}") for _ in range(9)]
    await principals.commit(bound.principal_id, [Insert(one) for one in more])
    link, (eleventh,) = many.ask(SUPPORT)

    answer = add(many, wish(account, SUPPORT))
    page = many.visitor.follow(link["url"], bound.sign_in_name)

    assert (409, "too_many_accounts") == refusal(answer)
    assert "too_many_accounts" == many.states(link)[1]
    assert "at most 10 for the same mailbox" in page.text
    assert 404 == many.token(eleventh).status_code
    stored = (await principals.partition(bound.principal_id)).accounts
    rows = [stored[table_key(one.id)] for one in more]
    await principals.commit(bound.principal_id, [Remove(row.value, row.version) for row in rows])
