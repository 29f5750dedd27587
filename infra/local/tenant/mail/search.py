"""$search of messages: the part of the Keyword Query Language that mail clients use.

https://learn.microsoft.com/graph/search-query-parameter#using-search-on-message-collections
"""

import operator
import re
from collections.abc import Callable
from typing import Any

from infra.local.tenant.failures import Refusal
from infra.local.tenant.mail.entities import Message

Test = Callable[[Message], bool]

MAX_HITS = 1000  # "A $search request returns up to 1000 results."
TERM = re.compile(r'\s*(-)?(?:(\w+)(:|=|>=|<=|>|<))?(?:"([^"]*)"|(\S+))')
TIMES = {"received": "receivedDateTime", "sent": "sentDateTime"}
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    ":": operator.eq,
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
RECIPIENTS = ("toRecipients", "ccRecipients", "bccRecipients")


def read_search(text: str) -> Test:
    """A test for a $search value. Words must all occur; OR and NOT are in capitals. Raises the Refusal BadRequest."""
    query = text.strip()
    if query.startswith('"') and query.endswith('"'):
        query = query[1:-1].replace('\\"', '"')
    alternatives: list[list[Test]] = [[]]
    negated = False
    for minus, name, comparison, phrase, word in TERM.findall(query):
        if not name and word in {"OR", "AND", "NOT"}:
            if word == "OR":
                alternatives.append([])
            negated = word == "NOT"
            continue
        alternatives[-1].append(
            _test(name.lower(), comparison, (phrase or word).lower(), is_wanted=not (minus or negated))
        )
        negated = False
    if not all(alternatives):
        raise Refusal("BadRequest", reason="Syntax error: character ' ' is not valid in the $search clause.")
    return lambda message: any(all(test(message) for test in tests) for tests in alternatives)


def _test(name: str, comparison: str, wanted: str, *, is_wanted: bool) -> Test:
    if name in TIMES:
        compare, key = COMPARISONS[comparison], TIMES[name]
        # A date without a time means the day.
        return lambda message: compare(message.properties[key][: len(wanted)].lower(), wanted) is is_wanted
    if name == "size":
        fits = _size_test(comparison, wanted)
        return lambda message: fits(message.size) is is_wanted
    if name in {"hasattachment", "hasattachments"}:
        return lambda message: (message.has_attachments is (wanted in {"true", "yes"})) is is_wanted
    if (text_of := SEARCHED.get(name)) is None:
        raise Refusal("BadRequest", reason=f"Syntax error: the property '{name}' cannot be searched.")
    return lambda message: (wanted.rstrip("*") in text_of(message).lower()) is is_wanted


def _size_test(comparison: str, wanted: str) -> Callable[[int], bool]:
    """In bytes: `size>1000`, or `size:1..500000` for a range that includes both."""
    least, dots, most = wanted.partition("..")
    if not all(number.isdecimal() for number in ([least, most] if dots else [least])):
        raise Refusal("BadRequest", reason=f"Syntax error: '{wanted}' is not a size.")
    if dots:
        return lambda size: int(least) <= size <= int(most)
    return lambda size: COMPARISONS[comparison](size, int(least))


def _people(message: Message, *names: str) -> str:
    """Names and addresses of the people in these properties, each of which has one or several."""
    held = [message.properties[name] for name in names]
    people = [one for value in held for one in (value if isinstance(value, list) else [value]) if one]
    return " ".join(f"{one['emailAddress'].get('name', '')} {one['emailAddress'].get('address', '')}" for one in people)


def _anything(message: Message) -> str:
    return " ".join([_people(message, "from"), str(message.properties["subject"]), message.body_text])


# What a term with this name is looked for in. Without a name it is "from, subject, and body".
SEARCHED: dict[str, Callable[[Message], str]] = {
    "": _anything,
    "attachment": lambda message: " ".join(attachment.name for attachment in message.attachments),
    "bcc": lambda message: _people(message, "bccRecipients"),
    "body": lambda message: message.body_text,
    "cc": lambda message: _people(message, "ccRecipients"),
    "from": lambda message: _people(message, "from"),
    "importance": lambda message: str(message.properties["importance"]),
    "participants": lambda message: _people(message, "from", *RECIPIENTS),
    "recipients": lambda message: _people(message, *RECIPIENTS),
    "subject": lambda message: str(message.properties["subject"]),
    "to": lambda message: _people(message, "toRecipients"),
}
