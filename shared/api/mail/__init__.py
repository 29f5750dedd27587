"""Mail by plain HTTP, with EmailEngine's shapes: read, search, change and send the mail of one bound mailbox.

A handler opens a `MailSession` and calls one use case of `shared.usecases.mail`, which translates to Microsoft Graph
with `shared.domain.mail`.
"""

from shared.api.mail import bulk_changing, changing, contents, drafts, mailboxes, messages, reading, submit
from shared.api.mail.resource import resource

# A module that adds operations to the resource is imported for that.
__all__ = ["bulk_changing", "changing", "contents", "drafts", "mailboxes", "messages", "reading", "resource", "submit"]
