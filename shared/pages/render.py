"""Renders the templates beside it: escaped, without scripts, one inline stylesheet under a nonce."""

import base64
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.domain.formats import same_address
from shared.ports import Entropy

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass
class Pages:
    """Every page with the headers that keep it private."""

    entropy: Entropy

    def render(self, template: str, **values: Any) -> tuple[str, dict[str, str]]:  # noqa: ANN401 - whatever a template shows
        """The HTML of a page and its headers."""
        nonce = base64.b64encode(self.entropy(18)).decode()
        html = self._environment.get_template(f"{template}.html").render(nonce=nonce, **values)
        return html, page_headers(nonce)

    @cached_property
    def _environment(self) -> "Environment":
        # Imported here because the API does without.
        from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - see above

        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        environment.tests["same_address"] = same_address
        return environment


def page_headers(nonce: str) -> dict[str, str]:
    """Headers of a page that holds something private.

    `form-action` allows all of https, because browsers hold redirects to it too, and a sign-in may lead on from Entra
    to an identity provider that nobody here knows (CSP Level 3 section 6.4.2).
    """
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self' https:;"
        " base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }
