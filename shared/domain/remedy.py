"""What happened and what to do, for each code that an account, a registration or an event can carry.

shared.browser.remedies has the failures that only a page reports.
"""

from typing import NamedTuple

from shared.domain.account import MAILBOX_REPLACED
from shared.domain.failure import GRAPH_UNAVAILABLE, NO_ACCESS


class Remedy(NamedTuple):
    """A title, what happened and why, and the action that repairs it. Plain sentences, no personal data."""

    title: str
    what: str
    action: str


REMEDIES = {
    NO_ACCESS: Remedy(
        "You do not have access yet",
        "You signed in, but Microsoft 365 did not let your account open the mailbox. Either it has no Full Access, or"
        " it was given so recently that Exchange has not applied it yet, which can take an hour. If the mailbox"
        " is opened by IMAP, IMAP may also be turned off.",
        "Ask an administrator for Full Access to the mailbox, keep checking if you were just given it, or sign in with"
        " an account that has it.",
    ),
    MAILBOX_REPLACED: Remedy(
        "This address now belongs to another mailbox",
        "An administrator gave the address to another mailbox than the one that was connected, or created the mailbox"
        " again. No access token is handed out for this account.",
        "If you want the new mailbox, ask for a link that allows the change: POST /v1/authentication/form with"
        ' "changeMailbox". Otherwise ask an administrator to restore the address: the account recovers within a day.',
    ),
    "same_mailbox": Remedy(
        "This mailbox is already connected under another address",
        "Two addresses in this link lead to the same mailbox. It was connected under the other one.",
        "Nothing to do. If you want another mailbox, ask the sender of the link to check the address.",
    ),
    "missing_scope": Remedy(
        "A permission is missing",
        "The sign-in did not include the permission to open shared mailboxes.",
        "Ask an administrator to add Mail.ReadWrite.Shared (or IMAP.AccessAsUser.All, where mailboxes are opened by"
        " IMAP) to the app and to consent to it, then sign in again.",
    ),
    "principal_in_use": Remedy(
        "This account already authorizes another mailbox",
        "Each person may authorize one mailbox here, and the account that you signed in with already does.",
        "Sign in with another account that may open the mailbox, or have the other mailbox removed first.",
    ),
    "wrong_principal": Remedy(
        "Another person authorizes this mailbox",
        "The mailbox is bound to another person's sign-in, and this link does not allow changing that.",
        "Sign in as that person, or ask for a link that allows the change.",
    ),
    "unexpected_person": Remedy(
        "This link is for another person",
        "The account that you signed in with is not the one that was invited.",
        "Sign in with the account that the invitation names.",
    ),
    "email_mismatch": Remedy(
        "That is not your own mailbox",
        "The link is for the mailbox of the person who signs in, but names another address.",
        "Sign in as the owner of that address, or ask for a link for a shared mailbox.",
    ),
    "own_mailbox": Remedy(
        "That is your own mailbox",
        "The link is for a shared mailbox, but its address is that of the account that you signed in with.",
        "Sign in with another account that may open the mailbox, or ask for a link without delegation.",
    ),
    "access_denied": Remedy(
        "The sign-in was cancelled",
        "Microsoft reports that the sign-in was cancelled before it was finished.",
        "Try again when you are ready.",
    ),
    "claims_challenge": Remedy(
        "Microsoft requires more than the last sign-in provided",
        "An API did not accept the access token: it requires something that only the person who authorized the mailbox"
        " can provide, such as a second factor.",
        "Have that person sign in again through a new link: POST /v1/account/{account}/reauthorize makes one. The"
        " sign-in includes what Microsoft asks for.",
    ),
    "needs_consent": Remedy(
        "Consent is needed",
        "The permissions were not accepted, so no mailbox was connected.",
        "Sign in again and accept the permissions, or ask an administrator to consent for the organization.",
    ),
    "needs_admin_consent": Remedy(
        "An administrator must consent first",
        "Your organization lets only administrators accept these permissions.",
        "Ask an administrator to consent to the app, then open the link again.",
    ),
    "needs_sign_in": Remedy(
        "A new sign-in is needed",
        "Microsoft no longer accepts the earlier sign-in: it was revoked, is too old, or needs a second factor.",
        "Sign in again through a new link; the account and its mailbox stay as they are.",
    ),
    "blocked_by_policy": Remedy(
        "A policy blocks this sign-in",
        "A Conditional Access or tenant policy does not allow this account here. Signing in again will not help.",
        "Ask an administrator to look at the sign-in logs in Entra.",
    ),
    "person_gone": Remedy(
        "This account is disabled or gone",
        "Microsoft reports that the account that authorized the mailbox is disabled, locked or deleted.",
        "Have another person with access authorize the mailbox through a new link.",
    ),
    "app_credential": Remedy(
        "Microsoft rejects this service's credential",
        "The credential of this service's app was rejected. Your account is not the cause.",
        "Ask the operator of this service to renew the app's client secret or certificate.",
    ),
    "app_configuration": Remedy(
        "This service is not set up correctly",
        "Microsoft refused the request because of the app's registration. Your account is not the cause.",
        "Ask the operator of this service to check the app registration: redirect URI, tenant and permissions.",
    ),
    "app_setup_suspected": Remedy(
        "Microsoft may not accept this service",
        "The sign-in ended with an error that usually means a wrong app registration. The error came through your"
        " browser, so it does not prove that anything is wrong with this service.",
        "Try again. If it fails for other people too, ask the operator of this service to verify the app registration.",
    ),
    "sign_in_refused": Remedy(
        "Microsoft did not complete this sign-in",
        "The sign-in ended with an error. It may be about your account, or Microsoft may need something more from you,"
        " such as a second factor.",
        "Try again, or sign in with another account. If it keeps failing, an administrator can find the reason in"
        " Entra's sign-in logs.",
    ),
    "app_unavailable": Remedy(
        "This link's app is no longer in use",
        "The app registration that this link signs in through is disabled or was deleted here.",
        "Ask the sender of the link for a new one.",
    ),
    "oauth_app_gone": Remedy(
        "The OAuth app is gone",
        "The OAuth app that the account was authorized through has been deleted, so its tokens are not renewed.",
        "Authorize the account again through another OAuth app, with a new link; its mailbox stays as it is.",
    ),
    "entra_unavailable": Remedy(
        "Microsoft's sign-in service does not answer",
        "The sign-in could not be finished because Microsoft did not answer in time.",
        "Try again in a few minutes.",
    ),
    "cooling_down": Remedy(
        "Microsoft asks for a pause",
        "Microsoft limits how often this sign-in may be used and asks to wait.",
        "Nothing to do: Mailbind tries again within an hour.",
    ),
    GRAPH_UNAVAILABLE: Remedy(
        "Microsoft 365 does not answer",
        "You are signed in, but the mailbox could not be checked because Microsoft 365 did not answer.",
        "Nothing to do: Mailbind keeps checking for an hour, and connects the mailbox as soon as it opens.",
    ),
    "unknown_failure": Remedy(
        "Microsoft reported an unknown error",
        "Microsoft answered with an error that Mailbind does not know.",
        "Try again later. If it keeps failing, the operator can find the number of the error in the log.",
    ),
    "too_many_accounts": Remedy(
        "This sign-in already serves the maximum number of accounts",
        "One person's sign-in serves at most 500 accounts here, and at most 10 for the same mailbox.",
        "Have an account removed that is no longer needed, or sign in as another person who may open the mailbox.",
    ),
    "row_unreadable": Remedy(
        "Stored data cannot be read",
        "A row in Mailbind's tables is damaged, or was written by something other than Mailbind.",
        "Ask the operator to check the log, and to restore the row from a backup or delete it.",
    ),
    "secrets_lost": Remedy(
        "This service cannot decrypt its stored secrets",
        "Stored secrets cannot be decrypted with the configured keys.",
        "Ask the operator to restore the key. If it is lost, a new sign-in repairs the account.",
    ),
    "storage_unavailable": Remedy(
        "This service cannot reach its storage",
        "Nothing was lost, but the request could not be completed.",
        "Try again in a moment.",
    ),
    "key_vault_unavailable": Remedy(
        "This service cannot reach its key vault",
        "Nothing was lost, but stored secrets cannot be read until the key vault answers again.",
        "Try again in a moment.",
    ),
    "key_vault_refused": Remedy(
        "This service may not use its key",
        "The key vault refuses to let this service use its key, because the key is disabled or gone, or a role is"
        " missing. Nothing was lost.",
        "Ask the operator to enable the key or to give the app its role, then try again.",
    ),
    "tenant_not_allowed": Remedy(
        "This service does not accept your organization",
        "The account that you signed in with belongs to an organization that this service does not accept.",
        "Sign in with an account of the organization that owns the mailbox.",
    ),
    "id_token_invalid": Remedy(
        "The sign-in could not be verified",
        "Microsoft's answer was not meant for this service, or is too old.",
        "Try again, or open the link again.",
    ),
    "link_expired": Remedy(
        "This link has expired",
        "Links work for a limited time only.",
        "Ask its sender for a new one.",
    ),
    "link_replaced": Remedy(
        "A newer link was made",
        "Another link for the same account was made after this one, and only the newest one works.",
        "Use the newest link. If you do not have it, ask the sender of this one.",
    ),
    "link_withdrawn": Remedy(
        "This link has been withdrawn",
        "The application that asked for this link is no longer allowed to connect this mailbox.",
        "Ask the application's operator for a new link.",
    ),
    "link_cancelled": Remedy(
        "This link has been cancelled",
        "The application that asked for this link has cancelled it.",
        "Nothing to do. If you still want to connect the mailbox, ask for a new link.",
    ),
    "account_removed": Remedy(
        "This account has been removed",
        "The account that this link was made for has since been removed, and its links ended with it.",
        "Nothing to do. If you still want to connect the mailbox, ask for a new link.",
    ),
    "other_mailbox": Remedy(
        "This account opens another mailbox",
        "The account is bound to another mailbox, and this link does not allow changing that.",
        "Ask for a link that allows the change: it needs changeMailbox in the form and the scope accounts:write.",
    ),
    "other_app": Remedy(
        "This account signs in through another app",
        "The account is bound through another app registration, and this link does not allow changing that.",
        "Ask for a link through the account's own app, or for one from a caller with the scope accounts:write.",
    ),
    "other_kind": Remedy(
        "This link asks for another kind of mailbox",
        "The account is bound to a shared mailbox and the link is for a person's own mailbox, or the other way round."
        " Signing in again never changes that.",
        "Ask the sender of the link for a new one that fits the account.",
    ),
    "account_paused": Remedy(
        "This account is paused",
        "The account was paused: no access token is handed out until it is resumed.",
        'Resume it: PUT /v1/account/{account} with {"paused": false}.',
    ),
    "account_busy": Remedy(
        "Another sign-in is in progress",
        "Another sign-in is binding the same account at this moment.",
        "Wait a minute and try again.",
    ),
}


def remedy(code: str) -> Remedy:
    """The remedy for a code; a code that is not known here gets that of `unknown_failure`."""
    return REMEDIES.get(code, REMEDIES["unknown_failure"])
