"""Runs the Python code of docs/graph-sdk.md, then a few calls more, and prints the results of all of it as JSON.

It is a process of its own because msgraph-sdk takes long to import, and because it reads certificates from the
environment.
"""

import ast
import asyncio
import json
import os
import sys
from collections.abc import Awaitable
from typing import Any

import httpx

from tests.clients.blocks import PAGE, blocks

type Names = dict[str, Any]


async def main() -> None:
    """Run each block as `python -m asyncio` does, where code may await."""
    page: Names = {}
    for block in blocks("python"):
        code = compile(block, PAGE.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if isinstance(running := eval(code, page), Awaitable):  # noqa: S307 - the code of our own documentation
            await running
    async with httpx.AsyncClient(base_url=os.environ["CONTROL"]) as client:
        control = Control(client)
        later = await changed_later(page, control)
        await send_while_throttled(page, control)
        unknown = await send_without_an_answer(page, control)
    results = {name: page[name] for name in ("subjects", "found", "statuses", "refusal")} | {
        "changed": [[message.subject for message in messages] for messages in (page["changed"], later)],
        "content": page["content"].decode(),
        "mime": page["mime"].decode(),
        "newest": page["newest"].subject,
        "unknown": unknown,
    }
    sys.stdout.write(json.dumps(results))


class Control:
    """The tenant's control endpoint."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def __call__(self, action: str, **body: Any) -> None:
        (await self._client.post(action, json=body)).raise_for_status()


async def changed_later(page: Names, control: Control) -> list[Any]:
    """What the page's delta link tells after a message has arrived."""
    await control("deliver", mailbox="support@contoso.example", message={"subject": "Mail that arrived since"})
    changes = await page["inbox"].messages.delta.with_url(page["delta_link"]).get()
    return list(changes.value)


async def send_while_throttled(page: Names, control: Control) -> None:
    await control("throttle", endpoint="graph", retryAfter=1)
    await send(page, "Sent after a while")


async def send_without_an_answer(page: Names, control: Control) -> tuple[int, str] | None:
    """The status and code of the SDK's error."""
    await control("outage", endpoint="graph", mode="reset")
    try:
        await send(page, "Sent or not?")
    except page["ODataError"] as error:
        return error.response_status_code, error.error.code
    else:
        return None
    finally:
        await control("outage", endpoint="graph", mode="none")


async def send(page: Names, subject: str) -> None:
    message = page["Message"](subject=subject, body=page["body"], to_recipients=[page["grace"]])
    await page["mailbox"].send_mail.post(page["SendMailPostRequestBody"](message=message, save_to_sent_items=True))


if __name__ == "__main__":
    asyncio.run(main())
