"""The client's own time limit on PostgreSQL. The server ends statements that take too long, and TCP notices a host that is gone; a server that is
stopped, and whose host still acknowledges every packet, would be waited for for ever: psycopg2 has no time limit on reading.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from typing import Any, Protocol

log = logging.getLogger("faas.db")

_LOOKS = 10


class Watched(Protocol):
    """A connection: the driver's, and since when it is in use (monotonic seconds; infinity while it is not)."""

    driver: Any
    since: float


class Overdue:
    """Cuts connections that were taken and not given back for too long; whoever waits on one gets the driver's error. For one process; made before
    a fork, it works in the child.

    Args:
        limit_s: how long a connection may be in use at a time. One is cut between that and a tenth later.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._open: dict[int, Watched] = {}
        self._pid = 0

    def watch(self, connection: Watched) -> None:
        """Look after a connection that was opened."""
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._open.clear()
                threading.Thread(target=self._watch, name="overdue", daemon=True).start()
            self._open[id(connection)] = connection

    def forget(self, connection: Watched) -> None:
        """It is about to be closed."""
        with self._lock:
            self._open.pop(id(connection), None)

    def _watch(self) -> None:
        while True:
            time.sleep(self._limit_s / _LOOKS)
            late = time.monotonic() - self._limit_s
            # Under the lock: a connection that is closed could leave its number to another socket.
            with self._lock:
                for key, connection in list(self._open.items()):
                    if connection.since < late:
                        del self._open[key]
                        _cut(connection.driver)


def _cut(connection: Any) -> None:
    log.warning("PostgreSQL does not answer; its connection is cut")
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as own:
        own.shutdown(socket.SHUT_RDWR)
