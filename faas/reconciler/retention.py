"""The reconciler's duty to forget: invocations that ended and are older than the operator wants to keep them."""

from __future__ import annotations

import logging
import time
from datetime import datetime

from faas.db import retention, upkeep
from faas.db.database import Database
from faas.telemetry.catalogue import RECONCILER_ACTIONS

log = logging.getLogger("faas.reconciler")

_DAY_SECONDS = 86_400.0
# Ids are by the clock of who accepted them, and idempotency keys must not outlive their invocations: a little later does no harm.
_MARGIN_SECONDS = 3600.0
_PORTION = 500
# The other duties wait meanwhile.
_TURN_SECONDS = 1.0


class Retention:
    """Forgets in turns of about a second.

    Args:
        days: how long invocations are kept after they were accepted; 0 for ever.
    """

    def __init__(self, database: Database, days: int) -> None:
        self._database, self._days = database, days

    def turn(self) -> None:
        """Drop old months, then remove single rows, as long as a turn lasts."""
        if self._days == 0:
            return
        before = upkeep.clock(self._database, self._days * _DAY_SECONDS + _MARGIN_SECONDS)
        for name in retention.old_months(self._database, before):
            if retention.drop_month(self._database, name):
                log.info("dropped the partition %s", name)
        self._rows(before, time.monotonic() + _TURN_SECONDS)

    def _rows(self, before: datetime, deadline: float) -> None:
        removed = 0
        for step in (retention.remove, retention.remove_attempts):
            while time.monotonic() < deadline:
                count = step(self._database, before, _PORTION)
                removed += count
                if count < _PORTION:
                    break
            else:
                break
        if removed:
            self._database.counts.add(RECONCILER_ACTIONS, "rows_removed", by=removed)
            log.info("removed what is old", extra={"fields": {"rows": removed}})
