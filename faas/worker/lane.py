"""The lane of warm calls: one thread that serves all sandboxes whose calls need nothing but an answer (PERFORMANCE.md).

A thread for each call spends more on taking turns under the interpreter's lock than on the call. So a claim for which a warm sandbox is idle is begun
here by whoever claimed it, its answer is awaited with all others' by one `epoll`, and its end is written by a thread that groups commits. Where all are
busy and one will be free in a moment, the call stands and waits for it (`faas.worker.patience`). What takes long (loading code, a sandbox that died or
was not left clean) is the business of threads.

A quick call that comes alone is not even handed to that thread: whoever claimed it waits for its answer, and writes its end. To pass a call from thread
to thread takes more of the processor than such a call itself, and who comes meanwhile is claimed in a batch.
"""

from __future__ import annotations

import heapq
import logging
import math
import os
import select
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from faas.domain import outcome as outcomes
from faas.domain.invocation import Claim
from faas.domain.outcome import Outcome
from faas.errors import PlatformError
from faas.sandbox.call import Call
from faas.sandbox.engine import RunningCall, Sandbox
from faas.sandbox.pool import Pool
from faas.worker.patience import TURNED_AWAY_S, Patience, Standing
from faas.worker.running import Reason, Running, RunningSet

log = logging.getLogger("faas.worker")

_SLOW_THREADS = 4
# So long a call that came alone is waited for by whoever claimed it.
_ALONE_S = 0.005
# Edges, so that a descriptor is registered once for its sandbox's life, and what an idle sandbox prints wakes nobody twice.
_EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET

# A call that was stopped before it had a sandbox; why is known to who stopped it, and judged by it.
_NOT_BEGUN = outcomes.failed(outcomes.SANDBOX_ERROR, "The call was stopped before it began.")

# Whether the thread that tells may write the end itself: nobody else needs it.
Done = Callable[[Running, Outcome, bool], None]


@dataclass(slots=True)
class _Passenger:
    """A call that is under way in a sandbox."""

    running: Running
    sandbox: Sandbox
    call: RunningCall
    done: Done


class Lane:
    """See the module.

    Args:
        pool: where warm sandboxes come from.
        running: where its calls are entered; whoever is told that one is done leaves it there until its end is written.
    """

    def __init__(self, pool: Pool, running: RunningSet) -> None:
        self._pool, self._running = pool, running
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._lock = threading.Lock()
        # By sandbox: those that have a call, the descriptors of all that ever had one here, and who owns a descriptor.
        self._passengers: dict[str, _Passenger] = {}
        self._owners: dict[int, str] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._sleeps_until = 0.0
        # Descriptors to be read once more, and those that had something when nobody was under way there.
        self._again: dict[int, str] = {}
        self._missed: set[int] = set()
        self._patience = Patience(len(os.sched_getaffinity(0)))
        self._stopping = False
        self._slow = ThreadPoolExecutor(_SLOW_THREADS, thread_name_prefix="lane-slow")
        self._thread = threading.Thread(target=self._run, name="lane", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._pool.tell_of_idle(self._serve)
        self._thread.start()

    def hand_back(self) -> None:
        """Send away all that wait, as handed back. Nothing is begun any more by now."""
        with self._lock:
            everyone = []
            while (standing := self._patience.late(math.inf)) is not None:
                everyone.append(standing)
        for standing in everyone:
            standing.running.stop(Reason.HANDED_BACK)
            self._tell(standing.done, standing.running, _NOT_BEGUN)

    def stop(self) -> None:
        """Wait for the calls that are under way, and end. Nothing is begun any more by now."""
        with self._lock:
            self._stopping = True
        os.eventfd_write(self._wake, 1)
        if self._thread.is_alive():
            self._thread.join()
        self._slow.shutdown()
        self._epoll.close()
        os.close(self._wake)

    def begin(
        self, claim: Claim, done: Done, turned_away: Callable[[], None] | None = None, *, alone: bool = False
    ) -> bool:
        """Run a claimed invocation, if a warm sandbox of it is idle, or will be in a moment.

        Args:
            done: called with what became of it, from a thread of the lane, or from this one before it returns.
            turned_away: called from a thread of the lane where it waited for nothing, and is to go another way; None where it is not to wait.
            alone: nothing else is to be done by this thread; it may wait for the answer for some milliseconds.

        Returns:
            Whether it was begun, or waits; otherwise nothing has happened.
        """
        key = claim.revision.key
        sandbox = self._pool.take_warm(key)
        if sandbox is not None:
            running = self._running.add(claim)
            if self._begin_in(sandbox, running, done, alone=alone and self._patience.is_quick(key)):
                return True
            self._running.remove(running)
            return False
        return turned_away is not None and self._stand(claim, done, turned_away)

    def _begin_in(self, sandbox: Sandbox, running: Running, done: Done, *, alone: bool = False) -> bool:
        claim = running.claim
        running.cancel.attach(sandbox)
        running.begin_trace()
        try:
            call = sandbox.begin(
                Call(claim.invocation_id, claim.payload, running.headers, claim.timeout_ms, running.log)
            )
        except Exception as error:
            # It died while it was idle: the way with a thread finds another, or starts one. Whatever it was, a call must not be left with nobody.
            if not isinstance(error, PlatformError):
                log.exception("a call could not be begun")
            running.cancel.detach()
            self._pool.discard(sandbox)
            return False
        passenger = _Passenger(running, sandbox, call, done)
        try:
            over = alone and self._is_over_soon(passenger)
            if not over:
                self._board(passenger)
        except Exception:
            # The kernel has no room for another descriptor to be watched.
            log.exception("a call could not be watched")
            running.cancel.detach()
            self._pool.discard(sandbox)
            return False
        if over:
            try:
                self._over(passenger, alone=True)
            except Exception:
                log.exception("a call could not be served")
        return True

    def _stand(self, claim: Claim, done: Done, turned_away: Callable[[], None]) -> bool:
        key = claim.revision.key
        in_use, now = self._pool.in_use(key), time.monotonic()
        with self._lock:
            if not self._patience.is_worth_it(key, in_use, now):
                return False
            until = now + TURNED_AWAY_S
            self._patience.stand(Standing(self._running.add(claim), done, turned_away, until))
            early = until < self._sleeps_until
        if early:
            os.eventfd_write(self._wake, 1)
        # One that became idle in between was offered to nobody.
        self._serve(key)
        return True

    def _serve(self, key: tuple[str, int]) -> None:
        """Give idle sandboxes of a revision to those who wait for one."""
        while self._patience.anybody(key) and (sandbox := self._pool.take_warm(key)) is not None:
            self._hand_over(sandbox, key)

    def _hand_over(self, sandbox: Sandbox, key: tuple[str, int]) -> None:
        """Give a sandbox that the pool has as busy to the next who waits; to the pool where nobody does."""
        while True:
            with self._lock:
                standing = self._patience.next(key)
            if standing is None:
                self._pool.release(sandbox)
                return
            if standing.running.cancel.requested:
                self._tell(standing.done, standing.running, _NOT_BEGUN)
            elif self._begin_in(sandbox, standing.running, standing.done):
                return
            else:
                self._turn_away(standing)
                return

    def _turn_away(self, standing: Standing) -> None:
        if standing.running.cancel.requested:
            self._tell(standing.done, standing.running, _NOT_BEGUN)
            return
        # Entered elsewhere first: what is held nowhere is ended as a stray.
        standing.turned_away()
        self._running.remove(standing.running)

    def _is_over_soon(self, passenger: _Passenger) -> bool:
        """Whether a call is answered while this thread waits for it. The lane's own must not be woken by it."""
        sandbox = passenger.sandbox
        with self._lock:
            for descriptor in sandbox.descriptors:
                if self._owners.get(descriptor) == sandbox.id:
                    del self._owners[descriptor]
                    self._missed.discard(descriptor)
                    self._epoll.unregister(descriptor)
        return sandbox.answers(passenger.call, time.monotonic() + _ALONE_S)

    def _board(self, passenger: _Passenger) -> None:
        sandbox, deadline = passenger.sandbox, passenger.call.deadline
        with self._lock:
            strange = [one for one in sandbox.descriptors if self._owners.get(one) != sandbox.id]
            for descriptor in strange:
                self._owners[descriptor] = sandbox.id
                # Its number may have been that of a descriptor which was closed, and so left `epoll` by itself.
                self._epoll.register(descriptor, _EVENTS)
            self._passengers[sandbox.id] = passenger
            heapq.heappush(self._deadlines, (deadline, sandbox.id))
            early = deadline < self._sleeps_until
            # The answer may have come before its passenger was known here; an edge is told once.
            quick = self._missed.intersection(sandbox.descriptors)
            self._missed -= quick
            self._again.update(dict.fromkeys(quick, sandbox.id))
        if early or quick:
            os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._stopping and not self._passengers:
                    return
                pause = self._pause()
            for descriptor, event in self._epoll.poll(pause):
                if descriptor == self._wake:
                    os.eventfd_read(self._wake)
                    continue
                self._step_safely(descriptor, event)
            with self._lock:
                again, self._again = self._again, {}
            for descriptor, sandbox_id in again.items():
                if self._owners.get(descriptor) == sandbox_id:
                    # Whatever was missed: room to send more is told by an edge, too, and by no second one.
                    self._step_safely(descriptor, select.EPOLLIN | select.EPOLLOUT)
            self._expire()

    def _pause(self) -> float:
        """How long to sleep at most; under the lock."""
        if self._again:
            return 0
        while self._deadlines and not self._is_under_way(self._deadlines[0]):
            heapq.heappop(self._deadlines)
        now = time.monotonic()
        self._sleeps_until = self._deadlines[0][0] if self._deadlines else now + 60
        earliest = self._patience.earliest()
        if earliest is not None:
            self._sleeps_until = min(self._sleeps_until, earliest)
        return max(0.0, self._sleeps_until - now)

    def _is_under_way(self, entry: tuple[float, str]) -> bool:
        deadline, sandbox_id = entry
        passenger = self._passengers.get(sandbox_id)
        return passenger is not None and passenger.call.deadline == deadline

    def _step_safely(self, descriptor: int, event: int) -> None:
        try:
            self._step(descriptor, event)
        except Exception:
            # The others go on; this one is ended at its deadline.
            log.exception("a call could not be served")

    def _step(self, descriptor: int, event: int) -> None:
        passenger = self._passengers.get(self._owners.get(descriptor, ""))
        if passenger is None:
            with self._lock:
                passenger = self._passengers.get(self._owners.get(descriptor, ""))
                if passenger is None:
                    # Printed by an idle sandbox, or one that a thread uses; or the passenger is about to board.
                    self._missed.add(descriptor)
                    return
        if passenger.call.turn.step(descriptor, event):
            self._again[descriptor] = passenger.sandbox.id
        if passenger.call.turn.answer is not None:
            self._arrived(passenger)

    def _expire(self) -> None:
        now, late = time.monotonic(), []
        with self._lock:
            while self._deadlines and self._deadlines[0][0] <= now:
                entry = heapq.heappop(self._deadlines)
                if self._is_under_way(entry):
                    late.append(self._passengers[entry[1]])
        for passenger in late:
            self._arrived(passenger)
        while True:
            with self._lock:
                standing = self._patience.late(now)
            if standing is None:
                return
            try:
                self._turn_away(standing)
            except Exception:
                # The others go on; this one is ended as a stray by the worker's keeper.
                log.exception("a call could not be sent on")
                self._running.remove(standing.running)

    def _arrived(self, passenger: _Passenger) -> None:
        with self._lock:
            del self._passengers[passenger.sandbox.id]
        self._over(passenger)

    def _over(self, passenger: _Passenger, *, alone: bool = False) -> None:
        with self._lock:
            self._patience.took(passenger.running.claim.revision.key, time.monotonic() - passenger.call.began)
        try:
            plain = passenger.sandbox.is_plain(passenger.call)
        except Exception:
            plain = False
        if plain:
            self._alight(passenger, alone=alone)
        else:
            self._slow.submit(self._alight, passenger)

    def _alight(self, passenger: _Passenger, *, alone: bool = False) -> None:
        running = passenger.running
        try:
            outcome = passenger.sandbox.conclude(passenger.call)
        except PlatformError as error:
            log.warning("the platform failed: %s", error)
            outcome = outcomes.failed(outcomes.SANDBOX_ERROR, str(error))
        except Exception:
            log.exception("a call ended in a way that nobody foresaw")
            outcome = outcomes.failed(outcomes.SANDBOX_ERROR, "The platform failed; its log has the reason.")
        running.cancel.detach()
        key = running.claim.revision.key
        try:
            if self._patience.anybody(key) and self._pool.reuse(passenger.sandbox):
                self._hand_over(passenger.sandbox, key)
            else:
                self._pool.release(passenger.sandbox)
        finally:
            self._tell(passenger.done, running, outcome, alone=alone)

    def _tell(self, done: Done, running: Running, outcome: Outcome, *, alone: bool = False) -> None:
        try:
            done(running, outcome, alone)
        except Exception:
            log.exception("an outcome was lost", extra={"fields": {"invocation_id": running.claim.invocation_id}})
