"""Namespaces: parts of a platform that can't see each other. A function belongs to one, and its invocations and secrets with it; so does a key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

# Where nothing is said. Its keys with the scope `admin` are the platform's own.
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Quotas:
    """What a namespace may use; None for as much as there is.

    Attributes:
        requests_per_minute: calls of all its keys together.
        queued: invocations that wait for a place of their function.
        concurrent: `max_concurrency` of all its functions together: so many can run at once.
        code_mb: code of all its functions together, packed, of their newest revisions, in MiB.
        cpu_seconds_per_day: `cpus` times the running time of all that has ended today (UTC).
    """

    requests_per_minute: int | None = None
    queued: int | None = None
    concurrent: int | None = None
    code_mb: int | None = None
    cpu_seconds_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """What a namespace uses of its quotas."""

    concurrent: int
    code_bytes: int
    cpu_seconds_today: int


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace. Its name has the shape of a function's."""

    name: str
    created_at: datetime
    quotas: Quotas = Quotas()
    used: Used = Used(0, 0, 0)
