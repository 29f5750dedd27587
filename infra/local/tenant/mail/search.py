"""$search of messages: the part of the Keyword Query Language that mail clients use.

https://learn.microsoft.com/graph/search-query-parameter#using-search-on-message-collections
"""

import re
from collections.abc import Callable

from infra.local.tenant.failures import Refusal
from infra.local.tenant.mail.entities import Message, Properties

Test = Callable[[Message], bool]

MAX_HITS = 1000  # "A $search request returns up to 1000 results."
TERM = re.compile(r'\s*(-)?(?:(\w+):)?(?:"([^"]*)"|(\S+))')
# "You can search messages by ... from, subject, and body" without naming a property.
RECIPIENTS = {"to": "toRecipients", "cc": "ccRecipients", "bcc": "bccRecipients"}


def read_search(text: str) -> Test:
    """A test for a $search value. Words must all occur; OR and NOT are in capitals. Raises the Refusal BadRequest."""
    query = text.strip()
    if query.startswith('"') and query.endswith('"'):
        query = query[1:-1].replace('\\"', '"')
    alternatives: list[list[Test]] = [[]]
    negated = False
    for minus, name, phrase, word in TERM.findall(query):
        if not name and word in {"OR", "AND", "NOT"}:
            if word == "OR":
                alternatives.append([])
            negated = word == "NOT"
            continue
        alternatives[-1].append(_test(name.lower(), (phrase or word).lower(), is_wanted=not (minus or negated)))
        negated = False
    if not all(alternatives):
        raise Refusal("BadRequest", reason="Syntax error: character ' ' is not valid in the $search clause.")
    return lambda message: any(all(test(message) for test in tests) for tests in alternatives)


def _test(name: str, wanted: str, *, is_wanted: bool) -> Test:
    if name == "hasattachment":
        return lambda message: (message.has_attachments is (wanted in {"true", "yes"})) is is_wanted
    return lambda message: (wanted.rstrip("*") in _searched(message, name).lower()) is is_wanted


def _searched(message: Message, name: str) -> str:
    """The text that a term without a name, or with this one, is looked for in."""
    properties = message.properties
    match name:
        case "from":
            return _people([properties["from"]])
        case "subject":
            return str(properties["subject"])
        case "body":
            return message.body_text
        case "attachment":
            return " ".join(attachment.name for attachment in message.attachments)
        case "":
            return " ".join([_people([properties["from"]]), str(properties["subject"]), message.body_text])
    people = properties[RECIPIENTS[name]] if name in RECIPIENTS else _participants(properties)
    return _people(people)


def _participants(properties: Properties) -> list[Properties | None]:
    return [properties["from"], *(one for name in RECIPIENTS.values() for one in properties[name])]


def _people(recipients: list[Properties | None]) -> str:
    addresses = [recipient["emailAddress"] for recipient in recipients if recipient]
    return " ".join(f"{address.get('name', '')} {address.get('address', '')}" for address in addresses)
