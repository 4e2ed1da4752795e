"""Who calls, and what he may do: API keys and their scopes."""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime

from faas.domain.namespace import DEFAULT

_LETTERS = string.ascii_letters + string.digits
_PREFIX_LETTERS, _SECRET_LETTERS = 10, 43
_KEY = re.compile(rf"faas_([A-Za-z0-9]{{{_PREFIX_LETTERS}}})_[A-Za-z0-9]{{{_SECRET_LETTERS}}}")


class Scope(enum.StrEnum):
    """What a key is good for. `admin` is good for everything, and alone for keys."""

    FUNCTIONS_READ = "functions:read"
    FUNCTIONS_WRITE = "functions:write"
    INVOKE = "invoke"
    INVOCATIONS_READ = "invocations:read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept: without its secret.

    Attributes:
        prefix: the part of it that may be shown, and by which it is found.
        requests_per_minute: None for any number.
    """

    id: str
    name: str
    prefix: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    requests_per_minute: int | None = None
    namespace: str = DEFAULT


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Attributes:
        key_id, name: of his key; None on a server that is open.
        requests_per_minute: None for any number.
    """

    key_id: str | None
    name: str | None
    scopes: frozenset[Scope]
    requests_per_minute: int | None = None
    namespace: str = DEFAULT

    @property
    def bound(self) -> str | None:
        """The namespace that he administers; None for one of `default`, who does all of them."""
        return None if self.namespace == DEFAULT else self.namespace

    def may(self, scope: Scope) -> bool:
        """Whether his key reaches that far."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


# Whoever calls a server that no key was made for.
ANYBODY = Caller(None, None, frozenset({Scope.ADMIN}))


def mint() -> str:
    """A new key: 256 bits of chance behind a prefix. Text that scanners for leaked secrets can tell by its beginning."""
    prefix, secret = (
        "".join(secrets.choice(_LETTERS) for _ in range(length)) for length in (_PREFIX_LETTERS, _SECRET_LETTERS)
    )
    return f"faas_{prefix}_{secret}"


def prefix_of(text: str) -> str | None:
    """The prefix of a key; None for what can't be one."""
    match = _KEY.fullmatch(text)
    return match[1] if match else None


def digest(text: str) -> bytes:
    """What is kept of a key. One round of SHA-256: a slow hash guards what people choose, and nobody guesses 256 bits of chance."""
    return hashlib.sha256(text.encode()).digest()


def matches(text: str, kept: bytes) -> bool:
    """Whether a key is the one that is kept; takes as long for every wrong one."""
    return hmac.compare_digest(digest(text), kept)
