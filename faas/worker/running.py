"""What a worker runs at this moment, and why some of it is being stopped."""

from __future__ import annotations

import enum
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from faas.domain.invocation import Claim
from faas.sandbox.engine import Cancel
from faas.sandbox.log import Log
from faas.telemetry import tracing

if TYPE_CHECKING:
    from faas.telemetry.spans import Attempt


class Reason(enum.Enum):
    """Why an attempt is stopped from outside."""

    CANCELLED = "cancelled"
    HANDED_BACK = "handed back"
    LOST = "lost"


@dataclass(slots=True)
class Running:
    """An attempt that runs here, and what it has printed. `reason` is set once, by the first who stops it."""

    claim: Claim
    cancel: Cancel = field(default_factory=Cancel)
    log: Log = field(default_factory=Log)
    reason: Reason | None = None
    trace: Attempt | None = None

    def begin_trace(self) -> None:
        """It is about to have its sandbox: from now on it is traced, where traces are on."""
        traces = tracing.current()
        if traces is not None:
            self.trace = traces.attempt(self.claim)

    @property
    def headers(self) -> dict[str, str]:
        """What its function is given."""
        return self.claim.headers if self.trace is None else self.trace.headers

    def stop(self, reason: Reason) -> None:
        """Kill its sandbox, now or as soon as it has one."""
        if self.reason is None:
            self.reason = reason
        self.cancel.set()


class RunningSet:
    """All attempts that run here, by invocation id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, Running] = {}

    def add(self, claim: Claim) -> Running:
        """An attempt that begins."""
        running = Running(claim)
        with self._lock:
            before = self._running.get(claim.invocation_id)
            self._running[claim.invocation_id] = running
        if before is not None:
            # It has just ended, or a crash of PostgreSQL took its claim back (decision 19): its end would be taken for this one's.
            before.stop(Reason.LOST)
        return running

    def remove(self, running: Running) -> None:
        """One that is over."""
        with self._lock:
            # A later attempt of the same invocation may have come to this very worker.
            if self._running.get(running.claim.invocation_id) is running:
                del self._running[running.claim.invocation_id]

    @contextmanager
    def enter(self, claim: Claim) -> Iterator[Running]:
        """An attempt, for as long as it runs."""
        running = self.add(claim)
        try:
            yield running
        finally:
            self.remove(running)

    def get(self, invocation_id: str) -> Running | None:
        """One, where it runs here."""
        with self._lock:
            return self._running.get(invocation_id)

    def stop(self, invocation_id: str, reason: Reason) -> None:
        """Stop one, where it runs here."""
        running = self.get(invocation_id)
        if running is not None:
            running.stop(reason)

    def stop_all(self, reason: Reason) -> None:
        """Stop all."""
        for running in self.everyone():
            running.stop(reason)

    def everyone(self) -> list[Running]:
        """All attempts that run here now."""
        with self._lock:
            return list(self._running.values())

    def held(self) -> set[tuple[str, int]]:
        """What runs here: id and attempt."""
        return {(one.claim.invocation_id, one.claim.attempt) for one in self.everyone()}

    def __len__(self) -> int:
        return len(self._running)
