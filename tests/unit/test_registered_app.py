"""OAuth apps as operators register them, and as sign-ins use them."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.app_check import StepStatus, check_client, check_expiry, check_redirect, check_scopes
from shared.domain.clouds import CLOUDS
from shared.domain.entra_errors import classify
from shared.domain.failure import TokenError
from shared.domain.oauth_app import Authentication, ClientSecret, FederatedIdentity, RegisteredApp, new_app_id
from shared.domain.secret import Secret

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TENANT, CLIENT = "7d1b2f0a-0000-4000-8000-00000000c0de", "5f0c1d9e-0000-4000-8000-0000000000c1"
APP = RegisteredApp("AAABiCtT7XUAAAAF", "App", CLIENT, TENANT, client_secret=Secret("one"))
OURS = "https://mailbind.example/oauth"


@pytest.mark.parametrize("cloud", sorted(CLOUDS))
def test_an_app_uses_the_addresses_of_its_cloud(cloud: str) -> None:
    app = APP.changed({"cloud": cloud, "base_scopes": ("api", "imap"), "extra_scopes": ("Calendars.Read",)}, NOW)

    used = app.to_oauth_app(CLOUDS)

    hosts = CLOUDS[cloud]
    assert hosts == used.cloud
    assert {hosts.graph, hosts.outlook} == {scope.rpartition("/")[0] for scope in used.scopes}
    assert f"{hosts.graph}/Calendars.Read" in used.scopes
    assert {} == app.validation_errors(CLOUDS, OURS)


def test_scopes_of_another_cloud_do_not_fit() -> None:
    app = APP.changed({"cloud": "gcc-high", "extra_scopes": ("https://graph.microsoft.com/User.Read",)}, NOW)

    assert {"extra_scopes"} == set(app.validation_errors(CLOUDS, OURS))


def test_an_id_begins_with_the_time_and_fits_a_form() -> None:
    made = new_app_id(NOW, bytes(4))

    assert int(NOW.timestamp() * 1000) == int.from_bytes(base64.urlsafe_b64decode(made)[:8])
    assert 16 == len(made)
    assert made != new_app_id(NOW, b"abcd")


def test_a_multitenant_app_must_name_tenants() -> None:
    anyone = APP.changed({"authority": "organizations"}, NOW)

    assert {"tenants"} == set(anyone.validation_errors(CLOUDS, OURS))
    assert frozenset({TENANT}) == APP.allowed_tenants
    assert {} == anyone.changed({"tenants": (TENANT,)}, NOW).validation_errors(CLOUDS, OURS)


def test_a_mail_domain_belongs_to_one_of_the_apps_tenants() -> None:
    def faults(*domains: str) -> set[str]:
        return set(APP.changed({"mail_domains": domains}, NOW).validation_errors(CLOUDS, OURS))

    assert set() == faults(f"contoso.example={TENANT}", f"STRAßE.example={TENANT.upper()}")
    assert {"mail_domains"} == faults(f"contoso.example={CLIENT}")
    assert {"mail_domains"} == faults(f"straße.example={TENANT}", f"xn--strae-oqa.EXAMPLE={TENANT}")


def test_the_authentication_method_decides_what_is_stored() -> None:
    federated = APP.changed({"authentication": Authentication.FEDERATED}, NOW)
    known = federated.changed({"managed_identity": CLIENT}, NOW)

    assert {"managed_identity"} == set(federated.validation_errors(CLOUDS, OURS))
    assert (FederatedIdentity(CLIENT),) == known.credentials
    assert known.client_secret is None
    assert {"client_secret"} == set(known.misplaced_credentials({"client_secret": Secret("x")}))
    assert {} == known.misplaced_credentials({"client_secret": None})


def test_the_later_expiry_of_two_secrets_counts() -> None:
    ends = {"secret_expires": NOW, "secret_expires_2": NOW + timedelta(days=9)}
    app = APP.changed({"client_secret_2": Secret("two"), **ends}, NOW)

    assert NOW + timedelta(days=9) == app.to_oauth_app(CLOUDS).secret_expires
    assert NOW == app.changed({"client_secret_2": None}, NOW).to_oauth_app(CLOUDS).secret_expires


def test_no_secret_is_printed() -> None:
    assert "'one'" not in repr(APP)


@pytest.mark.parametrize(("days", "status"), [(-1, "fail"), (29, "fail"), (31, "ok"), (None, "skip")])
def test_a_credential_that_expires_soon_fails_the_check(days: int | None, status: str) -> None:
    end = None if days is None else NOW + timedelta(days=days)

    step = check_expiry(APP.changed({"secret_expires": end}, NOW).to_oauth_app(CLOUDS), NOW)

    assert status == step.status
    assert (status == "fail") is (step.hint is not None)


def test_a_foreign_redirect_uri_is_reported() -> None:
    assert [StepStatus.OK, StepStatus.OK, StepStatus.FAIL] == [
        check_redirect(url, OURS).status for url in (None, OURS, "https://old.example/oauth")
    ]


def test_an_app_that_asks_for_imap_covers_delegation() -> None:
    imap = APP.changed({"base_scopes": ("imap",)}, NOW)

    assert StepStatus.OK == check_scopes(imap.to_oauth_app(CLOUDS)).status
    assert (
        StepStatus.FAIL
        == check_scopes(imap.changed({"skip_scopes": ("IMAP.AccessAsUser.All",)}, NOW).to_oauth_app(CLOUDS)).status
    )


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (TokenError(401, "invalid_client", aadsts_numbers=(7000222,)), StepStatus.FAIL),
        (TokenError(400, "unauthorized_client", aadsts_numbers=(700016,)), StepStatus.FAIL),
        (TokenError(503), StepStatus.FAIL),
        # A policy applies only after the client was accepted.
        (TokenError(400, "invalid_grant", "message_only", (53003,)), StepStatus.OK),
    ],
)
def test_a_later_refusal_does_not_blame_the_credential(answer: TokenError, status: StepStatus) -> None:
    assert status == check_client([(ClientSecret(Secret("one")), classify(answer))]).status


def test_a_refresh_requests_granted_scopes_only() -> None:
    app = APP.to_oauth_app(CLOUDS)

    asked = app.limited_to(["mail.readwrite.shared", "profile"])

    assert ("https://graph.microsoft.com/Mail.ReadWrite.Shared",) == asked.scopes
    assert app == app.limited_to([])
