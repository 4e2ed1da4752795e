"""The stock of stem cells: how many of which kind there are, are being made, and are wanted. No threads and no locks: the pool has those."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

from faas.domain.function import Network, Runtime
from faas.sandbox.engine import Sandbox

Kind: TypeAlias = tuple[Runtime, Network]

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0


@dataclass(slots=True)
class _Stock:
    ready: deque[Sandbox] = field(default_factory=deque)
    starting: int = 0
    failures: int = 0
    pause_until: float = 0.0


class Stems:
    """The stock.

    Args:
        each: how many of each kind in use to keep.
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._kinds: dict[Kind, _Stock] = {}

    def use(self, kind: Kind) -> None:
        """Keep this kind from now on."""
        self._kinds.setdefault(kind, _Stock())

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
            if len(stock.ready) + stock.starting < self._each and stock.pause_until <= now
        ]
        if not wanted:
            return None
        kind = min(wanted)[1]
        self._kinds[kind].starting += 1
        return kind

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
