"""The connections of one process: few, the one that was used last first. All that taking and giving back costs is what every statement costs."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg2

from faas.db.overdue import Overdue

_RESTED_SECONDS = 1.0
_NEVER = float("inf")


class Connection:
    """The driver's connection, and what the pool knows of it.

    Attributes:
        driver: psycopg2's.
        since: when it was taken (monotonic seconds); infinity while it rests.
        prepared: the names of the statements that were prepared on it.
    """

    __slots__ = ("driver", "generation", "prepared", "since", "used_at")

    def __init__(self, driver: Any, generation: int) -> None:
        self.driver, self.generation = driver, generation
        self.since, self.used_at = _NEVER, time.monotonic()
        self.prepared: set[str] = set()


class Pool:
    """Connections for threads to take and give back. Nothing connects before the first use, so it may be made before a fork.

    Args:
        connect: opens one.
        limit: the most that are open at once.
        overdue: what cuts one that was taken and not given back for too long.
    """

    def __init__(self, connect: Callable[[], Any], limit: int, overdue: Overdue) -> None:
        self._connect, self._overdue = connect, overdue
        self._lock = threading.Lock()
        self._resting: list[Connection] = []
        self._generation = 0
        # One for each connection that may be taken: waiting for one of them is the limit.
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(limit):
            self._places.put(None)

    def take(self, seconds: float) -> Connection:
        """A connection that lives. One that rested is asked: a round trip, against an error for somebody at every restart of the server.

        One that was used just now is not asked: under load that would be a quarter of all round trips.

        Args:
            seconds: how long to wait for one at most.

        Raises:
            queue.Empty: all were in use for so long.
            psycopg2.Error: the server can't be reached.
        """
        self._places.get(timeout=seconds)
        try:
            while True:
                connection = self._pop() or self._open()
                connection.since = now = time.monotonic()
                if now - connection.used_at <= _RESTED_SECONDS or _answers(connection.driver):
                    return connection
                # Closed first, as the driver may not know yet that it is gone.
                self._close(connection)
                self.broken(connection)
        except BaseException:
            self._places.put(None)
            raise

    def give(self, connection: Connection) -> None:
        """Give back what was taken."""
        connection.since, connection.used_at = _NEVER, time.monotonic()
        with self._lock:
            kept = connection.generation == self._generation and not connection.driver.closed
            if kept:
                self._resting.append(connection)
        if not kept:
            self._close(connection)
        self._places.put(None)

    def broken(self, connection: Connection) -> None:
        """Where a connection broke, drop all that rest: what ended it (a restart of the server) ended them too."""
        if connection.driver.closed:
            self.close()

    def close(self) -> None:
        """Close all that rest now, and those in use when they are given back; a later use opens new ones."""
        with self._lock:
            self._generation += 1
            resting, self._resting = self._resting, []
        for connection in resting:
            self._close(connection)

    def _pop(self) -> Connection | None:
        with self._lock:
            return self._resting.pop() if self._resting else None

    def _open(self) -> Connection:
        generation = self._generation
        connection = Connection(self._connect(), generation)
        self._overdue.watch(connection)
        return connection

    def _close(self, connection: Connection) -> None:
        self._overdue.forget(connection)
        with contextlib.suppress(psycopg2.Error):
            connection.driver.close()


def _answers(driver: Any) -> bool:
    try:
        with contextlib.closing(driver.cursor()) as cursor:
            cursor.execute("SELECT 1")
    except psycopg2.Error:
        return False
    return True
