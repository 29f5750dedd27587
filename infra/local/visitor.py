"""A person with a browser, as far as HTTP goes: cookies, forms, buttons."""

import ssl
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Self
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx


@dataclass
class Form:
    """A form of a page: where it goes, its hidden fields, and its buttons' values."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """A page that was answered, with its text, forms and links; `refresh` is where it goes on by itself."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.status = answer.status_code
        self.headers = answer.headers
        self.url = str(answer.url)
        self.html = answer.text
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.refresh: str | None = None
        self.text = ""
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note forms, fields, buttons and links."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(urljoin(self.url, given.get("action", self.url))))
        elif tag == "input" and self.forms:
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "button" and self.forms:
            self.forms[-1].buttons.append(given.get("value", ""))
        elif tag == "a":
            self.links.append(given["href"])
        elif tag == "meta" and given.get("http-equiv") == "refresh":
            self.refresh = given["content"].partition("url=")[2]

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.text += data

    def form_with(self, name: str) -> Form:
        """The first form that has this field. Raises LookupError."""
        found = [form for form in self.forms if name in form.fields]
        if not found:
            raise LookupError(f"{urlsplit(self.url).path} answered {self.status}, without a form for {name}")
        return found[0]

    @property
    def back(self) -> dict[str, str]:
        """The query that the caller's page would get."""
        target = self.refresh or self.links[-1]
        return dict(parse_qsl(urlsplit(target).query))


class Visitor:
    """One browser. Cookies are kept by hand, because Python's jar keeps Secure ones from http even on this computer."""

    def __init__(self, ca_file: str) -> None:
        trust = ssl.create_default_context(cafile=ca_file)
        self._client = httpx.Client(verify=trust, timeout=30, trust_env=False)
        self.cookies: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def request(self, method: str, url: str, data: dict[str, str] | None = None) -> httpx.Response:
        """One request with the cookies that belong to it, and no redirect."""
        jar = self.cookies.setdefault(urlsplit(url).netloc, {})
        sent = "; ".join(f"{name}={value}" for name, value in jar.items())
        answer = self._client.request(method, url, data=data, headers={"Cookie": sent} if sent else {})
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            jar[name] = value
        self._client.cookies.clear()
        return answer

    def open(self, url: str) -> Page:
        """Go to an address, and on to where it redirects."""
        answer = self.request("GET", url)
        while answer.is_redirect:
            answer = self.request("GET", urljoin(url, answer.headers["location"]))
        return Page(answer)

    def submit(self, form: Form, **pressed: str) -> Page:
        """Send a form, with the button that was pressed."""
        answer = self.request("POST", form.action, {**form.fields, **pressed})
        if answer.is_redirect:
            return self.open(urljoin(form.action, answer.headers["location"]))
        return Page(answer)

    def go_to_microsoft(self, link: str) -> Page:
        """From the link to the account picker."""
        return self.submit(self.open(link).form_with("confirmation"))

    def sign_in(self, picker: Page, login: str) -> Page:
        """Press the person's button; returns what Mailbind answers to Entra's form."""
        answer = self.submit(picker.forms[0], login=login)
        if "login" in answer.forms[0].fields:
            answer = self.submit(answer.forms[0], consent="accept")
        return self.submit(answer.forms[0])

    def follow(self, link: str, login: str) -> Page:
        """The whole way."""
        return self.sign_in(self.go_to_microsoft(link), login)
