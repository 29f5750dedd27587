"""Entra's redirect: a response that does not belong to this sign-in changes nothing."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Form, Page, Visitor
from shared.domain.formats import fingerprint
from shared.domain.secret import Secret
from shared.ports import App
from shared.usecases.sign_in.link import UnusableLink, open_link
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant, ask, code_of, status

type NewPerson = Callable[..., str]


def to_the_callback(visitor: Visitor, link: str, who: str) -> Form:
    """The form with which Entra sends the browser back, not yet sent."""
    return visitor.submit(visitor.go_to_microsoft(link).forms[0], login=who).forms[0]


def test_callback_needs_the_cookie_of_its_browser(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson
) -> None:
    asked = ask(api)
    form = to_the_callback(visitor, asked["url"], person())

    without = other_visitor.submit(form)
    other_visitor.open(asked["url"])
    with_another = other_visitor.submit(form)

    assert [(400, "browser_mismatch")] * 2 == [(page.status, code_of(page)) for page in (without, with_another)]
    assert "Safari" in without.text  # which keeps no Secure cookie of a local run
    assert "opened" == status(api, asked)["status"]
    assert "new" == visitor.submit(form).back["state"]


def test_state_works_once(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    asked = ask(api)
    form = to_the_callback(visitor, asked["url"], person(access=False))
    assert "no_mailbox_access" == code_of(visitor.submit(form))

    again = visitor.submit(form)

    assert (403, "no_mailbox_access") == (again.status, code_of(again))
    assert "no_mailbox_access" == status(api, asked)["failure"]["code"]


def test_repeated_callback_ends_as_the_first_one(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    form = to_the_callback(visitor, ask(api)["url"], person())
    first = visitor.submit(form)
    assert "new" == first.back["state"]

    assert first.back == visitor.submit(form).back


@pytest.mark.parametrize("state", ["", "x", "a.b", "0" * 64 + "." + "A" * 43])
def test_forged_state_is_refused(visitor: Visitor, environment: Environment, state: str) -> None:
    page = visitor.submit(Form(f"{environment.base_url}/oauth", {"state": state, "code": "made-up"}))

    assert (400, "sign_in_unknown") == (page.status, code_of(page))


def test_changed_state_is_refused(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    form = to_the_callback(visitor, ask(api)["url"], person())
    state = form.fields["state"]

    page = visitor.submit(Form(form.action, {**form.fields, "state": state[:-1] + ("A" if state[-1] != "A" else "B")}))

    assert "sign_in_unknown" == code_of(page)


def test_code_in_the_url_is_not_redeemed(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    asked = ask(api)
    form = to_the_callback(visitor, asked["url"], person())

    page = Page(visitor.request("GET", str(httpx.URL(form.action, params=form.fields))))

    assert "sign_in_unknown" == code_of(page)
    assert "completed" != status(api, asked)["status"]


def test_code_of_another_sign_in_is_refused(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson
) -> None:
    victim = to_the_callback(visitor, ask(api)["url"], person())
    attacker = to_the_callback(other_visitor, ask(api)["url"], person())

    page = other_visitor.submit(Form(attacker.action, {**attacker.fields, "code": victim.fields["code"]}))

    assert page.status in {400, 403}
    assert None is page.refresh


@pytest.mark.parametrize(
    ("expected", "claims"),
    [
        ("id_token_invalid", {"aud": "5f0c1d9e-0000-4000-8000-0000000000c1"}),
        ("id_token_invalid", {"iss": "https://login.elsewhere.example/tenant/v2.0"}),
        ("id_token_invalid", {"exp": 1}),
        ("id_token_invalid", {"nonce": "somebody-elses"}),
        ("id_token_invalid", {"oid": "not-a-guid"}),
        ("id_token_invalid", {"oid": None}),
        ("id_token_invalid", {"tid": "9188040d-6c67-4c5b-b112-36a304b66dad"}),
    ],
)
def test_id_token_for_another_app_is_refused(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson, expected: str, claims: dict[str, object]
) -> None:
    asked, who = ask(api), person()
    tenant.do("id-token", claims=claims, times=1)

    page = visitor.follow(asked["url"], who)

    assert (403, expected) == (page.status, code_of(page))
    assert 404 == api.get(f"/v1/account/{asked['account']}").status_code


def test_person_of_another_tenant_is_refused(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, environment: Environment, person: NewPerson
) -> None:
    foreign = "9188040d-6c67-4c5b-b112-36a304b66dad"
    asked, who = ask(api), person()
    tenant.do("id-token", claims={"tid": foreign, "iss": f"{environment.tenant.ready['url']}/{foreign}/v2.0"}, times=1)

    assert "tenant_not_allowed" == code_of(visitor.follow(asked["url"], who))


def test_link_works_after_a_cancelled_sign_in(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    asked = ask(api)
    page = visitor.submit(visitor.submit(visitor.go_to_microsoft(asked["url"]).forms[0], cancel="yes").forms[0])

    assert ("access_denied", "access_denied") == (code_of(page), page.back["error"])
    assert "new" == visitor.sign_in(visitor.submit(page.form_with("confirmation")), person()).back["state"]


def test_declined_consent_differs_from_cancelling(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson
) -> None:
    who = person()
    tenant.do("person", upn=who, consented=False)
    picker = visitor.go_to_microsoft(ask(api)["url"])

    page = visitor.submit(
        visitor.submit(visitor.submit(picker.forms[0], login=who).forms[0], consent="decline").forms[0]
    )

    assert "needs_consent" == code_of(page)


def test_page_links_to_the_consent_of_administrators(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson
) -> None:
    who, asked = person(), ask(api)
    tenant.do("person", upn=who, consented=False, adminConsentRequired=True)
    picker = visitor.go_to_microsoft(asked["url"])
    approval = visitor.submit(picker.forms[0], login=who)

    page = visitor.submit(visitor.submit(approval.forms[0], consent="return").forms[0])

    assert "needs_admin_consent" == code_of(page)
    (consent,) = [link for link in page.links if "adminconsent" in link]
    assert "accept" in visitor.open(consent).forms[0].buttons
    landed = visitor.submit(visitor.open(consent).forms[0], consent="accept")
    assert (200, True) == (landed.status, "Consent was given" in landed.text)
    assert "new" == visitor.sign_in(visitor.submit(landed.form_with("confirmation")), who).back["state"]


def test_declined_consent_of_an_administrator_can_be_tried_again(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, tenant: Tenant, person: NewPerson
) -> None:
    who, asked = person(), ask(api)
    tenant.do("person", upn=who, consented=False, adminConsentRequired=True)
    approval = visitor.submit(visitor.go_to_microsoft(asked["url"]).forms[0], login=who)
    page = visitor.submit(visitor.submit(approval.forms[0], consent="return").forms[0])
    (consent,) = [link for link in page.links if "adminconsent" in link]

    declined = visitor.submit(visitor.open(consent).forms[0], consent="decline")
    elsewhere = other_visitor.submit(other_visitor.open(consent).forms[0], consent="decline")

    assert (403, "consent_declined") == (declined.status, code_of(declined))
    assert [True, False] == [any("adminconsent" in link for link in each.links) for each in (declined, elsewhere)]
    assert "consent_declined" == code_of(elsewhere)
    assert [] == elsewhere.forms
    assert "needs_admin_consent" == status(api, asked)["failure"]["code"]
    (consent,) = [link for link in declined.links if "adminconsent" in link]
    landed = visitor.submit(visitor.open(consent).forms[0], consent="accept")
    assert "new" == visitor.sign_in(visitor.submit(landed.form_with("confirmation")), who).back["state"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("error=access_denied&error_subcode=cancel", "consent_declined"),
        ("error=permission_denied&error_description=The+admin+canceled+the+request", "consent_declined"),
        ("error=access_denied&state=consent.made-up", "consent_declined"),
        (f"error=access_denied&error_description=AADSTS65004&state=consent.{'0' * 64}.v1.x.AAAA", "consent_declined"),
        ("error=invalid_client&error_description=AADSTS650052&admin_consent=True", "app_setup_suspected"),
        ("state=made-up", "sign_in_unknown"),
        (f"error=access_denied&error_subcode=cancel&state={'0' * 64}.{'A' * 43}", "sign_in_unknown"),
    ],
)
def test_return_without_a_sign_in_is_that_of_a_consent(
    visitor: Visitor, environment: Environment, query: str, code: str
) -> None:
    assert code == code_of(visitor.open(f"{environment.base_url}/oauth?{query}"))


@pytest.mark.parametrize("mode", ["503", "html", "reset"])
def test_sign_in_can_be_retried_after_an_entra_outage(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson, mode: str
) -> None:
    who, asked = person(), ask(api)
    form = to_the_callback(visitor, asked["url"], who)
    tenant.do("outage", endpoint="token", mode=mode)

    page = visitor.submit(form)

    assert (503, "entra_unavailable", "10") == (page.status, code_of(page), page.headers["retry-after"])
    assert 404 == api.get(f"/v1/account/{asked['account']}").status_code
    tenant.do("outage", endpoint="token", mode="none")
    assert "new" == visitor.sign_in(visitor.submit(page.form_with("confirmation")), who).back["state"]


def test_wrong_client_secret_does_not_blame_the_person(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson
) -> None:
    form = to_the_callback(visitor, ask(api)["url"], person())
    tenant.do("fail", endpoint="token", failure="7000222", times=1)

    page = visitor.submit(form)

    assert "app_credential" == code_of(page)
    assert "Your account is not the cause" in page.text


@pytest.mark.parametrize("failure", ["50020", "interaction_required-90072", "50034", "500571"])
def test_account_of_another_tenant_may_sign_in_with_another_one(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson, failure: str
) -> None:
    asked = ask(api)
    tenant.do("fail", endpoint="authorize", failure=failure, times=1)

    page = visitor.submit(visitor.go_to_microsoft(asked["url"]).forms[0])

    assert "wrong_account" == code_of(page) == status(api, asked)["failure"]["code"]
    assert "Sign in with another account" in page.text
    assert "new" == visitor.sign_in(visitor.submit(page.form_with("confirmation")), person()).back["state"]


@pytest.mark.parametrize("failure", ["50020", "invalid_grant-9002313", "50053"])
def test_refused_code_blames_the_account_that_signed_in(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson, failure: str
) -> None:
    codes = {"50020": "wrong_account", "50053": "person_locked"}
    form = to_the_callback(visitor, ask(api)["url"], person())
    tenant.do("fail", endpoint="token", failure=failure, times=1, grant="authorization_code")

    assert codes.get(failure, "sign_in_unknown") == code_of(visitor.submit(form))


def test_continue_needs_the_page_of_this_browser(api: httpx.Client, visitor: Visitor, other_visitor: Visitor) -> None:
    asked, other = ask(api), ask(api)
    form = visitor.open(asked["url"]).form_with("confirmation")
    other_visitor.open(asked["url"])

    stolen = other_visitor.submit(form)
    swapped = visitor.submit(Form(form.action, {**form.fields, "registration": other["registration"]}))
    empty = visitor.submit(Form(form.action, {}))

    assert ["browser_mismatch"] * 3 == [code_of(page) for page in (stolen, swapped, empty)]


async def test_link_expires(api: httpx.Client, instance: App, clock: MovedClock) -> None:
    asked = ask(api)
    ticket = Secret(parse_qs(urlsplit(asked["url"]).query)["ticket"][0])
    clock.forward(hours=23, minutes=59)
    await open_link(instance, ticket, None)

    clock.forward(minutes=2)

    with pytest.raises(UnusableLink, match="link_expired"):
        await open_link(instance, ticket, None)
    stored = await instance.stores.registrations.get(fingerprint(ticket))
    assert stored is not None
    assert "expired" == stored.value.status_at(clock())


def test_pages_are_private_and_run_no_scripts(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    asked = ask(api)
    pages = [
        visitor.open(asked["url"]),
        visitor.follow(asked["url"], person(access=False)),
        visitor.follow(asked["url"], person()),
    ]

    for page in pages:
        assert "no-store" == page.headers["cache-control"]
        assert "no-referrer" == page.headers["referrer-policy"]
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "<script" not in page.html
        assert '<html lang="en">' in page.html
        assert 1 == page.html.count("<h1>")
    nonces = {page.headers["content-security-policy"].partition("nonce-")[2].partition("'")[0] for page in pages}
    assert len(pages) == len(nonces)


def test_page_escapes_what_callers_write(api: httpx.Client, visitor: Visitor) -> None:
    page = visitor.open(ask(api, name="<script>alert(1)</script>")["url"])

    assert "<script>alert" not in page.html
    assert "&lt;script&gt;" in page.html
