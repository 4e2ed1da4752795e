"""Quotas of namespaces: what each may use, looked at before anything is accepted."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from faas.db import namespaces, quotas
from faas.db.database import Database
from faas.domain.namespace import Namespace, Quotas
from faas.errors import DatabaseDown, QueueFull, RateLimited
from faas.queueing.rates import Rate, Rates
from faas.services.admission import QueueLimit

# For so long a process goes by what it has read: a new quota holds everywhere after that.
REMEMBERED_S = 3.0
_RETRY_S = 5
# Those asked for last.
_MOST = 1000


@dataclass(slots=True)
class _Known:
    """What a process knows of one namespace."""

    quotas: Quotas
    until: float
    queue: QueueLimit | None
    cpu_until: float = 0.0
    cpu_seconds: int = 0
    left_s: int = 0


class NamespaceQuotas:
    """The use cases of quotas, for one process; threads share it."""

    def __init__(self, database: Database, rates: Rates) -> None:
        self._database, self._rates = database, rates
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def put(self, namespace: str, wanted: Quotas) -> Namespace:
        """Replace the quotas of a namespace. Raises NotFound."""
        quotas.put(self._database, namespace, wanted)
        with self._lock:
            self._known.pop(namespace, None)
        return namespaces.get(self._database, namespace)

    def count_request(self, namespace: str) -> Rate | None:
        """Count a call of a namespace; None where it may make any number, or where Redis or the database does not answer."""
        try:
            limit = self._of(namespace).quotas.requests_per_minute
        except DatabaseDown:
            # Whoever needs it will say so; a limit is for fairness.
            return None
        return None if limit is None else self._rates.hit(f"namespace:{namespace}", limit)

    def enter(self, namespace: str, count: int = 1) -> None:
        """Say that so many invocations are about to be accepted.

        Raises:
            RateLimited: as many wait as may, or today's CPU-seconds are used up. DatabaseDown: that can't be told.
        """
        known = self._of(namespace)
        if known.quotas.cpu_seconds_per_day is not None:
            self._require_cpu(namespace, known, known.quotas.cpu_seconds_per_day)
        if known.queue is not None:
            try:
                known.queue.enter(count)
            except QueueFull:
                raise RateLimited(
                    f"{known.quotas.queued} invocations of the namespace wait, which is its quota.", _RETRY_S
                ) from None

    def _require_cpu(self, namespace: str, known: _Known, limit: int) -> None:
        now = time.monotonic()
        if now >= known.cpu_until:
            known.cpu_seconds, known.left_s = quotas.cpu_today(self._database, namespace)
            known.cpu_until = now + REMEMBERED_S
        if known.cpu_seconds >= limit:
            raise RateLimited(f"The namespace has used its {limit} CPU-seconds of today (UTC).", max(1, known.left_s))

    def _of(self, namespace: str) -> _Known:
        now = time.monotonic()
        with self._lock:
            known = self._known.get(namespace)
        if known is not None and now < known.until:
            return known
        found = quotas.of(self._database, namespace)
        with self._lock:
            known = self._known.get(namespace)
            if known is not None and known.quotas == found:
                # The count of what waits goes on.
                known.until = now + REMEMBERED_S
                return known
            if len(self._known) >= _MOST:
                self._known.clear()
            queue = None if found.queued is None else self._queue(namespace, found.queued)
            known = self._known[namespace] = _Known(found, now + REMEMBERED_S, queue)
            return known

    def _queue(self, namespace: str, limit: int) -> QueueLimit:
        return QueueLimit(lambda most: quotas.waiting(self._database, namespace, most), limit)


class Admission:
    """Every bound on what may be accepted now."""

    def __init__(self, queue: QueueLimit, namespaces: NamespaceQuotas) -> None:
        self._queue, self._namespaces = queue, namespaces

    def enter(self, namespace: str, count: int = 1) -> None:
        """Say that so many invocations of a namespace are about to be accepted. Raises RateLimited, QueueFull, DatabaseDown."""
        self._namespaces.enter(namespace, count)
        self._queue.enter(count)
