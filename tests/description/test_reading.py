"""What the types declare is what the readers of bodies take and refuse, EmailEngine's loose spellings aside."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import GenerationMode

from shared.domain.errors import InvalidInput
from shared.triggers import oauth_token
from shared.triggers.account_changes import read_change
from shared.triggers.app_fields import read_app
from shared.triggers.authentication_form import read_invitation
from shared.triggers.fields import FALSE, TRUE
from shared.triggers.further_accounts import read_account
from shared.triggers.tokens import read_wish
from shared.triggers.webhook_settings import OURS
from shared.triggers.webhook_settings import read_wish as read_settings
from shared.triggers.webhooks import read_subscription
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.invitation import invitation_faults
from tests.described import DOCUMENT
from tests.fuzz.conftest import FUZZED

type Body = dict[str, Any]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
for name, texts in {
    "claims": [
        '{"access_token": {"acrs": {"value": "c1"}}}',
        "eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7InZhbHVlIjoiMTYwNDEwNjY1MSJ9fX0=",
    ],
    "email": ["support@contoso.example", "o'brien+sales@contoso.example"],
    "ip-range": ["203.0.113.0/24", "2001:db8::1"],
    "signing-secret": [SECRET, "sixteen letters!"],
    "webhook": ["https://flows.example/hook", "https://flows.example:8443/?sig=1"],
}.items():
    schemathesis.openapi.format(name, st.sampled_from(texts))
# A type cannot say which years are taken.
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31))  # noqa: DTZ001 - hypothesis adds the zone itself
schemathesis.openapi.format("date-time", MOMENTS.map(lambda moment: f"{moment.isoformat()}Z"))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)


def claims(body: Body) -> tuple[object, Mapping[str, str]]:
    try:
        return oauth_token.read_query(body, challenged=True), {}
    except InvalidInput as invalid:
        return None, invalid.fields


READERS: Mapping[str, tuple[str, Callable[[Body], tuple[object, Mapping[str, str]]]]] = {
    "RegistrationForm": ("POST /v1/authentication/form", read_invitation),
    "NewAccount": ("POST /v1/account", read_account),
    "AccountChange": ("PUT /v1/account/{account}", read_change),
    "ClaimsChallenge": ("POST /v1/account/{account}/oauth-token", claims),
    "TokenWish": ("POST /v1/token", lambda body: read_wish(body, NOW)),
    "NewApp": ("POST /v1/oauth2", lambda body: read_app(body, new=True)),
    "AppChange": ("PUT /v1/oauth2/{app}", lambda body: read_app(body, new=False)),
    "WebhookWish": ("POST /v1/webhooks", read_subscription),
    "SettingsChange": ("POST /v1/settings", read_settings),
}
# Fields that say the same in two ways, or that take more than a type to be right.
EITHER = (
    ("account", "accounts", "accountPrefix"),
    ("ttl", "expires"),
    ("mailboxes", "account", "email", "name", "delegated"),
)


@pytest.mark.parametrize("shape", READERS)
def test_whatever_fits_the_type_is_taken(shape: str) -> None:
    route, read = READERS[shape]

    @FUZZED
    @given(body=bodies(route, GenerationMode.POSITIVE))
    def take(body: Body) -> None:
        assert {} == read(possible(shape, body))[1]

    take()


def test_a_mailbox_without_an_address_is_refused_by_the_use_case() -> None:
    invitation, faults = read_invitation({"redirectUrl": "https://app.example/", "mailboxes": [{}]})

    assert {} == faults
    told = invitation_faults(invitation, [None], ADMINISTRATOR, "app", frozenset())
    assert {"mailboxes[0].email": '"mailboxes[0].email" is required: it is the shared mailbox'} == told


@pytest.mark.parametrize("shape", READERS)
def test_whatever_does_not_fit_is_refused(shape: str) -> None:
    route, read = READERS[shape]
    schema = {"$ref": f"#/components/schemas/{shape}", "components": DOCUMENT["components"]}
    fits = jsonschema_rs.Draft202012Validator(schema)

    @FUZZED
    @given(body=bodies(route, GenerationMode.NEGATIVE))
    def refuse(body: Body) -> None:
        if not read(body)[1]:
            assert [] == [error.message for error in fits.iter_errors(tidied(body)) if not is_loose(error)]

    refuse()


def is_loose(error: jsonschema_rs.ValidationError) -> bool:
    """Whether it is one of EmailEngine's spellings, or for the use case to say: the way back, whose each mailbox is."""
    sent = error.instance
    if error.message.endswith('is not of type "boolean"'):
        return isinstance(sent, (bool, str, int)) and str(sent).strip().lower() in TRUE | FALSE
    if error.message.endswith('is not of type "integer"'):
        return isinstance(sent, str) and sent.isdigit()
    if error.message.endswith('is not of type "array"'):
        return isinstance(sent, str)
    if " is not one of " in error.message:
        return isinstance(sent, str) and f'"{sent.lower()}"' in error.message.partition(" is not one of ")[2]
    if error.message == '"email" is a required property':
        return next(iter(error.instance_path), None) == "mailboxes"
    return error.message == '"redirectUrl" is a required property'


def bodies(route: str, mode: GenerationMode) -> st.SearchStrategy[Body]:
    method, path = route.split(" ")
    cases: st.SearchStrategy[Any] = SCHEMA[path][method].as_strategy(mode)
    return cases.map(lambda case: case.body).filter(lambda body: isinstance(body, dict))


def possible(shape: str, body: Body) -> Body:
    """The same without contradictions."""
    body = {name: value for name, value in body.items() if name != "certificate"}
    for names in EITHER:
        if names[0] == "mailboxes" and names[0] not in body:
            continue
        there = [name for name in names if name in body]
        body = {name: value for name, value in body.items() if name not in there[1:]}
    if shape == "NewAccount":
        source = {**body["oauth2"], "authorize": False}
        source.setdefault("auth", {})
        source.pop("redirectUrl", None)
        body = {**body, "oauth2": source, "email": source["auth"].get("delegatedUser", "")}
    if "webhooksCustomHeaders" in body:
        different = {header["key"].lower(): header for header in body["webhooksCustomHeaders"]}
        kept = [header for name, header in different.items() if not OURS.fullmatch(name)]
        body = {**body, "webhooksCustomHeaders": kept}
    if shape == "ClaimsChallenge":
        body.pop("sasl", None)
    return body


def tidied(value: Any) -> Any:
    """A body as if it had been spelled as the types have it: texts are trimmed, and what is blank counts as absent."""
    if isinstance(value, dict):
        inner = {name: tidied(one) for name, one in value.items()}
        return {name: one for name, one in inner.items() if one is not None and one not in ("", [])}
    if isinstance(value, list):
        return [tidied(one) for one in value]
    if isinstance(value, str):
        return value.strip()
    return value
