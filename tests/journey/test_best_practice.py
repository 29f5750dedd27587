"""RFC 9700, the OAuth security best current practice, as promises of the sign-in path.

What is promised elsewhere is not repeated here: a state works once, and in its browser; a code of another sign-in and a
code in an address are refused; ID tokens are checked (test_callback.py); `redirectUrl` must be allowed (test_api.py).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Form, Page, Visitor
from shared.browser.cookie import COOKIE
from shared.domain.secret import Secret
from shared.ports import App
from shared.usecases.sign_in.complete import complete_sign_in
from shared.usecases.sign_in.outcome import CarriedField, Refused, keep_checking
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant, ask, code_of, status
from tests.journey.test_callback import to_the_callback
from tests.journey.test_waiting import press_keep_checking

type NewPerson = Callable[..., str]

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def to_entra(visitor: Visitor, link: str) -> httpx.Response:
    """The response to *Continue*."""
    form = visitor.open(link).form_with("confirmation")
    return visitor.request("POST", form.action, form.fields)


def post(visitor: Visitor, url: str, body: str, kind: str = "application/x-www-form-urlencoded") -> Page:
    """A body that no page of ours sends, with the browser's cookie."""
    jar = visitor.cookies.get(urlsplit(url).netloc, {})
    cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
    return Page(httpx.post(url, content=body.encode(), headers={"Content-Type": kind, "Cookie": cookie}))


# RFC 6797: browsers obey it over HTTPS only, so it does no harm on this computer


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/health", 200), ("/accounts/new", 404), ("/v1/accounts", 401), ("/no/such/page", 404)],
)
def test_every_answer_has_hsts_and_nosniff(environment: Environment, path: str, status: int) -> None:
    answer = httpx.get(f"{environment.base_url}{path}", trust_env=False)

    assert status == answer.status_code
    assert ["max-age=31536000"] == answer.headers.get_list("strict-transport-security")
    assert ["nosniff"] == answer.headers.get_list("x-content-type-options")


# Section 2.1.1: code flow with PKCE, transaction-specific, and its downgrade (section 4.8)


def test_each_sign_in_has_its_own_pkce_nonce_and_state(
    api: httpx.Client, visitor: Visitor, environment: Environment
) -> None:
    asked = ask(api)

    targets = [urlsplit(to_entra(visitor, asked["url"]).headers["location"]) for _ in range(2)]

    first, second = (dict(parse_qsl(target.query)) for target in targets)
    assert ("code", "S256", "form_post") == tuple(
        first[name] for name in ("response_type", "code_challenge_method", "response_mode")
    )
    assert urlsplit(environment.tenant.ready["url"]).netloc == targets[0].netloc
    assert f"{environment.base_url}/oauth" == first["redirect_uri"]
    for name in ("code_challenge", "nonce", "state"):
        assert len(first[name]) >= 43
        assert first[name] != second[name]


@pytest.mark.parametrize("challenge", [None, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"])
def test_code_without_our_challenge_is_useless(
    api: httpx.Client, visitor: Visitor, person: NewPerson, challenge: str | None
) -> None:
    asked = ask(api)
    target = httpx.URL(to_entra(visitor, asked["url"]).headers["location"])
    stripped = target.copy_remove_param("code_challenge").copy_remove_param("code_challenge_method")
    if challenge:
        stripped = stripped.copy_merge_params({"code_challenge": challenge, "code_challenge_method": "S256"})
    form = visitor.submit(visitor.open(str(stripped)).forms[0], login=person()).forms[0]
    assert form.fields["code"]

    page = visitor.submit(form)

    assert (400, "sign_in_unknown") == (page.status, code_of(page))
    assert None is page.refresh
    assert 404 == api.get(f"/v1/account/{asked['account']}").status_code


# Section 4.4: mix-up


def test_answer_of_another_issuer_is_not_redeemed(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    asked = ask(api)
    form = to_the_callback(visitor, asked["url"], person())
    before = len(tenant.events("code redeemed"))

    page = visitor.submit(Form(form.action, {**form.fields, "iss": "https://login.evil.example/tenant/v2.0"}))

    assert (403, "id_token_invalid") == (page.status, code_of(page))
    assert before == len(tenant.events("code redeemed"))


def test_error_of_another_issuer_is_ignored(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    form = to_the_callback(visitor, ask(api)["url"], person())
    fields = {"state": form.fields["state"], "error": "access_denied", "iss": "https://evil.example"}

    assert "id_token_invalid" == code_of(visitor.submit(Form(form.action, fields)))


def test_answer_that_names_its_issuer_is_accepted(
    api: httpx.Client, visitor: Visitor, person: NewPerson, environment: Environment
) -> None:
    form = to_the_callback(visitor, ask(api)["url"], person())
    ready = environment.tenant.ready

    page = visitor.submit(Form(form.action, {**form.fields, "iss": f"{ready['url']}/{ready['tenantId']}/v2.0"}))

    assert "new" == page.back["state"]


# Sections 2.1 and 4.7: CSRF; section 4.2.4: a state is invalid after its use


def test_callback_sent_twice_is_redeemed_once(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    form = to_the_callback(visitor, ask(api)["url"], person())
    before = len(tenant.events("code redeemed"))

    with ThreadPoolExecutor(4) as pool:
        pages = list(pool.map(lambda _: visitor.submit(form), range(4)))

    assert 1 == len(tenant.events("code redeemed")) - before
    assert ["new"] * 4 == [page.back["state"] for page in pages]


def test_callback_refuses_every_other_cookie(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson, environment: Environment
) -> None:
    asked = ask(api)
    form = to_the_callback(visitor, asked["url"], person())
    other_visitor.open(asked["url"])
    here = urlsplit(environment.base_url).netloc
    right, other = visitor.cookies[here][COOKIE], other_visitor.cookies[here][COOKIE]

    for wrong in (other, right[:-1], right + "A", right.swapcase(), "", "x", f"{right},{right}", f'"{right}"'):
        visitor.cookies[here][COOKIE] = wrong
        assert "browser_mismatch" == code_of(visitor.submit(form)), wrong
    visitor.cookies[here] = {"mailbind": right, "__Secure-mailbind": right}
    assert "browser_mismatch" == code_of(visitor.submit(form))

    visitor.cookies[here] = {COOKIE: right}
    assert "new" == visitor.submit(form).back["state"]


def test_cookie_is_limited_to_host_and_session(api: httpx.Client, visitor: Visitor) -> None:
    link = ask(api)["url"]

    first, second = visitor.request("GET", link), visitor.request("GET", link)

    (line,) = first.headers.get_list("set-cookie")
    pair, *attributes = line.split("; ")
    assert f"{COOKIE}=" == pair[: len(COOKIE) + 1]
    assert len(pair) - len(f"{COOKIE}=") >= 43
    # The Python worker gives every cookie a domain, an empty one here: none for a browser.
    assert {"domain=", "path=/", "secure", "httponly", "samesite=none"} == {one.lower() for one in attributes}
    assert [] == second.headers.get_list("set-cookie")


async def test_sign_in_expires_after_an_hour(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock, tenant: Tenant
) -> None:
    form = to_the_callback(visitor, ask(api)["url"], person())
    (cookie,) = visitor.cookies[urlsplit(form.action).netloc].values()
    before = len(tenant.events("code redeemed"))

    clock.forward(hours=1, seconds=1)
    outcome = await complete_sign_in(instance, form.fields, Secret(cookie))

    assert isinstance(outcome, Refused)
    assert "sign_in_unknown" == outcome.code
    assert outcome.again is not None
    assert before == len(tenant.events("code redeemed"))


# Repeated parameters (RFC 6749 section 3.1), and what else no form of ours sends


@pytest.mark.parametrize("name", ["state", "code", "iss", "error"])
def test_callback_that_repeats_a_parameter_is_refused(
    api: httpx.Client, visitor: Visitor, person: NewPerson, name: str
) -> None:
    form = to_the_callback(visitor, ask(api)["url"], person())
    twice = [*form.fields.items(), (name, form.fields.get(name, "x")), (name, "x")]

    page = post(visitor, form.action, urlencode(twice))

    assert (400, "sign_in_unknown") == (page.status, code_of(page))
    assert "new" == visitor.submit(form).back["state"]


def test_url_that_repeats_a_parameter_is_refused(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    asked = ask(api)
    ticket = parse_qs(urlsplit(asked["url"]).query)["ticket"][0]
    assert "link_unknown" == code_of(visitor.open(f"{asked['url']}&ticket={ticket}"))
    form = to_the_callback(visitor, asked["url"], person())
    state = form.fields["state"]

    page = visitor.open(f"{form.action}?error=access_denied&state={state}&state={state}")

    assert "sign_in_unknown" == code_of(page)
    assert "opened" == status(api, asked)["status"]


def test_error_beside_a_code_wins(api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant) -> None:
    form = to_the_callback(visitor, ask(api)["url"], person())
    before = len(tenant.events("code redeemed"))

    page = visitor.submit(Form(form.action, {**form.fields, "error": "access_denied"}))

    assert "access_denied" == code_of(page)
    assert before == len(tenant.events("code redeemed"))


@pytest.mark.parametrize("path", ["/oauth", "/accounts/new"])
@pytest.mark.parametrize(
    "body",
    [
        "",
        "%",
        "state=%00.%ff&registration=%00&confirmation=%f0%28&keep=%00&code=%0d%0a",
        f"state={'.' * 20000}&registration={'~' * 20000}&finish=v1.x.y",
    ],
)
def test_any_posted_form_is_answered_with_a_page(
    visitor: Visitor, environment: Environment, path: str, body: str
) -> None:
    page = post(visitor, environment.base_url + path, body, "application/x-www-form-urlencoded")

    assert page.status in {400, 404}
    assert {"sign_in_unknown", "browser_mismatch", "link_unknown"} >= {code_of(page)}


@pytest.mark.parametrize("path", ["/oauth", "/accounts/new"])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", '{"state": "x"}'),
        ("text/plain", "state=x"),
        ("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=state\r\n\r\nx\r\n--x--"),
        ("multipart/form-data; boundary=x", "--x\r\nbroken"),
        ("multipart/form-data", "x"),
        ("", "state=x"),
    ],
)
def test_body_that_is_no_form_is_answered_with_a_page(
    visitor: Visitor, environment: Environment, path: str, kind: str, body: str
) -> None:
    page = post(visitor, environment.base_url + path, body, kind)

    assert (415, "UnsupportedMediaType") == (page.status, code_of(page))


# Section 4.11: no open redirector


def test_redirect_goes_to_the_registered_url_only(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    evil = "https://evil.example/"
    asked = ask(api)
    form = to_the_callback(visitor, asked["url"], person())
    names = ("redirectUrl", "redirect_url", "redirect_uri", "returnUrl", "error_uri", "RelayState")

    page = visitor.submit(Form(f"{form.action}?redirectUrl={evil}", {**form.fields, **dict.fromkeys(names, evil)}))

    assert page.refresh is not None
    assert page.refresh.startswith("https://myapp.example/done?x=1&")
    assert "evil.example" not in page.html


# Sections 4.2.4, 4.16: referrers, caches, frames; and nothing that runs


def test_every_page_and_redirect_is_private(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson, environment: Environment
) -> None:
    asked, base = ask(api), environment.base_url
    refused = visitor.follow(asked["url"], person(access=False))
    form = to_the_callback(other_visitor, asked["url"], person())
    pages = {
        "confirm": visitor.open(asked["url"]),
        "link unknown": visitor.open(f"{base}/accounts/new?ticket=x"),
        "refused": refused,
        "waiting": press_keep_checking(visitor, refused),
        "mismatch": visitor.submit(form),
        "bound": other_visitor.submit(form),
        "link used": visitor.open(asked["url"]),
        "consented": visitor.open(f"{base}/oauth?admin_consent=True&tenant=x"),
        "error in the address": visitor.open(f"{base}/oauth?error=access_denied&state=x"),
        "nothing": visitor.submit(Form(f"{base}/accounts/new", {})),
    }

    for name, page in pages.items():
        assert "no-store" == page.headers["cache-control"], name
        assert "no-referrer" == page.headers["referrer-policy"], name
        assert "nosniff" == page.headers["x-content-type-options"], name
        assert "text/html; charset=utf-8" == page.headers["content-type"], name
        policy = dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))
        assert ("'none'", "'none'", "'none'") == tuple(
            policy[part] for part in ("default-src", "frame-ancestors", "base-uri")
        ), name
        assert "<script" not in page.html, name
        assert all("noreferrer" in tag for tag in page.html.split("<a ")[1:]), name
    redirect = to_entra(visitor, ask(api)["url"])
    assert (303, "no-store", "no-referrer") == (
        redirect.status_code,
        redirect.headers["cache-control"],
        redirect.headers["referrer-policy"],
    )


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("error", ["access_denied", "server_error", HOSTILE])
def test_hostile_error_text_is_never_repeated(
    api: httpx.Client, visitor: Visitor, person: NewPerson, environment: Environment, method: str, error: str
) -> None:
    asked = ask(api)
    form = to_the_callback(visitor, asked["url"], person())
    answer = {"state": form.fields["state"], "error": error, "error_description": HOSTILE, "error_subcode": HOSTILE}
    answer |= {"error_uri": "https://evil.example/"}

    if method == "GET":
        page = visitor.open(f"{form.action}?{urlencode(answer)}")
    else:
        page = visitor.submit(Form(form.action, answer))

    assert "alert" not in page.html
    assert "evil.example" not in page.html
    assert page.back["error"] in {"access_denied", "entra_unavailable", "sign_in_refused"}
    assert "alert" not in page.back["error_description"]
    assert "alert(1)" not in environment.host.log.read_text()
    assert "alert" not in str(status(api, asked))


async def test_carried_grant_has_one_purpose_link_and_lifetime(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock
) -> None:
    asked, other = ask(api), ask(api)
    page = visitor.follow(asked["url"], person(access=False))
    keep = page.form_with("keep")
    (cookie,) = visitor.cookies[urlsplit(keep.action).netloc].values()
    sealed = keep.fields["keep"]

    wrong = [
        {"registration": asked["registration"], "finish": sealed},
        {"registration": asked["registration"], "confirmation": sealed},
        {"registration": other["registration"], "keep": sealed},
        {"registration": asked["registration"], "keep": sealed[:-1]},
        {"registration": asked["registration"], "keep": page.form_with("confirmation").fields["confirmation"]},
    ]
    for fields in wrong:
        assert {"sign_in_unknown", "browser_mismatch"} >= {code_of(visitor.submit(Form(keep.action, fields)))}

    clock.forward(minutes=31)
    offered = page.form_with("keep").fields
    late = await keep_checking(instance, CarriedField(offered["registration"], offered["keep"]), Secret(cookie))
    assert isinstance(late, Refused)
    assert "sign_in_unknown" == late.code
