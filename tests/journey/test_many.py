"""One sign-in for many mailboxes: those that open are bound, and the others say why not."""

import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx

from infra.local.environment import Environment
from infra.local.visitor import Page, Visitor
from shared.browser.redirect import results_redirect
from shared.domain.caller import Binding, Scope
from shared.domain.event import EventName
from shared.domain.invited_mailbox import InvitedMailbox, MailboxResult, MailboxState
from shared.domain.registration import PendingRegistration
from shared.ports import App
from tests.conftest import storage_of
from tests.contract.records import registration
from tests.journey.callers import api_token, bearer
from tests.journey.conftest import code_of, principal_id
from tests.journey.many import BOARD, SALES, SUPPORT, Many, where_grants_serve_many  # noqa: F401 - a fixture


def back(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.refresh or page.links[-1]).query)


async def events(instance: App, *accounts: str) -> list[tuple[str, str, str | None]]:
    rows = [row async for row in storage_of(instance).get_table_client("Principals").list_entities()]
    told = [row for row in rows if row["RowKey"].startswith("event~") and row["account"] in accounts]
    return sorted((row["account"], row["name"], json.loads(row["data"]).get("code")) for row in told)


async def test_open_mailboxes_are_bound_and_others_say_why(many: Many) -> None:
    who, other = many.person(SUPPORT, SALES), many.person(BOARD)
    asked, (support, sales, board) = many.ask(SUPPORT, SALES, BOARD)
    shown = many.visitor.open(asked["url"])
    assert all(mailbox in shown.text for mailbox in ("3 mailboxes with one sign-in", SUPPORT, SALES, BOARD))
    assert ["opened", "pending", "pending", "pending"] == many.states(asked)

    page = many.visitor.follow(asked["url"], who)

    assert 200 == page.status
    assert "2 of 3 mailboxes connected" in page.text
    assert "no_mailbox_access" == code_of(page)
    expected = {"registration": [asked["registration"]], "state": ["completed"], "accounts": [support, sales]}
    assert {"x": ["1"], **expected, "refused": [board]} == back(page)
    assert ["completed", "new", "new", "no_mailbox_access"] == many.states(asked)
    assert many.status(asked)["mailboxes"][2]["description"]
    tokens = [many.token(account).json() for account in (support, sales)]
    assert [SUPPORT, SALES] == [token["email"] for token in tokens]
    assert 1 == len({token["accessToken"] for token in tokens})
    assert 404 == many.token(board).status_code
    added = [(one, name, None) for one in (sales, support) for name in ("accountAdded", "accountInitialized")]
    assert added == await events(many.instance, support, sales, board)

    with Visitor(many.ca_file) as elsewhere:
        again = elsewhere.open(asked["url"])
        assert "1 mailbox with one sign-in" in again.text
        assert SUPPORT not in again.text
        done = elsewhere.follow(asked["url"], other)

    assert {"accounts": [support, sales, board], "state": ["completed"]}.items() <= back(done).items()
    assert ["completed", "new", "new", "new"] == many.states(asked)
    assert [who, who, other] == [many.token(account).json()["user"] for account in (support, sales, board)]
    assert (410, "link_used") == ((dead := many.visitor.open(asked["url"])).status, code_of(dead))


def test_list_of_one_equals_a_form_without_a_list(many: Many) -> None:
    asked, (account,) = many.ask(SUPPORT)

    page = many.visitor.follow(asked["url"], many.person(SUPPORT))

    assert {"x": ["1"], "account": [account], "state": ["new"]} == back(page)
    told = many.status(asked)
    assert (account, SUPPORT, True, "new") == (told["account"], told["email"], told["delegated"], told["state"])


def test_link_works_after_no_mailbox_opened(many: Many) -> None:
    who = many.person()
    asked, accounts = many.ask(SUPPORT, SALES)

    page = many.visitor.follow(asked["url"], who)

    assert 403 == page.status
    assert "No mailbox connected" in page.text
    assert {"state": ["failed"], "refused": accounts}.items() <= back(page).items()
    assert ["failed", "no_mailbox_access", "no_mailbox_access"] == many.states(asked)
    many.tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    many.visitor.follow(asked["url"], who)
    assert ["completed", "no_mailbox_access", "new"] == many.states(asked)


def test_unexpected_person_gets_no_mailbox(many: Many) -> None:
    who = many.person(SUPPORT, SALES)
    asked, _ = many.ask(SUPPORT, SALES, expectedEmail=who)

    page = many.visitor.follow(asked["url"], many.person(SUPPORT, SALES))

    assert (403, "unexpected_person") == (page.status, code_of(page))
    assert {"registration": [asked["registration"]], "error": ["unexpected_person"]}.items() <= back(page).items()
    assert ["failed", "pending", "pending"] == many.states(asked)


def test_refused_person_reads_that_connected_mailboxes_stay(many: Many) -> None:
    who = many.person(SUPPORT)
    asked, _ = many.ask(SUPPORT, SALES, expectedEmail=who)
    many.visitor.follow(asked["url"], who)

    page = many.visitor.follow(asked["url"], many.person(SALES))

    assert (403, "unexpected_person") == (page.status, code_of(page))
    assert "Connected mailboxes stay connected" in page.text
    assert "Nothing was changed" not in page.text


async def test_keep_checking_covers_unopened_mailboxes_only(many: Many) -> None:
    who = many.person(SUPPORT)
    asked, (support, sales, board) = many.ask(SUPPORT, SALES, BOARD)
    page = many.visitor.follow(asked["url"], who)

    kept = many.visitor.submit(page.form_with("keep"))

    assert 202 == kept.status
    assert {"state": ["waitingForAccess"], "accounts": [support], "waiting": [sales, board]}.items() <= back(
        kept
    ).items()
    assert "waitingForAccess" == many.status(asked)["status"]
    many.tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    await many.later(minutes=6)
    assert ["waitingForAccess", "new", "new", "no_mailbox_access"] == many.states(asked)
    assert 200 == many.token(sales).status_code

    await many.later(hours=25)

    assert ["completed", "new", "new", "no_mailbox_access"] == many.states(asked)
    assert (board, EventName.REGISTRATION_FAILED, "no_mailbox_access") in await events(many.instance, board)
    assert not (await many.instance.stores.principals.partition(await principal_id(many.instance, sales))).pending


async def test_each_mailbox_waits_for_graph(many: Many) -> None:
    who = many.person(SUPPORT, SALES)
    asked, _ = many.ask(SUPPORT, SALES, BOARD)
    many.tenant.do("outage", endpoint="graph", mode="503")

    page = many.visitor.follow(asked["url"], who)

    assert 202 == page.status
    assert ["waitingForAccess", *["graph_unavailable"] * 3] == many.states(asked)
    many.tenant.do("outage", endpoint="graph", mode="none")
    await many.later(minutes=2)
    assert ["completed", "new", "new", "no_mailbox_access"] == many.states(asked)


def test_newer_link_replaces_one_mailbox_of_several(many: Many) -> None:
    who = many.person(SUPPORT, SALES)
    asked, (support, _) = many.ask(SUPPORT, SALES)
    many.form(account=support.upper(), email=SUPPORT, delegated=True)

    page = many.visitor.open(asked["url"])

    assert SUPPORT not in page.text
    assert ["opened", "link_replaced", "pending"] == many.states(asked)
    many.visitor.follow(asked["url"], who)
    assert ["completed", "link_replaced", "new"] == many.states(asked)
    assert 404 == many.token(support).status_code
    newer, _ = many.ask(SUPPORT, SALES)
    assert "link_used" == code_of(many.visitor.open(asked["url"]))
    assert "pending" == many.status(newer)["status"]


def test_account_of_another_person_is_refused(many: Many) -> None:
    owner, who = many.person(SUPPORT), many.person(SUPPORT, SALES)
    first, (support,) = many.ask(SUPPORT)
    many.visitor.follow(first["url"], owner)
    both = [{"account": support, "email": SUPPORT}, {"account": f"{support}-2", "email": SALES}]

    page = many.visitor.follow(many.form(mailboxes=both).json()["url"], who)
    taken = many.visitor.follow(many.form(mailboxes=both, allowPrincipalChange=True).json()["url"], who)

    assert "wrong_principal" == code_of(page)
    assert [support, f"{support}-2"] == back(taken)["accounts"]
    assert who == many.token(support).json()["user"]


def test_two_tabs_of_one_person_get_the_same_result(many: Many) -> None:
    who = many.person(SUPPORT, SALES)
    asked, accounts = many.ask(SUPPORT, SALES)

    def follow(_: int) -> int:
        with Visitor(many.ca_file) as browser:
            return browser.follow(asked["url"], who).status

    with ThreadPoolExecutor(3) as pool:
        ends = list(pool.map(follow, range(3)))

    assert {200, 410, 403} >= set(ends)
    assert 200 in ends
    assert "completed" == many.status(asked)["status"]
    assert {who} == {many.token(account).json()["user"] for account in accounts}


def test_each_mailbox_goes_to_one_of_two_people(many: Many) -> None:
    people = [many.person(SUPPORT, SALES, BOARD) for _ in range(2)]
    asked, accounts = many.ask(SUPPORT, SALES, BOARD)

    def follow(who: str) -> int:
        with Visitor(many.ca_file) as browser:
            return browser.follow(asked["url"], who).status

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(follow, people))

    assert 200 in ends
    assert ["completed", "new", "new", "new"] == many.states(asked)
    assert set(people) >= {many.token(account).json()["user"] for account in accounts}


async def test_bound_caller_must_name_accounts_in_its_reach(many: Many) -> None:
    token = await api_token(many.instance, frozenset({Scope.REGISTER}), binding=Binding.to(prefixes=["mine-"]))
    mine, theirs, none = ({"account": a, "email": m} for a, m in [("mine-1", SUPPORT), ("other", SALES), ("", BOARD)])

    def ask(*mailboxes: dict[str, str]) -> httpx.Response:
        form = {"mailboxes": mailboxes, "redirectUrl": "https://myapp.example/"}
        return many.api.post("/v1/authentication/form", json=form, headers=bearer(token))

    assert 403 == ask(mine, theirs).status_code
    assert ["mailboxes[1].account"] == [field["key"] for field in ask(mine, none).json()["fields"]]
    both = many.form(mailboxes=[mine, theirs]).json()["registration"]
    assert 404 == many.api.get(f"/v1/authentication/form/{both}", headers=bearer(token)).status_code
    assert 200 == ask(mine, {**none, "account": "mine-2"}).status_code


def test_removing_the_last_account_deletes_the_grant(many: Many) -> None:
    who = many.person(SUPPORT, SALES, BOARD)
    asked, (support, sales, board) = many.ask(SUPPORT, SALES, BOARD)
    many.visitor.follow(asked["url"], who)

    for gone, left in [(sales, [support, board]), (support, [board])]:
        assert many.api.delete(f"/v1/account/{gone}").json()["deleted"]
        assert [200] * len(left) == [many.token(account).status_code for account in left]
    assert many.api.delete(f"/v1/account/{board}").json()["deleted"]
    assert [404] * 3 == [many.token(account).status_code for account in (support, sales, board)]


def test_form_reports_every_fault_at_once(many: Many) -> None:
    own, _ = many.form(account="somebodys-own").json(), many.person()
    many.visitor.follow(own["url"], many.person())
    mailboxes = [
        {"account": "a", "email": SUPPORT},
        {"account": "A", "email": SUPPORT.upper()},
        {"account": "b"},
        {"account": "a/b", "email": "no address", "bogus": 1},
        {"account": "somebodys-own", "email": BOARD},
        "text",
    ]

    answer = many.form(mailboxes=mailboxes, email=SALES, name="x", delegated=False, redirectUrl="no")

    assert 400 == answer.status_code
    assert {
        "mailboxes[1].account",
        "mailboxes[1].email",
        "mailboxes[2].email",
        "mailboxes[3].account",
        "mailboxes[3].email",
        "mailboxes[3].bogus",
        "mailboxes[4].account",
        "mailboxes[5]",
        "mailboxes[5].email",
        "email",
        "name",
        "delegated",
        "redirectUrl",
    } == {field["key"] for field in answer.json()["fields"]}
    assert SALES not in answer.text


async def test_one_sign_in_binds_fifty_mailboxes(many: Many) -> None:
    who = many.person()
    mailboxes = many.tenant.do("mailbox", create=50, person=who)["mailboxes"]
    asked, accounts = many.ask(*mailboxes)

    page = many.visitor.follow(asked["url"], who)

    assert (200, True) == (page.status, "50 mailboxes connected" in page.text)
    assert {"accounts": accounts, "state": ["completed"]}.items() <= back(page).items()
    assert ["completed", *["new"] * 50] == many.states(asked)
    tokens = [many.token(account).json() for account in accounts]
    assert mailboxes == [token["email"] for token in tokens]
    assert 1 == len({token["accessToken"] for token in tokens})
    partition = await many.instance.stores.principals.partition(await principal_id(many.instance, accounts[0]))
    assert (1, 50) == (len(partition.grants), len(partition.accounts))


def test_form_takes_one_to_fifty_mailboxes(many: Many) -> None:
    def faults(mailboxes: object) -> list[str]:
        answer = many.form(mailboxes=mailboxes)
        return [field["key"] for field in answer.json().get("fields", [])]

    fifty = [{"email": f"shared{number}@contoso.example", "name": "x" * 250} for number in range(50)]
    assert [] == faults(fifty)
    assert ["mailboxes"] == faults([*fifty, {"email": "one.more@contoso.example"}])
    assert ["mailboxes"] == faults([])
    assert ["mailboxes"] == faults("support@contoso.example")
    assert ["mailboxes"] == faults([{**one, "account": f"{'a' * 240}{n}"} for n, one in enumerate(fifty)])


def test_app_without_credential_reuse_refuses_several(environment: Environment, many: Many) -> None:
    headers = {"Authorization": f"Bearer {environment.secrets.admin_token}"}
    several = [{"email": SUPPORT}, {"email": SALES}]

    answer = many.api.post(
        f"{environment.base_url}/v1/authentication/form",
        json={"mailboxes": several, "redirectUrl": "https://myapp.example/"},
        headers=headers,
    )

    assert ["mailboxes"] == [field["key"] for field in answer.json()["fields"]]
    assert "credentialReuse" in answer.json()["fields"][0]["message"]


def with_many(many: Many, length: int) -> PendingRegistration:
    """Fifty mailboxes whose ids have that many characters."""
    ids = [f"{number:02}{'x' * (length - 2)}" for number in range(50)]
    one = registration(many.clock())
    return PendingRegistration(
        **{name: getattr(one, name) for name in ("id", "redirect_url", "app", "requested_by", "created", "expires")},
        mailboxes=tuple(InvitedMailbox(account, f"{account}@contoso.example") for account in ids),
    )


def test_redirect_is_at_most_two_thousand_characters(many: Many) -> None:
    for length, told in [(20, 50), (256, 0)]:
        asked = with_many(many, length)
        results = {mailbox.account: MailboxResult(MailboxState.NEW) for mailbox in asked.mailboxes}
        url = results_redirect(asked.after_sign_in("p", results, many.clock()), results)

        query = parse_qsl(urlsplit(url).query)
        assert told == [name for name, _ in query].count("accounts")
        assert len(url) < len(asked.redirect_url) + 2001
        assert {"registration": asked.id, "state": "completed"}.items() <= dict(query).items()
