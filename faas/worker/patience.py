"""Calls that wait for a warm sandbox which is about to be free, in place of a cold start: when that is worth it, and who is next.

A cold start takes tens of milliseconds, and a good part of a core for the stem cell that takes its place. A call that takes half a millisecond is had
by waiting for the one before it. What was waited is added up, though: once it is as much as another sandbox would have cost, another one it is
(the "ski rental" rule: never more than twice the cost of having known). No I/O here, and no lock: the lane has one.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from faas.domain.outcome import Outcome
from faas.worker.running import Running

Key = tuple[str, int]

# A longer wait than this is never chosen; and whoever has stood for so long is turned away, whatever was expected.
_LONGEST_S = 0.02
TURNED_AWAY_S = 0.1
# What another sandbox costs, in seconds: its start, and its stem cell's.
_COST_S = 0.15
# Calls as short as this are bound by the processors: more sandboxes than twice as many would only take turns on them.
_SHORT_S = 0.003
_PER_CPU = 2
# A sandbox that somebody was sent to fetch is there, and counted by the pool, after about so long.
_COMING_S = 0.1
# The weight of the newest call where it was quicker, and where it took longer than thought: on a busy machine most calls take longer than they need, and
# another sandbox would not help them. Of how many revisions the times are known.
_QUICKER, _SLOWER = 0.5, 0.05
_REVISIONS = 1024


@dataclass(slots=True, eq=False)
class Standing:
    """A claimed call that waits for a sandbox.

    Attributes:
        done: called with what became of it.
        turned_away: called where it is to go another way.
        until: of `time.monotonic`; then it waits no longer.
    """

    running: Running
    done: Callable[[Running, Outcome, bool], None]
    turned_away: Callable[[], None]
    until: float
    left: bool = False

    @property
    def key(self) -> Key:
        """Its revision."""
        return self.running.claim.revision.key


@dataclass(slots=True)
class _Pace:
    """How long a revision's calls need (seconds), what was waited for them since the last sandbox was added, and when calls were last sent to fetch one."""

    took_s: float
    owed_s: float = 0.0
    sent: deque[float] = field(default_factory=deque)

    def coming(self, now: float) -> int:
        """How many are being fetched."""
        while self.sent and self.sent[0] < now - _COMING_S:
            self.sent.popleft()
        return len(self.sent)


class Patience:
    """See the module.

    Args:
        cpus: processors that this process may use.
    """

    def __init__(self, cpus: int) -> None:
        self._enough = _PER_CPU * cpus
        self._paces: OrderedDict[Key, _Pace] = OrderedDict()
        self._queues: dict[Key, deque[Standing]] = {}
        self._all: deque[Standing] = deque()

    def took(self, key: Key, seconds: float) -> None:
        """A call of a revision was answered."""
        pace = self._paces.get(key)
        if pace is None:
            self._paces[key] = _Pace(seconds)
            if len(self._paces) > _REVISIONS:
                self._paces.popitem(last=False)
        else:
            pace.took_s += (_QUICKER if seconds < pace.took_s else _SLOWER) * (seconds - pace.took_s)
            self._paces.move_to_end(key)

    def is_quick(self, key: Key) -> bool:
        """Whether a revision's calls take so little that a thread may as well wait for one."""
        pace = self._paces.get(key)
        return pace is not None and pace.took_s <= _SHORT_S

    def is_worth_it(self, key: Key, in_use: int, now: float) -> bool:
        """Whether one more call had better wait. Where not, it is expected to fetch another sandbox.

        Args:
            in_use: sandboxes of the revision that run a call now.
            now: of `time.monotonic`.
        """
        pace = self._paces.get(key)
        if pace is None or not in_use:
            return False
        # Without those to come, each of a batch that arrives at once would fetch one of its own.
        sandboxes = in_use + pace.coming(now)
        wait_s = pace.took_s * (len(self._queues.get(key, ())) + 1) / sandboxes
        if wait_s <= _LONGEST_S:
            if pace.took_s <= _SHORT_S and sandboxes >= self._enough:
                return True
            pace.owed_s += wait_s
            if pace.owed_s <= _COST_S:
                return True
        pace.owed_s = 0.0
        pace.sent.append(now)
        return False

    def stand(self, standing: Standing) -> None:
        """Enter one that waits."""
        self._queues.setdefault(standing.key, deque()).append(standing)
        self._all.append(standing)

    def anybody(self, key: Key) -> bool:
        """Whether somebody waits for a sandbox of a revision."""
        return key in self._queues

    def next(self, key: Key) -> Standing | None:
        """Whose turn it is; waits no more."""
        queue = self._queues.get(key)
        return self._leave(queue[0]) if queue else None

    def late(self, now: float) -> Standing | None:
        """One whose time is over; waits no more."""
        if self.earliest() is None or self._all[0].until > now:
            return None
        return self._leave(self._all[0])

    def earliest(self) -> float | None:
        """When the time of the next one is over; None where nobody waits."""
        while self._all and self._all[0].left:
            self._all.popleft()
        return self._all[0].until if self._all else None

    def _leave(self, standing: Standing) -> Standing:
        standing.left = True
        queue = self._queues[standing.key]
        queue.remove(standing)
        if not queue:
            del self._queues[standing.key]
        return standing
