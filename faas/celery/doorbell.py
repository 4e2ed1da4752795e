"""A way into the event loop of a Celery worker from another thread: it wakes at once, and the call is made by its own thread."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

log = logging.getLogger("faas.celery")


class Doorbell:
    """Calls, in the loop's thread.

    Args:
        hub: the loop, kombu's `Hub`.
    """

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._calls: deque[Callable[[], Any]] = deque()
        self._inside, self._outside = socket.socketpair()
        self._inside.setblocking(False)
        self._outside.setblocking(False)
        hub.add_reader(self._inside, self._answer)

    def ring(self, call: Callable[[], Any]) -> None:
        """Have something called soon; from any thread. After `close` nothing is."""
        self._calls.append(call)
        # A full buffer wakes the loop as well.
        with contextlib.suppress(BlockingIOError, OSError):
            self._outside.send(b"\0")

    def close(self) -> None:
        """Stop; called in the loop's thread."""
        with contextlib.suppress(Exception):
            self._hub.remove_reader(self._inside)
        self._inside.close()
        self._outside.close()
        self._calls.clear()

    def _answer(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._inside.recv(4096)
        while self._calls:
            try:
                self._calls.popleft()()
            except Exception:
                # An error here would end the whole worker.
                log.exception("a task of the platform could not be handed to the pool")
