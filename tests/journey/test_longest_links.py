"""Links, cursors and redirects stay below 6,000 bytes for the longest accepted values."""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote_plus, urlencode

import httpx
import pytest

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.browser.redirect import refusal_redirect, results_redirect
from shared.domain.claims_challenge import MAX_CLAIMS_BYTES, sanitized_claims
from shared.domain.clouds import CLOUDS, Resource
from shared.domain.formats import (
    MAX_ACCOUNT_ID_BYTES,
    MAX_LINK_BYTES,
    MAX_REDIRECT_URL_BYTES,
    MAX_SCOPES_BYTES,
    percent_encoded,
)
from shared.domain.invited_mailbox import InvitedMailbox, MailboxResult, MailboxState
from shared.domain.registration import PendingRegistration
from shared.domain.remedy import Reader, remedies, remedy
from shared.domain.secret import Secret
from shared.ports import App
from tests.conftest import unguarded
from tests.journey.conftest import ask, bind

type NewPerson = Callable[..., str]

WIDE = "一"  # three bytes in UTF-8, nine percent-encoded
LONGEST_ID = WIDE * (MAX_ACCOUNT_ID_BYTES // 3)
HOST = ".".join(["m" * 63] * 3 + ["m" * 53, "example"])  # RFC 1035 section 2.3.4
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def redirect_url(letter: str) -> str:
    """The longest accepted value."""
    start = "https://myapp.example/done?x="
    return start + letter * ((MAX_REDIRECT_URL_BYTES - len(start)) // len(quote_plus(letter)))


def registration(*accounts: str) -> PendingRegistration:
    mailboxes = tuple(InvitedMailbox(account, "support@contoso.example") for account in accounts)
    return PendingRegistration("f" * 64, mailboxes, redirect_url(WIDE), APP_ID, "me", NOON, NOON)


@pytest.mark.parametrize("letter", ["a", WIDE, "😀"])
def test_longest_redirect_url_works(api: httpx.Client, visitor: Visitor, person: NewPerson, letter: str) -> None:
    account = f"{LONGEST_ID[:-2]}{ord(letter)}"
    asked = ask(api, account=account, redirectUrl=redirect_url(letter))

    refused = visitor.follow(asked["url"], person(access=False))
    bound = visitor.follow(asked["url"], person())

    assert account == bound.back["account"] == refused.back["account"]
    assert bound.refresh
    assert max(len(percent_encoded(url)) for url in (bound.refresh, refused.links[-1])) < MAX_LINK_BYTES

    over = {"redirectUrl": redirect_url(letter) + letter * 9}
    answer = api.post(f"/v1/account/{quote_plus(account)}/reauthorize", json=over)
    assert (400, ["redirectUrl"]) == (answer.status_code, [one["key"] for one in answer.json()["fields"]])


@pytest.mark.parametrize("code", sorted(remedies(Reader.PERSON)))
def test_redirect_after_any_refusal_fits(code: str) -> None:
    back = refusal_redirect(registration(LONGEST_ID), code, remedy(code, Reader.PERSON).what)

    assert len(percent_encoded(back)) < MAX_LINK_BYTES


@pytest.mark.parametrize("accounts", [1, 2, 3, 50])
def test_redirect_lists_mailboxes_only_if_they_fit(accounts: int) -> None:
    asked = registration(*(f"{number:02}{LONGEST_ID[1:]}" for number in range(accounts)))

    back = results_redirect(asked, {one.account: MailboxResult(MailboxState.NEW) for one in asked.mailboxes})

    assert len(percent_encoded(back)) < MAX_LINK_BYTES


async def test_longest_authorize_url_fits(instance: App) -> None:
    app = await instance.oauth_apps.get(APP_ID)
    assert app is not None
    scopes = [f"{app.cloud.url_of(Resource.GRAPH)}/Mail.Read.Shared"]
    while len(quote_plus(" ".join([*scopes, scopes[0]]))) <= MAX_SCOPES_BYTES:
        scopes.append(f"{scopes[0]}{len(scopes)}")
    claims = sanitized_claims(f'{{"access_token":{{"polids":{{"values":["{"x" * (MAX_CLAIMS_BYTES - 120)}"]}}}}}}')
    assert claims
    entra = copy(unguarded(instance))
    entra.redirect_uri = f"https://{HOST}/oauth"

    url, _ = await entra.begin(
        replace(app, scopes=tuple(scopes)),
        state=Secret(f"{'f' * 64}.{'A' * 43}"),
        login_hint=WIDE * 104 + "@a.b",
        claims=claims,
    )

    assert len(percent_encoded(url)) < MAX_LINK_BYTES


def test_too_many_scopes_are_refused(api: httpx.Client) -> None:
    wish = {"name": "Long", "provider": "outlook", "clientId": "5f0c1d9e-0000-4000-8000-0000000000c1"}
    wish |= {"authority": "7d1b2f0a-0000-4000-8000-00000000c0de", "clientSecret": "not-a-real-secret"}
    extra = [f"{CLOUDS['global'].graph}/Mail.Read.Shared{number}" for number in range(40)]

    answer = api.post("/v1/oauth2", json={**wish, "extraScopes": extra})

    assert ["extraScopes"] == [one["key"] for one in answer.json()["fields"]]


def test_longest_query_of_a_list_works(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    """All filters at once, and the cursor of a caller that is bound, which is sealed and therefore the longest."""
    accounts = [bind(api, visitor, person(), account=f"{LONGEST_ID[1:]}{number}") for number in (0, 1)]
    issued = api.post("/v1/token", json={"description": "x", "scopes": ["accounts:read"], "accounts": accounts}).json()
    headers = {"Authorization": f"Bearer {issued['token']}"}
    filters = {"query": WIDE * 85, "state": "connected", "app": APP_ID, "email": "support@contoso.example"}

    first = api.get("/v1/accounts", params={**filters, "pageSize": 1}, headers=headers).json()
    following = {**filters, "pageSize": 1, "cursor": first["cursor"]}
    second = api.get("/v1/accounts", params=following, headers=headers).json()

    assert {*accounts} == {one["account"] for page in (first, second) for one in page["accounts"]}
    longest = {**following, "app": WIDE * 85, "email": WIDE * 104 + "@a.bc", "authorizedBy": WIDE * 106}
    assert len(f"https://{HOST}/v1/accounts?page=1048576&{urlencode(longest)}") < MAX_LINK_BYTES


@pytest.mark.parametrize(
    ("name", "text"),
    [("query", WIDE * 86), ("app", WIDE * 86), ("email", WIDE * 106 + "@a.bc"), ("authorizedBy", WIDE * 107)],
)
def test_too_long_filter_is_refused(api: httpx.Client, name: str, text: str) -> None:
    answer = api.get("/v1/accounts", params={name: text})

    assert (400, [name]) == (answer.status_code, [one["key"] for one in answer.json()["fields"]])
