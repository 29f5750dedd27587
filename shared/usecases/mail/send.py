"""Sending by confined access that takes more than one call, so that every message is from the mailbox.

Both functions run within the turn of one call and return Graph's answer as it is. The mail API composes a draft and
sends it with `send_once`.
"""

from collections.abc import Mapping
from http import HTTPMethod, HTTPStatus
from urllib.parse import quote

from shared.domain.confined.headers import JSON, MIME
from shared.domain.confined.json_bodies import member, write_json
from shared.domain.confined.messages import check_sender
from shared.ports.mail import GraphAnswer, GraphCall
from shared.usecases.mail.answers import decoded
from shared.usecases.mail.graph_mailbox import GraphMailbox

SEND = "/send"
# A draft's immutable id stays valid while it is changed (Graph: "Obtain immutable identifiers for Outlook resources").
IMMUTABLE_ID = {"Accept": JSON, "Prefer": 'IdType="ImmutableId"'}


async def send_draft(mailbox: GraphMailbox, path: str, headers: Mapping[str, str]) -> GraphAnswer:
    """Send a draft that is from the mailbox. Somebody may have written another sender into it with Outlook.

    `path` is that of the draft's `send`. Raises WrongSender.
    """
    draft = path.removesuffix(SEND)
    read = await mailbox.call(GraphCall(HTTPMethod.GET, draft, "$select=from,isDraft", headers), is_repeatable=True)
    if read.status != HTTPStatus.OK:
        return read
    check_sender(member(decoded(read.body), "from"), mailbox.account.email)
    await mailbox.check_again()
    return await mailbox.call(GraphCall(HTTPMethod.POST, path, headers=headers), is_repeatable=False)


async def send_mime(mailbox: GraphMailbox, mime: bytes) -> GraphAnswer:
    """Send a message in MIME from the mailbox, as a draft whose sender is set before it is sent.

    Graph's own way of sending MIME takes the address of the person, whatever the message says. If the account or the
    caller changes meanwhile, the draft stays.
    """
    messages = f"/v1.0/users/{quote(mailbox.user, safe='@')}/messages"
    headers = {**IMMUTABLE_ID, "Content-Type": MIME}
    created = await mailbox.call(GraphCall(HTTPMethod.POST, messages, "", headers, mime), is_repeatable=False)
    if created.status != HTTPStatus.CREATED:
        return created
    draft = f"{messages}/{quote(str(member(decoded(created.body), 'id')), safe='=')}"
    sender = write_json({"from": {"emailAddress": {"address": mailbox.account.email}}})
    await mailbox.check_again()
    patch = GraphCall(HTTPMethod.PATCH, draft, "", {**IMMUTABLE_ID, "Content-Type": JSON}, sender)
    changed = await mailbox.call(patch, is_repeatable=True)
    if changed.status == HTTPStatus.OK:
        await mailbox.check_again()
        changed = await mailbox.call(
            GraphCall(HTTPMethod.POST, f"{draft}{SEND}", "", IMMUTABLE_ID), is_repeatable=False
        )
    if changed.status >= HTTPStatus.BAD_REQUEST:
        await mailbox.call(GraphCall(HTTPMethod.DELETE, draft, "", IMMUTABLE_ID), is_repeatable=True)
    return changed
