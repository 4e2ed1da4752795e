"""Claiming in batches, before a thread is taken: the way of a message from Celery's consumer to its pool (see `faas.worker.strategy`).

Messages queue here until a thread of the pool is free; then as many as there are free threads are claimed in one statement, and only what could be
claimed goes on, through Celery's own strategy, request and tracer, with its claim in hand. A lone message is claimed at once: nothing waits for a batch.

`WORKER_DISPATCH=stock` leaves all of it out: then each message goes to a thread, which claims for itself.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from faas.db import attempts
from faas.db.database import Database
from faas.domain.invocation import Claim
from faas.errors import DatabaseDown
from faas.queueing.publisher import Publisher
from faas.results.endings import Endings

log = logging.getLogger("faas.worker")

_BATCH = 64
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A message that came: the id in it, and how to go on with it or to be rid of it."""

    invocation_id: str
    go_on: Callable[[], None]
    settle: Callable[[], None]


class Dispatcher:
    """Claims in batches, from a thread of its own.

    Args:
        worker: the incarnation that claims.
        draining: set when nothing is to be claimed any more.
        threads: how many attempts may run at once.
    """

    def __init__(
        self, database: Database, publisher: Publisher, worker: str, draining: threading.Event, *, threads: int
    ) -> None:
        self._database, self._publisher, self._worker, self._draining = database, publisher, worker, draining
        self._arrivals: queue.SimpleQueue[_Arrival | None] = queue.SimpleQueue()
        self._free = threading.Semaphore(threads)
        self._claims: dict[str, Claim] = {}
        self._thread = threading.Thread(target=self._run, name="dispatch", daemon=True)

    def start(self) -> None:
        """Begin to claim."""
        self._thread.start()

    def stop(self) -> None:
        """Claim no more. `draining` is set by now, so what is queued here is passed on."""
        self._arrivals.put(None)
        # A thread that waits for a free one finds it.
        self._free.release()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def hand_back(self, endings: Endings) -> None:
        """Give back what was claimed and never reached a thread: the pool forgot it when it was stopped."""
        while self._claims:
            _, claim = self._claims.popitem()
            endings.hand_back(claim)

    def arrived(self, invocation_id: str, go_on: Callable[[], None], settle: Callable[[], None]) -> None:
        """A message has arrived. `go_on` is called when its invocation is claimed, `settle` when there is nothing to claim."""
        self._arrivals.put(_Arrival(invocation_id, go_on, settle))

    def take(self, invocation_id: str) -> Claim | None:
        """The claim that was made for a task; the thread that takes it gives its place back with `done`."""
        return self._claims.pop(invocation_id, None)

    def held(self) -> set[tuple[str, int]]:
        """What is claimed and has not reached its thread: id and attempt."""
        return {(claim.invocation_id, claim.attempt) for claim in list(self._claims.values())}

    def done(self) -> None:
        """A thread is free again."""
        self._free.release()

    def _run(self) -> None:
        while (first := self._arrivals.get()) is not None:
            self._free.acquire()
            batch, more = self._gather(first)
            try:
                self._dispatch(batch)
            except Exception:
                log.exception("a batch of messages was lost; the reconciler publishes them again")
            if not more:
                return

    def _gather(self, first: _Arrival) -> tuple[list[_Arrival], bool]:
        """All that is there and has a free thread, at most a batch; and whether to go on after it."""
        batch = [first]
        while len(batch) < _BATCH and self._free.acquire(blocking=False):
            try:
                arrival = self._arrivals.get_nowait()
            except queue.Empty:
                self._free.release()
                break
            if arrival is None:
                self._free.release()
                return batch, False
            batch.append(arrival)
        return batch, True

    def _dispatch(self, batch: list[_Arrival]) -> None:
        # What does not reach a thread gives its place back itself.
        places = len(batch)
        try:
            claims = self._claim([arrival.invocation_id for arrival in batch])
            for arrival in batch:
                claim = claims.pop(arrival.invocation_id, None)
                if claim is None:
                    # A duplicate, or cancelled meanwhile.
                    arrival.settle()
                    continue
                self._go_on(arrival, claim)
                places -= 1
        finally:
            for _ in range(places):
                self._free.release()

    def _go_on(self, arrival: _Arrival, claim: Claim) -> None:
        self._claims[claim.invocation_id] = claim
        try:
            arrival.go_on()
        except Exception:
            # Held no more: the worker's keeper ends it as a stray.
            self._claims.pop(claim.invocation_id, None)
            raise

    def _claim(self, ids: list[str]) -> dict[str, Claim]:
        """Claims by id. While PostgreSQL is away this waits: nothing could be run, and messages are not popped beyond the prefetch."""
        while not self._draining.is_set():
            try:
                return attempts.claim_many(self._database, ids, self._worker)
            except DatabaseDown as error:
                log.warning("%d not claimed yet: %s", len(ids), error)
                self._draining.wait(_PAUSE_SECONDS)
        # Passed on to another worker.
        self._publisher.announce(run=ids)
        return {}
