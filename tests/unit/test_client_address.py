"""The client address of a request."""

import ipaddress

import azure.functions as func
import pytest

from shared.http.client_address import client_address


def request(*forwarded: str) -> func.HttpRequest:
    headers = {"X-Forwarded-For": ",".join(forwarded)} if forwarded else {}
    return func.HttpRequest(method="GET", url="https://app.example/", headers=headers, body=b"")


@pytest.mark.parametrize(
    ("hop", "address"),
    [
        ("203.0.113.7:51234", "203.0.113.7"),
        ("203.0.113.7", "203.0.113.7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[::ffff:203.0.113.7]:443", "203.0.113.7"),
    ],
)
def test_the_platforms_own_entry_is_the_client(hop: str, address: str) -> None:
    assert ipaddress.ip_address(address) == client_address(request(hop))


def test_forwarded_addresses_from_the_client_are_ignored() -> None:
    assert ipaddress.ip_address("203.0.113.7") == client_address(request("10.0.0.1", "127.0.0.1", "203.0.113.7:1"))


def test_behind_our_proxy_its_clients_address_counts() -> None:
    forwarded = request("1.2.3.4", "203.0.113.7", "198.51.100.1:443")

    assert ipaddress.ip_address("203.0.113.7") == client_address(forwarded, proxies=1)


@pytest.mark.parametrize("before", [(), ("unknown",), ("",), ("203.0.113.7", "a.b.c.d:99")])
def test_a_request_past_the_proxy_has_the_platforms_address(before: tuple[str, ...]) -> None:
    forwarded = request(*before, "198.51.100.1:443")

    assert ipaddress.ip_address("198.51.100.1") == client_address(forwarded, proxies=1)
    assert ipaddress.ip_address("198.51.100.1") == client_address(forwarded, proxies=3)


@pytest.mark.parametrize("forwarded", [(), ("",), ("unknown",), ("a.b.c.d:99",), ("[::1",)])
def test_an_invalid_forwarded_address_is_unknown(forwarded: tuple[str, ...]) -> None:
    expected = ipaddress.ip_address("::1") if forwarded == ("[::1",) else None

    assert expected == client_address(request(*forwarded))
