"""What the database is to do with invocations and slots, in plain Python. No I/O."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import NamedTuple

TERMINAL = {"succeeded", "failed", "timed_out", "cancelled"}


@dataclass
class Function:
    capacity: int
    used: int = 0
    living: bool = True


@dataclass
class Row:
    """An invocation. `due`: when its turn came, counted; None for one that is not due yet."""

    function: str
    due: int | None
    admitted: bool
    status: str = "queued"
    attempts: int = 0
    max_attempts: int = 1
    platform_failures: int = 0
    may_expire: bool = False
    expired: bool = False
    cancel: bool = False
    worker: str | None = None
    former: list[int] = field(default_factory=list)

    @property
    def holds_slot(self) -> bool:
        return self.status == "running" or (self.status == "queued" and self.admitted)

    @property
    def too_late(self) -> bool:
        return self.expired and self.attempts == 0


class Ending(NamedTuple):
    """How an attempt ends: its status, whether it is to be tried again, and whose the fault is."""

    status: str
    again: bool
    fault: str


class Model:
    """The rules of docs/architecture.md."""

    def __init__(self) -> None:
        self.functions: dict[str, Function] = {}
        self.rows: dict[str, Row] = {}
        self.keys: dict[str, tuple[str, bytes]] = {}
        self.workers: set[str] = set()
        self._clock = itertools.count(1)

    def tick(self) -> int:
        return next(self._clock)

    def verdict(self, function: str, key: str | None, fingerprint: bytes) -> str:
        if key in self.keys:
            return "replayed" if self.keys[key][1] == fingerprint else "mismatch"
        return "accepted" if self.functions[function].living else "missing"

    def accept(self, one: str, function: str, *, delayed: bool, key: str | None, fingerprint: bytes) -> bool:
        """Whether it was admitted."""
        owner = self.functions[function]
        admitted = owner.used < owner.capacity and not delayed
        owner.used += admitted
        self.rows[one] = Row(function, None if delayed else self.tick(), admitted)
        if key is not None:
            self.keys[key] = (one, fingerprint)
        return admitted

    def admit(self, function: str) -> set[str]:
        """Give free slots to who waits longest; who got one."""
        owner = self.functions[function]
        if not owner.living:
            return set()
        waiting = [
            (row.due, one)
            for one, row in self.rows.items()
            if row.function == function and row.status == "queued" and not row.admitted and row.due and not row.too_late
        ]
        chosen = {one for _, one in sorted(waiting)[: max(0, owner.capacity - owner.used)]}
        for one in chosen:
            self.rows[one].admitted = True
        owner.used += len(chosen)
        return chosen

    def claim(self, one: str, worker: str) -> bool:
        row = self.rows[one]
        if row.status != "queued" or not row.admitted or row.too_late or worker not in self.workers:
            return False
        row.status, row.worker, row.attempts = "running", worker, row.attempts + 1
        return True

    def finish(self, one: str, attempt: int, ending: Ending) -> bool:
        """Whether it was this attempt's to end."""
        row = self.rows[one]
        if row.status != "running" or row.attempts != attempt:
            return False
        owner = self.functions[row.function]
        if ending.again and owner.living and not row.cancel:
            row.status, row.admitted, row.due = "queued", False, self.tick()
            row.max_attempts += ending.fault != "function"
            row.platform_failures += ending.fault == "platform"
            row.former.append(attempt)
        elif (row.cancel and ending.again) or ending.fault == "handback":
            row.status = "cancelled"
        else:
            row.status = ending.status
        owner.used -= 1
        self.admit(row.function)
        return True

    def cancel(self, one: str) -> str:
        row = self.rows[one]
        if row.status in TERMINAL:
            return "terminal"
        row.cancel = True
        if row.status == "running":
            return "stopping"
        self._end_queued(row)
        if row.admitted:
            self.admit(row.function)
        return "cancelled"

    def expire(self, function: str) -> set[str]:
        late = {
            one
            for one, row in self.rows.items()
            if row.function == function and row.status == "queued" and row.too_late
        }
        for one in late:
            self._end_queued(self.rows[one])
        if any(self.rows[one].admitted for one in late):
            self.admit(function)
        return late

    def delete(self, function: str) -> None:
        self.functions[function].living = False

    def cancel_queue(self, function: str) -> set[str]:
        left = {one for one, row in self.rows.items() if row.function == function and row.status == "queued"}
        for one in left:
            self.rows[one].cancel = True
            self._end_queued(self.rows[one])
        return left

    def orphans(self) -> set[tuple[str, int]]:
        return {
            (one, row.attempts)
            for one, row in self.rows.items()
            if row.status == "running" and row.worker not in self.workers
        }

    def check(self) -> None:
        """What must be so whatever happens."""
        for name, owner in self.functions.items():
            if owner.living:
                assert owner.used == sum(row.holds_slot for row in self.rows.values() if row.function == name)

    def _end_queued(self, row: Row) -> None:
        if row.admitted:
            self.functions[row.function].used -= 1
        row.status = "cancelled"
