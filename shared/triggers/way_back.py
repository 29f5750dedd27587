"""The way back to the page of whoever asked for the link, with what came of it."""

from collections.abc import Iterable, Mapping
from urllib.parse import urlencode, urlsplit, urlunsplit

from shared.domain.formats import MAX_LINK_BYTES, percent_encoded
from shared.domain.invited_mailbox import MailboxResult, MailboxState
from shared.domain.registration import PendingRegistration

# Browsers, proxies and servers take URLs of 2,000 characters everywhere; a list of accounts stays below that.
LONGEST_LIST = 2000


def with_query(url: str, parameters: Iterable[tuple[str, str]]) -> str:
    """A URL with more query parameters; its own query and fragment stay."""
    parts = urlsplit(url)
    query = "&".join(filter(None, [parts.query, urlencode(list(parameters))]))
    return urlunsplit(parts._replace(query=query))


def host(url: str) -> str:
    """What a person knows a site by."""
    return urlsplit(url).netloc


def back_tried(asked: PendingRegistration, results: Mapping[str, MailboxResult]) -> str:
    """Back with what became of the mailboxes: of one its `account` and `state`, of several the `registration`.

    Several add whose `accounts` are bound and whose are `refused` or `waiting`, each repeated, where all of them fit;
    the registration's status always says it.
    """
    if asked.only_mailbox is not None:
        state = results[asked.only_mailbox.account].state
        return with_query(asked.redirect_url, [("account", asked.only_mailbox.account), ("state", state)])
    query = [("registration", asked.id), ("state", asked.stage.value)]
    states = {mailbox.account: mailbox.state for mailbox in asked.mailboxes}
    states |= {account: result.state for account, result in results.items()}
    named = [*query, *((_name(state), account) for account, state in states.items())]
    back = with_query(asked.redirect_url, named)
    is_short = len(urlencode(named)) <= LONGEST_LIST and len(percent_encoded(back)) <= MAX_LINK_BYTES
    return back if is_short else with_query(asked.redirect_url, query)


def back_refused(asked: PendingRegistration, code: str, description: str) -> str:
    """Back with what went wrong (`error` and `error_description` are those of RFC 6749 section 4.1.2.1)."""
    which = ("account", asked.only_mailbox.account) if asked.only_mailbox else ("registration", asked.id)
    return with_query(asked.redirect_url, [which, ("error", code), ("error_description", description)])


def _name(state: MailboxState) -> str:
    if state.is_bound:
        return "accounts"
    return "waiting" if state is MailboxState.WAITING_FOR_ACCESS else "refused"
