"""OAuth apps in use: chosen, changed, disabled and deleted."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from infra.local.visitor import Visitor
from shared.api.oauth_apps import last_error
from shared.domain.account import AccountState
from shared.domain.app_check import StepStatus
from shared.domain.errors import NotAuthorized, NotFound
from shared.domain.oauth_app import RegisteredApp
from shared.domain.secret import Secret
from shared.ports import App, RegisteredApps, Stored
from shared.usecases.accounts.change import AccountChange, change_account, remove_account
from shared.usecases.apps.catalogue import (
    CachedOAuthApps,
    change_oauth_app,
    delete_oauth_app,
    read_oauth_app,
    register_oauth_app,
)
from shared.usecases.apps.verify import verify_oauth_app
from shared.usecases.sign_in.complete import complete_sign_in
from shared.usecases.sign_in.link import UnusableLink, begin_sign_in
from shared.usecases.sign_in.outcome import Completed, keep_checking
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.probe import reconnect_account
from tests.conftest import MovedClock, unguarded
from tests.journey.apps import ARCHIVE, CONTOSO, SECRET
from tests.journey.conftest import Tenant
from tests.usecases.conftest import SALES, NewPerson, Register, StartApp, ask, bind, choose_person, end_of, open_page
from tests.usecases.grants import grant_of

# An app registration of its own, so that no grant of the settings' OAuth app fits.
ARCHIVE_CLIENT = {"client_id": ARCHIVE, "client_secret": Secret(SECRET)}


async def renews(app: App, oauth_app: str, account: str) -> bool:
    """Whether a verification of the OAuth app renews the account's grant."""
    steps = {step.id: step for step in (await verify_oauth_app(app, oauth_app, account, open_mailbox=False)).steps}
    return steps["grant"].status is StepStatus.OK


async def test_grant_of_a_deleted_app_is_retried_once_a_day(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock
) -> None:
    fields = {"name": "Contoso archive", "enabled": True, "authority": CONTOSO, **ARCHIVE_CLIENT}
    oauth_app = await register_oauth_app(app, fields, {})
    account = await bind(app, visitor, person(), type=oauth_app)
    await delete_oauth_app(app, oauth_app, force=True)
    clock.forward(hours=2)

    with pytest.raises(NotAuthorized) as refused:
        await hand_out(app, account)

    assert "oauth_app_gone" == refused.value.code
    grant = (await grant_of(app, account)).value
    assert oauth_app == grant.app
    assert grant.due is not None
    assert timedelta(hours=23) < grant.due - clock()


async def test_added_scope_waits_for_the_next_sign_in(
    app: App, visitor: Visitor, person: NewPerson, register: Register
) -> None:
    oauth_app = await register(**ARCHIVE_CLIENT, skip_scopes=("Mail.Send.Shared",))
    account = await bind(app, visitor, person(), type=oauth_app)

    await change_oauth_app(app, oauth_app, {"skip_scopes": ()}, {})

    assert await renews(app, oauth_app, account)
    assert not [scope for scope in (await hand_out(app, account)).scopes if scope.endswith("Mail.Send.Shared")]


async def test_changed_secret_is_used_everywhere_in_30_seconds(
    app: App, new_app: StartApp, visitor: Visitor, person: NewPerson, register: Register, clock: MovedClock
) -> None:
    oauth_app, other = await register(**ARCHIVE_CLIENT), new_app()
    account = await bind(app, visitor, person(), type=oauth_app)
    used = await other.oauth_apps.get(oauth_app)
    assert used is not None

    await change_oauth_app(app, oauth_app, {"client_secret": Secret("not-the-secret")}, {})

    # Nothing is blamed on the account.
    assert AccountState.CONNECTED is (await reconnect_account(app, account)).account.state
    told = last_error((await read_oauth_app(app, oauth_app)).fault)
    assert told is not None
    assert ("app_credential", 7000215) == (told.code, told.aadsts)
    assert "client secret" in told.action
    assert used.credentials == (await other.oauth_apps.get(oauth_app) or used).credentials
    clock.forward(seconds=31)
    assert used.credentials != (await other.oauth_apps.get(oauth_app) or used).credentials

    await change_oauth_app(app, oauth_app, {"client_secret": Secret(SECRET)}, {})

    assert (await read_oauth_app(app, oauth_app)).fault is None
    assert await renews(app, oauth_app, account)


@dataclass
class CountedRows:
    """The rows of OAuth apps. Counts the reads."""

    rows: RegisteredApps
    reads: Counter[str] = field(default_factory=Counter)

    async def get(self, app: str) -> Stored[RegisteredApp] | None:
        self.reads["get"] += 1
        return await self.rows.get(app)

    async def all(self) -> Sequence[RegisteredApp]:
        self.reads["all"] += 1
        return await self.rows.all()


async def test_unknown_app_costs_one_read_and_a_new_one_is_found(
    app: App, register: Register, clock: MovedClock
) -> None:
    rows = CountedRows(app.stores.oauth_apps)
    apps = CachedOAuthApps(rows, app.config.seed, app.config.clouds, clock)  # type: ignore[arg-type] # passes on
    for _ in range(3):
        for unknown in ("unknown-1", "unknown-2"):
            assert None is await apps.get(unknown)
    assert {"all": 1, "get": 2} == rows.reads

    new = await register(**ARCHIVE_CLIENT)

    assert new == getattr(await apps.get(new), "id", None)
    assert new in [each.id for each in await apps.all()]
    assert {"all": 2, "get": 3} == rows.reads
    clock.forward(seconds=31)
    assert None is await apps.get("unknown-1")
    assert {"all": 3, "get": 4} == rows.reads


async def test_clients_of_changed_credentials_do_not_pile_up(
    app: App, new_app: StartApp, tenant: Tenant, register: Register
) -> None:
    assert tenant
    oauth_app, other = await register(**ARCHIVE_CLIENT), new_app()
    for number in range(5):
        wrong = {"client_secret": Secret(f"wrong-{number}"), "client_secret_2": Secret(SECRET)}
        await change_oauth_app(app, oauth_app, wrong, {})
        other.oauth_apps.forget()
        used = await other.oauth_apps.get(oauth_app)
        assert used is not None
        await unguarded(other).authenticate(used)
        assert 2 >= len(unguarded(other).applications._applications[oauth_app])  # noqa: SLF001 - memory shows nowhere else


async def test_choice_of_an_unknown_app_is_refused(app: App, register: Register) -> None:
    disabled = await register(**ARCHIVE_CLIENT)
    page = await open_page(app, await ask(app))
    await change_oauth_app(app, disabled, {"enabled": False}, {})

    for chosen in ("", "AAAAAAAAAAAAAAAA", disabled):
        with pytest.raises(UnusableLink, match="app_unavailable"):
            await begin_sign_in(app, page.registration.id, page.confirmation, page.cookie, chosen)


async def test_carried_grant_remembers_the_chosen_app(
    app: App, visitor: Visitor, person: NewPerson, register: Register
) -> None:
    chosen, link = await register(**ARCHIVE_CLIENT), await ask(app)
    page = await open_page(app, link)
    url = await begin_sign_in(app, link.registration, page.confirmation, page.cookie, chosen)
    picker = await asyncio.to_thread(visitor.open, url.reveal())
    answer = await choose_person(visitor, picker, person(access=False))
    refused = await complete_sign_in(app, answer, page.cookie)
    assert "no_mailbox_access" == end_of(refused)
    assert refused.keep is not None

    waiting = await keep_checking(app, refused.keep, page.cookie)

    assert isinstance(waiting, Completed)
    stored = await app.stores.registrations.get(link.registration)
    assert stored is not None
    partition = await app.stores.principals.partition(str(stored.value.mailboxes[0].principal_id))
    assert [chosen] == [pending.value.app for pending in partition.pending.values()]


async def test_account_moved_to_another_app_can_be_paused_or_removed(
    app: App, tenant: Tenant, visitor: Visitor, person: NewPerson, register: Register
) -> None:
    apps, who = [await register(**ARCHIVE_CLIENT, credential_reuse=True) for _ in range(2)], person()
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    account = await bind(app, visitor, who, type=apps[0])
    await bind(app, visitor, who, type=apps[0], email=SALES)
    assert apps[0] == (await hand_out(app, account)).app

    await bind(app, visitor, who, account=account, type=apps[1])

    assert apps[1] == (await hand_out(app, account)).app
    await change_account(app, account, AccountChange(paused=True), {})
    with pytest.raises(NotAuthorized) as refused:
        await hand_out(app, account)
    assert "account_paused" == refused.value.code
    await remove_account(app, account)
    with pytest.raises(NotFound):
        await hand_out(app, account)
