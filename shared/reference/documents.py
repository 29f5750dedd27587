"""GET /openapi.json, /swagger.json and /docs: the description of the API.

They tell nothing of who uses the app, so they need no token and may be cached.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import azure.functions as func
import msgspec

from shared import api
from shared.browser import sign_in_pages, start_page
from shared.browser.pages import render
from shared.http.operations import Resource
from shared.http.responses import HTML, JSON, reply
from shared.ports import App

PUBLIC = {"Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff"}

resource = Resource(api.health.resource.tag, api.health.resource.about)
# In the order of the description.
RESOURCES = (*api.RESOURCES, resource, start_page.resource, sign_in_pages.resource)


@dataclass(frozen=True, slots=True)
class Document:
    """What is sent, and with which headers; its ETag among them."""

    body: bytes
    media_type: str
    headers: Mapping[str, str]


@resource.get("/openapi.json", refusals=[304])
async def get_openapi(app: App, request: func.HttpRequest) -> func.HttpResponse:
    """Get the OpenAPI description.

    Describes the API in OpenAPI 3.1.
    """
    return _send(request, _openapi_document(app.config.base_url))


@resource.get("/swagger.json", refusals=[304])
async def get_swagger(app: App, request: func.HttpRequest) -> func.HttpResponse:
    """Get the description for Power Platform.

    Describes the API in OpenAPI 2.0.
    """
    return _send(request, _swagger_document(app.config.base_url))


@resource.get("/docs", media_type=HTML, refusals=[304])
async def get_reference(app: App, request: func.HttpRequest) -> func.HttpResponse:
    """Get the API reference.

    Describes the API in a web page.
    """
    return _send(request, _page(app))


@lru_cache(maxsize=1)
def _description(base_url: str) -> dict[str, Any]:
    # Imported here because no other route needs it.
    from shared.reference.openapi import openapi  # noqa: PLC0415 - see above

    return openapi(base_url, RESOURCES)


@lru_cache(maxsize=1)
def _openapi_document(base_url: str) -> Document:
    from shared.reference.components import with_components  # noqa: PLC0415 - as above

    return _document(msgspec.json.encode(with_components(_description(base_url))), JSON, PUBLIC)


@lru_cache(maxsize=1)
def _swagger_document(base_url: str) -> Document:
    from shared.reference.swagger import swagger  # noqa: PLC0415 - as above

    return _document(msgspec.json.encode(swagger(_description(base_url))), JSON, PUBLIC)


@lru_cache(maxsize=1)
def _page(app: App) -> Document:
    """The page for people. Its nonce lets its own stylesheet through; it shows nothing that a request sent."""
    from shared.reference.sections import sections  # noqa: PLC0415 - as above

    description = _description(app.config.base_url)
    html, headers = render(app.entropy, "reference", info=description["info"], **sections(description))
    return _document(html.encode(), HTML, headers | PUBLIC)


def _document(body: bytes, media_type: str, headers: Mapping[str, str]) -> Document:
    return Document(body, media_type, {**headers, "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'})


def _send(request: func.HttpRequest, document: Document) -> func.HttpResponse:
    """The document, or 304 for who has it already (RFC 9110 section 13.1.2: weak comparison)."""
    headers = dict(document.headers)
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")}
    if known & {"*", headers["ETag"]}:
        return reply(None, 304, headers, document.media_type)
    return reply(document.body, 200, headers, document.media_type)
