"""The stock of stem cells: how many of which kind there are, are being made, and are wanted. No threads and no locks: the pool has those.

How many are wanted is learned. A container takes a third of a second to start and much of a core, so no burst of cold starts can be served by starting
them; but what burst once (a deployment of many functions, a schedule at the full hour) bursts again. So the most that were asked for within a
few seconds are kept ready for the next ten minutes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

from faas.domain.function import Network, Runtime
from faas.sandbox.engine import Sandbox

Kind: TypeAlias = tuple[Runtime, Network]

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
# Asked for within so many seconds is a burst; it is remembered for so long; and no more than so many are kept for it (about 12 MB each).
_BURST_S, _MEMORY_S, _MOST = 5.0, 600.0, 24


@dataclass(slots=True)
class _Demand:
    """How many were asked for, and the largest burst of late."""

    asked: deque[float] = field(default_factory=deque)
    peak: int = 0
    peak_at: float = 0.0

    def ask(self, now: float) -> None:
        self.asked.append(now)
        while self.asked[0] < now - _BURST_S:
            self.asked.popleft()
        if len(self.asked) >= self.expected(now):
            self.peak, self.peak_at = len(self.asked), now

    def expected(self, now: float) -> int:
        return self.peak if now - self.peak_at < _MEMORY_S else 0


@dataclass(slots=True)
class _Stock:
    ready: deque[Sandbox] = field(default_factory=deque)
    starting: int = 0
    failures: int = 0
    pause_until: float = 0.0
    demand: _Demand = field(default_factory=_Demand)


class Stems:
    """The stock.

    Args:
        each: how many of each kind in use to keep at least; with 0 none are kept, whatever is asked for.
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._kinds: dict[Kind, _Stock] = {}

    def use(self, kind: Kind) -> None:
        """Keep this kind from now on."""
        self._kinds.setdefault(kind, _Stock())

    def ask(self, kind: Kind, now: float) -> None:
        """A call needs one. `now` is of `time.monotonic`, here and below."""
        self._kinds[kind].demand.ask(now)

    def take(self, kind: Kind) -> tuple[Sandbox | None, list[Sandbox]]:
        """The oldest that lives, or None; and the dead ones that were found, to be closed."""
        ready = self._kinds[kind].ready
        dead: list[Sandbox] = []
        while ready:
            sandbox = ready.popleft()
            if sandbox.usable:
                return sandbox, dead
            dead.append(sandbox)
        return None, dead

    def take_all(self) -> list[Sandbox]:
        """All there are; their kinds stay in use."""
        taken = [sandbox for stock in self._kinds.values() for sandbox in stock.ready]
        for stock in self._kinds.values():
            stock.ready.clear()
        return taken

    def next_wanted(self, now: float) -> Kind | None:
        """A kind of which one more should be started (it counts as being started now), the scarcest first."""
        wanted = [
            (len(stock.ready) + stock.starting, kind)
            for kind, stock in self._kinds.items()
            if len(stock.ready) + stock.starting < self._wanted(stock, now) and stock.pause_until <= now
        ]
        if not wanted:
            return None
        kind = min(wanted)[1]
        self._kinds[kind].starting += 1
        return kind

    def surplus(self, now: float) -> list[Sandbox]:
        """Those that were kept for a burst that did not come again, now taken out."""
        return [
            stock.ready.pop()
            for stock in self._kinds.values()
            for _ in range(len(stock.ready) - self._wanted(stock, now))
        ]

    def _wanted(self, stock: _Stock, now: float) -> int:
        return max(self._each, min(stock.demand.expected(now), _MOST)) if self._each else 0

    def add(self, kind: Kind, sandbox: Sandbox) -> None:
        """One that `next_wanted` asked for is there."""
        stock = self._kinds[kind]
        stock.starting -= 1
        stock.ready.append(sandbox)
        self.succeeded(kind)

    def failed(self, kind: Kind, now: float) -> bool:
        """One that `next_wanted` asked for could not be started: pause, longer each time. Whether it is the first in a row."""
        stock = self._kinds.get(kind)
        if stock is None:
            return False
        stock.starting -= 1
        stock.failures += 1
        stock.pause_until = now + min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(stock.failures - 1, 10))
        return stock.failures == 1

    def succeeded(self, kind: Kind) -> None:
        """Sandboxes of this kind can be started: end a pause."""
        stock = self._kinds.get(kind)
        if stock is not None:
            stock.failures, stock.pause_until = 0, 0.0

    def counts(self) -> dict[Kind, int]:
        """How many of each kind are ready."""
        return {kind: len(stock.ready) for kind, stock in self._kinds.items()}
