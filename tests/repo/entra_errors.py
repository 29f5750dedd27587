"""`python -m tests.repo.entra_errors` prints the tables of docs/entra-errors.md."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from shared.domain.account import AccountState, Principal
from shared.domain.app_check import StepStatus, check_client
from shared.domain.entra_errors import (
    ABOUT_ENTRA,
    ABOUT_THE_APP,
    ABOUT_THE_PERSON,
    ERROR_WORDS,
    RULES_BY_AADSTS_NUMBER,
    RULES_BY_SUBERROR,
    classify,
)
from shared.domain.failure import Failure, FailureKind, TokenError
from shared.domain.grant import DelegatedGrant
from shared.domain.oauth_app import BREAKER_OPEN_CODE, ClientSecret, concerns_app
from shared.domain.renewal import REQUIRED_CONFIRMATIONS, grant_after_failure
from shared.domain.secret import Secret
from shared.domain.sign_in_refusal import redemption_refusal

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
GRANT = DelegatedGrant(
    principal=Principal("tenant", "person", "alice@contoso.example"),
    app="app",
    refresh_token=Secret("refresh"),
    access_token=Secret("access"),
    access_expires=NOON,
    scopes=(),
    refreshed=NOON,
    bindings="",
)
SUBJECTS = {ABOUT_THE_PERSON: "the person", ABOUT_THE_APP: "the app", ABOUT_ENTRA: "Entra"}
# An `error` of each subject, with which a number counts.
KIND_WORDS = dict.fromkeys(ABOUT_THE_PERSON, "invalid_grant") | {FailureKind.APP_FAULT: "invalid_client"}
WHO_ACTS = {
    "needs_sign_in": "the person",
    "needs_consent": "the person or an administrator",
    "needs_admin_consent": "an administrator",
    "blocked_by_policy": "an administrator",
    "person_gone": "another person",
    "person_locked": "nobody; if it lasts, an administrator",
    "app_credential": "the operator",
    "app_configuration": "the operator",
    "entra_unavailable": "nobody",
    "cooling_down": "nobody",
    "unknown_failure": "nobody; after two days, the operator",
}
HEADINGS = ("at a refresh", "the account afterwards", "at a sign-in, for the code", "`verify`", "who acts")


def tables() -> Iterator[str]:
    """The lines of the tables: by `error`, by suberror, by number."""
    yield from _head("`error`", "is about")
    for error, word in ERROR_WORDS.items():
        yield _row(f"`{error}`", SUBJECTS[word.kinds], *_cells(classify(TokenError(400, error))))
    yield _row("any other", "unknown", *_cells(classify(TokenError(400, "other"))))
    yield _row("HTTP 408, 429, 5xx", SUBJECTS[ABOUT_ENTRA], *_cells(classify(TokenError(503))))
    yield ""
    yield from _head("suberror", "counts if `error` is about")
    for suberror, rule in sorted(RULES_BY_SUBERROR.items()):
        answer = TokenError(400, KIND_WORDS[rule.kind], suberror)
        yield _row(f"`{suberror}`", _counts_under(rule.kind), *_cells(classify(answer)))
    yield ""
    yield from _head("AADSTS", "counts if `error` is about")
    for number, rule in sorted(RULES_BY_AADSTS_NUMBER.items()):
        answer = TokenError(400, KIND_WORDS[rule.kind], aadsts_numbers=(number,))
        yield _row(str(number), _counts_under(rule.kind), *_cells(classify(answer)))


def _head(*columns: str) -> Sequence[str]:
    return [_row(*columns, *HEADINGS), "|" + "---|" * (len(columns) + len(HEADINGS))]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _counts_under(kind: FailureKind) -> str:
    subjects = [subject for kinds, subject in SUBJECTS.items() if kind in kinds]
    return subjects[0] if len(subjects) == 1 else "anything"


def _cells(failure: Failure) -> tuple[str, ...]:
    credential = ClientSecret(Secret("secret"))
    passes = check_client([(credential, failure)]).status is StepStatus.OK
    return (
        f"`{failure.code}`",
        _account_after(failure),
        f"`{redemption_refusal(failure)}`",
        "passes" if passes else "fails",
        WHO_ACTS[failure.code],
    )


def _account_after(failure: Failure) -> str:
    """What a grant's accounts are after such answers, and when Entra is called again."""
    once = grant_after_failure(GRANT, failure, NOON, 0)
    if not failure.confirmed:
        return f"unchanged; after {REQUIRED_CONFIRMATIONS} such answers `{AccountState.AUTHENTICATION_ERROR}`"
    if once.state is AccountState.CONNECTED:
        later = grant_after_failure(once, failure, NOON + timedelta(days=3), 0)
        if later.state is not once.state:
            return f"unchanged; after two days `{later.state}`"
        return f"unchanged{_app_after(failure)}"
    if once.due is None:
        return f"`{once.state}`"
    return f"`{once.state}`, tried again {'daily' if once.due - NOON >= timedelta(days=1) else 'hourly'}"


def _app_after(failure: Failure) -> str:
    if failure.code == BREAKER_OPEN_CODE:
        return "; the circuit breaker opens"
    return "; the app is shown as refused" if concerns_app(failure.code, failure.aadsts) else ""


if __name__ == "__main__":
    print(*tables(), sep="\n")
