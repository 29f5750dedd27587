"""Limits of requests that a host would refuse before a test could reach them over HTTP, and form parsing."""

import azure.functions as func
import pytest

from shared.domain.errors import MailbindError
from shared.http.bounds import (
    API_BOUNDS,
    MAIL_BOUNDS,
    MAX_BODY_BYTES,
    PAGE_BOUNDS,
    SENT_URL_HEADER,
    check_bounds,
    read_form,
)
from shared.http.refusals import (
    HeadersTooLarge,
    LengthRequired,
    NoSuchRoute,
    TooLarge,
    UnsupportedMediaType,
    UriTooLong,
)

FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
URL = "https://app.example/"


def post(body: bytes, **headers: str) -> func.HttpRequest:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return func.HttpRequest("POST", URL, headers={**FORM, **sent}, body=body)


@pytest.mark.parametrize("announced", ["65537", " 65537 ", "0065537", "9" * 5000, str(MAX_BODY_BYTES + 1)])
def test_a_body_with_a_too_large_content_length_is_refused(announced: str) -> None:
    with pytest.raises(TooLarge):
        check_bounds(post(b"", Content_Length=announced), PAGE_BOUNDS)


@pytest.mark.parametrize("announced", ["", "0", "65536", "-1", "²", "many"])
def test_a_small_body_is_read_whatever_its_content_length(announced: str) -> None:
    check_bounds(post(b"a=1", Content_Length=announced), PAGE_BOUNDS)


def test_the_body_limit_is_exact() -> None:
    check_bounds(post(b"a" * MAX_BODY_BYTES), PAGE_BOUNDS)

    with pytest.raises(TooLarge):
        check_bounds(post(b"a" * (MAX_BODY_BYTES + 1)), PAGE_BOUNDS)


def test_sixty_four_fields_pass_and_one_more_does_not() -> None:
    check_bounds(post(b"&".join([b"a="] * 64)), PAGE_BOUNDS)

    with pytest.raises(TooLarge):
        check_bounds(post(b"&".join([b"a="] * 65)), PAGE_BOUNDS)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"headers": {"X": "x" * 33_000}}, HeadersTooLarge),
        ({"headers": {f"x-{number}": "" for number in range(101)}}, HeadersTooLarge),
        ({"headers": {"Cookie": "a" * 8193}}, HeadersTooLarge),
        ({"params": {"a": "x" * 9000}}, UriTooLong),
        ({"params": {"x" * 9000: ""}}, UriTooLong),
        ({"params": {str(number): "" for number in range(65)}}, UriTooLong),
        ({"route_params": {"account": "x" * 257}}, UriTooLong),
    ],
)
def test_headers_query_and_path_are_bounded(changes: dict[str, dict[str, str]], refusal: type[MailbindError]) -> None:
    with pytest.raises(refusal):
        check_bounds(func.HttpRequest("GET", URL, **changes, body=b""), API_BOUNDS)


@pytest.mark.parametrize(
    "said", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "", "application/problem+json"]
)
def test_json_may_be_declared_in_several_ways(said: str) -> None:
    check_bounds(post(b"{}", Content_Type=said), API_BOUNDS)


@pytest.mark.parametrize("said", ["text/plain", "multipart/form-data", "json"])
def test_a_body_that_is_not_declared_as_json_is_not_read(said: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        check_bounds(post(b"{}", Content_Type=said), API_BOUNDS)
    check_bounds(post(b"", Content_Type=said), API_BOUNDS)


def call(body: bytes, **headers: str) -> func.HttpRequest:
    """A call to Graph's mail."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return func.HttpRequest("PATCH", URL, headers=sent, body=body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        *((b"{}", said) for said in ("application/json", "Application/JSON;odata.metadata=minimal", "text/plain")),
        *((b"", said) for said in ("application/json", "text/plain", "application/octet-stream", "")),
        (b"x" * 4 * 1024 * 1024, "text/plain; charset=us-ascii"),
    ],
)
def test_call_to_mail_has_json_or_text_or_nothing(body: bytes, said: str) -> None:
    check_bounds(call(body, Content_Type=said, Content_Length=str(len(body))), MAIL_BOUNDS)


@pytest.mark.parametrize("said", ["", "text/json", "message/rfc822", "text/plainer", *FORM.values(), "multipart/mixed"])
def test_other_bodies_are_not_sent_to_mail(said: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="application/json or text/plain"):
        check_bounds(call(b"{}", Content_Type=said), MAIL_BOUNDS)


def test_call_to_mail_of_more_than_four_mebibytes_is_refused() -> None:
    with pytest.raises(TooLarge, match="4096 KiB"):
        check_bounds(call(b"x" * (4 * 1024 * 1024 + 1), Content_Type="text/plain"), MAIL_BOUNDS)
    with pytest.raises(TooLarge, match="4096 KiB"):
        check_bounds(call(b"", Content_Length=str(4 * 1024 * 1024 + 1)), MAIL_BOUNDS)


def test_chunked_body_of_a_change_is_missed() -> None:
    with pytest.raises(LengthRequired):
        check_bounds(call(b"", Transfer_Encoding="chunked"), MAIL_BOUNDS)


def test_path_of_mail_may_be_longer() -> None:
    def request(characters: int) -> func.HttpRequest:
        return func.HttpRequest("GET", URL, route_params={"rest": "x" * characters}, body=b"")

    check_bounds(request(2048), MAIL_BOUNDS)
    with pytest.raises(UriTooLong, match="2048"):
        check_bounds(request(2049), MAIL_BOUNDS)


def test_a_form_with_a_repeated_field_counts_as_empty() -> None:
    assert {"a": "1 ü", "b": ""} == read_form(post(b"a=1+%c3%bc&b=&c=3&c=4"), ["a", "b"])
    assert {} == read_form(post(b"a=1&b=2&a=1"), ["a", "b"])
    assert {"a": "\ufffd"} == read_form(post(b"a=%ff&\xff=x"), ["a"])


@pytest.mark.parametrize("path", ["a%2Fb", "a%2fb", "a%5Cb", "a%5c", "\\", "%252F%2F", "a%2F?b"])
def test_path_that_was_sent_with_an_encoded_slash_is_no_route(path: str) -> None:
    with pytest.raises(NoSuchRoute):
        check_bounds(func.HttpRequest("GET", URL, headers={SENT_URL_HEADER: f"/{path}"}, body=b""), API_BOUNDS)


@pytest.mark.parametrize("path", ["", "a", "a%252Fb", "a%255Cb", "a?b=%2F", "a?b=\\", "%2", "%25%32%46"])
def test_any_other_path_may_have_been_sent(path: str) -> None:
    check_bounds(func.HttpRequest("GET", URL, headers={SENT_URL_HEADER: f"/{path}"}, body=b""), API_BOUNDS)
