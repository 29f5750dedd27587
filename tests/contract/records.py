"""Records to store, each test with ids of its own."""

import secrets
from datetime import datetime, timedelta

from shared.domain.account import Account, Principal
from shared.domain.grant import DelegatedGrant
from shared.domain.invited_mailbox import InvitedMailbox
from shared.domain.registration import PendingRegistration
from shared.domain.secret import Secret

APP = "AAABiCtT7XUAAAAF"


def principal() -> Principal:
    return Principal(secrets.token_hex(16), secrets.token_hex(16), "alice@contoso.example")


def grant(of: Principal, now: datetime) -> DelegatedGrant:
    return DelegatedGrant(
        principal=of,
        app=APP,
        refresh_token=Secret("refresh-token"),
        access_token=Secret("access-token"),
        access_expires=now + timedelta(hours=1),
        scopes=("https://graph.microsoft.com/Mail.ReadWrite.Shared", "https://graph.microsoft.com/User.Read"),
        refreshed=now,
        bindings="first",
        due=now + timedelta(days=7),
    )


def account(of: Principal, now: datetime, name: str | None = None) -> Account:
    return Account(
        id=name or secrets.token_hex(8),
        name="Support",
        email="support@contoso.example",
        shared=True,
        principal_id=of.id,
        sign_in_name=of.sign_in_name,
        app=APP,
        registration=secrets.token_hex(32),
        created=now,
        bound=now,
    )


def registration(now: datetime) -> PendingRegistration:
    return PendingRegistration(
        id=secrets.token_hex(32),
        mailboxes=(InvitedMailbox(secrets.token_hex(8), "Support@contoso.example"),),
        redirect_url="https://app.example/done?x=1#top",
        app=APP,
        requested_by="administrator",
        created=now,
        expires=now + timedelta(hours=24),
        delegated=True,
    )
