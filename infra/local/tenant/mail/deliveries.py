"""Mail that arrives from elsewhere, as control asks for it."""

import base64
from dataclasses import replace

from infra.local.tenant.control_bodies import Deliver
from infra.local.tenant.entities import Mailbox
from infra.local.tenant.mail.bodies import read_message
from infra.local.tenant.mail.entities import Message
from infra.local.tenant.mail.mime import read_mime
from infra.local.tenant.mail.values import moment
from infra.local.tenant.tenant import Tenant


def deliver(tenant: Tenant, mailbox: Mailbox, body: Deliver) -> list[Message]:
    """Put the messages into a folder of the mailbox. Raises Refusals, and ValueError for a time or broken base64."""
    stored = tenant.mail.mailbox(mailbox.oid)
    message = read_message(body.message, tenant.now())
    if body.mime:
        arrived = read_mime(base64.b64decode(body.mime, validate=True))
        message = replace(arrived, properties=arrived.properties | message.properties)
    if "receivedDateTime" in body.message:
        message.properties["receivedDateTime"] = moment(body.message["receivedDateTime"])
    message.properties = {"sender": message.properties.get("from"), **message.properties}
    return [stored.copy(message, stored.folder(body.folder)) for _ in range(body.count)]
