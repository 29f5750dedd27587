"""Who may call what on which mailbox, and how many at a time."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from infra.local.tenant.bearer import Caller
from infra.local.tenant.entities import Mailbox
from infra.local.tenant.failures import Refusal
from infra.local.tenant.mail.call import SCOPES, Level
from infra.local.tenant.tenant import Tenant

ALL_SCOPES = {scope for scopes in SCOPES.values() for scope in scopes}
# "evaluated for each app ID and mailbox combination": https://learn.microsoft.com/graph/throttling-limits
MAX_CONCURRENT_REQUESTS = 4


class MailboxConcurrency:
    """Counts the requests that run, by app and mailbox."""

    def __init__(self) -> None:
        self._running: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def one_more(self, app_id: str, mailbox: str) -> Iterator[None]:
        """Count a request while it runs. Raises the Refusal ApplicationThrottled if it is one too many."""
        key = (app_id, mailbox)
        if self._running[key] >= MAX_CONCURRENT_REQUESTS:
            raise Refusal("ApplicationThrottled")
        self._running[key] += 1
        try:
            yield
        finally:
            self._running[key] -= 1


def find_mailbox(tenant: Tenant, caller: Caller, key: str | None) -> Mailbox | None:
    """The mailbox of a path: the caller's own for None."""
    return tenant.directory.mailbox(key, caller.person.tenant_id) if key else caller.person


def open_mailbox(tenant: Tenant, caller: Caller, key: str | None, level: Level) -> Mailbox:
    """The mailbox, if the caller may call an operation of this level on it. Raises Refusals."""
    caller.require_any(ALL_SCOPES, refusal="Authorization_RequestDenied")
    mailbox = find_mailbox(tenant, caller, key)
    if mailbox is None:
        raise Refusal("ErrorInvalidUser", mailbox=key or "")
    scopes = SCOPES[level]
    if mailbox.oid != caller.person.oid:
        # Full Access is not enough. https://learn.microsoft.com/graph/outlook-share-messages-folders
        scopes = frozenset(scope for scope in scopes if scope.endswith(".Shared"))
    caller.require_any(scopes, refusal="ErrorAccessDenied")
    if mailbox.hosting != "exchangeOnline":
        is_group = mailbox.hosting == "group"
        raise Refusal("ErrorGroupIsUsedInNonGroupURI" if is_group else "MailboxNotEnabledForRESTAPI")
    if not tenant.directory.can_open(caller.person, mailbox):
        raise Refusal("ErrorAccessDenied")
    return mailbox
