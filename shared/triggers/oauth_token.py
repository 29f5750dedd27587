"""GET /v1/account/{account}/oauth-token: hand out an access token."""

import azure.functions as func

from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.triggers.answers import answer, moment
from shared.triggers.audit import about
from shared.triggers.callers import Callers, for_callers
from shared.usecases.hand_out import HandOut


def blueprint(callers: Callers, hand_out: HandOut) -> func.Blueprint:
    """The route."""
    bp = func.Blueprint()

    @bp.route("v1/account/{account}/oauth-token", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    @for_callers(callers, Action.HAND_OUT, Scope.OAUTH_TOKEN)
    async def get_oauth_token(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        token = await hand_out(req.route_params["account"])
        about(resource=token.app)
        return answer(
            {
                "account": token.account,
                "user": token.sign_in_name,
                "email": token.email,
                "accessToken": token.access_token.reveal(),
                "provider": "outlook",
                "registeredScopes": list(token.scopes),
                "expires": moment(token.expires),
                "cached": token.cached,
                "app": token.app,
            }
        )

    return bp
