"""The threads that keep a worker's lease, hear of cancellations, and clear away what dead workers left on this host."""

from __future__ import annotations

import logging
import threading
import time

from faas.db import workers
from faas.db.workers import Claimed
from faas.errors import DatabaseDown, PlatformError
from faas.queueing import names
from faas.queueing.listener import Listener
from faas.worker.context import Context, is_of_platform
from faas.worker.running import Reason, Running

log = logging.getLogger("faas.worker")

_BEAT_SECONDS = 1.0
_SWEEP_SECONDS = 5.0
# Longer than an end that waits for PostgreSQL pauses between two tries.
_STRAY_SECONDS = 10.0
# Several beats: what has just ended is still held for a moment.
_UNCLAIMED_SECONDS = 3.0


class Keeper:
    """Keeps a worker known. `start` enrols it; `stop` makes the database forget it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._stopping = threading.Event()
        # Since when (monotonic) a claim has been seen that nobody here holds, by id and attempt.
        self._strays: dict[tuple[str, int], float] = {}
        # The other way round: attempts that run here without their claims, and since when; by their `id`, which is theirs as long as they are here.
        self._unclaimed: dict[int, tuple[Running, float]] = {}
        self._cancels = Listener(context.settings.redis_url, (names.CANCEL,), self._cancel)
        self._threads = [
            threading.Thread(target=self._beat_on, name="lease", daemon=True),
            threading.Thread(target=self._sweep_on, name="leftovers", daemon=True),
        ]

    def start(self) -> None:
        """Enrol, and begin to keep the lease. Raises DatabaseDown."""
        self._enrol()
        self._cancels.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the lease: everything that was claimed has ended or was handed back."""
        self._stopping.set()
        self._cancels.stop()
        for thread in self._threads:
            thread.join(timeout=30)
        try:
            workers.leave(self._context.database, self._context.incarnation)
        except DatabaseDown as error:
            log.warning("the lease stays until it is over: %s", error)

    def _enrol(self) -> None:
        context = self._context
        workers.enrol(context.database, context.incarnation, context.settings.worker_id, context.engine.name)

    def _beat_on(self) -> None:
        # Not less than five beats in a lease, so that a slow one costs nothing.
        pause = min(_BEAT_SECONDS, self._context.settings.worker_lease / 5)
        while not self._stopping.wait(pause):
            try:
                self._beat()
            except DatabaseDown as error:
                log.warning("the lease was not renewed: %s", error)
            except Exception:
                # Without this thread the worker would be taken as lost, and go on.
                log.exception("the lease was not renewed")

    def _beat(self) -> None:
        context = self._context
        if not workers.beat(context.database, context.incarnation):
            # Taken as lost: what runs here is somebody else's by now, or has ended.
            log.warning("the lease was over; %d running are given up", len(context.running))
            context.running.stop_all(Reason.LOST)
            self._enrol()
            # Another worker of this host may have cleared away what stood ready here, as a lost worker's leftovers.
            context.pool.clear()
        claimed = workers.claimed(context.database, context.incarnation)
        for one in claimed:
            if one.cancel:
                self._cancel(one.invocation_id)
        self._end_strays(claimed)
        self._stop_unclaimed(claimed)
        context.usage.write()

    def _end_strays(self, claimed: list[Claimed]) -> None:
        """End what this worker has claimed and does not run: a claim was committed, and the answer lost with the connection.

        While it lives, no lease would ever end it. What is about to be ended is no stray: that takes a moment, not a lease.
        """
        context, now = self._context, time.monotonic()
        held = context.running.held() | (context.dispatcher.held() if context.dispatcher else set())
        found = {(one.invocation_id, one.attempt): one for one in claimed}
        self._strays = {key: self._strays.get(key, now) for key in found.keys() - held}
        for key, since in self._strays.items():
            if now - since > max(_STRAY_SECONDS, context.settings.worker_lease):
                log.warning("claimed and not running here", extra={"fields": {"invocation_id": key[0]}})
                one = found[key]
                context.endings.lose(one.function_id, one.invocation_id, one.attempt, one.platform_failures)

    def _stop_unclaimed(self, claimed: list[Claimed]) -> None:
        """Stop what runs here without a claim: a crash of PostgreSQL took it back (decision 19), and whoever claims it next runs it beside this one."""
        now, taken = time.monotonic(), {(one.invocation_id, one.attempt) for one in claimed}
        self._unclaimed = {
            id(one): self._unclaimed.get(id(one), (one, now))
            for one in self._context.running.everyone()
            if (one.claim.invocation_id, one.claim.attempt) not in taken
        }
        for one, since in self._unclaimed.values():
            if now - since > _UNCLAIMED_SECONDS and one.reason is None:
                fields = {"invocation_id": one.claim.invocation_id}
                log.warning("its claim is gone, and it is given up", extra={"fields": fields})
                one.stop(Reason.LOST)

    def _cancel(self, invocation_id: str) -> None:
        self._context.running.stop(invocation_id, Reason.CANCELLED)

    def _sweep_on(self) -> None:
        while True:
            try:
                self._sweep()
            except PlatformError as error:
                log.warning("leftovers were not cleared away: %s", error)
            except Exception:
                log.exception("leftovers were not cleared away")
            if self._stopping.wait(_SWEEP_SECONDS):
                return

    def _sweep(self) -> None:
        context = self._context
        # Looked at before the living are asked for: whoever starts between the two is no leftover.
        found = {one for one in context.engine.leftovers() if is_of_platform(one, context.platform_id)}
        if found - {context.incarnation}:
            known = workers.known(context.database)
            for worker in found - known - {context.incarnation}:
                removed = context.engine.remove_leftovers(worker)
                log.info("cleared away after a lost worker", extra={"fields": {"worker": worker, "things": removed}})
