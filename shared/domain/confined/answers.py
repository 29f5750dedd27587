"""Answers of Graph: links that lead to Graph lead back here, and nothing else of an answer is changed."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from shared.domain.confined.json_bodies import objects_in
from shared.domain.confined.paths import MatchedPath, match_path
from shared.domain.confined.queries import checked_options
from shared.domain.confined.refused import AnswerNotUnderstood, BadMailRequest, NotConfined

# OData JSON 4.01 sections 4.6.5 to 4.6.12: annotations whose values are URLs.
NEXT_LINKS = ("@odata.nextlink", "@odata.deltalink")
OTHER_LINKS = (
    "@odata.context", "@odata.id", "@odata.editlink", "@odata.readlink", "@odata.navigationlink",
    "@odata.associationlink", "@odata.mediareadlink", "@odata.mediaeditlink",
)  # fmt: skip
# The address of a message in Outlook on the web, which opens in the browser of the person only.
OUTLOOK_LINK = "webLink"
MICROSOFT_ANNOTATION = "@microsoft.graph."


@dataclass(frozen=True, slots=True)
class NextLink:
    """A link that continues a list: its place in the answer, its path with its row, and its options."""

    place: dict[str, Any]
    name: str
    matched: MatchedPath
    options: dict[str, str]


def localize(document: object, graph: str, here: str) -> list[NextLink]:
    """Change the links of a decoded answer in place; returns the next links, which the caller of this still writes.

    `graph` is Graph's own origin and `here` is Mailbind's. Raises AnswerNotUnderstood for a next link that has no row:
    leaving it out would cut the list short without a word.
    """
    found = list[NextLink]()
    for each in objects_in(document):
        each.pop(OUTLOOK_LINK, None)
        for name in [name for name in each if "@" in name]:
            kind = name[name.index("@") :].lower()
            if kind in NEXT_LINKS:
                found.append(_next_link(each, name, graph))
            elif kind in OTHER_LINKS:
                _localize_one(each, name, graph, here)
            elif kind.startswith(MICROSOFT_ANNOTATION) and kind.endswith("url"):
                del each[name]
    return found


def localized_text(text: str, graph: str, here: str) -> str:
    """A sentence of Graph's without Graph's address."""
    return text.replace(graph, here)


def link_here(link: NextLink, here: str, mailbox: str, query: str) -> str:
    """The link for the caller, with the mailbox as they wrote it."""
    return f"{here}{link.matched.in_mailbox(mailbox)}?{query}"


def _next_link(place: dict[str, Any], name: str, graph: str) -> NextLink:
    url = place[name]
    root = f"{graph}/v1.0/"
    if not isinstance(url, str) or not url.startswith(root):
        raise AnswerNotUnderstood
    parts = urlsplit(url)
    try:
        matched = match_path("GET", unquote(parts.path).removeprefix("/v1.0/"))
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        options = checked_options(matched.operation, query)
    except (NotConfined, BadMailRequest):
        raise AnswerNotUnderstood from None
    return NextLink(place, name, matched, options)


def _localize_one(place: dict[str, Any], name: str, graph: str, here: str) -> None:
    url = place[name]
    if isinstance(url, str) and url.startswith(f"{graph}/"):
        place[name] = here + url.removeprefix(graph)
    elif isinstance(url, str) and "//" in url:
        del place[name]
