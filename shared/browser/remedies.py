"""What a page says after each failure: its status, and what happened and what to do.

Most texts are those of shared.domain.remedy, which callers read too. Here are the failures that only a page reports,
and other words where a caller could do more than the person in the browser can.
"""

from http import HTTPStatus

from shared.domain.failure import NO_ACCESS
from shared.domain.remedy import REMEDIES, Remedy, remedy

# Any other code is answered with 403.
STATUSES = {
    "link_unknown": HTTPStatus.NOT_FOUND,
    "link_expired": HTTPStatus.GONE,
    "link_used": HTTPStatus.GONE,
    "link_replaced": HTTPStatus.GONE,
    "link_withdrawn": HTTPStatus.GONE,
    "link_cancelled": HTTPStatus.GONE,
    "account_removed": HTTPStatus.GONE,
    "app_unavailable": HTTPStatus.GONE,
    "browser_mismatch": HTTPStatus.BAD_REQUEST,
    "sign_in_unknown": HTTPStatus.BAD_REQUEST,
    "account_busy": HTTPStatus.CONFLICT,
    "other_kind": HTTPStatus.CONFLICT,
    "other_mailbox": HTTPStatus.CONFLICT,
    "other_app": HTTPStatus.CONFLICT,
    "entra_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "storage_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "key_vault_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "key_vault_refused": HTTPStatus.SERVICE_UNAVAILABLE,
    "TooManyRequests": HTTPStatus.TOO_MANY_REQUESTS,
}
OTHER_ACCOUNT_HELPS = {
    NO_ACCESS,
    "principal_in_use",
    "wrong_principal",
    "unexpected_person",
    "email_mismatch",
    "own_mailbox",
}
USE_THE_BUTTONS = "Open the link again, and use the buttons on the page."
COPY_THE_LINK = "Copy the whole link and nothing else, or ask its sender for a new one."

PAGE_REMEDIES = {
    "link_unknown": Remedy(
        "This link is not valid",
        "It may be incomplete: mail programs sometimes break long links.",
        COPY_THE_LINK,
    ),
    "link_used": Remedy(
        "This link has been used",
        "The mailbox that it was made for is connected. A link works once.",
        "Nothing to do. If it was not you who used it, tell the sender of the link.",
    ),
    "browser_mismatch": Remedy(
        "This sign-in began in another browser",
        "For your safety, a sign-in must end in the browser in which it began, and that browser must accept cookies.",
        "Open the link again in this browser and stay in it.",
    ),
    "sign_in_unknown": Remedy(
        "This sign-in is no longer valid",
        "It is finished, is too old, or was never started here.",
        "Open the link again to start a new one.",
    ),
    "wrong_principal": REMEDIES["wrong_principal"]._replace(
        action="Sign in as that person, or ask the sender of the link for one that allows the change.",
    ),
    "other_mailbox": REMEDIES["other_mailbox"]._replace(
        action="Ask the sender of the link for one that allows changing the mailbox."
    ),
    "other_app": REMEDIES["other_app"]._replace(
        action="Ask the sender of the link for a new one that uses the account's own app."
    ),
    "TooManyRequests": Remedy(
        "Too many requests",
        "More requests came from your network in the last minute than this service answers.",
        "Wait a minute, then reload this page.",
    ),
    "InternalError": Remedy(
        "Something went wrong here",
        "An error occurred in this service. It was logged for the operator.",
        "Try again in a moment. If it happens again, give the operator the code and the number below.",
    ),
    "Conflict": Remedy(
        "Other requests are changing the same data",
        "They changed it at the same moment as you, several times in a row.",
        "Try again in a moment.",
    ),
    "NotStorable": Remedy(
        "This cannot be stored",
        "A value in the request is too long, or contains characters that cannot be stored.",
        "Start again from the link. If it happens again, ask its sender for a new one.",
    ),
    "NotFound": Remedy(
        "There is no such page",
        "This service has no page at the address that your browser opened.",
        COPY_THE_LINK,
    ),
    "MethodNotAllowed": Remedy(
        "This page cannot be opened this way",
        "Your browser sent a kind of request that this address does not accept.",
        USE_THE_BUTTONS,
    ),
    "LengthRequired": Remedy(
        "The form did not arrive",
        "It was sent in chunks, without its length, and this service does not accept such requests.",
        "Open the link again in another browser or without a proxy, and use the buttons on the page.",
    ),
    "BodyTooLarge": Remedy(
        "The request is too large",
        "Your browser sent more than this page accepts.",
        USE_THE_BUTTONS,
    ),
    "UnsupportedMediaType": Remedy(
        "The request has the wrong format",
        "This page accepts only what its own buttons send.",
        USE_THE_BUTTONS,
    ),
    "UriTooLong": Remedy(
        "This address is too long",
        "The address that your browser opened is longer than any address of this service.",
        COPY_THE_LINK,
    ),
    "HeadersTooLarge": Remedy(
        "Your browser sent too many cookies",
        "The cookies or other headers that came with the request are larger than this service accepts.",
        "Delete the cookies of this site in your browser, then open the link again.",
    ),
}


def page_remedy(code: str) -> Remedy:
    """What a page says about a code; an unknown code gets the text of `unknown_failure`."""
    return PAGE_REMEDIES.get(code) or remedy(code)
