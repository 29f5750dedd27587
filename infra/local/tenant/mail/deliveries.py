"""Mail that arrives from elsewhere, as control asks for it."""

from typing import Any

from infra.local.tenant.entities import Mailbox
from infra.local.tenant.mail.bodies import read_message
from infra.local.tenant.mail.entities import Message
from infra.local.tenant.mail.values import moment
from infra.local.tenant.tenant import Tenant


def deliver(tenant: Tenant, mailbox: Mailbox, body: dict[str, Any], folder: str, count: int) -> list[Message]:
    """Put that many messages into a folder of the mailbox. Raises Refusals, and ValueError for a time."""
    stored = tenant.mail.mailbox(mailbox.oid)
    message = read_message(body, tenant.now())
    arrived = {"receivedDateTime": moment(body["receivedDateTime"])} if "receivedDateTime" in body else {}
    message.properties = {"sender": message.properties.get("from"), **message.properties, **arrived}
    return [stored.copy(message, stored.folder(folder)) for _ in range(count)]
