"""The idle sandboxes of the pool: by the revision they belong to, and in the order of their last use. No lock: the pool has one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from faas.sandbox.engine import Sandbox


@dataclass(frozen=True, slots=True)
class Held:
    """A sandbox that belongs to a revision. `freezes_at` and `leaves_at` (monotonic) count while it is idle."""

    sandbox: Sandbox
    key: tuple[str, int]
    memory_mb: int
    leaves_at: float = 0.0
    freezes_at: float = math.inf


class Idle:
    """See the module."""

    def __init__(self) -> None:
        # Dictionaries keep their order: the first is the least recently used.
        self._all: dict[str, Held] = {}
        self._by_key: dict[tuple[str, int], dict[str, Held]] = {}

    def add(self, held: Held) -> None:
        """One that was just used."""
        self._all[held.sandbox.id] = held
        self._by_key.setdefault(held.key, {})[held.sandbox.id] = held

    def remove(self, held: Held) -> None:
        """One that is here."""
        del self._all[held.sandbox.id]
        same = self._by_key[held.key]
        del same[held.sandbox.id]
        if not same:
            del self._by_key[held.key]

    def newest(self, key: tuple[str, int]) -> Held | None:
        """The most recently used one of a revision, now taken out; or None."""
        same = self._by_key.get(key)
        if not same:
            return None
        _, held = same.popitem()
        del self._all[held.sandbox.id]
        if not same:
            del self._by_key[key]
        return held

    def clear(self) -> list[Held]:
        """All of them, now taken out."""
        everyone = list(self._all.values())
        self._all.clear()
        self._by_key.clear()
        return everyone

    def __iter__(self) -> Iterator[Held]:
        """The least recently used first; over what was there at the start."""
        return iter(list(self._all.values()))

    def __len__(self) -> int:
        return len(self._all)
