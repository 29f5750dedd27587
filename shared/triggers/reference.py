"""GET /openapi.json, /swagger.json and /docs: the API describes itself."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import azure.functions as func
import msgspec

from shared.http.audit import Audit
from shared.http.callers import for_everybody
from shared.http.responses import reply
from shared.http.routes import Routes
from shared.pages.render import Pages

PUBLIC = {"Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Document:
    """What is sent, and with which headers; its ETag among them."""

    body: bytes
    media_type: str
    headers: Mapping[str, str]


@dataclass
class Reference:
    """The descriptions of an app at this address, each made when the first one asks, and kept."""

    base_url: str
    pages: Pages

    @cached_property
    def openapi(self) -> Document:
        """OpenAPI 3.1."""
        return _document(msgspec.json.encode(self._described), "application/json", PUBLIC)

    @cached_property
    def swagger(self) -> Document:
        """OpenAPI 2.0."""
        from shared.triggers.description.swagger import swagger  # noqa: PLC0415 - see below

        return _document(msgspec.json.encode(swagger(self._described)), "application/json", PUBLIC)

    @cached_property
    def page(self) -> Document:
        """The page for people. Its nonce lets its own stylesheet through; it shows nothing that a request sent."""
        from shared.triggers.description.sections import sections  # noqa: PLC0415 - see below

        html, headers = self.pages.render("reference", info=self._described["info"], **sections(self._described))
        return _document(html.encode(), "text/html", headers | PUBLIC)

    @cached_property
    def _described(self) -> dict[str, Any]:
        # Imported here because no other route needs the types.
        from shared.triggers.description.openapi import openapi  # noqa: PLC0415 - see above

        return openapi(self.base_url)


def blueprint(reference: Reference, audit: Audit) -> Routes:
    """The routes. They tell nothing of who uses the app, so they need no token and may be cached."""
    routes = Routes()

    @routes.get("openapi.json")
    @for_everybody(audit)
    async def get_openapi(req: func.HttpRequest) -> func.HttpResponse:
        return _send(req, reference.openapi)

    @routes.get("swagger.json")
    @for_everybody(audit)
    async def get_swagger(req: func.HttpRequest) -> func.HttpResponse:
        return _send(req, reference.swagger)

    @routes.get("docs")
    @for_everybody(audit)
    async def get_reference(req: func.HttpRequest) -> func.HttpResponse:
        return _send(req, reference.page)

    return routes


def _document(body: bytes, media_type: str, headers: Mapping[str, str]) -> Document:
    return Document(body, media_type, {**headers, "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'})


def _send(req: func.HttpRequest, document: Document) -> func.HttpResponse:
    """The document, or 304 for who has it already (RFC 9110 section 13.1.2: weak comparison)."""
    headers = dict(document.headers)
    known = {tag.strip().removeprefix("W/") for tag in req.headers.get("If-None-Match", "").split(",")}
    if known & {"*", headers["ETag"]}:
        return reply(None, 304, headers, document.media_type)
    return reply(document.body, 200, headers, document.media_type)
