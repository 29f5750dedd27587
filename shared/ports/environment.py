"""What use cases take from around them: time, randomness, and where audit records go."""

from collections.abc import Callable
from datetime import datetime

from shared.domain.audit import AuditRecord

type Clock = Callable[[], datetime]
"""Now, in UTC."""


type Entropy = Callable[[int], bytes]
"""So many bytes that nobody can guess."""


type AuditLog = Callable[[AuditRecord], None]
"""Takes finished audit records."""


type Jitter = Callable[[], float]
"""A number in [0, 1) that spreads work."""
