"""What is kept of a change: who, what, from where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """One change.

    Attributes:
        key_id, key_name: of whose key; None on a server that was open.
        action: the operation, such as `functions.create`.
        object: the id or name of what was changed.
        remote: the address that the request came from.
    """

    id: str
    at: datetime
    namespace: str
    key_id: str | None
    key_name: str | None
    action: str
    object: str | None
    remote: str | None
    request_id: str
