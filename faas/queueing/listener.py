"""Listening to channels of Redis: one thread and one connection for each process, however many wait."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

import redis

from faas.queueing.publisher import connect

log = logging.getLogger("faas.queueing")

_POLL_SECONDS = 1.0
_PAUSE_SECONDS = 1.0


class Listener:
    """Calls a function with every message of some channels, from a thread of its own that reconnects by itself.

    What is said while Redis is away is lost: whoever depends on it looks at the database now and then.

    Args:
        url: `redis://…`.
        channels: their names.
        heard: called with the text of each message; must be quick and not raise.
    """

    def __init__(self, url: str, channels: Sequence[str], heard: Callable[[str], None]) -> None:
        self._url, self._channels, self._heard = url, tuple(channels), heard
        self._stopping = threading.Event()
        self._cut_off = False
        self._thread = threading.Thread(target=self._run, name=f"listen {self._channels[0]}", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except (redis.RedisError, OSError) as error:
                # Once for each outage, not once for each attempt.
                level = logging.DEBUG if self._cut_off else logging.WARNING
                log.log(level, "listening to %s was cut off: %s", self._channels[0], error)
                self._cut_off = True
                self._stopping.wait(_PAUSE_SECONDS)

    def _listen(self) -> None:
        client = connect(self._url)
        try:
            with client.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
                channel.subscribe(*self._channels)
                self._cut_off = False
                while not self._stopping.is_set():
                    message = channel.get_message(timeout=_POLL_SECONDS)
                    if message is not None:
                        self._heard(str(message["data"]))
        finally:
            client.close()
