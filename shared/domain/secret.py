"""A value that must not be printed."""

from collections.abc import Callable
from typing import Never

# What answers of the API show in place of a secret.
HIDDEN = "******"


class Secret:
    """A token, code or key. Prints as stars, and refuses to be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself; only for the moment in which it is sealed, sent or compared."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.reveal()

    def __hash__(self) -> int:
        return hash(self.reveal())

    def __reduce__(self) -> Never:
        raise TypeError("a secret does not leave the process")


class ClosedSecret(Secret):
    """A sealed value that is opened when it is revealed, each time anew; what `opening` raises, `reveal` raises.

    `sealed` is how it lies at `place`, so that it can be written back there unopened.
    """

    __slots__ = ("_opening", "place", "sealed")

    def __init__(self, opening: Callable[[], str], place: str, sealed: str) -> None:
        self._opening = opening
        self.place = place
        self.sealed = sealed

    def reveal(self) -> str:
        """The value, opened now."""
        return self._opening()
