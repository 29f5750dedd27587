"""Which accounts a body means: `account`, `accounts` or `accountPrefix`."""

from shared.domain.caller import Binding
from shared.triggers.fields import Fields, is_plain

MOST = 50  # accounts of one filter: they are kept in one property of its row


def read_filter(fields: Fields, otherwise: str) -> Binding | None:
    """The accounts, or None for all; `otherwise` says what leaving the field out means.

    Whatever narrows has to say so: an empty value is a fault here, never a filter that lets everything through.
    """
    named = [name for name in ("account", "accounts", "accountPrefix") if name in fields.values]
    accounts = fields.texts("accounts", _is_account, "account ids", MOST)
    for name in ("account", "accountPrefix"):
        if name in fields.values and not fields.text(name):
            fields.fault(name, f"must name accounts; {otherwise}")
    if len(named) > 1:
        fields.fault(named[1], f'cannot be given together with "{named[0]}"')
    one, prefix = fields.text("account"), fields.text("accountPrefix")
    if not named:
        return None
    return Binding.to([*accounts, *([one] if one else [])], [prefix] if prefix else [])


def described(accounts: Binding | None) -> dict[str, object]:
    """The same fields, as they read back."""
    shown = accounts or Binding()
    return {"accounts": list(shown.accounts) or None, "accountPrefix": next(iter(shown.prefixes), None)}


def _is_account(text: str) -> bool:
    return 0 < len(text.strip()) <= 256 and is_plain(text)  # noqa: PLR2004 - as long as the form lets ids be
