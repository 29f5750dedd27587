"""Links and redirects: what is sent of them, and how long they may be."""

from urllib.parse import quote

# Azure's host takes request lines of 8,192 bytes, and browsers, proxies and mail programs add to a link on its way.
LONGEST_LINK = 6000  # bytes, percent-encoded
LONGEST_REDIRECT_URL = 4096  # of which the rest is for what Mailbind adds on the way back
LONGEST_SCOPES = 1600  # of all that an authorize URL asks for
# RFC 3986 section 2: what a URL may hold as it is, and the sign of what is encoded already.
URL_CHARACTERS = "%:/?#[]@!$&'()*+,;=-._~"


def percent_encoded(url: str) -> str:
    """A URL as it is sent: other characters as UTF-8, percent-encoded (RFC 3987 section 3.1)."""
    return quote(url, safe=URL_CHARACTERS, errors="replace")
