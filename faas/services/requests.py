"""What callers ask the services for, and what they get back, where the domain has no value for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faas.domain.function import Spec
from faas.domain.invocation import Invocation


@dataclass(frozen=True, slots=True)
class NewFunction:
    """A function to create. `code` is decoded: one source file, or an archive."""

    name: str
    spec: Spec
    code: bytes


@dataclass(frozen=True, slots=True)
class FunctionChanges:
    """Fields to change: `name`, `code` (bytes) and the names of `Spec`'s fields, with the types that those have. Empty changes nothing."""

    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewInvocation:
    """An invocation to accept.

    Attributes:
        function: an id or a name.
        payload: JSON text.
        timeout_ms: None for the function's own.
        idempotency_key: None for none; `fingerprint` is then not looked at, else SHA-256 of the body in canonical JSON.
    """

    function: str
    payload: str
    headers: dict[str, str]
    timeout_ms: int | None = None
    idempotency_key: str | None = None
    fingerprint: bytes = b""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The invocation that a call made, or that an earlier call with the same key made."""

    invocation: Invocation
    replayed: bool


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Whether every check passed, and each check's word: `ok`, or what is wrong."""

    ok: bool
    checks: dict[str, str]
