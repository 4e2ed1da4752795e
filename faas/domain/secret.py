"""Secrets: text that a function is given and nobody else is shown. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Never

from faas.domain.function import KIB

VALUE_BYTES = 64 * KIB
# A Go program gets them in its environment, which Linux bounds: 16 of the largest fit.
MOST_BINDINGS = 16


class Secret:
    """Text that no log line, stack trace or `repr` shows by accident: only `reveal` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> Never:
        raise TypeError("a secret is not written out")


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """What is told of a secret.

    Attributes:
        version: one more for every value that it was given.
        functions: the names of those that are given it, in their newest revisions.
    """

    name: str
    version: int
    functions: tuple[str, ...]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted value, and the id of the key that it was encrypted with."""

    key_id: str
    ciphertext: bytes
