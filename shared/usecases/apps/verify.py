"""Verify an OAuth app: walk through its configuration step by step, and say what to fix."""

from dataclasses import dataclass, replace

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
from shared.domain.errors import Conflict, NotFound, StaleWrite
from shared.domain.failure import APP_CREDENTIAL_FAILURE, Failure
from shared.domain.oauth_app import OAuthApp, RegisteredApp
from shared.domain.remedy import remedy
from shared.ports import App, EntraFailed
from shared.usecases.accounts.read import Found, find_account
from shared.usecases.tokens.on_demand import refresh_on_demand
from shared.usecases.tokens.probe import probe_mailbox


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found; `account` is the one that was tried, if any."""

    app: RegisteredApp
    account: str | None
    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        """Whether no step failed."""
        return all(step.status is not StepStatus.FAIL for step in self.steps)


async def verify_oauth_app(app: App, app_id: str, account: str | None, *, open_mailbox: bool) -> Verified:
    """Every step is tried, whatever came of others. Raises NotFound and Conflict.

    Changes nothing but what is known of the app's faults, and the tokens of the account that is tried.

    Raises TooManyRequests when the grant of the account was asked about too often just now.
    """
    stored = await app.stores.oauth_apps.get(app_id)
    if stored is None and app_id != app.config.seed.id:
        raise NotFound("No such OAuth app")
    kept = stored.value if stored else app.config.seed
    used = kept.to_oauth_app(app.config.clouds)
    steps = [
        await _check_authority(app, used),
        await _check_credentials(app, used),
        check_redirect(kept.redirect_url, app.config.redirect_uri),
        check_scopes(used),
        check_expiry(used, app.clock()),
        *await _check_account(app, used, account, open_mailbox=open_mailbox),
    ]
    return Verified(kept, account, tuple(steps))


async def _check_authority(app: App, oauth_app: OAuthApp) -> Step:
    try:
        await app.microsoft.setup.discover(oauth_app)
    except EntraFailed as failure:
        return failed_call("authority", failure.failure)
    return passed("authority", f"{oauth_app.cloud.authority}/{oauth_app.tenant}")


async def _check_credentials(app: App, oauth_app: OAuthApp) -> Step:
    """Each credential by itself; the app's breaker learns what one call with all of them would have found."""
    tried = [(one, await _authenticate(app, replace(oauth_app, credentials=(one,)))) for one in oauth_app.credentials]
    faults = [failure for _, failure in tried if failure is not None]
    await app.microsoft.entra.verified(
        oauth_app, next(iter(faults), APP_CREDENTIAL_FAILURE) if len(faults) == len(tried) else None
    )
    return check_client(tried)


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
        raise Conflict("The account is being changed by others; try again") from None


async def _check_grant_and_mailbox(app: App, found: Found, *, open_mailbox: bool) -> list[Step]:
    held = found.account.value
    grant = await app.stores.principals.grant(held.principal_id, held.app)
    renewed = await refresh_on_demand(app, grant) if grant else None
    current = await app.stores.principals.account(held.principal_id, held.id)
    if renewed is None or current is None:
        raise NotFound("No such account")
    if renewed.failure is not None:
        return [failed_call("grant", renewed.failure), skipped("mailbox", "There is no token to open it with.")]
    ok = passed("grant", "Entra renewed it.")
    if not open_mailbox:
        return [ok, skipped("mailbox", "It was not asked for.")]
    seen, _ = await probe_mailbox(app, current, renewed.grant)
    if seen.last_error is None:
        return [ok, passed("mailbox", "It opens.")]
    told = remedy(seen.last_error.code)
    return [ok, failed("mailbox", told.what, told.action)]
