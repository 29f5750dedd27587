"""Names of files that strangers chose, made fit for a download."""

from urllib.parse import quote

MAX_NAME_BYTES = 255  # what file systems take
MAX_ENDING_BYTES = 16
UNNAMED = "attachment"


def safe_file_name(name: str) -> str:
    """The name without folders, control characters, and letters that change the direction of the text around them."""
    plain = "".join(each if each.isprintable() and each not in '/\\:*?"<>|' else "_" for each in name).strip(" .")
    if len(plain.encode(errors="replace")) <= MAX_NAME_BYTES:
        return plain or UNNAMED
    stem, dot, ending = plain.rpartition(".")
    if not dot or len(ending.encode(errors="replace")) > MAX_ENDING_BYTES:
        return first_bytes(plain, MAX_NAME_BYTES)
    return first_bytes(stem, MAX_NAME_BYTES - len((dot + ending).encode(errors="replace"))) + dot + ending


def first_bytes(text: str, max_bytes: int) -> str:
    """The beginning of a text that takes at most so many bytes of UTF-8, in whole characters."""
    return text.encode(errors="replace")[:max_bytes].decode(errors="ignore")


def as_download(name: str) -> str:
    """The value of Content-Disposition that saves a file under this name, for old readers too (RFC 6266 appendix D)."""
    safe = safe_file_name(name)
    plain = "".join(each if each.isascii() else "_" for each in safe)
    # An ASCII name needs no second form, unless readers would decode its percent signs.
    if plain == safe and "%" not in safe:
        return f'attachment; filename="{plain}"'
    # RFC 8187 section 3.2.1; the letters beside %XX are a part of its attr-char.
    encoded = quote(safe, safe="", errors="replace")
    return f"attachment; filename=\"{plain.replace('%', '_')}\"; filename*=UTF-8''{encoded}"
