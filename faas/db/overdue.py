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
from typing import Any

log = logging.getLogger("faas.db")

_LOOKS = 10


class Overdue:
    """Cuts connections that were taken and not given back for too long; whoever waits on one gets the driver's error. For one process; made before
    a fork, it works in the child.

    Args:
        limit_s: how long a connection may be in use at a time. One is cut between that and a tenth later.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._taken: dict[int, tuple[float, Any]] = {}
        self._pid = 0

    def begin(self, connection: Any) -> None:
        """From now on the driver's connection is in use."""
        if self._pid != os.getpid():
            self._start()
        with self._lock:
            self._taken[id(connection)] = (time.monotonic(), connection)

    def end(self, connection: Any) -> None:
        """It is given back, or about to be closed."""
        with self._lock:
            self._taken.pop(id(connection), None)

    def _start(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            self._taken.clear()
            threading.Thread(target=self._watch, name="overdue", daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(self._limit_s / _LOOKS)
            late = time.monotonic() - self._limit_s
            # Under the lock: a connection that is given back and closed could leave its number to another socket.
            with self._lock:
                for key, (since, connection) in list(self._taken.items()):
                    if since < late:
                        del self._taken[key]
                        _cut(connection)


def _cut(connection: Any) -> None:
    log.warning("PostgreSQL does not answer; its connection is cut")
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as own:
        own.shutdown(socket.SHUT_RDWR)
