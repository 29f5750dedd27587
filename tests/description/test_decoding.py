"""The decoder takes what a type allows and refuses the rest, EmailEngine's spellings aside."""

from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import GenerationMode

from shared.api.field_types import NO_ROUTE_NAMES_IT, PageQuery
from shared.api.oauth_app_fields import MAX_PEM_CHARACTERS, AppChange, NewApp
from shared.api.registration_fields import RegistrationForm
from shared.api.settings import SettingsChange
from shared.http.decoding import FALSE, NOT_A_TIMESTAMP, TRUE, Faults, decode
from shared.http.operations import Operation
from shared.reference.documents import RESOURCES
from tests.described import DOCUMENT
from tests.fuzz.conftest import FUZZED

type Values = dict[str, Any]

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
TIMESTAMPS = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31))  # noqa: DTZ001 - hypothesis adds the zone itself
schemathesis.openapi.format("date-time", TIMESTAMPS.map(lambda when: f"{when.isoformat()}Z"))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
WITH_BODY = [
    pytest.param(operation, id=operation.types["body"].__name__)
    for resource in RESOURCES
    for operation in resource.operations
    if "body" in operation.types
]


@pytest.mark.parametrize("operation", WITH_BODY)
def test_values_that_fit_a_type_are_taken(operation: Operation) -> None:
    @FUZZED
    @given(values=bodies(operation, GenerationMode.POSITIVE))
    def take(values: Values) -> None:
        faults = faults_of(operation.types["body"], values).values()
        # A pattern does not say which ids no route can name.
        assert [] == [fault for fault in faults if NO_ROUTE_NAMES_IT not in fault]

    take()


@pytest.mark.parametrize("operation", WITH_BODY)
def test_values_that_do_not_fit_are_refused(operation: Operation) -> None:
    body_type = operation.types["body"]
    schema = {"$ref": f"#/components/schemas/{body_type.__name__}", "components": DOCUMENT["components"]}
    validator = jsonschema_rs.Draft202012Validator(schema)

    @FUZZED
    @given(values=bodies(operation, GenerationMode.NEGATIVE))
    def refuse(values: Values) -> None:
        if not faults_of(body_type, values):
            errors = [error.message for error in validator.iter_errors(normalized(values)) if not is_spelling(error)]
            assert [] == errors, values

    refuse()


@pytest.mark.parametrize(
    ("value", "decoded"),
    [(True, True), ("Y", True), ("1", True), (1, True), (" true ", True), ("n", False), (0, False), ("false", False)],
)
def test_booleans_may_be_texts_and_numbers(value: object, decoded: object) -> None:
    body = decode(RegistrationForm, {"redirectUrl": "https://app.example/", "delegated": value}, Faults())

    assert decoded is body.delegated


@pytest.mark.parametrize("blank", ["", "  "])
def test_an_empty_text_is_an_absent_field(blank: str) -> None:
    faults = Faults()
    body = decode(RegistrationForm, {"redirectUrl": blank, "name": blank, "delegated": blank}, faults)

    assert {"redirectUrl": '"redirectUrl" is required'} == faults
    assert {} == {name: value for name, value in body.given.items() if name != "redirect_url"}


def test_one_text_stands_for_a_list() -> None:
    body = decode(SettingsChange, {"webhookEvents": "accountAdded"}, Faults())

    assert ["accountAdded"] == body.webhook_events


def test_an_empty_text_takes_the_target_away() -> None:
    assert "" == decode(SettingsChange, {"webhooks": ""}, Faults()).webhooks


def test_every_fault_is_named_and_no_value_repeated() -> None:
    faults = Faults()
    values = {
        "email": "values-are-secret",
        "mailboxes": [{"email": "values-are-secret"}, 5, {"email": "b@contoso.example", "odd": 1}],
        "delegated": "values-are-secret",
        "x" * 100: 1,
    }
    decode(RegistrationForm, values, faults)

    assert {
        "email": '"email" must be a valid email',
        "delegated": '"delegated" must be a boolean',
        "mailboxes[0].email": '"mailboxes[0].email" must be a valid email',
        "mailboxes[1]": '"mailboxes[1]" must be an object',
        "mailboxes[2].odd": "this field is not allowed",
        "redirectUrl": '"redirectUrl" is required',
        "x" * 64: "this field is not allowed",
    } == faults


def test_a_field_that_cannot_change_says_so() -> None:
    fixed = "cannot be changed: register another app"

    assert {"provider": f'"provider" {fixed}'} == faults_of(AppChange, {"provider": "outlook", "baseScopes": ""})
    assert {} == faults_of(AppChange, {"provider": ""})


def test_a_certificate_may_have_line_breaks() -> None:
    assert {} == faults_of(AppChange, {"certificate": "-----BEGIN\nEND-----\n"})
    assert ["certificate"] == [*faults_of(AppChange, {"certificate": "x" * (MAX_PEM_CHARACTERS + 1)})]


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2100-01-01T00:00:00.1Z", "now", "0"])
def test_a_date_out_of_range_is_refused(text: str) -> None:
    assert {"secretExpires": f'"secretExpires" {NOT_A_TIMESTAMP}'} == faults_of(AppChange, {"secretExpires": text})


def test_a_date_without_a_zone_is_in_utc() -> None:
    body = decode(AppChange, {"secretExpires": "2027-01-31"}, Faults())

    assert datetime(2027, 1, 31, tzinfo=UTC) == body.secret_expires


def test_a_body_prints_no_values() -> None:
    assert "NewApp(…)" == repr(decode(NewApp, {"clientSecret": SECRET}, Faults()))


@pytest.mark.parametrize("text", ["0" * 20 + "99999", "0" * 20 + "9" * 5000, "9" * 21, "-1", "1001", "1e3"])
def test_a_number_is_held_to_its_bounds(text: str) -> None:
    faults = Faults()
    decode(PageQuery, {"pageSize": text}, faults)

    assert {"pageSize": '"pageSize" must be a whole number from 1 to 1000'} == faults


@pytest.mark.parametrize("value", [20, "20", "020", 20.0, " 20 "])
def test_a_whole_number_may_be_a_text(value: object) -> None:
    assert 20 == decode(PageQuery, {"pageSize": value}, Faults()).page_size


def test_unknown_fields_are_named_in_order() -> None:
    assert ["b", "a", "c"] == [*faults_of(PageQuery, {"b": 1, "a": 1, "c": 1})]


def faults_of(body_type: type[Any], values: Values) -> Faults:
    faults = Faults()
    decode(body_type, values, faults)
    return faults


def is_spelling(error: jsonschema_rs.ValidationError) -> bool:
    """Whether the value is one of EmailEngine's spellings."""
    sent = error.instance
    if error.message.endswith('is not of type "boolean"'):
        return isinstance(sent, (bool, str, int)) and str(sent).strip().lower() in TRUE | FALSE
    if error.message.endswith('is not of type "integer"'):
        return isinstance(sent, str) and sent.isdigit()
    if error.message.endswith('is not of type "array"'):
        return isinstance(sent, str)
    if " is not one of " in error.message:
        return isinstance(sent, str) and f'"{sent.lower()}"' in error.message.partition(" is not one of ")[2]
    return False


def bodies(operation: Operation, mode: GenerationMode) -> st.SearchStrategy[Values]:
    cases: st.SearchStrategy[Any] = SCHEMA[operation.path][operation.method].as_strategy(mode)
    return cases.map(lambda case: case.body).filter(lambda body: isinstance(body, dict))


def normalized(value: Any) -> Any:
    """A body as if it had been spelled as the types have it: texts are trimmed, and what is blank counts as absent."""
    if isinstance(value, dict):
        inner = {name: normalized(each) for name, each in value.items()}
        return {name: each for name, each in inner.items() if each is not None and each not in ("", [])}
    if isinstance(value, list):
        return [normalized(each) for each in value]
    if isinstance(value, str):
        return value.strip()
    return value
