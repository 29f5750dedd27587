"""Refuses settings that are safe on this computer only when the base URL is public.

docs/settings.md lists what is refused. Allowed on purpose: a sealing key in place of Key Vault, a storage connection
string with an account key, and `MAILBIND_CA_FILE`, because networks with TLS inspection need it.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import urlsplit

from shared.settings.reader import Reader

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# The domains of App Service, where requests reach the app without passing our proxy.
PLATFORM_DOMAINS = (".azurewebsites.net", ".azurewebsites.us", ".chinacloudsites.cn", ".appserviceenvironment.net")
LOCAL_DOMAINS = (".localhost", ".local", ".internal")
# WHATWG URL, "ends in a number": such a host is an IPv4 address, however it is written.
IPV4_PATTERN = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
STORAGE_SETTINGS = ("MAILBIND_TABLES", "AzureWebJobsStorage", "AzureWebJobsStorage__queueServiceUri")
SERVER_SETTINGS = (
    "MAILBIND_AUTHORITY_HOST",
    "MAILBIND_GRAPH_ROOT",
    "MAILBIND_OUTLOOK_ROOT",
    "MAILBIND_IMAP_SERVER",
    "MAILBIND_KEY_VAULT_KEY",
    "MAILBIND_KEY_VAULT_KEY_PREVIOUS",
)
HEXADECIMAL_DIGITS = "0123456789abcdef"
GUESSABLE_TOKENS = ("", HEXADECIMAL_DIGITS * 4, *(digit * 64 for digit in HEXADECIMAL_DIGITS))
GUESSABLE_DIGESTS = {hashlib.sha256(token.encode()).hexdigest() for token in GUESSABLE_TOKENS}
# The probability that 32 random bytes, or the 64 digits of a hash, have fewer distinct values is below 10^-15.
MIN_DISTINCT_VALUES = 8


def is_public(base_url: str) -> bool:
    """Whether other computers can reach the app at this address."""
    return bool(base_url) and _host(base_url) not in LOOPBACK


def local_only_faults(read: Reader, base_url: str) -> list[str]:
    """What is wrong with the settings because the base URL is public."""
    if not is_public(base_url):
        return []
    behind_proxy = read.number("MAILBIND_PROXIES", 0, 8, minimum=0) > 0
    unsafe = {
        "MAILBIND_WEBHOOKS_LOOPBACK is for local work only; remove it": read.switch("MAILBIND_WEBHOOKS_LOOPBACK"),
        "MAILBIND_SAMPLE_APP is for local work only; remove it": bool(read.text("MAILBIND_SAMPLE_APP", "")),
        "MAILBIND_REDIRECT_ORIGINS has an http address of another computer; use https": any(
            _is_plain_http(origin) for origin in read.listed("MAILBIND_REDIRECT_ORIGINS")
        ),
        "MAILBIND_ADMIN_TOKEN_SHA256 belongs to a token that can be guessed; make a random one": _is_guessable_digest(
            read.values.get("MAILBIND_ADMIN_TOKEN_SHA256", "").strip().lower()
        ),
        "MAILBIND_SEALING_KEY can be guessed; make a random one with openssl rand -base64 32": _is_guessable_key(
            read.values.get("MAILBIND_SEALING_KEY", "").strip()
        ),
        "MAILBIND_PROXIES must be 0 while MAILBIND_BASE_URL is the app's own address, because requests that come past "
        "the proxy could forge their address; set MAILBIND_BASE_URL to the proxy's, and close the app to all but the "
        "proxy": behind_proxy and _host(base_url).rstrip(".").endswith(PLATFORM_DOMAINS),
    }
    return [*_local_addresses(read), *(fault for fault, is_there in unsafe.items() if is_there)]


def _local_addresses(read: Reader) -> Iterator[str]:
    for name in STORAGE_SETTINGS:
        if _is_local_storage(read.values.get(name, "").strip()):
            yield f"{name} names local storage or plain http; set the https address of a storage account"
    for name in SERVER_SETTINGS:
        if is_local(_host(read.values.get(name, "").strip())):
            yield f"{name} names a local server; remove it, or set the address that your Microsoft cloud has"


def is_local(host: str) -> bool:
    """Whether a host is an IP address or a name that is unknown on the internet. Microsoft's servers are neither."""
    name = host.rstrip(".")
    return bool(name) and (
        "." not in name or ":" in name or name.endswith(LOCAL_DOMAINS) or IPV4_PATTERN.fullmatch(name) is not None
    )


def _host(text: str) -> str:
    """The host of a URL or of `host:port`, in lower case; empty if there is none."""
    try:
        return urlsplit(text if "://" in text else f"//{text}").hostname or ""
    except ValueError:  # half an IPv6 address
        return ""


def _is_plain_http(address: str) -> bool:
    return address.lower().startswith("http://") and _host(address) not in LOOPBACK


def _is_local_storage(text: str) -> bool:
    """Whether it is Azurite, another local server, or plain http.

    https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string
    """
    parts = {
        name.strip().lower(): value.strip() for name, _, value in (part.partition("=") for part in text.split(";"))
    }
    addresses = [value for value in (text, *parts.values()) if "://" in value]
    return (
        parts.get("usedevelopmentstorage", "").lower() == "true"
        or parts.get("accountname") == "devstoreaccount1"
        or parts.get("defaultendpointsprotocol", "").lower() == "http"
        or any(address.lower().startswith("http://") or is_local(_host(address)) for address in addresses)
    )


def _is_guessable_digest(digest: str) -> bool:
    return bool(digest) and (digest in GUESSABLE_DIGESTS or len(set(digest)) < MIN_DISTINCT_VALUES)


def _is_guessable_key(text: str) -> bool:
    """Whether the bytes of a key repeat, or count up or down."""
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        return False
    steps = {(after - before) % 256 for before, after in pairwise(key)}
    return bool(key) and min(len(set(key)), len(steps)) < MIN_DISTINCT_VALUES
