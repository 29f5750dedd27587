"""`python -m tests.repo.confined` writes what docs/confined-access.md has from the code: the table and the errors."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from shared.domain.confined.messages import ATTACHMENT_WRITABLE, WRITABLE
from shared.domain.confined.operations import OPERATIONS, MailOperation
from shared.domain.confined.queries import SPELLINGS
from shared.http.refusals import status_of
from shared.reference.confined import expanded_names, options_of
from shared.reference.confined_refusals import PART_REFUSALS, REFUSALS

PAGE = Path(__file__).parents[2] / "docs/confined-access.md"
BLOCK = re.compile(r"(?s)(<!-- from the code: (\w+) -->\n).*?(<!-- end -->)")


def written(page: str) -> str:
    """The page with what the code says between its markers."""
    return BLOCK.sub(lambda match: f"{match[1]}{'\n'.join(BLOCKS[match[2]]())}\n{match[3]}", page)


def table() -> Iterator[str]:
    """The table of operations."""
    yield "| operation | does | request | scope | query options | body | answer |"
    yield "|---|---|---|---|---|---|---|"
    for each in OPERATIONS:
        request = f"`{each.method} {'[…]' if each.in_folders else ''}/{each.shape}`"
        options = ", ".join(_options(each)) or "none"
        cells = (f"`{each.name}`", each.about, request, f"`{each.scope}`", options, each.body, each.answer)
        yield f"| {' | '.join(cells)} |"


def errors() -> Iterator[str]:
    """What Mailbind answers by itself."""
    yield "| status | code | what it says |"
    yield "|---|---|---|"
    for error in sorted((*REFUSALS, *PART_REFUSALS), key=status_of):
        where = " (of a part of a batch)" if error in PART_REFUSALS else ""
        yield f"| {int(status_of(error))}{where} | `{error.code}` | {error} |"


def members() -> Iterator[str]:
    """What a message and an attachment may have."""
    for name, words in (("message", WRITABLE), ("attachment", ATTACHMENT_WRITABLE)):
        yield f"- **{name}**: {', '.join(f'`{word}`' for word in words)}"


def _options(each: MailOperation) -> Iterator[str]:
    for name in options_of(each):
        expands = f" ({', '.join(expanded_names(each))})" if name == "expand" else ""
        yield f"`{SPELLINGS[name]}`{expands}"


BLOCKS: Mapping[str, Callable[[], Iterator[str]]] = {"table": table, "errors": errors, "members": members}

if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
