"""The warm pool: idle sandboxes of revisions, and generic ones ("stem cells") that make a cold start short.

Memory is a budget: the limits of all sandboxes that belong to a revision, busy or idle, together. Idle ones give way, least recently used
first; a call that finds everything busy waits, first come, first served. Stem cells are small and don't count.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from faas.domain.function import Network, Revision, Runtime
from faas.errors import SandboxError
from faas.sandbox.engine import Engine, Sandbox
from faas.sandbox.idle import Held, Idle
from faas.sandbox.keep_alive import KeepAlive
from faas.sandbox.stems import Kind, Stems
from faas.telemetry.catalogue import (
    SANDBOX_START,
    SANDBOX_START_FAILURES,
    SANDBOX_WAIT,
    SANDBOXES_REMOVED,
    SANDBOXES_TAKEN,
)
from faas.telemetry.counts import Counts

_log = logging.getLogger(__name__)

# How late an idle sandbox may leave: the price for not waking a thread at every release.
_TICK_S = 1.0
# How often a call that waits looks whether it is still wanted.
_LOOK_S = 0.25
_CLOSERS = 4


@dataclass(frozen=True, slots=True)
class PoolStats:
    """What the pool holds: sandboxes by use (`frozen` are among the idle), the memory that counts against the budget, calls that wait for memory."""

    busy: int
    idle: int
    frozen: int
    starting: int
    stem_cells: dict[Kind, int]
    used_mb: int
    budget_mb: int
    waiting: int


@dataclass(slots=True, eq=False)
class _Wait:
    """A call that waits. `granted`: it has its memory; `cold`: it was served, by a generic sandbox or (None) by the turn to start one."""

    key: tuple[str, int]
    kind: Kind
    memory_mb: int
    granted: bool = False
    cold: bool = False
    sandbox: Sandbox | None = None


class Pool:
    """See the module. Every method may be called from any thread.

    Args:
        stem_cells: kept ready for each runtime and network in use; 0 for none. After bursts of cold starts more are, as `Stems` tells.
        keep_alive_s: how long an idle sandbox stays while its function's rhythm is not known; 0 keeps none.
        longest_keep_alive_s: how long one may stay at most when it is (see `KeepAlive`); 0 learns nothing.
        memory_mb: the budget. A function that is larger than all of it runs when nothing else does.
        freeze_after_s: an idle sandbox is frozen after so long, where the engine can: what the function left running there runs no more until the next
            call; None for never.
        starts: sandboxes that are started at once, for calls and for stock together.
        warm: runtimes whose stem cells are made before the first call of one.
        counts: where what happens is counted.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        stem_cells: int,
        keep_alive_s: float,
        memory_mb: int,
        longest_keep_alive_s: float = 0.0,
        freeze_after_s: float | None = None,
        starts: int = 2,
        warm: tuple[Runtime, ...] = (),
        counts: Counts | None = None,
    ) -> None:
        self._engine, self._counts = engine, counts or Counts()
        self._keep_alive = KeepAlive(keep_alive_s, longest_keep_alive_s)
        self._freeze_after_s = math.inf if freeze_after_s is None else freeze_after_s
        self._budget_mb = memory_mb
        self._starts = self._free_starts = starts
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)  # callers of acquire wait here
        self._work = threading.Condition(self._lock)  # the pool's own threads wait here
        self._stems = Stems(stem_cells)
        self._idle = Idle()
        self._busy: dict[str, Held] = {}  # by the sandbox's id
        self._used_mb = 0
        self._queue: deque[_Wait] = deque()  # calls that wait for memory
        self._in_use: Counter[tuple[str, int]] = Counter()  # sandboxes that are busy, by revision
        self._tell_of_idle: Callable[[tuple[str, int]], None] = lambda _: None
        self._waiting: Counter[tuple[str, int]] = Counter()  # calls in `acquire`, by revision
        self._wanting_start = 0  # calls that have memory, and wait for the turn to start a sandbox
        self._closed = False
        self._closer = ThreadPoolExecutor(_CLOSERS, thread_name_prefix="pool-close")
        for runtime in warm:
            self._stems.use((runtime, Network.NONE))
        self._threads = [
            threading.Thread(target=self._tend, name=f"pool-{number}", daemon=True) for number in range(starts)
        ]
        for thread in self._threads:
            thread.start()

    def take_warm(self, key: tuple[str, int]) -> Sandbox | None:
        """An idle sandbox of a revision, at once or not at all; not past calls of it that wait in `acquire`."""
        with self._lock:
            if self._closed or self._waiting[key]:
                return None
            warm = self._take_warm(key)
            if warm is not None:
                self._keep_alive.called(key[0], time.monotonic())
                self._counts.add(SANDBOXES_TAKEN, "warm")
            return warm

    def reuse(self, sandbox: Sandbox) -> bool:
        """Whether a busy sandbox may go on with another call of its revision, without being given back in between; not past calls that wait for it."""
        with self._lock:
            held = self._busy.get(sandbox.id)
            if held is None or sandbox.spoiled or self._closed or self._waiting[held.key]:
                return False
            self._keep_alive.called(held.key[0], time.monotonic())
            self._counts.add(SANDBOXES_TAKEN, "warm")
            return True

    def in_use(self, key: tuple[str, int]) -> int:
        """How many sandboxes of a revision are busy."""
        with self._lock:
            return self._in_use[key]

    def tell_of_idle(self, tell: Callable[[tuple[str, int]], None]) -> None:
        """Name who is told of each sandbox (by its revision) that has become idle, by the thread that gave it back."""
        self._tell_of_idle = tell

    def acquire(
        self, revision: Revision, *, timeout_s: float, given_up: Callable[[], bool] = lambda: False
    ) -> tuple[Sandbox, bool]:
        """A sandbox for one call, which must come back by `release` or `discard`.

        Args:
            timeout_s: how long to wait for memory, and for the turn to start a sandbox.
            given_up: whether the call is not wanted any more; looked at while it waits, every quarter of a second.

        Returns:
            The sandbox, and whether the start is cold: then it is a generic one that the caller has to specialise. Else it is one of
            exactly this revision, the most recently used.

        Raises:
            SandboxError: none could be had in time, or started; the call was given up; or the pool is closed.
        """
        began = time.monotonic()
        with self._lock:
            self._keep_alive.called(revision.key[0], began)
            warm = None if self._closed else self._take_warm(revision.key)
        if warm is not None:
            self._counts.add(SANDBOXES_TAKEN, "warm")
            return warm, False
        wait = _Wait(revision.key, (revision.spec.runtime, revision.spec.network), revision.spec.memory_mb)
        self._reserve(wait, timeout_s, given_up)
        sandbox = self._started(wait) if wait.sandbox is None else wait.sandbox
        if wait.cold:
            self._take_over(sandbox, wait)
        start = "warm" if not wait.cold else "new" if wait.sandbox is None else "stem"
        self._counts.add(SANDBOXES_TAKEN, start)
        self._counts.observe(SANDBOX_WAIT, time.monotonic() - began, start)
        return sandbox, wait.cold

    def release(self, sandbox: Sandbox) -> None:
        """Give a sandbox back after its call: kept for the next one where it is usable, else destroyed (by another thread)."""
        usable = not sandbox.spoiled
        with self._lock:
            held = self._no_longer_busy(sandbox)
            if held is None:
                return
            seconds = self._keep_alive.seconds_for(held.key[0])
            if usable and seconds > 0 and not self._closed:
                now = time.monotonic()
                self._idle.add(Held(sandbox, held.key, held.memory_mb, now + seconds, now + self._freeze_after_s))
                self._changed.notify_all()
            else:
                self._drop(held, "idle" if usable else "unusable")
                return
        self._tell_of_idle(held.key)

    def discard(self, sandbox: Sandbox) -> None:
        """Destroy a sandbox (by another thread) in place of giving it back."""
        with self._lock:
            held = self._no_longer_busy(sandbox)
            if held is not None:
                self._drop(held, "unusable")

    def clear(self) -> None:
        """Destroy all sandboxes that are not in use (by other threads); fresh ones take their place."""
        with self._lock:
            for held in self._idle.clear():
                self._drop(held, "given_up")
            self._close_later(self._stems.take_all())
            self._work.notify_all()

    def stats(self) -> PoolStats:
        """What the pool holds now."""
        with self._lock:
            return PoolStats(
                busy=len(self._busy),
                idle=len(self._idle),
                frozen=sum(held.sandbox.frozen for held in self._idle),
                starting=self._starts - self._free_starts,
                stem_cells=self._stems.counts(),
                used_mb=self._used_mb,
                budget_mb=self._budget_mb,
                waiting=len(self._queue),
            )

    def close(self) -> None:
        """Destroy all sandboxes, those in use too, and wait until they are gone. Idempotent; `acquire` raises from now on."""
        with self._lock:
            self._closed = True
            for held in self._busy.values():
                held.sandbox.kill()  # ends the call that uses it
            for held in [*self._idle.clear(), *self._busy.values()]:
                self._drop(held, "given_up")
            self._busy.clear()
            self._in_use.clear()
            self._close_later(self._stems.take_all())
            self._changed.notify_all()
            self._work.notify_all()
        for thread in self._threads:
            thread.join()
        self._closer.shutdown()

    # -- calls

    def _reserve(self, wait: _Wait, timeout_s: float, given_up: Callable[[], bool]) -> None:
        """Wait until the call has a sandbox, or memory and the turn to start one."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            self._queue.append(wait)
            self._waiting[wait.key] += 1
            try:
                while not self._serve(wait):
                    if given_up():
                        raise SandboxError("the call was given up while it waited for a sandbox")
                    left = deadline - time.monotonic()
                    self._changed.wait(min(left, _LOOK_S))
                    if left <= 0:
                        raise SandboxError(
                            f"no {'sandbox' if wait.granted else 'memory for a sandbox'} was free in time"
                        )
            finally:
                self._waiting[wait.key] -= 1
                if not self._waiting[wait.key]:
                    del self._waiting[wait.key]
                if wait.granted:
                    self._wanting_start -= 1
                else:
                    self._queue.remove(wait)
                if wait.granted and not wait.cold:
                    self._used_mb -= wait.memory_mb
                self._changed.notify_all()

    def _serve(self, wait: _Wait) -> bool:
        """Give a waiting call what there is; whether that is enough."""
        if self._closed:
            raise SandboxError("the pool of sandboxes is closed")
        wait.sandbox = self._take_warm(wait.key)
        if wait.sandbox is not None:
            return True
        if not wait.granted and self._queue[0] is wait and self._make_room(wait.memory_mb):
            wait.granted = True
            self._stems.use(wait.kind)
            self._stems.ask(wait.kind, time.monotonic())
            self._used_mb += wait.memory_mb
            self._wanting_start += 1
            self._queue.popleft()
            self._changed.notify_all()
        if not wait.granted:
            return False
        wait.sandbox = self._take_stem(wait.kind)
        if wait.sandbox is None and not self._free_starts:
            return False
        self._free_starts -= wait.sandbox is None
        wait.cold = True
        return True

    def _started(self, wait: _Wait) -> Sandbox:
        sandbox = None
        try:
            sandbox = self._start(wait.kind)
        finally:
            with self._lock:
                self._free_starts += 1
                if sandbox is None:
                    self._used_mb -= wait.memory_mb
                else:
                    self._stems.succeeded(wait.kind)
                self._changed.notify_all()
                self._work.notify_all()
        return sandbox

    def _start(self, kind: Kind) -> Sandbox:
        began = time.monotonic()
        try:
            sandbox = self._engine.start(*kind)
        except BaseException:
            self._counts.add(SANDBOX_START_FAILURES, kind[0].value)
            raise
        self._counts.observe(SANDBOX_START, time.monotonic() - began, kind[0].value)
        return sandbox

    def _take_over(self, sandbox: Sandbox, wait: _Wait) -> None:
        with self._lock:
            closed = self._closed
            if not closed:
                self._now_busy(Held(sandbox, wait.key, wait.memory_mb))
        if closed:
            sandbox.close()
            raise SandboxError("the pool of sandboxes is closed")

    def _take_warm(self, key: tuple[str, int]) -> Sandbox | None:
        """The most recently used idle sandbox of a revision, now busy; dead ones are dropped on the way."""
        while (held := self._idle.newest(key)) is not None:
            if held.sandbox.usable:
                self._now_busy(held)
                return held.sandbox
            self._drop(held, "unusable")
        return None

    def _now_busy(self, held: Held) -> None:
        self._busy[held.sandbox.id] = held
        self._in_use[held.key] += 1

    def _no_longer_busy(self, sandbox: Sandbox) -> Held | None:
        held = self._busy.pop(sandbox.id, None)
        if held is not None:
            self._in_use[held.key] -= 1
            if not self._in_use[held.key]:
                del self._in_use[held.key]
        return held

    def _take_stem(self, kind: Kind) -> Sandbox | None:
        sandbox, dead = self._stems.take(kind)
        self._close_later(dead)
        self._work.notify_all()
        return sandbox

    def _make_room(self, memory_mb: int) -> bool:
        """Whether the budget has room now; idle sandboxes are evicted for it, but only where that is enough."""
        idle_mb = sum(held.memory_mb for held in self._idle)
        busy_mb = self._used_mb - idle_mb
        if busy_mb and busy_mb + memory_mb > self._budget_mb:
            return False
        for held in self._idle:
            if self._used_mb + memory_mb <= self._budget_mb:
                break
            self._idle.remove(held)
            self._drop(held, "room")
        return True

    def _drop(self, held: Held, reason: str) -> None:
        self._counts.add(SANDBOXES_REMOVED, reason)
        self._close_later([held.sandbox])
        self._give_back(held.memory_mb)

    def _give_back(self, memory_mb: int) -> None:
        self._used_mb -= memory_mb
        self._changed.notify_all()

    def _close_later(self, sandboxes: list[Sandbox]) -> None:
        for sandbox in sandboxes:
            self._closer.submit(sandbox.close)

    # -- the pool's own threads

    def _tend(self) -> None:
        while (kind := self._next_start()) is not None:
            self._restock(kind)

    def _next_start(self) -> Kind | None:
        """Wait for a stem cell to be wanted; None once the pool is closed. Idle sandboxes leave meanwhile."""
        with self._lock:
            while not self._closed:
                self._tend_idle()
                # Calls that wait for their turn go first.
                if self._free_starts and not self._wanting_start:
                    kind = self._stems.next_wanted(time.monotonic())
                    if kind is not None:
                        self._free_starts -= 1
                        return kind
                self._work.wait(_TICK_S)
        return None

    def _tend_idle(self) -> None:
        now = time.monotonic()
        for held in self._idle:
            if held.leaves_at <= now:
                self._idle.remove(held)
                self._drop(held, "idle")
            elif held.freezes_at <= now:
                # A write of 0.1 ms under the lock: so no call can take it meanwhile.
                held.sandbox.freeze()
        self._close_later(self._stems.surplus(now))

    def _restock(self, kind: Kind) -> None:
        sandbox, failure = None, None
        try:
            sandbox = self._start(kind)
        except Exception as error:  # a fault of the engine must not end the thread
            failure = error
        with self._lock:
            self._free_starts += 1
            if sandbox is None:
                first = self._stems.failed(kind, time.monotonic())
            elif self._closed:
                self._close_later([sandbox])
            else:
                self._stems.add(kind, sandbox)
            self._changed.notify_all()
        if failure is not None and first:
            _log.warning("no %s sandbox can be started, trying on: %s", kind[0], failure)
