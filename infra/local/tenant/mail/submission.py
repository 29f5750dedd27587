"""Sends a message: who it is from, whom it reaches, and where its copy is kept.

https://learn.microsoft.com/graph/outlook-send-mail-from-other-user
"""

import re
from dataclasses import dataclass

from infra.local.tenant.entities import Mailbox
from infra.local.tenant.failures import Refusal
from infra.local.tenant.mail.call import MailCall
from infra.local.tenant.mail.defaults import default_properties
from infra.local.tenant.mail.entities import Message, graph_time
from infra.local.tenant.mail.mime import recipient

# "applications that use user tokens use the Mail.Send.Shared permission" to send from another user.
SHARED_SENDING = frozenset({"Mail.Send.Shared"})
ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")


@dataclass(frozen=True, slots=True)
class Identity:
    """The mailbox that the message is from, and the one that sent it, which differs for Send on Behalf."""

    author: Mailbox
    sender: Mailbox


def submit(call: MailCall, message: Message, *, author: Mailbox | None = None, save: bool = True) -> None:
    """Send a message that is a draft of the mailbox, or that is not stored.

    `author` replaces the `from` of the message. With `save`, the copy is in the Sent Items of the mailbox of the path;
    it keeps the draft's immutable id: https://learn.microsoft.com/graph/outlook-immutable-id
    Raises the Refusals ErrorSendAsDenied and ErrorInvalidRecipients.
    """
    identity = _identity(call, author or _author(call, message))
    recipients = _recipients(message)
    _complete(message, identity, call.tenant.now())
    sent_items = call.stored.folder("sentitems")
    if message.id:
        call.stored.move(message, sent_items)
    elif save:
        call.stored.add(message, sent_items)
    _deliver(call, message, recipients)
    call.tenant.note(
        "mail sent",
        **{"from": identity.author.address},
        sender=identity.sender.address,
        to=recipients,
        saved=save,
        mailbox=call.owner.address,
        person=call.caller.person.upn,
    )


def _complete(message: Message, identity: Identity, now: float) -> None:
    """Set what is known now: who sent the message, and when."""
    message.mime = None  # it would have the old headers
    message.properties = default_properties(now) | message.properties
    message.properties |= {
        "sender": recipient(identity.sender.address, identity.sender.name),
        "from": recipient(identity.author.address, identity.author.name),
        "sentDateTime": graph_time(now),
        "receivedDateTime": graph_time(now),
        "isDraft": False,
        "isRead": True,
    }


def _author(call: MailCall, message: Message) -> Mailbox:
    """The mailbox that the message says it is from; without a `from`, the mailbox of the path."""
    author = message.properties.get("from")
    if not author:
        return call.owner
    mailbox = call.tenant.directory.mailbox(author["emailAddress"]["address"], call.caller.person.tenant_id)
    if mailbox is None:
        raise Refusal("ErrorSendAsDenied")
    return mailbox


def _identity(call: MailCall, author: Mailbox) -> Identity:
    """A `sender` of the request does not count: "Microsoft Graph sets it appropriately"."""
    directory, person = call.tenant.directory, call.caller.person
    if author.oid != person.oid:
        call.caller.require_any(SHARED_SENDING, refusal="ErrorAccessDenied")
    if directory.can_send_as(person, author):
        return Identity(author, author)
    if directory.can_send_on_behalf(person, author):
        return Identity(author, person)
    raise Refusal("ErrorSendAsDenied")


def _recipients(message: Message) -> list[str]:
    """The addresses of everybody who gets the message."""
    groups = (message.properties.get(name, []) for name in ("toRecipients", "ccRecipients", "bccRecipients"))
    addresses = [one["emailAddress"]["address"] for group in groups for one in group]
    if not addresses:
        raise Refusal("ErrorInvalidRecipients", reason="A message can't be sent because it contains no recipients.")
    if unknown := next((address for address in addresses if not ADDRESS.fullmatch(address)), None):
        rule = "All recipients must be resolved before a message can be submitted."
        raise Refusal("ErrorInvalidRecipients", reason=f"Recipient '{unknown}' is not resolved. {rule}")
    return list(dict.fromkeys(addresses))


def _deliver(call: MailCall, message: Message, recipients: list[str]) -> None:
    """Put a copy into the inbox of each recipient in the tenant. Mail to other addresses leaves it."""
    found = (call.tenant.directory.mailbox(address, call.owner.tenant_id) for address in recipients)
    for oid in dict.fromkeys(mailbox.oid for mailbox in found if mailbox and mailbox.hosting == "exchangeOnline"):
        call.tenant.mail.deliver(call.tenant.mail.mailbox(oid), message)
