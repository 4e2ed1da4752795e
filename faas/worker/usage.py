"""What the functions of each namespace have used of the processors: gathered here, and written down every few seconds."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter

from faas.db import quotas
from faas.db.database import Database
from faas.domain.invocation import Claim
from faas.domain.outcome import Outcome
from faas.errors import DatabaseDown

log = logging.getLogger("faas.worker")

_EVERY_S = 2.0


class Usage:
    """Adds up CPU-time, by namespace. A worker that is killed takes its last seconds with it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._cpu_ms: Counter[str] = Counter()
        self._written_at = 0.0

    def add(self, claim: Claim, outcome: Outcome) -> None:
        """An attempt has ended: it had its CPUs for as long as it loaded and ran."""
        spent_ms = round((outcome.init_ms + outcome.duration_ms) * claim.revision.spec.cpus)
        if spent_ms:
            with self._lock:
                self._cpu_ms[claim.revision.namespace] += spent_ms

    def write(self, *, at_once: bool = False) -> None:
        """Write down what has come since the last time, when that is a while ago. What can't be written is kept for the next time."""
        now = time.monotonic()
        if not at_once and now - self._written_at < _EVERY_S:
            return
        with self._lock:
            spent, self._cpu_ms = self._cpu_ms, Counter()
        self._written_at = now
        if not spent:
            return
        try:
            quotas.add_usage(self._database, spent)
        except DatabaseDown as error:
            log.warning("the use of CPUs is not written yet: %s", error)
            with self._lock:
                self._cpu_ms.update(spent)
