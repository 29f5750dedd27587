"""GET /openapi.json, /swagger.json and /docs: the API describes itself."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import azure.functions as func
import msgspec

from shared.pages.render import Pages

PUBLIC = {"Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff"}


@dataclass
class Reference:
    """Both descriptions of an app at this address; made when the first one asks, and kept."""

    base_url: str

    @cached_property
    def openapi(self) -> dict[str, Any]:
        """OpenAPI 3.1."""
        # Imported here because no other route needs the types.
        from shared.triggers.description.openapi import openapi  # noqa: PLC0415 - see above

        return openapi(self.base_url)

    @cached_property
    def swagger(self) -> dict[str, Any]:
        """OpenAPI 2.0."""
        from shared.triggers.description.swagger import swagger  # noqa: PLC0415 - see above

        return swagger(self.openapi)

    @cached_property
    def documents(self) -> dict[str, bytes]:
        """Both, as they are sent."""
        return {"openapi": msgspec.json.encode(self.openapi), "swagger": msgspec.json.encode(self.swagger)}


def blueprint(reference: Reference, pages: Pages) -> func.Blueprint:
    """The routes. They tell nothing of who uses the app, so they need no token and may be cached."""
    bp = func.Blueprint()

    @bp.route("openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    async def get_openapi(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the binding's name
        return _document(reference.documents["openapi"])

    @bp.route("swagger.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    async def get_swagger(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the binding's name
        return _document(reference.documents["swagger"])

    @bp.route("docs", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    async def get_reference(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the binding's name
        from shared.triggers.description.sections import sections  # noqa: PLC0415 - as above

        html, headers = pages.render("reference", info=reference.openapi["info"], **sections(reference.openapi))
        return func.HttpResponse(html, headers={**headers, **PUBLIC}, mimetype="text/html", charset="utf-8")

    return bp


def _document(body: bytes) -> func.HttpResponse:
    return func.HttpResponse(body, headers=PUBLIC, mimetype="application/json")
