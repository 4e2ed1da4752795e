"""What callers ask the services for, and what they get back, where the domain has no value for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from faas.domain.function import Spec
from faas.domain.invocation import Invocation, Status
from faas.domain.namespace import DEFAULT


@dataclass(frozen=True, slots=True)
class NewFunction:
    """A function to create. `code` is decoded: one source file, or an archive."""

    name: str
    spec: Spec
    code: bytes
    namespace: str = DEFAULT


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
        delay_ms, run_at: when to run it, from now or at a time (one of them); at once where both are None.
        expires_ms: how long after it was accepted it may still be started; None for ever.
    """

    function: str
    payload: str
    headers: dict[str, str]
    timeout_ms: int | None = None
    idempotency_key: str | None = None
    fingerprint: bytes = b""
    delay_ms: int | None = None
    run_at: datetime | None = None
    expires_ms: int | None = None
    namespace: str = DEFAULT


@dataclass(frozen=True, slots=True)
class Replay:
    """An invocation to run again: `pinned` to its own revision, else under the newest. The key and fingerprint are as in `NewInvocation`."""

    invocation_id: str
    pinned: bool = True
    idempotency_key: str | None = None
    fingerprint: bytes = b""
    namespace: str = DEFAULT


@dataclass(frozen=True, slots=True)
class ReplayMany:
    """Invocations to run again together: the oldest of a terminal status that were not run again yet, at most `limit`.

    Attributes:
        function: an id or a name; None for every function's.
        batch_id: only those of a batch.
        after, before: only those accepted from then on, and before then.
    """

    status: Status
    function: str | None = None
    batch_id: str | None = None
    after: datetime | None = None
    before: datetime | None = None
    pinned: bool = True
    limit: int = 1000
    namespace: str = DEFAULT


@dataclass(frozen=True, slots=True)
class NewBatch:
    """Invocations to accept together, all or none. The key and fingerprint are the batch's; those of its items are not looked at."""

    items: list[NewInvocation]
    idempotency_key: str | None = None
    fingerprint: bytes = b""


@dataclass(frozen=True, slots=True)
class AcceptedBatch:
    """A batch: its id, and the ids of its invocations in the order in which they were given."""

    batch_id: str
    invocation_ids: list[str]
    replayed: bool


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
