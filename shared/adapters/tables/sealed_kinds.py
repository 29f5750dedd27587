"""Which properties of a row are sealed: known by the kind of its record, never by how a value looks.

Anybody may write text that looks sealed, in a name or a description.
"""

from collections.abc import Mapping

from shared.adapters.tables.mapping import shape_of
from shared.domain.grant import DelegatedGrant
from shared.domain.invited_mailbox import PendingAccount
from shared.domain.limit import LimitSalt
from shared.domain.oauth_app import RegisteredApp
from shared.domain.registration import SignInAttempt
from shared.domain.webhook import Webhook

# Every kind of record with a secret in it, by its table and by its row key up to `~`; where row keys are empty, a kind
# shares them with others of its table that have no property of the same name. Nothing else can be written with a
# secret in it (row_secrets), so that a rotation misses none.
SEALED_KINDS: Mapping[str, Mapping[str, type]] = {
    "Principals": {"grant": DelegatedGrant, "pending": PendingAccount},
    "Registrations": {"signin": SignInAttempt},
    "Limits": {"": LimitSalt},
    "OAuthApps": {"": RegisteredApp},
    "Webhooks": {"": Webhook},
}


def sealed_names(table: str, row: str) -> frozenset[str]:
    """The properties that are sealed in a row of that key, when it has them."""
    kind = SEALED_KINDS.get(table, {}).get(row.partition("~")[0])
    return shape_of(kind).sealed if kind else frozenset()
