"""Following all that a function's invocations print, while they run.

Nothing on an invocation's way knows of it: the newest invocations are looked at some times a second, and each that runs is followed like one that
is followed alone (`faas.services.lines`). Those that were too short to be seen running come from their records.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from faas.db import recent
from faas.db.database import Database
from faas.db.recent import Recent
from faas.domain.invocation import Status
from faas.domain.log import Position
from faas.errors import NotFound, PlatformError
from faas.services import lines
from faas.services.invocations import Invocations
from faas.services.lines import Line

log = logging.getLogger("faas.services")

# With the workers' own tick of 50 ms a line is there within 200 ms of its print, the first of an invocation too.
_LOOK_SECONDS = 0.08
_AFTER_FAULT_SECONDS = 1.0
# Whoever calls a function more often than this between two looks misses some.
_NEWEST = 200
# Each takes a thread and a connection to Redis; others wait for one of these, or for their own end.
_AT_ONCE = 16
_BUFFER_BYTES = 1024 * 1024
# How long those that have ended are named in a mark: a commit is seen a moment after the time that it carries.
_REMEMBER_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a follower was.

    Attributes:
        since: what ended before (Unix time, by the database's clock) was shown.
        places: invocations to where they go on; None for those that were shown to their end.
    """

    since: float
    places: dict[str, Position | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Printed:
    """A line of one invocation, or its end (`found` is then its status)."""

    invocation_id: str
    found: Line | Status
    since: float


@dataclass(frozen=True, slots=True)
class Dropped:
    """So many lines are left out here: they came faster than they were read. They are in the records."""

    lines: int


class Tail:
    """One who follows a function. Its threads begin with `start` and end soon after `stop`.

    Args:
        mark: where to go on; None for what runs now and comes later.
        last: of those that ended before, the newest so many are shown first. Not looked at with a mark.
        buffer_bytes: how much may wait for a slow reader.
    """

    def __init__(
        self,
        database: Database,
        invocations: Invocations,
        function_id: str,
        mark: Mark | None = None,
        last: int = 0,
        buffer_bytes: int = _BUFFER_BYTES,
    ) -> None:
        self._database, self._invocations, self._function_id = database, invocations, function_id
        self._mark, self._buffer = mark, _Buffer(buffer_bytes)
        self._last, self._first = last, list[str]()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._following: set[str] = set()
        self._done: set[str] = set()
        self._places: dict[str, Position | None] = dict(mark.places) if mark else {}
        self._since = mark.since if mark else 0.0

    def start(self) -> None:
        """Begin to follow: what ends from now on is shown. Raises DatabaseDown."""
        now, found = recent.of_function(self._database, self._function_id, _NEWEST)
        self._begin(found)
        self._heed(now, found)
        threading.Thread(target=self._run, name="function logs", daemon=True).start()

    def stop(self) -> None:
        """Let the threads go."""
        self._stopping.set()

    def next(self, seconds: float) -> list[Printed | Dropped]:
        """What has come since, in order; nothing where nothing came in time."""
        return self._buffer.take(seconds)

    @property
    def waiting(self) -> int:
        """Bytes that wait for the reader."""
        return self._buffer.size

    def _run(self) -> None:
        for invocation_id in self._first:
            self._follow(invocation_id)
        pause = _LOOK_SECONDS
        while not self._stopping.wait(pause):
            pause = _LOOK_SECONDS
            try:
                now, found = recent.of_function(self._database, self._function_id, _NEWEST)
                self._heed(now, found)
            except PlatformError as error:
                log.warning("the function's invocations can't be looked at: %s", error)
                pause = _AFTER_FAULT_SECONDS

    def _heed(self, now: float, found: list[Recent]) -> None:
        with self._lock:
            missing = [one for one in found if one.finished is not None and one.id not in self._done]
            self._since = min([now, *(one.finished for one in missing if one.finished is not None)])
            self._done &= {one.id for one in found}
            new = [
                one
                for one in found
                if one.status is not Status.QUEUED and one.id not in self._done and one.id not in self._following
            ]
            begun = new[: max(0, _AT_ONCE - len(self._following))]
            self._following.update(one.id for one in begun)
        for one in begun:
            threading.Thread(target=self._follow, args=(one.id,), name="function log", daemon=True).start()

    def _begin(self, found: list[Recent]) -> None:
        """Those that ended before the follower came, or that he has seen already, are done."""
        for one in found:
            if one.finished is None or self._places.get(one.id) is not None:
                continue
            if self._mark is None or one.finished < self._mark.since or one.id in self._places:
                self._done.add(one.id)
        if self._mark is None and self._last:
            self._first = [one.id for one in found if one.finished is not None][-self._last :]
            self._done.difference_update(self._first)
            self._following.update(self._first)

    def _follow(self, invocation_id: str) -> None:
        start = self._places.get(invocation_id) or Position()
        try:
            with contextlib.closing(lines.follow(self._invocations, invocation_id, start)) as whole:
                for found in whole:
                    if self._stopping.is_set():
                        return
                    self._take(invocation_id, found)
            self._end(invocation_id)
        except NotFound:
            # It went with its month.
            self._end(invocation_id)
        except PlatformError as error:
            # The next look begins again where it was.
            log.warning("a followed log was cut off: %s", error, extra={"fields": {"invocation_id": invocation_id}})
        finally:
            with self._lock:
                self._following.discard(invocation_id)

    def _take(self, invocation_id: str, found: list[Line] | Status | None) -> None:
        if isinstance(found, Status):
            self._buffer.put(Printed(invocation_id, found, self._since))
        for line in found if isinstance(found, list) else ():
            self._buffer.put(Printed(invocation_id, line, self._since))
            self._places[invocation_id] = line.position

    def _end(self, invocation_id: str) -> None:
        with self._lock:
            self._done.add(invocation_id)
            self._places.pop(invocation_id, None)


class Marker:
    """Makes the mark after each thing that was shown."""

    def __init__(self, mark: Mark | None) -> None:
        self._places: dict[str, Position | None] = dict(mark.places) if mark else {}
        self._ended: deque[tuple[float, str]] = deque(
            (time.monotonic(), id_) for id_, position in self._places.items() if position is None
        )

    def after(self, printed: Printed) -> Mark:
        """The mark after it. What ended a while ago needs no place: `since` covers it."""
        now = time.monotonic()
        while self._ended and now - self._ended[0][0] > _REMEMBER_SECONDS:
            _, id_ = self._ended.popleft()
            if id_ in self._places and self._places[id_] is None:
                del self._places[id_]
        if isinstance(printed.found, Status):
            self._places[printed.invocation_id] = None
            self._ended.append((now, printed.invocation_id))
        else:
            self._places[printed.invocation_id] = printed.found.position
        return Mark(printed.since, self._places)


class _Buffer:
    """What waits for the reader, in bounded memory: once it is full, everything is counted instead, until the reader comes.

    Attributes:
        size: bytes that wait.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self.size, self._dropped = limit, 0, 0
        self._waiting: list[Printed | Dropped] = []
        self._changed = threading.Condition()

    def put(self, printed: Printed) -> None:
        """Take in one thing."""
        size = 200 + (len(printed.found.text) if isinstance(printed.found, Line) else 0)
        with self._changed:
            if self._dropped or self.size + size > self._limit:
                self._dropped += 1
            else:
                self._waiting.append(printed)
                self.size += size
            self._changed.notify()

    def take(self, seconds: float) -> list[Printed | Dropped]:
        """All of it, when there is something or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting), seconds)
            taken, self._waiting = self._waiting, []
            if self._dropped:
                taken.append(Dropped(self._dropped))
            self.size = self._dropped = 0
        return taken
