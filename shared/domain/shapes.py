"""The shapes of what browsers and callers hand back: text of another shape is refused before anything uses it."""

import re

# SHA-256 in hexadecimal, as `fingerprint` writes it.
REGISTRATION_ID = re.compile(r"[0-9a-f]{64}")
# 32 random bytes in base64url without padding: a ticket, a browser's cookie.
RANDOM = re.compile(r"[A-Za-z0-9_-]{43}")
# The registration, so that the attempt is found by one point read, and random bytes.
STATE = re.compile(rf"(?:{REGISTRATION_ID.pattern})\.(?:{RANDOM.pattern})")

LONGEST_APP_ID = 64
LONGEST_ACCOUNT_ID = 512  # bytes in UTF-8
