"""The five kinds of failure."""

from enum import StrEnum


class FailureKind(StrEnum):
    """Whom a failure asks something of: nobody, the person, their administrator, or the operator of the OAuth app."""

    TRANSIENT = "transient"
    NEEDS_SIGN_IN = "needsSignIn"
    NEEDS_CONSENT = "needsConsent"
    BLOCKED = "blocked"
    APP_FAULT = "appFault"
