"""Waiting for invocations to end: woken over Redis by whoever ends them, through two listeners for each process at most."""

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

_LOOK_SECONDS = 2.0
# So long a reply alone is waited for; and so long the ends of all are listened to after nobody needs them.
_REPLY_SECONDS, _KEPT_SECONDS = 0.25, 60.0
# For the listening to have begun, where Redis is there.
_READY_SECONDS = 0.5


class Watch:
    """One who waits for one invocation, in one thread. `for_reply`: woken by a reply alone."""

    def __init__(self, *, for_reply: bool = False) -> None:
        self.for_reply = for_reply
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
    """Those who wait in this process. Its listeners begin with the first who needs them, so nothing connects before a fork.

    Who accepted an invocation here is sent its end, on a channel of this process's own. The ends of all, whoever accepted them, are listened to only while
    somebody needs them: else each process would hear of everything that ends anywhere.
    """

    def __init__(self, database: Database, redis_url: str) -> None:
        self._database, self._redis_url = database, redis_url
        self._lock = threading.Lock()
        self._waiting: dict[str, set[Watch]] = defaultdict(set)
        self._replies: Listener | None = None
        self._ends: Listener | None = None
        # How many need the ends of all, and until when they are listened to where nobody does.
        self._need, self._until = 0, 0.0
        self._channel = ""

    @property
    def channel(self) -> str:
        """Where this process is sent the ends of invocations that it accepted, once somebody waits here."""
        return self._channel

    def wait(self, invocation_id: str, seconds: float) -> None:
        """Return when the invocation is terminal or the time is over. Raises NotFound."""
        if invocations.status(self._database, invocation_id).terminal:
            return
        with self.watch(invocation_id) as watch, self.all_ends():
            self._look_and_wait(invocation_id, watch, time.monotonic() + seconds)

    @contextmanager
    def watch(self, invocation_id: str, *, for_reply: bool = False) -> Iterator[Watch]:
        """A watch that is woken when the invocation ends; whoever begins to watch before it is published misses no end.

        Args:
            for_reply: it is published by this process, with `channel`; see `until_answered`. Else it is woken inside `all_ends` alone.
        """
        watch = Watch(for_reply=for_reply)
        self._enter(invocation_id, watch)
        try:
            yield watch
        finally:
            self._leave(invocation_id, watch)

    def until_answered(self, invocation_id: str, watch: Watch, seconds: float) -> None:
        """Return when an invocation that is watched for its reply is terminal or the time is over.

        The reply comes after the commit, so it needs no look. Another one's end of it (a cancellation, a worker that took it over) has none: where the
        reply does not come soon, it is waited for like any other.
        """
        deadline = time.monotonic() + seconds
        if watch.wait(min(seconds, _REPLY_SECONDS)) or seconds <= _REPLY_SECONDS:
            return
        with self.all_ends():
            watch.for_reply = False
            self._look_and_wait(invocation_id, watch, deadline)

    @contextmanager
    def all_ends(self) -> Iterator[None]:
        """Whoever watches is woken inside by every end, and not by replies alone. What ended before is to be looked for inside."""
        with self._lock:
            self._need += 1
            if self._ends is None:
                self._ends = Listener(self._redis_url, (names.ENDED,), self._heard_ends)
                self._ends.start()
            listener = self._ends
        try:
            listener.wait_ready(_READY_SECONDS)
            yield
        finally:
            with self._lock:
                self._need -= 1
                self._until = time.monotonic() + _KEPT_SECONDS

    def close(self) -> None:
        """Stop the listeners."""
        with self._lock:
            listeners, self._replies, self._ends = (self._replies, self._ends), None, None
        for listener in listeners:
            if listener is not None:
                listener.stop()

    def _look_and_wait(self, invocation_id: str, watch: Watch, deadline: float) -> None:
        """A wake-up may be lost, where Redis is away or was just restarted: so whoever waits also looks for himself."""
        while not invocations.status(self._database, invocation_id).terminal:
            left = deadline - time.monotonic()
            if left <= 0 or watch.wait(min(left, _LOOK_SECONDS)):
                return

    def _enter(self, invocation_id: str, watch: Watch) -> None:
        with self._lock:
            self._waiting[invocation_id].add(watch)
            if watch.for_reply and self._replies is None:
                self._channel = names.REPLY + secrets.token_hex(8)
                self._replies = Listener(self._redis_url, (self._channel,), self._heard_reply)
                self._replies.start()

    def _leave(self, invocation_id: str, watch: Watch) -> None:
        with self._lock:
            self._waiting[invocation_id].discard(watch)
            if not self._waiting[invocation_id]:
                del self._waiting[invocation_id]

    def _heard_reply(self, text: str) -> None:
        invocation_id, _, fields = text.partition(" ")
        with self._lock:
            for watch in self._waiting.get(invocation_id, ()):
                watch.wake(fields or None)

    def _heard_ends(self, text: str) -> None:
        with self._lock:
            if not self._need and time.monotonic() > self._until:
                if self._ends is not None:
                    self._ends.leave()
                self._ends = None
                return
            for invocation_id in text.split(" "):
                for watch in self._waiting.get(invocation_id, ()):
                    # Its reply is on its way by another connection, and says more.
                    if not watch.for_reply:
                        watch.wake(None)
