"""Clients that send too slowly. A byte a second is never silent for long, and holds a thread for hours: what counts is how much came in how much time."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# After the patience, a body has to come at this rate on the average. The slowest network that anybody deploys over is faster.
LEAST_BYTES_PER_S = 4096
_TICK_S = 0.5
# `tcpi_bytes_received` in Linux's `struct tcp_info` (linux/tcp.h): a u64 at this offset.
_BYTES_RECEIVED_AT = 128


@dataclass(slots=True, eq=False)
class Reading:
    """Something that is being read from a socket. `cut`: it took too long, and the rest won't come."""

    sock: socket.socket
    rate: int
    seen_at: float = 0.0
    seen_bytes: int = 0
    cut: bool = False


class SlowClients:
    """Watches what is being read, for one process; one thread for all.

    Args:
        patience_s: the head of a request has to be there by then; a body may come as slowly as it likes for so long.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._readings: set[Reading] = set()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch. After a fork, as threads don't live through one."""
        self._thread = threading.Thread(target=self._watch, name="slow-clients", daemon=True)
        self._thread.start()

    def head(self, sock: socket.socket) -> Reading:
        """The head of a request is awaited from now on; `end` says that it is there."""
        return self._begin(Reading(sock, 0))

    @contextmanager
    def body(self, sock: socket.socket) -> Iterator[Reading]:
        """A body is read inside."""
        reading = self._begin(Reading(sock, LEAST_BYTES_PER_S))
        try:
            yield reading
        finally:
            self.end(reading)

    def end(self, reading: Reading) -> None:
        """It is not awaited any more. Idempotent."""
        with self._lock:
            self._readings.discard(reading)

    def _begin(self, reading: Reading) -> Reading:
        with self._lock:
            self._readings.add(reading)
        return reading

    def _watch(self) -> None:
        while True:
            time.sleep(_TICK_S)
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Cut what takes too long, at a time of the monotonic clock."""
        with self._lock:
            for reading in [one for one in self._readings if self._is_slow(one, now)]:
                self._readings.discard(reading)
                reading.cut = True
                # Reading ends as if the client had sent all; the answer still gets to it.
                with contextlib.suppress(OSError):
                    reading.sock.shutdown(socket.SHUT_RD)

    def _is_slow(self, reading: Reading, now: float) -> bool:
        if not reading.seen_at:
            # Most readings are over before they are seen: these cost no more than their place in the set.
            reading.seen_at, reading.seen_bytes = now, _received(reading.sock)
            return False
        over = now - reading.seen_at - self._patience_s
        if over <= 0:
            return False
        return not reading.rate or _received(reading.sock) - reading.seen_bytes < over * reading.rate


def _received(sock: socket.socket) -> int:
    """The bytes of a connection so far, by the kernel's count; 0 where it is closed."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    except OSError:
        return 0
    return int(struct.unpack_from("Q", info, _BYTES_RECEIVED_AT)[0]) if len(info) >= _BYTES_RECEIVED_AT + 8 else 0
