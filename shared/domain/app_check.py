"""Checks of an OAuth app's configuration: what each step found, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.failure import Failure, FailureKind
from shared.domain.oauth_app import (
    ClientCertificate,
    ClientCredential,
    FederatedIdentity,
    OAuthApp,
    covers_shared_mailboxes,
)
from shared.domain.remedy import remedy

EXPIRY_WARNING_PERIOD = timedelta(days=30)
RENEW_HINT = "Make a new one at Entra and PUT it with its end. A second secret may stand beside it: clientSecret2."
NO_FEDERATED_CREDENTIAL_HINT = (
    "No federated credential of the app fits. Add one of the kind Managed identity; its subject is the identity's"
    " object (principal) id."
)
# What an operator does about a refusal of the app itself (Entra: reference-error-codes, workload identity federation).
HINTS_BY_AADSTS_NUMBER = {
    7000215: "The secret is wrong. Copy the value of the client secret, not its id, and PUT it as clientSecret.",
    7000222: "The secret has ended. Make a new one under Certificates & secrets, and PUT it as clientSecret.",
    700027: "The certificate is not registered with the app, or it has ended. Upload it under Certificates & secrets.",
    700213: NO_FEDERATED_CREDENTIAL_HINT,
    70021: NO_FEDERATED_CREDENTIAL_HINT,
    700016: "The tenant has no app of this clientId. Check clientId and authority, and that the app is in this cloud.",
    7000112: "The app is disabled in Entra. Enable it there.",
    90002: "There is no such tenant in this cloud. Check authority and cloud.",
}


class StepStatus(StrEnum):
    """How a step went, in EmailEngine's words."""

    OK = "ok"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Step:
    """One step; `hint` says what to do, None when nothing is to be done."""

    id: str
    label: str
    status: StepStatus
    message: str
    hint: str | None = None


STEP_LABELS = {
    "authority": "The authority answers",
    "client": "The app proves itself to Entra",
    "redirect": "The redirect URI is Mailbind's",
    "scopes": "The scopes open shared mailboxes",
    "secret": "The credential does not end soon",
    "grant": "The account's grant is renewed",
    "mailbox": "The account's mailbox opens",
}


def passed(step: str, message: str, hint: str | None = None) -> Step:
    """A step that went well."""
    return Step(step, STEP_LABELS[step], StepStatus.OK, message, hint)


def failed(step: str, message: str, hint: str) -> Step:
    """A step that went wrong, and what to do."""
    return Step(step, STEP_LABELS[step], StepStatus.FAIL, message, hint)


def skipped(step: str, message: str) -> Step:
    """A step that could not be done, or had no need to."""
    return Step(step, STEP_LABELS[step], StepStatus.SKIP, message)


def failed_call(step: str, failure: Failure) -> Step:
    """A step at which Microsoft said no, or nothing."""
    told = remedy(failure.code)
    number = f" (AADSTS{failure.aadsts})" if failure.aadsts else ""
    return failed(step, f"{told.what}{number}", HINTS_BY_AADSTS_NUMBER.get(failure.aadsts or 0, told.action))


def check_client(tried: Sequence[tuple[ClientCredential, Failure | None]]) -> Step:
    """Which credentials Entra accepts. One is enough; a policy that blocks comes after it was accepted."""
    if not tried:
        return failed("client", "It has no credential that could be read.", RENEW_HINT)
    bad = [(number, failure) for number, (_, failure) in enumerate(tried, 1) if failure and _about_client(failure)]
    if len(bad) == len(tried):
        return failed_call("client", bad[0][1])
    if not bad:
        return passed("client", f"Entra accepts the {_kind(tried[0][0])}.")
    number, failure = bad[0]
    return passed(
        "client",
        f"Entra accepts one of {len(tried)} secrets and refuses the other.",
        f"Replace or remove secret {number}: {failed_call('client', failure).hint}",
    )


def check_redirect(redirect_url: str | None, ours: str) -> Step:
    """Whether what was registered at Entra is where people come back to."""
    if redirect_url in {None, ours}:
        return passed("redirect", f"Entra has to have it, exactly so, as a redirect URI of the platform Web: {ours}")
    return failed("redirect", f"It is not {ours}.", "Register that at Entra, of the platform Web, and PUT redirectUrl.")


def check_scopes(app: OAuthApp) -> Step:
    """Whether they cover mailboxes that are shared with the person."""
    if covers_shared_mailboxes(app.scopes):
        return passed("scopes", " ".join(app.scopes))
    return failed(
        "scopes",
        "None of the scopes opens a mailbox that is shared with a person.",
        "Add Mail.ReadWrite.Shared or IMAP.AccessAsUser.All to extraScopes, or take it out of skipScopes.",
    )


def check_expiry(app: OAuthApp, now: datetime) -> Step:
    """Whether the credential ends within 30 days, as far as anybody has told."""
    if any(isinstance(credential, FederatedIdentity) for credential in app.credentials):
        return passed("secret", "A managed identity keeps nothing that ends.")
    if app.secret_expires is None:
        return skipped("secret", "Nobody has said when it ends: PUT secretExpires, and Mailbind warns ahead of it.")
    day = app.secret_expires.date().isoformat()
    if app.secret_expires <= now:
        return failed("secret", f"It ended on {day}.", RENEW_HINT)
    if app.secret_expires - now < EXPIRY_WARNING_PERIOD:
        return failed("secret", f"It ends on {day}.", RENEW_HINT)
    return passed("secret", f"It ends on {day}.")


def _about_client(failure: Failure) -> bool:
    return failure.kind in {FailureKind.APP_FAULT, FailureKind.TRANSIENT}


def _kind(credential: ClientCredential) -> str:
    match credential:
        case ClientCertificate():
            return "certificate"
        case FederatedIdentity():
            return "managed identity"
        case _:
            return "client secret"
