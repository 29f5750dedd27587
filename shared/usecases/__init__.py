"""What Mailbind does: one file for each thing."""

from dataclasses import dataclass
from typing import dataclass_transform


@dataclass_transform(frozen_default=True)
def use_case[T](kind: type[T]) -> type[T]:
    """A thing that Mailbind does, with what it needs as fields; the type checker holds that they never change.

    It is no value: nobody compares or prints it, and every method that `dataclass` would make costs start-up time.
    """
    return dataclass(eq=False, repr=False)(kind)
