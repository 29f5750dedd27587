"""A person's browser without JavaScript: cookies, forms, buttons."""

import ssl
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Self
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx


@dataclass
class Form:
    """A form of a page: its action, its hidden fields, and the values of its buttons."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """A page with its text, forms and links; `refresh` is the target of its meta refresh."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__()
        self.status = response.status_code
        self.headers = response.headers
        self.url = str(response.url)
        self.html = response.text
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.refresh: str | None = None
        self.text = ""
        self.feed(response.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect forms, fields, buttons and links."""
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(urljoin(self.url, attributes.get("action", self.url))))
        elif tag == "input" and self.forms:
            self.forms[-1].fields[attributes["name"]] = attributes.get("value", "")
        elif tag == "button" and self.forms:
            self.forms[-1].buttons.append(attributes.get("value", ""))
        elif tag == "a":
            self.links.append(attributes["href"])
        elif tag == "meta" and attributes.get("http-equiv") == "refresh":
            self.refresh = attributes["content"].partition("url=")[2]

    def handle_data(self, data: str) -> None:
        """Collect the text."""
        self.text += data

    def form_with(self, name: str) -> Form:
        """The first form with this field. Raises LookupError."""
        matches = [form for form in self.forms if name in form.fields]
        if not matches:
            raise LookupError(f"{urlsplit(self.url).path} answered {self.status}, without a form for {name}")
        return matches[0]

    @property
    def back(self) -> dict[str, str]:
        """The query of the redirect to the caller."""
        target = self.refresh or self.links[-1]
        return dict(parse_qsl(urlsplit(target).query))


class Visitor:
    """One browser. It stores cookies itself, because Python's cookie jar sends no Secure cookies to http://127.0.0.1."""

    def __init__(self, ca_file: str) -> None:
        trust = ssl.create_default_context(cafile=ca_file)
        self._client = httpx.Client(verify=trust, timeout=30, trust_env=False)
        self.cookies: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def request(self, method: str, url: str, data: dict[str, str] | None = None) -> httpx.Response:
        """Send one request with its cookies, without following redirects."""
        jar = self.cookies.setdefault(urlsplit(url).netloc, {})
        cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
        response = self._client.request(method, url, data=data, headers={"Cookie": cookie} if cookie else {})
        for line in response.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            jar[name] = value
        self._client.cookies.clear()
        return response

    def open(self, url: str) -> Page:
        """Open an address, following redirects."""
        response = self.request("GET", url)
        while response.is_redirect:
            response = self.request("GET", urljoin(url, response.headers["location"]))
        return Page(response)

    def submit(self, form: Form, **button: str) -> Page:
        """Submit a form by one of its buttons."""
        response = self.request("POST", form.action, {**form.fields, **button})
        if response.is_redirect:
            return self.open(urljoin(form.action, response.headers["location"]))
        return Page(response)

    def go_to_microsoft(self, link: str) -> Page:
        """Open the link and continue to the account picker."""
        return self.submit(self.open(link).form_with("confirmation"))

    def sign_in(self, picker: Page, login: str) -> Page:
        """Choose the person and accept the consent page; returns Mailbind's page at the end."""
        page = self.submit(picker.forms[0], login=login)
        if "login" in page.forms[0].fields:
            page = self.submit(page.forms[0], consent="accept")
        return self.submit(page.forms[0])

    def follow(self, link: str, login: str) -> Page:
        """Open the link and sign in."""
        return self.sign_in(self.go_to_microsoft(link), login)
