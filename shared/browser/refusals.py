"""The status of a page about each failure, and the failures where another account helps."""

from http import HTTPStatus

from shared.domain.failure import NO_ACCESS

# Any other code is answered with 403.
STATUSES = {
    "link_unknown": HTTPStatus.NOT_FOUND,
    "link_expired": HTTPStatus.GONE,
    "link_used": HTTPStatus.GONE,
    "link_replaced": HTTPStatus.GONE,
    "link_withdrawn": HTTPStatus.GONE,
    "link_cancelled": HTTPStatus.GONE,
    "account_removed": HTTPStatus.GONE,
    "app_unavailable": HTTPStatus.GONE,
    "browser_mismatch": HTTPStatus.BAD_REQUEST,
    "sign_in_unknown": HTTPStatus.BAD_REQUEST,
    "sign_in_in_progress": HTTPStatus.ACCEPTED,
    "account_busy": HTTPStatus.CONFLICT,
    "account_id_in_use": HTTPStatus.CONFLICT,
    "other_kind": HTTPStatus.CONFLICT,
    "other_mailbox": HTTPStatus.CONFLICT,
    "other_app": HTTPStatus.CONFLICT,
    "entra_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "entra_setup": HTTPStatus.SERVICE_UNAVAILABLE,
    "storage_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "storage_setup": HTTPStatus.SERVICE_UNAVAILABLE,
    "key_vault_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "key_vault_setup": HTTPStatus.SERVICE_UNAVAILABLE,
    "key_vault_refused": HTTPStatus.SERVICE_UNAVAILABLE,
    "TooManyRequests": HTTPStatus.TOO_MANY_REQUESTS,
}
OTHER_ACCOUNT_HELPS = {
    NO_ACCESS,
    "principal_in_use",
    "wrong_principal",
    "unexpected_person",
    "email_mismatch",
    "own_mailbox",
    "wrong_account",
    "person_locked",
    "blocked_by_policy",
}
