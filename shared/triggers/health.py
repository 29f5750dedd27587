"""GET /health: whether this instance can do its work."""

import azure.functions as func

from shared.domain.errors import MailbindError
from shared.ports import Directory
from shared.triggers.answers import answer


def blueprint(directory: Directory) -> func.Blueprint:
    """The route; it needs no token and tells nothing but the state of what the app depends on."""
    bp = func.Blueprint()

    @bp.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    async def health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the binding's name
        try:
            await directory.get("health")
        except MailbindError as error:
            headers = {"Retry-After": "10"}
            return answer({"success": False, "storage": error.code}, 503, headers)
        return answer({"success": True, "storage": "ok"})

    return bp
