"""Waiting for invocations to end: woken over Redis by whoever ends them, through one listener for each process."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from faas.db import invocations
from faas.db.database import Database
from faas.queueing import names
from faas.queueing.listener import Listener

# A wake-up is lost where Redis is away or was just restarted: so whoever waits also looks for himself, this often.
_LOOK_SECONDS = 2.0


class Waiters:
    """Those who wait in this process. The listener begins with the first of them, so nothing connects before a fork."""

    def __init__(self, database: Database, redis_url: str) -> None:
        self._database, self._redis_url = database, redis_url
        self._lock = threading.Lock()
        self._waiting: dict[str, set[threading.Event]] = defaultdict(set)
        self._listener: Listener | None = None

    def wait(self, invocation_id: str, seconds: float) -> None:
        """Return when the invocation is terminal or the time is over. Raises NotFound."""
        with self.watch(invocation_id) as woken:
            if not invocations.status(self._database, invocation_id).terminal:
                self.until_terminal(invocation_id, woken, seconds)

    @contextmanager
    def watch(self, invocation_id: str) -> Iterator[threading.Event]:
        """An event that is set when the invocation ends; whoever begins to watch before it is published misses no end."""
        woken = threading.Event()
        self._enter(invocation_id, woken)
        try:
            yield woken
        finally:
            self._leave(invocation_id, woken)

    def until_terminal(self, invocation_id: str, woken: threading.Event, seconds: float) -> None:
        """Return when a watched invocation is terminal or the time is over. The wake-up comes after the commit, so it needs no look."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if woken.wait(min(left, _LOOK_SECONDS)):
                return
            if invocations.status(self._database, invocation_id).terminal:
                return

    def close(self) -> None:
        """Stop the listener."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()

    def _enter(self, invocation_id: str, woken: threading.Event) -> None:
        with self._lock:
            self._waiting[invocation_id].add(woken)
            if self._listener is None:
                self._listener = Listener(self._redis_url, names.ENDED, self._wake)
                self._listener.start()

    def _leave(self, invocation_id: str, woken: threading.Event) -> None:
        with self._lock:
            self._waiting[invocation_id].discard(woken)
            if not self._waiting[invocation_id]:
                del self._waiting[invocation_id]

    def _wake(self, invocation_id: str) -> None:
        with self._lock:
            for woken in self._waiting.get(invocation_id, ()):
                woken.set()
