"""Addresses and scopes of Microsoft's clouds."""

import pytest

from shared.domain.clouds import CLOUDS, Cloud, MailServer, Resource, cloud_name, clouds_with
from shared.domain.oauth_app import OAuthApp

GLOBAL = CLOUDS["global"]


def test_graph_scopes_have_full_names_of_their_cloud() -> None:
    cloud = CLOUDS["gcc-high"]

    assert "https://graph.microsoft.us/Mail.ReadWrite.Shared" in cloud.scopes(["api"])
    assert "https://outlook.office365.us/SMTP.Send" in cloud.scopes(["imap"])


def test_extra_scopes_are_added_once() -> None:
    asked = GLOBAL.scopes(["api"], extra=["Calendars.Read.Shared", "User.Read", "https://outlook.office.com/SMTP.Send"])

    assert 1 == asked.count("https://graph.microsoft.com/User.Read")
    assert ("https://graph.microsoft.com/Calendars.Read.Shared", "https://outlook.office.com/SMTP.Send") == asked[-2:]


def test_scopes_are_skipped_by_short_and_full_names() -> None:
    skip = ["mail.send.shared", "https://outlook.office.com/POP.AccessAsUser.All"]

    asked = GLOBAL.scopes(["api", "imap"], skip=skip)

    assert not [scope for scope in asked if scope.endswith(("Mail.Send.Shared", "POP.AccessAsUser.All"))]
    assert 4 == len(asked)


def an_app(*base: str, skip: tuple[str, ...] = (), extra: tuple[str, ...] = ()) -> OAuthApp:
    return OAuthApp("app", "App", "client", (), "t", frozenset(), GLOBAL, GLOBAL.scopes(base, extra, skip))


@pytest.mark.parametrize(
    ("app", "resources", "home"),
    [
        (an_app("api"), (Resource.GRAPH,), Resource.GRAPH),
        (an_app("imap"), (Resource.OUTLOOK,), Resource.OUTLOOK),
        (an_app("imap", "api"), (Resource.GRAPH, Resource.OUTLOOK), Resource.GRAPH),
        (an_app("imap", extra=("User.Read",)), (Resource.GRAPH, Resource.OUTLOOK), Resource.OUTLOOK),
        (an_app("api", extra=("https://outlook.office.com/SMTP.Send",)), (*Resource,), Resource.GRAPH),
        (an_app("imap", skip=("IMAP.AccessAsUser.All",)), (Resource.OUTLOOK,), Resource.OUTLOOK),
    ],
)
def test_mailboxes_are_probed_through_the_resource_of_the_scopes(
    app: OAuthApp, resources: tuple[Resource, ...], home: Resource
) -> None:
    assert (resources, home) == (app.resources, app.primary_resource)


def test_scopes_of_a_resource_are_asked_for_apart() -> None:
    both = an_app("api", "imap", extra=("https://api.example/read",))

    assert GLOBAL.scopes(["imap"]) == both.scopes_of(Resource.OUTLOOK)
    assert GLOBAL.scopes(["api"]) == both.scopes_of(Resource.GRAPH)


@pytest.mark.parametrize(
    ("outlook", "imap", "smtp"),
    [
        ("https://outlook.office.com", "outlook.office365.com", "smtp.office365.com"),
        ("https://outlook.office365.us", "outlook.office365.us", "smtp.office365.us"),
        ("https://partner.outlook.cn", "partner.outlook.cn", "smtp.partner.outlook.cn"),
    ],
)
def test_mail_servers_are_those_of_the_cloud(outlook: str, imap: str, smtp: str) -> None:
    cloud = GLOBAL._replace(outlook=outlook)

    assert (MailServer(imap, 993), MailServer(imap, 995), MailServer(smtp, 587)) == (cloud.imap, cloud.pop, cloud.smtp)


def test_own_imap_server_is_the_only_mail_server() -> None:
    cloud = GLOBAL._replace(imap_server=MailServer("127.0.0.1", 1993))

    assert (MailServer("127.0.0.1", 1993), None, None) == (cloud.imap, cloud.pop, cloud.smtp)


@pytest.mark.parametrize(
    ("name", "login", "graph", "outlook"),
    [
        ("global", "login.microsoftonline.com", "graph.microsoft.com", "outlook.office.com"),
        ("gcc-high", "login.microsoftonline.us", "graph.microsoft.us", "outlook.office365.us"),
        ("dod", "login.microsoftonline.us", "dod-graph.microsoft.us", "outlook-dod.office365.us"),
        ("china", "login.partner.microsoftonline.cn", "microsoftgraph.chinacloudapi.cn", "partner.outlook.cn"),
    ],
)
def test_each_cloud_has_its_own_hosts(name: str, login: str, graph: str, outlook: str) -> None:
    assert Cloud(f"https://{login}", f"https://{graph}", f"https://{outlook}") == CLOUDS[name]
    assert name == cloud_name(CLOUDS[name])


def test_the_settings_cloud_replaces_the_global_one_only() -> None:
    local = Cloud("https://127.0.0.1:1", "https://127.0.0.1:1", "https://127.0.0.1:1")

    assert "global" == cloud_name(local)
    assert {**CLOUDS, "global": local} == clouds_with(local)
