"""The cookie that ties a sign-in to the browser that began it."""

import azure.functions as func

from shared.domain.formats import RANDOM_TOKEN_PATTERN
from shared.domain.secret import Secret
from shared.http.responses import add_header

# The prefix makes browsers insist on Secure, Path=/ and this very host (RFC 6265bis section 4.1.3.2).
COOKIE = "__Host-mailbind"
# Browsers do not send Lax and Strict cookies with Entra's form_post, which is a cross-site POST.
ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=None"


def set_cookie(response: func.HttpResponse, cookie: Secret) -> None:
    """Add the cookie to a response."""
    add_header(response, "Set-Cookie", f"{COOKIE}={cookie.reveal()}; {ATTRIBUTES}")


def read_cookie(request: func.HttpRequest) -> Secret | None:
    """The browser's cookie; None without one, and for a value that Mailbind cannot have set."""
    for pair in request.headers.get("Cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE and RANDOM_TOKEN_PATTERN.fullmatch(value):
            return Secret(value)
    return None
