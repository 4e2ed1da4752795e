"""Claiming in batches, before a thread is taken: the way of a message from Celery's consumer to its pool (see `faas.worker.strategy`).

Messages queue here until there is room for a call; then as many as there is room for are claimed in one statement, and only what could be claimed goes
on: by the lane where a warm sandbox is idle, else through Celery's own strategy, request and tracer, with its claim in hand. A lone message is
claimed at once, and so is one whose answer somebody waits for; in a stream of others a batch is waited for, for some milliseconds.

`WORKER_DISPATCH=stock` leaves all of it out: then each message goes to a thread, which claims for itself.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from faas.db import attempts
from faas.db.database import Database
from faas.db.revisions import Revisions
from faas.domain.invocation import Claim
from faas.errors import DatabaseDown
from faas.queueing.publisher import Publisher
from faas.results.endings import Endings

log = logging.getLogger("faas.worker")

_BATCH = 64
_PAUSE_SECONDS = 0.5
# Messages that come closer than the first (seconds), and that nobody waits for, are claimed together with those of the second.
_STREAM_S, _HOLD_S = 0.004, 0.01

# Runs a claim without a thread, if that can be done now or in a moment: the claim, where its end is waited for, what is to be called when it is
# over, or when it needs a thread after all, and whether nothing else is to be done meanwhile.
Board = Callable[[Claim, str | None, Callable[[], None], Callable[[], None], bool], bool]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that came.

    Attributes:
        go_on: give it to Celery, with its claim in hand.
        reply_to: where the message says that its end is waited for.
        begun, ended: told when it is run without Celery's request, and when that is over.
    """

    invocation_id: str
    go_on: Callable[[], None]
    reply_to: str | None = None
    begun: Callable[[], None] = lambda: None
    ended: Callable[[], None] = lambda: None


class Dispatcher:
    """Claims in batches, from a thread of its own.

    Args:
        worker: the incarnation that claims.
        draining: set when nothing is to be claimed any more.
        threads: how many attempts may run at once.
        revisions: those that the worker knows.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        worker: str,
        draining: threading.Event,
        *,
        threads: int,
        revisions: Revisions | None = None,
    ) -> None:
        self._database, self._publisher, self._worker, self._draining = database, publisher, worker, draining
        self._revisions = revisions or Revisions(database)
        self._arrivals: queue.SimpleQueue[Arrival | None] = queue.SimpleQueue()
        self._free = threading.Semaphore(threads)
        self._depth, self._full = threads, False
        # Once full, it is filled up by so many: one at a time would cost a turn of Celery's loop each.
        self._portion = (threads + 1) // 2
        self._tell: Callable[[], None] = lambda: None
        self._claims: dict[str, Claim] = {}
        self._board: Board | None = None
        self._wait_for_room: Callable[[], None] = lambda: None
        self._last_at = 0.0
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatch", daemon=True)

    def start(self, board: Board | None = None, wait_for_room: Callable[[], None] | None = None) -> None:
        """Begin to claim.

        Args:
            board: runs claims without threads.
            wait_for_room: called before each batch; returns when more can be taken on.
        """
        self._board = board
        if wait_for_room is not None:
            self._wait_for_room = wait_for_room
        self._thread.start()

    def stop(self) -> None:
        """Claim no more. `draining` is set by now, so what is queued here is passed on."""
        self._arrivals.put(None)
        self._hurry.set()
        # A thread that waits for a free one finds it.
        self._free.release()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def hand_back(self, endings: Endings) -> None:
        """Give back what was claimed and never reached a thread: the pool forgot it when it was stopped."""
        while self._claims:
            _, claim = self._claims.popitem()
            endings.hand_back(claim)

    def arrived(self, arrival: Arrival) -> None:
        """A message has arrived. It goes on when its invocation is claimed."""
        self._arrivals.put(arrival)
        if arrival.reply_to is not None or self._arrivals.qsize() >= self._depth:
            self._hurry.set()

    def room(self) -> int:
        """How many more messages are wanted: as many in hand as may run at once, beside those that do. None by a worker that stops, or that was full
        and has not run half of them yet."""
        room = self._room()
        if room <= 0:
            # Looked at again after the mark is set: whoever takes some out in between has not seen it.
            self._full = True
            room = self._room()
        if self._full and room < self._portion:
            return 0
        self._full = False
        return room

    def _room(self) -> int:
        return 0 if self._draining.is_set() else self._depth - self._arrivals.qsize()

    def tell_of_room(self, tell: Callable[[], None]) -> None:
        """Name who is to be told when there is room again."""
        self._tell = tell

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
            self._wait_for_room()
            self._wait_for_more(first)
            batch, more = self._gather(first)
            self._say_that_there_is_room()
            self._dispatch(batch)
            if not more:
                return

    def _wait_for_more(self, first: Arrival) -> None:
        """In a stream of messages, wait a moment for those that follow: one claim and one end for several take little more than for one.

        Not where somebody waits for the answer, nor when as many are there as may be.
        """
        last, self._last_at = self._last_at, time.monotonic()
        if first.reply_to is None and self._last_at - last < _STREAM_S:
            self._hurry.wait(_HOLD_S)
            self._last_at = time.monotonic()
        self._hurry.clear()

    def _say_that_there_is_room(self) -> None:
        if not self._full or self._room() < self._portion:
            return
        self._full = False
        try:
            self._tell()
        except Exception as error:
            # Celery's loop is between two connections; it looks by itself when it is back.
            log.debug("nobody to be told of room: %s", error)

    def _gather(self, first: Arrival) -> tuple[list[Arrival], bool]:
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

    def _dispatch(self, batch: list[Arrival]) -> None:
        try:
            claims = self._claim([arrival.invocation_id for arrival in batch])
        except Exception as error:
            self._claim_failed(batch, error)
            return
        for arrival in batch:
            # None for a duplicate, or for what was cancelled meanwhile.
            self._pass_on(arrival, claims.pop(arrival.invocation_id, None), len(batch) == 1)

    def _claim_failed(self, batch: list[Arrival], error: Exception) -> None:
        """A message that can't be claimed takes none with it: each is tried by itself."""
        if len(batch) > 1:
            for arrival in batch:
                self._dispatch([arrival])
            return
        log.error("%s is not claimed; the reconciler publishes it again", batch[0].invocation_id, exc_info=error)
        self._free.release()

    def _pass_on(self, arrival: Arrival, claim: Claim | None, alone: bool) -> None:
        """To the lane or a thread, with its claim. What does not reach one gives its place back."""
        try:
            if claim is not None:
                if not self._boarded(arrival, claim, alone and self._arrivals.empty()):
                    self._go_on(arrival, claim)
                return
        except Exception:
            self._lost(arrival)
        self._free.release()

    def _go_on(self, arrival: Arrival, claim: Claim) -> None:
        self._claims[claim.invocation_id] = claim
        arrival.go_on()

    def _lost(self, arrival: Arrival) -> None:
        log.exception("a message of %s was lost", arrival.invocation_id)
        if not self._draining.is_set():
            # Held no more: the worker's keeper ends it as a stray. In one that stops, it is given back with all that Celery's pool takes no more.
            self._claims.pop(arrival.invocation_id, None)

    def _boarded(self, arrival: Arrival, claim: Claim, alone: bool) -> bool:
        def over() -> None:
            self._free.release()
            arrival.ended()

        def turned_away() -> None:
            arrival.ended()
            try:
                self._go_on(arrival, claim)
            except Exception:
                self._lost(arrival)
                self._free.release()

        if self._board is None or not self._board(claim, arrival.reply_to, over, turned_away, alone):
            return False
        arrival.begun()
        return True

    def _claim(self, ids: list[str]) -> dict[str, Claim]:
        """Claims by id. While PostgreSQL is away this waits: nothing could be run, and messages are not popped beyond the prefetch."""
        while not self._draining.is_set():
            try:
                return attempts.claim_many(self._database, ids, self._worker, self._revisions)
            except DatabaseDown as error:
                log.warning("%d not claimed yet: %s", len(ids), error)
                self._draining.wait(_PAUSE_SECONDS)
        # Passed on to another worker.
        self._publisher.announce(run=ids)
        return {}
