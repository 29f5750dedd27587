"""The texts about failures, for each of their readers."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from shared.domain.errors import (
    AppInUse,
    AppOfSettings,
    Forbidden,
    InvalidInput,
    LimitReached,
    MailbindError,
    Unauthorized,
    Unavailable,
)
from shared.domain.remedy import Reader, remedies
from shared.http.refusals import InvalidJson
from tests.described import DOCUMENT

ROOT = Path(__file__).parents[2]
# Only requests to the API and calls to Graph meet these.
API_ERRORS = (AppInUse, AppOfSettings, Forbidden, InvalidInput, InvalidJson, LimitReached, Unauthorized)

MAIL_MODULES = ("shared.api.", "shared.domain.confined.", "shared.domain.mail.", "shared.usecases.mail.")


def subclasses(error: type[MailbindError]) -> Iterator[type[MailbindError]]:
    for kind in error.__subclasses__():
        yield kind
        yield from subclasses(kind)


def is_of_the_api(error: type[MailbindError]) -> bool:
    return issubclass(error, API_ERRORS) or error.__module__.startswith(MAIL_MODULES)


def test_every_error_that_a_page_may_meet_has_a_text() -> None:
    codes = {kind.code for kind in subclasses(MailbindError) if not is_of_the_api(kind)}
    # These have no code before they are made.
    codes |= {kind().code for kind in subclasses(Unavailable)}

    assert {"storage_unavailable", "key_vault_refused", "row_unreadable"} <= codes
    assert set() == codes - {None} - {*remedies(Reader.PERSON)}


def test_what_callers_and_persons_may_read_operators_can_look_up() -> None:
    person, caller, operator = map(remedies, Reader)
    about_requests = {code for code in person if code[0].isupper()}

    assert {*person} - about_requests == {*caller} == {*operator}


def test_each_reader_is_told_what_they_can_do_themselves() -> None:
    persons = " ".join(f"{text.what} {text.action}" for text in remedies(Reader.PERSON).values())
    others = [text for reader in (Reader.CALLER, Reader.OPERATOR) for text in remedies(reader).values()]

    assert not re.search(r"/v1/|PUT |POST |--|MAILBIND|scope|circuit", persons)
    assert [] == [text.what for text in others if re.search(r"\byour?\b", text.what, re.IGNORECASE)]
    assert [] == [text for reader in Reader for text in remedies(reader).values() if not text.action.endswith(".")]


def test_texts_name_only_routes_fields_and_options_that_exist() -> None:
    texts = [f"{text.what} {text.action}" for reader in Reader for text in remedies(reader).values()]
    routes = {route.rstrip(".:,") for text in texts for route in re.findall(r"(?:GET|PUT|POST|DELETE) /\S+", text)}
    fields = {name for text in texts for name in re.findall(r'"(\w+)"', text)}
    options = {option for text in texts for option in re.findall(r"--[\w-]+", text)}
    known_routes = {f"{method.upper()} {path}" for path, item in DOCUMENT["paths"].items() for method in item}

    assert routes
    assert set() == routes - known_routes
    assert set() == fields - set(re.findall(r'"(\w+)": ?{', json.dumps(DOCUMENT)))
    command = "".join(file.read_text() for file in ROOT.glob("shared/cli/*.py"))
    assert set() == options - set(re.findall(r'"(--[\w-]+)"', command))
