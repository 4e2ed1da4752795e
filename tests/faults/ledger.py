"""What the platform has promised to those who drive it, to be held against what it did."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from e2e.cluster import TERMINAL

ANY = frozenset(TERMINAL)


@dataclass(eq=False)
class Item:
    """One invocation that was asked for.

    Attributes:
        token: in its payload, and of nobody else's.
        ends: the statuses that it may end with.
        ids: those that answers gave it. Without an answer it may have been accepted all the same.
    """

    token: str
    function: str
    ends: frozenset[str]
    ids: set[str] = field(default_factory=set)


@dataclass(eq=False)
class Request:
    """One request to accept one item or a batch of them.

    Attributes:
        answered: whether an answer said that it is accepted.
    """

    path: str
    body: dict[str, object]
    items: list[Item]
    key: str | None
    answered: bool = False


class Ledger:
    """Filled by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.longest_answer = 0.0

    def add(self, request: Request) -> None:
        """A request is about to be sent for the first time."""
        with self._lock:
            self.requests.append(request)

    def accepted(self, request: Request, ids: Iterable[str]) -> None:
        """An answer gave the ids of a request's items."""
        with self._lock:
            request.answered = True
            for item, one in zip(request.items, ids, strict=True):
                item.ids.add(one)

    def count(self, what: str, seconds: float = 0.0) -> None:
        """An answer came, or none."""
        with self._lock:
            self.counts[what] += 1
            self.longest_answer = max(self.longest_answer, seconds)

    def problem(self, text: str) -> None:
        """An answer that may not be."""
        with self._lock:
            self.problems.append(text)

    def items(self) -> list[Item]:
        """Everything that was asked for."""
        with self._lock:
            return [item for request in self.requests for item in request.items]

    def ids(self) -> set[str]:
        """Everything that was promised."""
        return {one for item in self.items() for one in item.ids}

    def open_keys(self) -> list[Request]:
        """Requests with an idempotency key whose fate is not known."""
        with self._lock:
            return [request for request in self.requests if request.key and not request.answered]

    def functions(self) -> set[str]:
        """Those that were asked for."""
        return {item.function for item in self.items()}
