"""What the token endpoint answers: tokens that can be used, or an error read as far as it can be."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from shared.domain.claims_challenge import sanitized_claims
from shared.domain.failure import (
    MAX_AADSTS_NUMBER,
    MAX_AADSTS_NUMBERS_READ,
    TokenError,
    aadsts_numbers,
    parse_whole_number,
)

OK = 200
MAX_RETRY_AFTER = timedelta(days=1)
MAX_TRACE_LENGTH = 64
TEXTS = ("refresh_token", "scope", "id_token", "client_info", "token_type")


class TokenRefused(Exception):
    """The token endpoint's answer is no token.

    It is raised from within MSAL's call, and therefore never reaches MSAL's throttle, which would replay an
    `invalid_grant` for a minute to whoever asks again (msal/throttled_http_client.py).
    """

    def __init__(self, answer: TokenError) -> None:
        super().__init__("token endpoint refused")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer in the shape that MSAL reads (msal/oauth2cli/http.py)."""

    status_code: int
    text: str
    headers: Mapping[str, str]

    def raise_for_status(self) -> None:
        """Raise TokenRefused for an error status."""
        if self.status_code >= 400:  # noqa: PLR2004 - HTTP's first error
            raise TokenRefused(TokenError(self.status_code))


def json_object(answer: Answer) -> dict[str, Any]:
    """The JSON object of a success. Raises TokenRefused for anything else."""
    body = _object(answer.text) if answer.status_code == OK and _says_json(answer) else None
    if body is None:
        raise TokenRefused(token_error(answer))
    return body


def check_tokens(answer: Answer) -> None:
    """Raise TokenRefused unless MSAL and the app can use the answer (RFC 6749 section 5.1)."""
    body = json_object(answer)
    usable = (
        "error" not in body
        and isinstance(body.get("access_token"), str)
        and all(isinstance(body.get(name, ""), str) for name in TEXTS)
        and ("id_token" not in body or _claims(body["id_token"]) is not None)
    )
    if not usable:
        raise TokenRefused(token_error(answer))


def token_error(answer: Answer) -> TokenError:
    """An error answer read as far as it can be: a proxy's HTML page has a status only."""
    # A page in place of a token is somebody between us and Entra, which passes.
    status = answer.status_code if answer.status_code != OK else 502
    body = _object(answer.text)
    if body is None:
        return TokenError(max(status, 500), retry_after=_retry_after(answer.headers))
    return TokenError(
        status=status,
        error=str(body.get("error", "")),
        suberror=str(body.get("suberror", "")),
        aadsts_numbers=_numbers(body),
        claims=sanitized_claims(body.get("claims")),
        retry_after=_retry_after(answer.headers),
        trace=(_text(body.get("trace_id")) or "")[:MAX_TRACE_LENGTH] or None,
    )


def _numbers(body: Mapping[str, Any]) -> tuple[int, ...]:
    codes = body.get("error_codes")
    if isinstance(codes, list) and codes:
        read = [parse_whole_number(code, MAX_AADSTS_NUMBER) for code in codes[:MAX_AADSTS_NUMBERS_READ]]
        return tuple(number for number in read if number is not None)
    return aadsts_numbers(str(body.get("error_description", "")))


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Entra sends seconds (RFC 9110 section 10.2.3 allows a date too, which is then left to our own pause)."""
    seconds = parse_whole_number(headers.get("retry-after", ""), 2**63)
    return None if seconds is None else min(timedelta(seconds=min(seconds, 10**9)), MAX_RETRY_AFTER)


def _says_json(answer: Answer) -> bool:
    return "json" in answer.headers.get("content-type", "")


def _object(text: str) -> dict[str, Any] | None:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _claims(id_token: str) -> dict[str, Any] | None:
    """As MSAL decodes them (msal/oauth2cli/oidc.py), which raises many kinds of errors where this returns None."""
    parts = id_token.split(".")
    try:
        return _object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)).decode()) if parts[1:] else None
    except ValueError:
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
