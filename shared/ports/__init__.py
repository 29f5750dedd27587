"""What use cases need from outside, as Protocols, and `App`, which holds one of each.

    app          `App`, in groups: config, stores, sealing, Microsoft, callers, caches; clock and randomness.
    storage      `Rows` with conditional writes, `update` and `retry_on_conflict`; the directory, registrations, agenda.
    principals   grants, accounts and events of one principal, which are written in one transaction.
    mailboxes    the index of mailboxes: which accounts bind an address.
    events       outboxes, webhooks, deliveries and their targets.
    sealing      sealing of secrets at rest, and the keys for it.
    microsoft    Entra, and the probes of mailboxes.
    mail         calls to the mail of Graph, for confined access.
    state        caches and other state of one process.

A write raises StaleWrite when the row changed since it was read. `update` and `retry_on_conflict` read again and retry,
up to MAX_WRITE_ATTEMPTS times; then they raise Conflict.
"""

from shared.ports.app import (
    App,
    AuditLog,
    Callers,
    Clock,
    Config,
    Entropy,
    Jitter,
    Microsoft,
    Sealing,
    Stores,
    Timeouts,
)
from shared.ports.events import Answer, Deliveries, Outboxes, TargetRefused, Targets, UnknownTarget, Webhooks
from shared.ports.mail import AnswerLost, AnswerTooLarge, CallNotSent, GraphAnswer, GraphCall, GraphMail
from shared.ports.mailboxes import Mailboxes
from shared.ports.microsoft import (
    Entra,
    EntraCallers,
    EntraFailed,
    EntraSetup,
    MailboxProbe,
    MailboxProbes,
    MailboxRefused,
    MailboxUnavailable,
    Person,
    SignedIn,
    SignInEntra,
    SignInInvalid,
    SignInRefused,
)
from shared.ports.principals import Change, Insert, Partition, Principals, Record, Remove, Replace, put_change
from shared.ports.sealing import DataKeyRing, DataKeys, KeyWrapping, SealedRow, SealedRows, Sealer
from shared.ports.state import CachedAccount, Caches, Health, MailboxTurns, OAuthApps, UnstoredAnswer
from shared.ports.storage import (
    MAX_WRITE_ATTEMPTS,
    Agenda,
    ApiTokens,
    Buckets,
    Claim,
    Directory,
    DirectoryEntry,
    RegisteredApps,
    Registrations,
    Rows,
    ShardQueue,
    Stored,
    retry_on_conflict,
    retry_with_stored,
)

__all__ = [
    "MAX_WRITE_ATTEMPTS",
    "Agenda",
    "Answer",
    "AnswerLost",
    "AnswerTooLarge",
    "ApiTokens",
    "App",
    "AuditLog",
    "Buckets",
    "CachedAccount",
    "Caches",
    "CallNotSent",
    "Callers",
    "Change",
    "Claim",
    "Clock",
    "Config",
    "DataKeyRing",
    "DataKeys",
    "Deliveries",
    "Directory",
    "DirectoryEntry",
    "Entra",
    "EntraCallers",
    "EntraFailed",
    "EntraSetup",
    "Entropy",
    "GraphAnswer",
    "GraphCall",
    "GraphMail",
    "Health",
    "Insert",
    "Jitter",
    "KeyWrapping",
    "MailboxProbe",
    "MailboxProbes",
    "MailboxRefused",
    "MailboxTurns",
    "MailboxUnavailable",
    "Mailboxes",
    "Microsoft",
    "OAuthApps",
    "Outboxes",
    "Partition",
    "Person",
    "Principals",
    "Record",
    "RegisteredApps",
    "Registrations",
    "Remove",
    "Replace",
    "Rows",
    "SealedRow",
    "SealedRows",
    "Sealer",
    "Sealing",
    "ShardQueue",
    "SignInEntra",
    "SignInInvalid",
    "SignInRefused",
    "SignedIn",
    "Stored",
    "Stores",
    "TargetRefused",
    "Targets",
    "Timeouts",
    "UnknownTarget",
    "UnstoredAnswer",
    "Webhooks",
    "put_change",
    "retry_on_conflict",
    "retry_with_stored",
]
