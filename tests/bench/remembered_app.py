"""The app with one more route, which does what every route does for callers and nothing else."""

from contextlib import ExitStack

from shared.api import access_tokens
from shared.api.field_types import AccountId
from shared.bootstrap import build_app
from shared.domain.audit import Action
from shared.domain.caller import Scope
from shared.http.responses import Answer
from tests.storage_requests import recorded_requests

ROUTE = "/v1/account/{account}/nothing"
until_the_end = ExitStack()
requests = until_the_end.enter_context(recorded_requests())


class Nothing(Answer, kw_only=True):
    """The account that was named, and how many storage requests this process has made so far."""

    account: AccountId
    storage_requests: int


@access_tokens.resource.get(ROUTE, Action.HAND_OUT, Scope.OAUTH_TOKEN)
async def answer_nothing(account_id: AccountId) -> Nothing:
    """Answer without doing anything."""
    return Nothing(account=account_id, storage_requests=requests.count)


app = build_app()
