"""The code blocks of docs/graph-sdk.md."""

from infra.local.parts import ROOT
from tests.examples.pages import FENCE

PAGE = ROOT / "docs/graph-sdk.md"


def blocks(language: str) -> list[str]:
    """The blocks in this language, in their order."""
    return [code for name, code in FENCE.findall(PAGE.read_text()) if name == language]
