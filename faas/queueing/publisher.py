"""Publishing: Celery messages for workers, and wake-ups for whoever waits. All of one call goes in one pipeline."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from faas.errors import BrokerDown
from faas.queueing import messages, names
from faas.queueing.lines import Command, Lines
from faas.telemetry.catalogue import BROKER_FAILURES, BROKER_SECONDS
from faas.telemetry.counts import Counts

log = logging.getLogger("faas.queueing")

_SECONDS = 5


class Publisher:
    """Writes to Redis, for one process; threads share it. Nothing connects before the first use.

    Args:
        url: `redis://…`.
        counts: where what happens is counted.
    """

    def __init__(self, url: str, *, counts: Counts | None = None) -> None:
        self._url, self._counts = url, counts or Counts()
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None
        self._lines: Lines | None = None
        self._pid = 0

    def invocations(self, ids: Iterable[str], reply_to: str = "") -> None:
        """Publish invocations that were admitted. Raises BrokerDown; the reconciler then publishes them later.

        Args:
            reply_to: the channel on which somebody waits for their ends.
        """
        rendered = [messages.invoke(one, reply_to) for one in ids]
        if rendered:
            self._publish([("LPUSH", names.QUEUE, *rendered)])

    def build(self, function_id: str, number: int) -> None:
        """Publish the build of a revision. Raises BrokerDown."""
        self._publish([("LPUSH", names.QUEUE, messages.build(function_id, number))])

    def cancel(self, invocation_id: str) -> None:
        """Tell the worker that runs it to stop. Raises BrokerDown; the worker's beat finds the request in the database anyway."""
        self._publish([("PUBLISH", names.CANCEL, invocation_id)])

    def send(
        self, *, run: Iterable[str] = (), ended: Iterable[str] = (), replies: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Publish what follows the ends of invocations: who is to run now, who has ended, and what is sent to whom (channel and text).

        Raises BrokerDown.
        """
        rendered = [messages.invoke(one) for one in run]
        commands: list[Command] = [("PUBLISH", channel, text) for channel, text in replies]
        if rendered:
            commands.append(("LPUSH", names.QUEUE, *rendered))
        over = " ".join(ended)
        if over:
            commands.append(("PUBLISH", names.ENDED, over))
        self._publish(commands)

    def announce(
        self, *, run: Iterable[str] = (), ended: Iterable[str] = (), replies: Iterable[tuple[str, str]] = ()
    ) -> None:
        """`send` where Redis being away costs time alone: the reconciler publishes what was not, and who waits looks for himself."""
        try:
            self.send(run=run, ended=ended, replies=replies)
        except BrokerDown as error:
            log.warning("not announced, the reconciler will: %s", error)

    def wiped(self) -> bool:
        """Whether Redis may have lost something since this was last asked (by anybody): it was wiped, or started again, maybe from an old file.

        Raises BrokerDown.
        """

        def ask(client: redis.Redis, _: Lines) -> bool:
            mark = _start_of(client)
            return bool(client.set(names.EPOCH, mark, get=True) != mark)

        return bool(self._run(ask))

    def backlog(self) -> int:
        """How many messages wait in Redis. Raises BrokerDown."""
        return int(self._run(lambda client, _: client.llen(names.QUEUE)))

    def ping(self) -> None:
        """Raises BrokerDown where Redis does not answer."""
        self._run(lambda client, _: client.ping())

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            client, self._client = self._client, None
            lines, self._lines = self._lines, None
        if lines is not None:
            lines.close()
        if client is not None:
            client.close()

    def _publish(self, commands: list[Command]) -> None:
        if commands:
            self._run(lambda _, lines: lines.exchange(commands), "publish")

    def _run(self, action: Callable[[redis.Redis, Lines], Any], kind: str = "other") -> Any:
        began = time.monotonic()
        try:
            answer = action(*self._connected())
            self._counts.observe(BROKER_SECONDS, time.monotonic() - began, kind)
            return answer
        except (redis.RedisError, OSError) as error:
            self._counts.add(BROKER_FAILURES)
            raise BrokerDown(f"Redis does not answer: {error}") from error

    def _connected(self) -> tuple[redis.Redis, Lines]:
        """The client of this process, and its lines: those that were made before a fork belong to the parent."""
        with self._lock:
            if self._client is None or self._lines is None or self._pid != os.getpid():
                self._client, self._pid = connect(self._url), os.getpid()
                self._lines = Lines(self._client)
            return self._client, self._lines


def _start_of(client: redis.Redis) -> str:
    """A text that is another one after each start of the server."""
    try:
        return str(client.info("server")["run_id"])
    except (redis.exceptions.NoPermissionError, KeyError):
        # An operator may forbid the command; then only a wipe is noticed.
        return "unknown"


def connect(url: str, *, read_seconds: float = _SECONDS) -> redis.Redis:
    """A Redis client whose every wait is bounded."""
    return redis.Redis.from_url(
        url,
        socket_timeout=read_seconds,
        socket_connect_timeout=min(_SECONDS, read_seconds),
        socket_keepalive=True,
        health_check_interval=15,
        # Once more for a connection that Redis closed meanwhile. (By itself redis-py 8 would try ten times with pauses, and a caller would wait for minutes.)
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        decode_responses=True,
    )
