"""Numbers in text and JSON that others wrote: read without an exception, whatever is there."""

import math
import re

AADSTS = re.compile(r"AADSTS([0-9]{1,9})(?![0-9])")
MAX_AADSTS = 999_999_999
MAX_AADSTS_NUMBERS = 10


def whole_number(value: object, most: int) -> int | None:
    """The number from 0 to `most` that this is, as JSON or as decimal digits; None for anything else.

    `int()` alone raises for superscript digits, which `str.isdigit` accepts, and for more than 4,300 digits.
    """
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) <= len(str(most)) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most else None


def aadsts_numbers(text: str) -> tuple[int, ...]:
    """The AADSTS numbers that an error description mentions, at most ten of them."""
    return tuple(int(number) for number in AADSTS.findall(text)[:MAX_AADSTS_NUMBERS])


def is_finite_number(value: object) -> bool:
    """Whether a JSON value is a number that can be compared: NaN, infinity, booleans and text are not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)
