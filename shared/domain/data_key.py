"""Data keys: what secrets are sealed with, themselves wrapped by the key-encryption key."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DataKey:
    """`id` sorts by age; `wrapped_by` names the key-encryption key; `wrapped` is base64."""

    id: str
    wrapped: str
    wrapped_by: str
    created: datetime
