"""What each code means to a person: what happened, and what to do next."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remedy:
    """A title, what happened and why, and the action that mends it. Plain sentences, no personal data."""

    title: str
    what: str
    action: str


REMEDIES = {
    "no_mailbox_access": Remedy(
        "This mailbox does not open for you yet",
        "You signed in, but Microsoft 365 did not let that account open the mailbox. Either it has no Full Access, or"
        " the permission was given so recently that Exchange has not noticed yet, which can take an hour. Where"
        " mailboxes are opened by IMAP, it may also be turned off for this one.",
        "Ask an administrator for Full Access to the mailbox, keep checking if you were just given it, or sign in with"
        " an account that has it.",
    ),
    "mailbox_replaced": Remedy(
        "This address leads to another mailbox now",
        "The address is that of another mailbox than the one that was connected: an administrator gave it away, or made"
        " the mailbox again. Nothing of the other mailbox is handed out.",
        "If the other mailbox is meant, ask for a link that allows the change: POST /v1/authentication/form with"
        ' "changeMailbox". Otherwise have an administrator give the address back: the account mends itself within a'
        " day.",
    ),
    "same_mailbox": Remedy(
        "This mailbox is connected already, under another address",
        "Two of the addresses that this link names lead to the same mailbox. It was connected under the other one.",
        "Nothing to do. If another mailbox was meant, ask whoever sent the link to check the address.",
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
        "Somebody else authorizes this mailbox",
        "The mailbox is bound to another person's sign-in, and this link does not allow to change that.",
        "Sign in as that person, or ask for a link that allows the change.",
    ),
    "unexpected_person": Remedy(
        "This link is for somebody else",
        "The account that you signed in with is not the one that was invited.",
        "Sign in with the account that the invitation names.",
    ),
    "email_mismatch": Remedy(
        "That is not your own mailbox",
        "The link asks for the mailbox of the person who signs in, and names another address.",
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
        "Microsoft asks for more than the last sign-in gave",
        "An API did not accept the access token: it asks for something that only the person who authorized the mailbox"
        " can give, such as a second factor.",
        "Have that person sign in again through a new link: POST /v1/account/{account}/reauthorize makes one. The"
        " sign-in carries what Microsoft asked for.",
    ),
    "needs_consent": Remedy(
        "Consent is needed",
        "The permissions were not accepted, so nothing could be bound.",
        "Sign in again and accept the permissions, or ask an administrator to consent for the organization.",
    ),
    "needs_admin_consent": Remedy(
        "An administrator has to consent first",
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
        "This service cannot prove itself to Microsoft",
        "The app's own credential was refused. It is not about you or your account.",
        "Ask the operator of this service to renew the app's client secret or certificate.",
    ),
    "app_configuration": Remedy(
        "This service is not set up right",
        "Microsoft refused the request because of the app's registration. It is not about you or your account.",
        "Ask the operator of this service to check the app registration: redirect URI, tenant and permissions.",
    ),
    "app_setup_suspected": Remedy(
        "Microsoft may not accept this service",
        "The sign-in came back with an error that Microsoft gives when an app registration is set up wrong. Only the"
        " browser says so, which proves nothing about the service.",
        "Try again. If it fails for other people too, ask the operator of this service to verify the app registration.",
    ),
    "sign_in_refused": Remedy(
        "Microsoft did not complete this sign-in",
        "The sign-in came back with an error. It may be about your account, or Microsoft may need something more from"
        " you, such as a second factor.",
        "Try again, or sign in with another account. If it stays, an administrator finds the reason in Entra's sign-in"
        " logs.",
    ),
    "app_unavailable": Remedy(
        "This link's way to sign in is closed",
        "The app registration that this link signs in through is switched off, or is not used here any more.",
        "Ask whoever sent the link for a new one.",
    ),
    "oauth_app_gone": Remedy(
        "The OAuth app is gone",
        "The OAuth app that the account was authorized through has been deleted, so its tokens are not renewed.",
        "Authorize the account again through another OAuth app, with a new link; its mailbox stays as it is.",
    ),
    "entra_unavailable": Remedy(
        "Microsoft's sign-in service does not answer",
        "The sign-in could not be finished because Microsoft did not answer in time. Nothing was changed.",
        "Try again in a few minutes.",
    ),
    "cooling_down": Remedy(
        "Microsoft asks for a pause",
        "Microsoft limits how often this sign-in may be used and asks to wait.",
        "Nothing to do: it is tried again within the hour.",
    ),
    "graph_unavailable": Remedy(
        "Microsoft 365 does not answer",
        "You are signed in, but the mailbox could not be checked because Microsoft 365 did not answer.",
        "Nothing to do: it is checked again for an hour, and bound as soon as it opens.",
    ),
    "unknown_failure": Remedy(
        "Something unknown went wrong at Microsoft",
        "Microsoft answered with an error that is not known here.",
        "Try again later; if it stays, the operator finds the error's number in the log.",
    ),
    "too_many_accounts": Remedy(
        "This sign-in serves as many accounts as it may",
        "One person's sign-in serves at most 500 accounts here, and at most 10 for the same mailbox.",
        "Have an account removed that is not needed any more, or sign in as another person who may open the mailbox.",
    ),
    "row_unreadable": Remedy(
        "Something that is stored cannot be read",
        "A row in Mailbind's tables is damaged, or something other than Mailbind has written it.",
        "Ask the operator to look at the log, and to bring the row back from a backup or to delete it.",
    ),
    "secrets_lost": Remedy(
        "This service cannot open what it keeps",
        "What is kept sealed does not open with the keys that this service has.",
        "Ask the operator to bring the key back. If it is gone, a new sign-in mends the account.",
    ),
    "storage_unavailable": Remedy(
        "This service cannot reach its storage",
        "Nothing was changed.",
        "Try again in a moment.",
    ),
    "TooManyRequests": Remedy(
        "Too many requests",
        "More requests came from your network in the last minute than this service answers.",
        "Wait a minute, then reload this page.",
    ),
    "InternalError": Remedy(
        "Something went wrong here",
        "This service met a fault of its own. It has been noted for the operator.",
        "Try again in a moment. If it happens again, tell the operator the words below.",
    ),
    "Conflict": Remedy(
        "Somebody else is changing the same thing",
        "Others changed it at the same moment, again and again.",
        "Try again in a moment.",
    ),
    "NotStorable": Remedy(
        "This cannot be stored",
        "Something that was sent is too long, or has characters that cannot be stored.",
        "Start again from the link. If it happens again, ask whoever sent it for a new one.",
    ),
    "NotFound": Remedy(
        "There is no such page",
        "The address that your browser opened is none of this service's.",
        "Copy the whole link and nothing else, or ask whoever sent it for a new one.",
    ),
    "MethodNotAllowed": Remedy(
        "This page cannot be opened like that",
        "Your browser, or a tool, sent something that this address does not take.",
        "Open the link again, and use the page's own buttons.",
    ),
    "LengthRequired": Remedy(
        "The form did not arrive",
        "It was sent in chunks, without saying how long it is, and such forms do not arrive here.",
        "Open the link again, and use the page's own buttons in another browser or without a proxy.",
    ),
    "BodyTooLarge": Remedy(
        "Too much was sent",
        "This page takes small forms only, and what your browser sent is larger.",
        "Open the link again, and use the page's own buttons.",
    ),
    "UnsupportedMediaType": Remedy(
        "This is not a form of ours",
        "This page takes only what its own buttons send.",
        "Open the link again, and use the page's own buttons.",
    ),
    "UriTooLong": Remedy(
        "This address is too long",
        "The address that your browser opened is longer than any of ours.",
        "Copy the whole link and nothing else, or ask whoever sent it for a new one.",
    ),
    "HeadersTooLarge": Remedy(
        "Your browser sent too many cookies",
        "The cookies or other headers that came with the request are larger than this service takes.",
        "Delete the cookies of this site in your browser, then open the link again.",
    ),
    "tenant_not_allowed": Remedy(
        "This organization is not served here",
        "The account that you signed in with belongs to an organization that this service does not accept.",
        "Sign in with an account of the organization that owns the mailbox.",
    ),
    "id_token_invalid": Remedy(
        "The sign-in could not be verified",
        "What came back from the sign-in was not meant for this service, or is too old.",
        "Start again from the link.",
    ),
    "browser_mismatch": Remedy(
        "This sign-in began in another browser",
        "For your safety a sign-in has to end in the browser in which it began, with cookies allowed.",
        "Open the link again in this browser and stay in it.",
    ),
    "sign_in_unknown": Remedy(
        "This sign-in is no longer valid",
        "It was finished already, is too old, or was never started here.",
        "Open the link again to start a new one.",
    ),
    "link_unknown": Remedy(
        "This link is not valid",
        "It may be incomplete. Mail programs sometimes break long links.",
        "Copy the whole link, or ask whoever sent it for a new one.",
    ),
    "link_expired": Remedy(
        "This link has expired",
        "Links work for a limited time only.",
        "Ask whoever sent it for a new one.",
    ),
    "link_used": Remedy(
        "This link has been used",
        "The mailbox that it was made for is bound. A link works once.",
        "Nothing to do. If it was not you, tell whoever sent the link.",
    ),
    "link_replaced": Remedy(
        "A newer link was made",
        "Somebody asked for another link for the same account after this one, and only the newest one works.",
        "Use the newest link. If you do not have it, ask whoever sent this one.",
    ),
    "link_withdrawn": Remedy(
        "This link has been withdrawn",
        "The application that asked for this link may no longer have this mailbox connected.",
        "Ask the application's operator for a new link.",
    ),
    "link_cancelled": Remedy(
        "This link has been cancelled",
        "The application that asked for this link has ended it.",
        "Nothing to do. If you still want to connect the mailbox, ask for a new link.",
    ),
    "account_removed": Remedy(
        "This account has been removed",
        "The account that this link was made for has been removed since, and its links ended with it.",
        "Nothing to do. If you still want to connect the mailbox, ask for a new link.",
    ),
    "other_mailbox": Remedy(
        "This account opens another mailbox",
        "The account is bound to another mailbox, and this link may not change that.",
        "Ask for a link that allows the change. It takes changeMailbox in the form and the scope accounts:write.",
    ),
    "other_app": Remedy(
        "This account signs in through another app",
        "The account is bound through another app registration, and this link may not change that.",
        "Ask for a link through the account's own app, or for one from a caller with the scope accounts:write.",
    ),
    "other_kind": Remedy(
        "This link asks for another kind of mailbox",
        "The account is bound to a shared mailbox and the link asks for a person's own one, or the other way round."
        " Signing in anew never changes that.",
        "Ask whoever sent the link for a new one that fits the account.",
    ),
    "account_paused": Remedy(
        "This account is paused",
        "Whoever runs the account paused it: no access token is handed out until it is resumed.",
        'Resume it: PUT /v1/account/{account} with {"paused": false}.',
    ),
    "account_busy": Remedy(
        "Somebody else is binding this account right now",
        "Another sign-in for the same account is just being finished.",
        "Wait a minute and try again.",
    ),
}


def remedy(code: str) -> Remedy:
    """The remedy of a code; codes that Microsoft may invent tomorrow read as unknown."""
    return REMEDIES.get(code, REMEDIES["unknown_failure"])
