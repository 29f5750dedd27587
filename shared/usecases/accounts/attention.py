"""Log which accounts need a person, for the alert and the workbook.

A line is written when an account begins to need a person, or for another reason, and when it no longer does. The daily
sweep repeats the lines of those that still do. So the newest line of each account of the last two days says how it is.
"""

import logging

from shared.domain.account import Account
from shared.domain.formats import format_timestamp

log = logging.getLogger(__name__)


def log_account_change(before: Account | None, after: Account | None) -> None:
    """Log that the account needs a person from now on, or no longer."""
    if after is not None and after.last_error is not None:
        if before is None or before.last_error != after.last_error:
            log_attention(after)
    elif before is not None and before.last_error is not None:
        log.info("account recovered", extra={"account": before.id})


def log_attention(account: Account) -> None:
    """Log an account with an error. It does not hand out tokens until somebody acts."""
    error = account.last_error
    if error is not None:
        fields = {"account": account.id, "code": error.code, "since": format_timestamp(error.since)}
        log.warning("account needs attention", extra={**fields, "state": account.state})
