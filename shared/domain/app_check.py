"""The steps that verify an OAuth app's configuration: the result of each one, and what to do about it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from shared.domain.failure import Failure, FailureKind
from shared.domain.oauth_app import (
    ClientCertificate,
    ClientCredential,
    FederatedIdentity,
    OAuthApp,
    covers_shared_mailboxes,
)
from shared.domain.remedy import Reader, remedy

EXPIRY_WARNING_PERIOD = timedelta(days=30)
RENEW_HINT = (
    "Create a new one in Entra, and store it in Mailbind with its expiry. Two secrets can be stored at the same time."
)
NO_FEDERATED_CREDENTIAL_HINT = (
    "The app has no matching federated credential. Add one of the kind Managed identity; its subject is the identity's"
    " object (principal) id."
)
# What an operator does when Entra refuses the app itself (Entra: reference-error-codes, workload identity federation).
HINTS_BY_AADSTS_NUMBER = {
    7000215: "The secret is wrong. Copy the value of the client secret, not its id, and store it in Mailbind.",
    7000222: "The secret has expired. Create a new one under Certificates & secrets, and store it in Mailbind.",
    700027: "The certificate is not registered with the app, or has expired. Upload it under Certificates & secrets.",
    700211: NO_FEDERATED_CREDENTIAL_HINT,
    700212: NO_FEDERATED_CREDENTIAL_HINT,
    700213: NO_FEDERATED_CREDENTIAL_HINT,
    70021: NO_FEDERATED_CREDENTIAL_HINT,
    700016: "The tenant has no app with this client id. Check the client id, the authority and the cloud.",
    7000112: "The app is disabled in Entra. Enable it there.",
    90002: "There is no such tenant in this cloud. Check authority and cloud.",
}


class StepStatus(StrEnum):
    """The result of a step, in EmailEngine's words."""

    OK = "ok"
    FAIL = "fail"
    SKIP = "skip"


class Step(NamedTuple):
    """One step; `hint` says what to do, or is None."""

    id: str
    label: str
    status: StepStatus
    message: str
    hint: str | None = None


STEP_LABELS = {
    "authority": "The authority answers",
    "client": "Entra accepts the app's credential",
    "redirect": "The redirect URI is Mailbind's",
    "scopes": "The scopes include shared mailboxes",
    "secret": "The credential does not expire soon",
    "grant": "The account's grant can be refreshed",
    "mailbox": "The account's mailbox opens",
    "settings": "The configuration is stored",
}


def passed(step: str, message: str, hint: str | None = None) -> Step:
    """A step that succeeded."""
    return Step(step, STEP_LABELS[step], StepStatus.OK, message, hint)


def failed(step: str, message: str, hint: str) -> Step:
    """A step that failed, and what to do."""
    return Step(step, STEP_LABELS[step], StepStatus.FAIL, message, hint)


def skipped(step: str, message: str) -> Step:
    """A step that was impossible or unnecessary."""
    return Step(step, STEP_LABELS[step], StepStatus.SKIP, message)


def failed_call(step: str, failure: Failure) -> Step:
    """A step in which Microsoft refused a call or did not answer."""
    known = remedy(failure.code, Reader.OPERATOR)
    number = f" (AADSTS{failure.aadsts})" if failure.aadsts else ""
    return failed(step, f"{known.what}{number}", fault_action(failure.code, failure.aadsts))


def fault_action(code: str, aadsts: int | None) -> str:
    """What an operator does about an OAuth app that Microsoft refuses."""
    return HINTS_BY_AADSTS_NUMBER.get(aadsts or 0, remedy(code, Reader.OPERATOR).action)


def check_client(attempts: Sequence[tuple[ClientCredential, Failure | None]]) -> Step:
    """Check which credentials Entra accepts; one is enough. A policy that blocks applies only after that."""
    if not attempts:
        return failed("client", "The app has no readable credential.", RENEW_HINT)
    rejected = [
        (number, failure) for number, (_, failure) in enumerate(attempts, 1) if failure and _about_client(failure)
    ]
    if len(rejected) == len(attempts):
        return failed_call("client", rejected[0][1])
    if not rejected:
        return passed("client", f"Entra accepts the {_kind(attempts[0][0])}.")
    number, failure = rejected[0]
    return passed(
        "client",
        f"Entra accepts one of {len(attempts)} secrets and refuses the other.",
        f"Replace or remove secret {number}: {failed_call('client', failure).hint}",
    )


def check_redirect(redirect_url: str | None, ours: str) -> Step:
    """Check that the redirect URI registered at Entra is Mailbind's own."""
    if redirect_url in {None, ours}:
        return passed("redirect", f"Register exactly this in Entra, as a redirect URI of the platform Web: {ours}")
    return failed(
        "redirect", f"It is not {ours}.", "Register that in Entra under the platform Web, and correct it in Mailbind."
    )


def check_scopes(app: OAuthApp) -> Step:
    """Check that the scopes include shared mailboxes."""
    if covers_shared_mailboxes(app.scopes):
        return passed("scopes", " ".join(app.scopes))
    return failed(
        "scopes",
        "None of the scopes includes shared mailboxes.",
        "Add Mail.ReadWrite.Shared or IMAP.AccessAsUser.All to the extra scopes, or remove it from the skipped ones.",
    )


def check_expiry(app: OAuthApp, now: datetime) -> Step:
    """Check whether the credential expires within 30 days, if its expiry is known."""
    if any(isinstance(credential, FederatedIdentity) for credential in app.credentials):
        return passed("secret", "A managed identity has no secret that expires.")
    if app.secret_expires is None:
        return skipped("secret", "The expiry is not known. Store it, and Mailbind sends a warning before it.")
    day = app.secret_expires.date().isoformat()
    if app.secret_expires <= now:
        return failed("secret", f"It expired on {day}.", RENEW_HINT)
    if app.secret_expires - now < EXPIRY_WARNING_PERIOD:
        return failed("secret", f"It expires on {day}.", RENEW_HINT)
    return passed("secret", f"It expires on {day}.")


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
