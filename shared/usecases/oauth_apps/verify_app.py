"""Verify an OAuth app: walk through its configuration step by step, and say what to fix."""

from collections.abc import Mapping
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
from shared.domain.clouds import Cloud
from shared.domain.errors import Conflict, NotFound, StaleWrite
from shared.domain.failure import APP_CREDENTIAL_FAILURE, Failure
from shared.domain.oauth_app import OAuthApp, RegisteredApp
from shared.domain.remedy import remedy
from shared.ports import Clock, EntraFailed, EntraSetup, Principals, RegisteredApps
from shared.usecases import use_case
from shared.usecases.grants.find_account import FindAccount, Found
from shared.usecases.grants.probe_mailboxes import ProbeMailboxes
from shared.usecases.grants.refresh_on_demand import RefreshOnDemand
from shared.usecases.oauth_apps.guarded_entra import GuardedEntra


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


@use_case
class VerifyApp:
    """Changes nothing but what is known of the app's faults, and the tokens of the account that is tried."""

    rows: RegisteredApps
    seed: RegisteredApp
    clouds: Mapping[str, Cloud]
    redirect_uri: str
    setup: EntraSetup
    entra: GuardedEntra
    principals: Principals
    find: FindAccount
    refresh: RefreshOnDemand
    probe: ProbeMailboxes
    clock: Clock

    async def __call__(self, app: str, account: str | None, *, open_mailbox: bool) -> Verified:
        """Every step is tried, whatever came of others. Raises NotFound and Conflict.

        Raises TooManyRequests when the grant of the account was asked about too often just now.
        """
        stored = await self.rows.get(app)
        if stored is None and app != self.seed.id:
            raise NotFound("No such OAuth app")
        kept = stored.value if stored else self.seed
        used = kept.to_oauth_app(self.clouds)
        steps = [
            await self._authority(used),
            await self._client(used),
            check_redirect(kept.redirect_url, self.redirect_uri),
            check_scopes(used),
            check_expiry(used, self.clock()),
            *await self._account(used, account, open_mailbox=open_mailbox),
        ]
        return Verified(kept, account, tuple(steps))

    async def _authority(self, app: OAuthApp) -> Step:
        try:
            await self.setup.discover(app)
        except EntraFailed as failure:
            return failed_call("authority", failure.failure)
        return passed("authority", f"{app.cloud.authority}/{app.tenant}")

    async def _client(self, app: OAuthApp) -> Step:
        """Each credential by itself; the app's breaker learns what one call with all of them would have found."""
        tried = [(one, await self._try(replace(app, credentials=(one,)))) for one in app.credentials]
        faults = [failure for _, failure in tried if failure is not None]
        await self.entra.verified(
            app, next(iter(faults), APP_CREDENTIAL_FAILURE) if len(faults) == len(tried) else None
        )
        return check_client(tried)

    async def _try(self, app: OAuthApp) -> Failure | None:
        try:
            await self.setup.authenticate(app)
        except EntraFailed as failure:
            return failure.failure
        return None

    async def _account(self, app: OAuthApp, account: str | None, *, open_mailbox: bool) -> list[Step]:
        if account is None:
            return [skipped(step, "No account was named.") for step in ("grant", "mailbox")]
        found = await self.find(account)
        if found is None or found.account.value.app != app.id:
            reason = "There is no such account of this OAuth app."
            return [failed("grant", reason, "Name an account that this app authorizes."), skipped("mailbox", reason)]
        try:
            return await self._renew(found, open_mailbox=open_mailbox)
        except StaleWrite:
            raise Conflict("The account is being changed by others; try again") from None

    async def _renew(self, found: Found, *, open_mailbox: bool) -> list[Step]:
        held = found.account.value
        grant = await self.principals.grant(held.principal_id, held.app)
        renewed = await self.refresh(grant) if grant else None
        current = await self.principals.account(held.principal_id, held.id)
        if renewed is None or current is None:
            raise NotFound("No such account")
        if renewed.failure is not None:
            return [failed_call("grant", renewed.failure), skipped("mailbox", "There is no token to open it with.")]
        ok = passed("grant", "Entra renewed it.")
        if not open_mailbox:
            return [ok, skipped("mailbox", "It was not asked for.")]
        seen, _ = await self.probe.one(current, renewed.grant)
        if seen.last_error is None:
            return [ok, passed("mailbox", "It opens.")]
        told = remedy(seen.last_error.code)
        return [ok, failed("mailbox", told.what, told.action)]
