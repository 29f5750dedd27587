"""Clients of the running tenant for tests: browser, token endpoint, Graph, control."""

import html
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from infra.local.tenant.grants import s256_challenge

REDIRECT = "http://127.0.0.1:5555/oauth"
VERIFIER = "v" * 43
ANOTHER_APP, ANOTHER_SECRET = "c2e7b8d5-1f34-4c0a-8e59-6b7a3d2f4e10", "local-secret-of-another-app"
ALICE, BOB, MALLORY = (f"{name}@contoso.example" for name in ("alice", "bob", "mallory"))


@dataclass(frozen=True)
class LocalTenant:
    """A tenant that runs in another process: its ready line, and a client that trusts it."""

    ready: Mapping[str, str]
    http: httpx.Client

    @property
    def url(self) -> str:
        return self.ready["url"]

    @property
    def authority(self) -> str:
        return f"{self.url}/{self.ready['tenantId']}"

    @property
    def mail(self) -> str:
        """Permission to open shared mailboxes, at the tenant's own Graph host."""
        return f"{self.url}/Mail.ReadWrite.Shared"

    @property
    def default_scope(self) -> str:
        return f"{self.mail} {self.url}/User.Read openid profile offline_access"

    def control(self, action: str, **body: object) -> dict[str, Any]:
        response = self.http.post(f"{self.url}/control/{action}", json=body)
        assert 200 == response.status_code, response.text
        return dict(response.json())

    def events(self, what: str) -> list[dict[str, Any]]:
        events = self.http.get(f"{self.url}/control/events").json()["events"]
        return [event for event in events if event["what"] == what]

    def token(self, grant: str, **form: str | None) -> httpx.Response:
        """Post to the token endpoint as Mailbind's app; None leaves a parameter out."""
        defaults = {
            "client_id": self.ready["clientId"],
            "client_secret": self.ready["clientSecret"],
            "grant_type": grant,
        }
        parameters = {name: value for name, value in {**defaults, **form}.items() if value is not None}
        return self.http.post(f"{self.authority}/oauth2/v2.0/token", data=parameters)

    def redeem(self, code: str, **form: str | None) -> httpx.Response:
        return self.token(
            "authorization_code", **{"code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER, **form}
        )

    def refresh(self, token: str, **form: str | None) -> httpx.Response:
        return self.token("refresh_token", refresh_token=token, **form)

    def refresh_token_of(self, person: str) -> str:
        return str(self.control("sign-in", person=person)["refreshToken"])

    def access_token_of(self, person: str, scope: str | None = None) -> str:
        response = self.refresh(self.refresh_token_of(person), scope=scope or self.default_scope)
        return str(response.json()["access_token"])

    def consent(self, person: str, *names: str) -> None:
        """Set the person's consent to Mailbind's app to exactly these Graph permissions."""
        self.control("person", upn=person, consented=[f"https://graph.microsoft.com/{name}" for name in names])

    def graph(self, path: str, token: str, **headers: str) -> httpx.Response:
        return self.http.get(f"{self.url}/v1.0{path}", headers={"Authorization": f"Bearer {token}", **headers})


@dataclass
class Browser:
    """A browser with its own cookies. It presses buttons of forms, and does not follow the redirect to the app."""

    tenant: LocalTenant
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(verify=trust_context(self.tenant.ready), headers={"Accept": "text/html"})

    def authorize(self, **query: str | None) -> httpx.Response:
        """Open the authorize endpoint as Mailbind does; None leaves a parameter out."""
        defaults = {
            "client_id": self.tenant.ready["clientId"],
            "redirect_uri": REDIRECT,
            "response_type": "code",
            "response_mode": "query",
            "scope": self.tenant.default_scope,
            "state": "s1",
            "nonce": "n1",
            "code_challenge": s256_challenge(VERIFIER),
            "code_challenge_method": "S256",
            "prompt": "select_account",
        }
        parameters = {name: value for name, value in {**defaults, **query}.items() if value is not None}
        return self.client.get(f"{self.tenant.authority}/oauth2/v2.0/authorize?{urlencode(parameters)}")

    def press(self, page: httpx.Response, name: str, value: str) -> httpx.Response:
        """Press a button of the page's form. The button must exist."""
        button = f'name="{name}" value="{html.escape(value)}"'
        assert button in page.text, f"no button {button} in {page.text}"
        return self.client.post(str(page.request.url), data={**hidden_fields(page), name: value})

    def sign_in(self, person: str, **query: str | None) -> httpx.Response:
        return self.press(self.authorize(**query), "login", person)

    def code_of(self, person: str, **query: str | None) -> str:
        return outcome(self.sign_in(person, **query))["code"]


def hidden_fields(page: httpx.Response) -> dict[str, str]:
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text)
    return {name: html.unescape(value) for name, value in fields}


def outcome(response: httpx.Response) -> dict[str, str]:
    """The fields that the app receives, by redirect or by a form."""
    if "location" not in response.headers:
        return hidden_fields(response)
    parts = urlsplit(response.headers["location"])
    return dict(parse_qsl(parts.query or parts.fragment))


def trust_context(ready: Mapping[str, str]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ready["caFile"])
