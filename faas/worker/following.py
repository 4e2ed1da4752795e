"""Sending what running invocations print to whoever follows them. What nobody follows costs nothing: nothing of this is on an attempt's way."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

import redis

from faas.domain.log import Excerpt, Position
from faas.queueing import names
from faas.queueing.follow import FORGET_SECONDS, read_ask, write_excerpt
from faas.queueing.listener import Listener
from faas.queueing.publisher import connect
from faas.worker.running import Running, RunningSet

log = logging.getLogger("faas.worker")

# How often followed logs are looked at; with the portion it bounds what one of them can put on Redis to about 5 MB/s.
_TICK_SECONDS = 0.05
_PORTION_BYTES = 256 * 1024
_MOST_FOLLOWED = 10_000


@dataclass(slots=True)
class _Followed:
    """An invocation that somebody follows, whether or not it runs here (yet).

    Attributes:
        until: it is forgotten then (monotonic), unless somebody asks again.
        asked: the earliest position that was asked for and not yet heeded.
        running: the attempt that is being sent, with what was `sent` of it in bytes.
    """

    until: float
    asked: Position | None
    running: Running | None = None
    sent: int = 0


class Following:
    """Hears who is followed, and sends their logs from a thread of its own, which sleeps while nobody is.

    Args:
        redis_url: `redis://…`.
        running: what runs here.
    """

    def __init__(self, redis_url: str, running: RunningSet) -> None:
        self._redis_url, self._running = redis_url, running
        self._lock = threading.Lock()
        self._followed: dict[str, _Followed] = {}
        self._somebody = threading.Event()
        self._stopping = threading.Event()
        self._asks = Listener(redis_url, (names.FOLLOW,), self._asked)
        self._thread = threading.Thread(target=self._run, name="followed logs", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._asks.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop; what was printed by now can be read in the record."""
        self._stopping.set()
        self._somebody.set()
        self._asks.stop()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _asked(self, text: str) -> None:
        ask = read_ask(text)
        if ask is None:
            return
        until = time.monotonic() + FORGET_SECONDS
        with self._lock:
            known = self._followed.get(ask.invocation_id)
            if known is not None:
                known.until = until
                if ask.position is not None:
                    known.asked = min(ask.position, known.asked or ask.position)
            elif len(self._followed) < _MOST_FOLLOWED:
                self._followed[ask.invocation_id] = _Followed(until, ask.position)
        self._somebody.set()

    def _run(self) -> None:
        client = connect(self._redis_url)
        try:
            while not self._stopping.is_set():
                self._somebody.wait()
                try:
                    self._round(client)
                except (redis.RedisError, OSError) as error:
                    # Nothing counts as sent that was not: the next round sends it.
                    log.debug("followed logs are not sent: %s", error)
                except Exception:
                    log.exception("followed logs were not sent")
                self._stopping.wait(_TICK_SECONDS)
        finally:
            client.close()

    def _round(self, client: redis.Redis) -> None:
        now = time.monotonic()
        with self._lock:
            for invocation_id in [one for one, followed in self._followed.items() if followed.until < now]:
                del self._followed[invocation_id]
            everyone = list(self._followed.items())
            if not everyone:
                self._somebody.clear()
        for invocation_id, followed in everyone:
            self._serve(client, invocation_id, followed)

    def _serve(self, client: redis.Redis, invocation_id: str, followed: _Followed) -> None:
        current = self._running.get(invocation_id)
        if followed.running is not None and followed.running is not current:
            self._send(client, followed, closed=True)
            followed.running = None
        if current is None:
            return
        with self._lock:
            asked, followed.asked = followed.asked, None
        if followed.running is None:
            followed.running, followed.sent = current, 0
            if asked is not None and asked.attempt == current.claim.attempt:
                followed.sent = asked.offset
        elif asked is not None:
            followed.sent = min(followed.sent, asked.offset if asked.attempt == current.claim.attempt else 0)
        self._send(client, followed, closed=False)

    def _send(self, client: redis.Redis, followed: _Followed, *, closed: bool) -> None:
        """Send what was printed since; all of it where the attempt is over."""
        running = followed.running
        if running is None:
            return
        channel = names.LOG + running.claim.invocation_id
        while True:
            pieces = running.log.read(followed.sent, _PORTION_BYTES)
            if not pieces and not closed:
                return
            excerpt = Excerpt(Position(running.claim.attempt, followed.sent), pieces, closed and not pieces)
            client.publish(channel, write_excerpt(excerpt))
            followed.sent = excerpt.end.offset
            if not (closed and pieces):
                return
