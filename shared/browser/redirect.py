"""The URL that leads back to the caller's page, with the result of the sign-in in its query."""

from collections.abc import Iterable, Mapping
from urllib.parse import urlencode, urlsplit, urlunsplit

from shared.domain.formats import MAX_LINK_BYTES, percent_encoded
from shared.domain.invited_mailbox import MailboxResult, MailboxState
from shared.domain.registration import PendingRegistration

# Browsers, proxies and servers everywhere accept URLs of 2,000 characters.
MAX_ACCOUNTS_QUERY_CHARACTERS = 2000


def results_redirect(registration: PendingRegistration, results: Mapping[str, MailboxResult]) -> str:
    """The URL after mailboxes were tried: with `account` and `state` of one, or the `registration` of several.

    Several also get `accounts` (bound), `waiting` and `refused`, each repeated, if all of them fit. The registration's
    status always has them.
    """
    if registration.only_mailbox is not None:
        account = registration.only_mailbox.account
        return _with_query(registration.redirect_url, [("account", account), ("state", results[account].state)])
    query = [("registration", registration.id), ("state", registration.stage.value)]
    states = {mailbox.account: mailbox.state for mailbox in registration.mailboxes}
    states |= {account: result.state for account, result in results.items()}
    long_query = [*query, *((_parameter(state), account) for account, state in states.items())]
    long_url = _with_query(registration.redirect_url, long_query)
    fits = (
        len(urlencode(long_query)) <= MAX_ACCOUNTS_QUERY_CHARACTERS and len(percent_encoded(long_url)) <= MAX_LINK_BYTES
    )
    return long_url if fits else _with_query(registration.redirect_url, query)


def refusal_redirect(registration: PendingRegistration, code: str, description: str) -> str:
    """The URL after a refusal; `error` and `error_description` are those of RFC 6749 section 4.1.2.1."""
    mailbox = registration.only_mailbox
    subject = ("account", mailbox.account) if mailbox else ("registration", registration.id)
    return _with_query(registration.redirect_url, [subject, ("error", code), ("error_description", description)])


def site_of(url: str) -> str:
    """The host of a URL, by which a person recognizes the site."""
    return urlsplit(url).netloc


def _with_query(url: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Add query parameters to a URL, and keep its own query and fragment."""
    parts = urlsplit(url)
    query = "&".join(filter(None, [parts.query, urlencode(list(parameters))]))
    return urlunsplit(parts._replace(query=query))


def _parameter(state: MailboxState) -> str:
    if state.is_bound:
        return "accounts"
    return "waiting" if state is MailboxState.WAITING_FOR_ACCESS else "refused"
