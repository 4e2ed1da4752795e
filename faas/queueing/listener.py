"""Listening to channels of Redis: one thread and one connection for each process, however many wait."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import redis

from faas.queueing.publisher import connect

log = logging.getLogger("faas.queueing")

_POLL_SECONDS = 1.0
_PAUSE_SECONDS = 1.0
# Reads of `_POLL_SECONDS` without a word, after which Redis is asked for one.
_ASK_AFTER = 15


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
        self._stopping, self._ready = threading.Event(), threading.Event()
        self._cut_off = False
        self._thread = threading.Thread(target=self._run, name=f"listen {self._channels[0]}", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def wait_ready(self, seconds: float) -> bool:
        """Whether it listens, at once or within so many seconds: what is said from then on is heard, as long as the connection holds."""
        return self._ready.wait(seconds)

    def leave(self) -> None:
        """Stop some time soon; from its own thread, too."""
        self._stopping.set()

    def stop(self) -> None:
        """Stop, and wait for the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            # The last is for what is no text: others may publish in this Redis, too, and nobody would start this thread again.
            except (redis.RedisError, OSError, ValueError) as error:
                # Once for each outage, not once for each attempt.
                level = logging.DEBUG if self._cut_off else logging.WARNING
                log.log(level, "listening to %s was cut off: %s", self._channels[0], error)
                self._cut_off = True
                self._stopping.wait(_PAUSE_SECONDS)

    def _listen(self) -> None:
        client = connect(self._url, read_seconds=_POLL_SECONDS)
        # redis-py's own `PubSub` asks the kernel six times for each message; the connection's plain read asks once.
        connection: Any = client.connection_pool.make_connection()
        try:
            connection.send_command("SUBSCRIBE", *self._channels)
            self._cut_off = False
            quiet = 0
            while not self._stopping.is_set():
                try:
                    message = connection.read_response(disconnect_on_error=False, push_request=True)
                except redis.TimeoutError:
                    quiet += 1
                    _mind(connection, quiet)
                    continue
                quiet = 0
                if message[0] == "message":
                    self._heard(str(message[2]))
                elif message[0] == "subscribe" and message[2] == len(self._channels):
                    self._ready.set()
        finally:
            self._ready.clear()
            connection.disconnect()
            client.close()


def _mind(connection: Any, quiet: int) -> None:
    """Find out whether a connection that was quiet for so many reads is still one. Raises ConnectionError where it is not."""
    if quiet == _ASK_AFTER:
        connection.send_command("PING", check_health=False)
    elif quiet == 2 * _ASK_AFTER:
        raise redis.ConnectionError("nothing came for long, not even the answer to a PING")
