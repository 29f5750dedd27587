"""Which accounts a body means: `account`, `accounts` or `accountPrefix`."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import NOT_BLANK, PLAIN
from shared.domain.caller import Binding
from shared.http.decoding import Body, Faults

MAX_ACCOUNTS = 50  # they are kept in one property of their row
# Whatever narrows has to say so: an empty value is a fault, never a filter that lets everything through.
RULES = {"empty": "must name accounts; leave it out to mean all accounts", "items": "account ids"}

OneAccount = Annotated[
    str, Meta(description="One account.", examples=["shared"], max_length=256, pattern=NOT_BLANK, extra=RULES)
]
# Filters may name ids that no account can have; they read back as they were given.
AccountIds = Annotated[
    list[Annotated[str, Meta(description="The id of an account.", examples=["shared"], max_length=256, pattern=PLAIN)]],
    Meta(description="Several accounts."),
]


class AccountFilter(Body, kw_only=True):
    """One account, several accounts, or every account whose id has a prefix."""

    account: OneAccount | UnsetType = UNSET
    accounts: (
        Annotated[
            list[OneAccount],
            Meta(
                description="Several accounts.",
                min_length=1,
                max_length=MAX_ACCOUNTS,
                examples=[["shared"]],
                extra=RULES,
            ),
        ]
        | UnsetType
    ) = UNSET
    account_prefix: (
        Annotated[
            str,
            Meta(
                description="Every account whose id begins with it.",
                examples=["tenant1-"],
                max_length=256,
                pattern=NOT_BLANK,
                extra=RULES,
            ),
        ]
        | UnsetType
    ) = UNSET


def binding_of(body: AccountFilter, faults: Faults) -> Binding | None:
    """The accounts, or None for all."""
    values = {"account": body.account, "accounts": body.accounts, "accountPrefix": body.account_prefix}
    given = [name for name, value in values.items() if value is not UNSET]
    if len(given) > 1:
        faults.add(given[1], f'cannot be given together with "{given[0]}"')
    if not given:
        return None
    return Binding.to(
        [*(body.accounts or ()), *([body.account] if body.account else [])],
        [body.account_prefix] if body.account_prefix else [],
    )


def filter_fields(accounts: Binding | None) -> dict[str, Any]:
    """The same fields, as they read back."""
    shown = accounts or Binding()
    return {"accounts": list(shown.accounts) or None, "account_prefix": next(iter(shown.prefixes), None)}
