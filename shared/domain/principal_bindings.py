"""What makes two bindings of one principal meet."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PrincipalBindings:
    """One row for each principal that authorizes an account, whichever OAuth apps that is through.

    Every transaction that binds an account to the principal, or takes one away, writes this row over the version that
    it read. So of two that are decided at once on what was there before, one fails and decides again: the rule "one
    principal, one account" cannot be passed through two OAuth apps. A partition from before there was this row gets it
    with its next binding. It is deleted with the last account.
    """

    principal_id: str
    changed: datetime
