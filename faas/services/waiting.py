"""Waiting for invocations to end: woken over Redis by whoever ends them, through one listener for each process."""

from __future__ import annotations

import secrets
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


class Watch:
    """One who waits for one invocation, in one thread."""

    def __init__(self) -> None:
        # Held until the invocation has ended: a lock wakes a thread at a fraction of what an `Event` costs.
        self._asleep = threading.Lock()
        self._asleep.acquire()
        self._woken = False
        self._reply: str | None = None

    @property
    def woken(self) -> bool:
        """Whether the invocation has ended."""
        return self._woken

    @property
    def reply(self) -> str | None:
        """The fields of the record, where they were sent (`faas.results.reply`)."""
        return self._reply

    def wake(self, reply: str | None) -> None:
        """The invocation has ended. Called by one thread at a time; the first word counts, as the wake-up for everybody comes after the reply for one."""
        if not self._woken:
            self._reply, self._woken = reply, True
            self._asleep.release()

    def wait(self, seconds: float) -> bool:
        """Whether it was woken in time."""
        if not self._woken:
            self._asleep.acquire(timeout=max(0.0, seconds))
        return self._woken


class Waiters:
    """Those who wait in this process. The listener begins with the first of them, so nothing connects before a fork."""

    def __init__(self, database: Database, redis_url: str) -> None:
        self._database, self._redis_url = database, redis_url
        self._lock = threading.Lock()
        self._waiting: dict[str, set[Watch]] = defaultdict(set)
        self._listener: Listener | None = None
        self._channel = ""

    @property
    def channel(self) -> str:
        """Where this process is sent the ends of invocations that it accepted, once somebody waits here."""
        return self._channel

    def wait(self, invocation_id: str, seconds: float) -> None:
        """Return when the invocation is terminal or the time is over. Raises NotFound."""
        with self.watch(invocation_id) as watch:
            if not invocations.status(self._database, invocation_id).terminal:
                self.until_terminal(invocation_id, watch, seconds)

    @contextmanager
    def watch(self, invocation_id: str) -> Iterator[Watch]:
        """A watch that is woken when the invocation ends; whoever begins to watch before it is published misses no end."""
        watch = Watch()
        self._enter(invocation_id, watch)
        try:
            yield watch
        finally:
            self._leave(invocation_id, watch)

    def until_terminal(self, invocation_id: str, watch: Watch, seconds: float) -> None:
        """Return when a watched invocation is terminal or the time is over. The wake-up comes after the commit, so it needs no look."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if watch.wait(min(left, _LOOK_SECONDS)):
                return
            if invocations.status(self._database, invocation_id).terminal:
                return

    def close(self) -> None:
        """Stop the listener."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()

    def _enter(self, invocation_id: str, watch: Watch) -> None:
        with self._lock:
            self._waiting[invocation_id].add(watch)
            if self._listener is None:
                self._channel = names.REPLY + secrets.token_hex(8)
                self._listener = Listener(self._redis_url, (names.ENDED, self._channel), self._heard)
                self._listener.start()

    def _leave(self, invocation_id: str, watch: Watch) -> None:
        with self._lock:
            self._waiting[invocation_id].discard(watch)
            if not self._waiting[invocation_id]:
                del self._waiting[invocation_id]

    def _heard(self, text: str) -> None:
        first, _, rest = text.partition(" ")
        if rest.startswith("{"):
            self._wake(first, rest)
            return
        for invocation_id in text.split(" "):
            self._wake(invocation_id, None)

    def _wake(self, invocation_id: str, reply: str | None) -> None:
        if invocation_id not in self._waiting:
            return
        with self._lock:
            for watch in self._waiting.get(invocation_id, ()):
                watch.wake(reply)
