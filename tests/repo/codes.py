"""`python -m tests.repo.codes` prints the first table of codes in docs/operations.md: what operators are told."""

import re
from collections.abc import Iterator

from shared.domain.remedy import Reader, remedies

HEAD = ("| code | what happened | what to do |", "|---|---|---|")
# What is typed or called: a request with its body, a setting, an option, a cmdlet of PowerShell.
TYPED = re.compile(
    r"(?:GET|PUT|POST|DELETE) /\S+(?: with \{[^}]*\})?|MAILBIND_\w+(?:=\w+)?|--[\w-]+|\b[A-Z]\w+-[A-Z]\w+"
)


def rows() -> Iterator[str]:
    """The lines of the table."""
    yield from HEAD
    for code, told in remedies(Reader.OPERATOR).items():
        yield f"| `{code}` | {_marked(told.what)} | {_marked(told.action)} |"


def _marked(text: str) -> str:
    return TYPED.sub(lambda match: f"`{match[0]}`", text)


if __name__ == "__main__":
    print(*rows(), sep="\n")
