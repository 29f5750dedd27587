"""Verify an OAuth app: check its configuration step by step, and say what to fix."""

from dataclasses import replace
from typing import NamedTuple

from shared.domain.app_check import (
    Step,
    StepStatus,
    check_client,
    check_expiry,
    check_redirect,
    check_scopes,
    failed,
    failed_call,
    passed,
    skipped,
)
from shared.domain.errors import Conflict, NotFound, StaleWrite, Unavailable
from shared.domain.failure import APP_CREDENTIAL_FAILURE, Failure
from shared.domain.oauth_app import OAuthApp, RegisteredApp, shadowing_notice
from shared.domain.remedy import Reader, remedy
from shared.ports import App, EntraFailed
from shared.usecases.accounts.read import FoundAccount, find_account
from shared.usecases.apps.catalogue import existing_app, shadows_settings
from shared.usecases.tokens.account_token import refresh_on_demand
from shared.usecases.tokens.probe import probe_mailbox
from shared.usecases.tokens.refresh import NOT_STORED

MAILBOX_SKIPPED = skipped("mailbox", "There is no token to open it with.")


class Verified(NamedTuple):
    """The results. `account` is the one that was tried, if any."""

    app: RegisteredApp
    account: str | None
    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        """Whether no step failed."""
        return all(step.status is not StepStatus.FAIL for step in self.steps)


async def verify_oauth_app(app: App, app_id: str, account: str | None, *, open_mailbox: bool) -> Verified:
    """Run every check, even after one failed. Changes only the app's circuit breaker and the tokens of the account.

    Raises NotFound, Conflict, and TooManyRequests when the account's grant was refreshed on demand too often.
    """
    stored = await app.stores.oauth_apps.get(app_id)
    registered = existing_app(app, app_id, stored.value if stored else None)
    oauth_app = registered.to_oauth_app(app.config.clouds)
    shadows = stored is not None and shadows_settings(app, registered.id)
    steps = [
        *([passed("settings", "Through the API.", shadowing_notice(registered.id))] if shadows else []),
        await _check_authority(app, oauth_app),
        await _check_credentials(app, oauth_app),
        check_redirect(registered.redirect_url, app.config.redirect_uri),
        check_scopes(oauth_app),
        check_expiry(oauth_app, app.clock()),
        *await _check_account(app, oauth_app, account, open_mailbox=open_mailbox),
    ]
    return Verified(registered, account, tuple(steps))


async def _check_authority(app: App, oauth_app: OAuthApp) -> Step:
    try:
        await app.microsoft.setup.discover(oauth_app)
    except EntraFailed as failure:
        return failed_call("authority", failure.failure)
    return passed("authority", f"{oauth_app.cloud.authority}/{oauth_app.tenant}")


async def _check_credentials(app: App, oauth_app: OAuthApp) -> Step:
    """Check each credential. The breaker records a failure only if all of them fail."""
    results = [
        (credential, await _authenticate(app, replace(oauth_app, credentials=(credential,))))
        for credential in oauth_app.credentials
    ]
    failures = [failure for _, failure in results if failure is not None]
    all_failed = len(failures) == len(results)
    failure = next(iter(failures), APP_CREDENTIAL_FAILURE) if all_failed else None
    await app.microsoft.entra.record_verification(oauth_app, failure)
    return check_client(results)


async def _authenticate(app: App, oauth_app: OAuthApp) -> Failure | None:
    try:
        await app.microsoft.setup.authenticate(oauth_app)
    except EntraFailed as failure:
        return failure.failure
    return None


async def _check_account(app: App, oauth_app: OAuthApp, account: str | None, *, open_mailbox: bool) -> list[Step]:
    if account is None:
        return [skipped(step, "No account was named.") for step in ("grant", "mailbox")]
    found = await find_account(app, account)
    if found is None or found.account.value.app != oauth_app.id:
        reason = "There is no such account of this OAuth app."
        return [failed("grant", reason, "Name an account that this app authorizes."), skipped("mailbox", reason)]
    try:
        return await _check_grant_and_mailbox(app, found, open_mailbox=open_mailbox)
    except StaleWrite:
        raise Conflict from None


async def _check_grant_and_mailbox(app: App, found: FoundAccount, *, open_mailbox: bool) -> list[Step]:
    account = found.account.value
    grant = await app.stores.principals.grant(account.principal_id, account.app)
    try:
        refreshed = await refresh_on_demand(app, grant) if grant else None
    except Unavailable as unavailable:
        return [failed("grant", str(unavailable), "Verify again later."), MAILBOX_SKIPPED]
    current = await app.stores.principals.account(account.principal_id, account.id)
    if refreshed is None or current is None:
        raise NotFound("No such account")
    if refreshed.failure is not None:
        return [failed_call("grant", refreshed.failure), MAILBOX_SKIPPED]
    if not refreshed.stored:
        return [failed_call("grant", NOT_STORED), MAILBOX_SKIPPED]
    grant_step = passed("grant", "Entra renewed it.")
    if not open_mailbox:
        return [grant_step, skipped("mailbox", "It was not asked for.")]
    probed = await probe_mailbox(app, current, refreshed.grant)
    if probed.failure is None:
        return [grant_step, passed("mailbox", "It opens.")]
    advice = remedy(probed.failure, Reader.OPERATOR)
    return [grant_step, failed("mailbox", advice.what, advice.action)]
