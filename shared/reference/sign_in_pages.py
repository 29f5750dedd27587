"""The sign-in pages, as the description shows them."""

from shared.http.operations import HTML, Resource
from shared.triggers.browser_cookie import COOKIE
from shared.triggers.sign_in import ANSWER_FIELDS, PAGE_FIELDS

resource = Resource("Sign-in pages", "What a person's browser meets. Not for callers.")


@resource.get("/accounts/new", media_type=HTML, cookie=COOKIE, queries=("ticket",), refusals=[404, 410, 429, 503])
def open_link() -> None:
    """Open a link.

    Says who asks for what.
    """


@resource.post(
    "/accounts/new",
    media_type=HTML,
    cookie=COOKIE,
    form=PAGE_FIELDS,
    status=303,
    refusals=[200, 202, 400, 403, 404, 409, 410, 429, 503],
)
def continue_sign_in() -> None:
    """Continue to Microsoft.

    Goes on to the sign-in, or keeps checking.
    """


@resource.get(
    "/oauth",
    media_type=HTML,
    cookie=COOKIE,
    queries=(*ANSWER_FIELDS, "admin_consent"),
    refusals=[400, 403, 409, 410, 429, 503],
)
def finish_failed_sign_in() -> None:
    """Come back with an error.

    Where Entra sends what went wrong, and the answer to an administrator's consent.
    """


@resource.post(
    "/oauth", media_type=HTML, cookie=COOKIE, form=ANSWER_FIELDS, refusals=[202, 303, 400, 403, 409, 410, 429, 503]
)
def finish_sign_in() -> None:
    """Come back from Microsoft.

    Where Entra posts the answer of a sign-in.
    """
