"""The headers that pass, by closed lists in both directions."""

import re
from collections.abc import Mapping

JSON, MIME = "application/json", "text/plain"
# Preferences that change how mail is shown (Graph: "Get message", request headers; "Obtain immutable identifiers for
# Outlook resources"; "Get incremental changes to messages in a folder"). Others are left out, as any unknown preference
# may be (RFC 7240 section 2).
PREFERENCES = re.compile(
    r'idtype="ImmutableId"|outlook\.body-content-type="(?:text|html)"|outlook\.allow-unsafe-html'
    r"|odata\.maxpagesize=[0-9]{1,4}|odata\.track-changes",
    re.IGNORECASE,
)
ETAG_PATTERN = re.compile(r'\*|(?:W/)?"[A-Za-z0-9+/=_-]{1,256}"')
PASSED_BACK = ("etag", "preference-applied", "retry-after", "request-id")


def headers_for_graph(given: Mapping[str, str], content_type: str | None) -> dict[str, str]:
    """The headers of the call; `given` has its names in lower case."""
    headers = {"Accept": JSON}
    preferences = [text.strip() for text in given.get("prefer", "").split(",")]
    if passed := [text for text in preferences if PREFERENCES.fullmatch(text)]:
        headers["Prefer"] = ", ".join(passed)
    if given.get("consistencylevel", "").lower() == "eventual":
        headers["ConsistencyLevel"] = "eventual"
    if ETAG_PATTERN.fullmatch(given.get("if-match", "")):
        headers["If-Match"] = given["if-match"]
    if content_type is not None:
        headers["Content-Type"] = content_type
    return headers


def headers_for_caller(received: Mapping[str, str]) -> dict[str, str]:
    """The headers of Graph's answer that pass; `received` has its names in lower case."""
    return {name: received[name] for name in PASSED_BACK if name in received}
