"""The reconciler's rounds."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from faas.db import builds, invocations, partitions, quotas, rollup, upkeep, workers
from faas.db.database import Database
from faas.domain import outcome as outcomes
from faas.errors import BrokerDown, DatabaseDown, PlatformError
from faas.queueing.publisher import Publisher
from faas.reconciler.retention import Retention
from faas.results.endings import Endings
from faas.telemetry.catalogue import RECONCILER_ACTIONS, RECONCILER_FAILURES, RECONCILER_ROUNDS

log = logging.getLogger("faas.reconciler")

_PORTION = 500
# A message that nobody took while the queue stood empty is lost; one behind a queue is just late.
_UNHEARD_SECONDS = 5.0
_LATE_SECONDS = 300.0
_BUILD_SECONDS = 15.0
# Three times what the compiler may take: such a build is lost, although its worker lives.
_BUILT_SECONDS = 900.0
# What namespaces have used is kept for a year and a month.
_USAGE_DAYS = 400
# The other duties wait meanwhile.
_ADD_UP_SECONDS = 1.0


@dataclass(slots=True)
class _Duty:
    """Something to do now and then. `every` in seconds."""

    run: Callable[[], None]
    every: float
    due: float = 0.0


class Reconciler:
    """Runs the duties in turn until it is stopped; a failed one is tried again in its next turn.

    Args:
        lease_s: a worker that has not beaten for this long is lost.
        retention_days: invocations that have ended go so long after they were accepted; 0 for never.
        named: for so many functions totals are kept by themselves (`rollup.roll`).
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        endings: Endings,
        *,
        lease_s: float,
        retention_days: int = 0,
        named: int = 100,
    ) -> None:
        self._database, self._publisher, self._endings, self._lease_s = database, publisher, endings, lease_s
        self._named = named
        self._stopping = threading.Event()
        # Since when the database has answered without a break. While it was away nobody could beat: that is no worker's fault.
        self._up_since: float | None = None
        # Redis was away, or a worker died with messages in hand: what was published by then may be lost although Redis was not wiped.
        self._doubt = False
        self._duties = [
            _Duty(self.admit_due, 0.5),
            _Duty(self.publish_again, 2.0),
            _Duty(self.expire, 0.5),
            _Duty(self.expire_leases, min(1.0, lease_s / 3)),
            _Duty(self.build_again, 5.0),
            _Duty(self.let_go, 2.0),
            _Duty(self.finish_deletions, 10.0),
            _Duty(self.add_up, 2.0),
            _Duty(self.mend_slots, 60.0),
            _Duty(self.forget_sums, 60.0),
            _Duty(self.house_keeping, 3600.0),
            _Duty(Retention(database, retention_days).turn, 10.0),
        ]

    def run(self) -> None:
        """Until `stop`."""
        while not self._stopping.is_set():
            self.round()
            self._database.counts.add(RECONCILER_ROUNDS)
            self._stopping.wait(0.1)

    def stop(self) -> None:
        """End `run` after the duty at hand."""
        self._stopping.set()

    def round(self) -> None:
        """Every duty whose time has come."""
        for duty in self._duties:
            if time.monotonic() >= duty.due:
                self._try(duty)
                duty.due = time.monotonic() + duty.every

    def _try(self, duty: _Duty) -> None:
        try:
            self._database.ping()
            self._up_since = self._up_since or time.monotonic()
            duty.run()
        except DatabaseDown as error:
            self._up_since = None
            self._failed("database", error)
        except BrokerDown as error:
            self._doubt = True
            self._failed("broker", error)
        except PlatformError as error:
            self._failed("other", error)
        except Exception:
            log.exception("a duty of the reconciler failed")
            self._database.counts.add(RECONCILER_FAILURES, "other")

    def _failed(self, cause: str, error: PlatformError) -> None:
        log.warning("%s", error)
        self._database.counts.add(RECONCILER_FAILURES, cause)

    def _did(self, action: str, number: int) -> None:
        if number:
            self._database.counts.add(RECONCILER_ACTIONS, action, by=number)

    def expire(self) -> None:
        """What was not started before its time was over."""
        for function_id in upkeep.expired_functions(self._database, _PORTION):
            while True:
                ended, run = upkeep.expire(self._database, function_id, _PORTION)
                self._did("expired", len(ended))
                self._publisher.send(run=run, ended=ended)
                if len(ended) < _PORTION:
                    break

    def admit_due(self) -> None:
        """Retries that fell due, and whoever waits although a slot is free."""
        for function_id in upkeep.waiting_functions(self._database, _PORTION):
            admitted = upkeep.admit(self._database, function_id)
            self._did("admitted", len(admitted))
            self._publisher.invocations(admitted)

    def publish_again(self) -> None:
        """What was admitted and is not in Redis any more."""
        if self._publisher.wiped() or self._doubt:
            age, why = 0.0, "it may be lost"
        elif self._publisher.backlog() == 0:
            age, why = _UNHEARD_SECONDS, "unheard"
        else:
            age, why = _LATE_SECONDS, "late"
        # From here on a failure to publish raises new doubt.
        self._doubt = False
        before = upkeep.clock(self._database, age)
        while ids := upkeep.unheard(self._database, before, _PORTION):
            log.info("published again", extra={"fields": {"count": len(ids), "why": why}})
            self._did("published_again", len(ids))
            self._publisher.invocations(ids)

    def expire_leases(self) -> None:
        """What lost workers claimed: tried again, or ended."""
        if self._up_since is None or time.monotonic() - self._up_since < self._lease_s:
            return
        for worker in workers.lost(self._database, self._lease_s):
            if workers.forget_if_lost(self._database, worker, self._lease_s):
                self._doubt = True
                self._did("worker_forgotten", 1)
                log.warning("a worker is lost", extra={"fields": {"worker": worker}})
        for function_id, invocation_id, attempt, failures in workers.orphans(self._database, _PORTION):
            finished = self._endings.lose(function_id, invocation_id, attempt, failures)
            self._did("attempt_ended", int(finished.applied))

    def build_again(self) -> None:
        """Builds that no living worker has."""
        for function_id, number in builds.stale(self._database, _BUILD_SECONDS, _BUILT_SECONDS, _PORTION):
            self._publisher.build(function_id, number)
            self._did("build_published", 1)

    def let_go(self) -> None:
        """Who waits for a build that is over."""
        _, ended = upkeep.let_go(self._database, outcomes.INIT_ERROR, _PORTION)
        self._did("let_go", len(ended))
        self._publisher.announce(ended=ended)

    def finish_deletions(self) -> None:
        """Deletions that were cut off between marking and cancelling."""
        for function_id in upkeep.deleted_with_queue(self._database, _PORTION):
            while ids := invocations.cancel_queued_of(self._database, function_id, _PORTION):
                self._did("cancelled", len(ids))
                self._publisher.announce(ended=ids)

    def mend_slots(self) -> None:
        """The count of slots in use, checked against the rows."""
        mended = upkeep.mend_slots(self._database)
        self._did("slots_mended", mended)
        if mended:
            log.error("the slots of %d functions were counted wrong, and were mended", mended)

    def add_up(self) -> None:
        """What has ended, for `/stats` and `/metrics`; what is left after a second waits for the next turn."""
        deadline = time.monotonic() + _ADD_UP_SECONDS
        while rollup.roll(self._database, self._named) and time.monotonic() < deadline:
            pass

    def forget_sums(self) -> None:
        """Sums that nobody asks for any more."""
        rollup.forget(self._database)

    def house_keeping(self) -> None:
        """Partitions of the coming months; idempotency keys past their day; what was used long ago."""
        for name in partitions.ensure_months(self._database, datetime.now(UTC)):
            log.info("made the partition %s", name)
        while upkeep.drop_old_keys(self._database, _PORTION) == _PORTION:
            pass
        quotas.drop_old_usage(self._database, _USAGE_DAYS)
