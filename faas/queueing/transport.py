"""kombu's Redis transport without the bookkeeping that the platform does not need (PERFORMANCE.md): no set of unacknowledged messages in Redis, since
the row is the truth; messages popped in batches; and those of `faas.invoke` handed over before kombu and Celery make objects of them.
`WORKER_DISPATCH=stock` leaves it out.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from functools import partial
from queue import Empty
from typing import Any, Protocol

from kombu.transport import redis as stock
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from redis.exceptions import OutOfMemoryError

from faas.domain.ids import is_id
from faas.queueing import messages, names

# What one look into Redis takes at most.
_BATCH = 64
# Messages that come closer than this (seconds) come in a stream; after a lone one a second look would find nothing, and cost a round trip.
_STREAM = 0.004


class Intake(Protocol):
    """Who takes invocations in."""

    def room(self) -> int:
        """How many it would take now."""
        ...

    def take(self, invocation_id: str, reply_to: str | None, read: Callable[[], dict[str, Any]]) -> None:
        """One that was published.

        Args:
            reply_to: the channel on which its end is waited for.
            read: the message as it came.
        """
        ...


_intake: Intake | None = None


def hand_to(intake: Intake | None) -> None:
    """Name the process's intake; None for Celery's own way."""
    global _intake
    _intake = intake


_popped: Callable[[float], None] | None = None


def tell_of_pops(popped: Callable[[float], None]) -> None:
    """Name who is told how long (seconds) it took to take more messages out of a queue that had some."""
    global _popped
    _popped = popped


class QoS(virtual.QoS):
    """Counts what is in hand, and puts nothing back when it ends: the worker passes on what it did not begin, and the row has the rest."""

    restore_at_shutdown = False

    def can_consume(self) -> bool:
        """Whether another message is wanted."""
        return bool(super().can_consume()) and (_intake is None or _intake.room() > 0)  # type: ignore[no-untyped-call]


class Channel(stock.Channel):
    """A channel that takes what else is there when a message has come."""

    ack_emulation = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self.QoS: type[Any] = QoS
        self._delivered_at = 0.0
        # The queue that is popped from, and the command.
        self._pop: tuple[str, list[bytes]] | None = None

    def _brpop_read(self, **_: Any) -> bool:
        """Deliver the message that ended the blocking pop; in a stream of them, the connection being idle, as many more as there is room for.

        Then wait for the next at once: kombu's own turn before each poll comes to the same, and takes as long as all else here.
        """
        connection = self.client.connection
        try:
            found = self._read(connection)
        finally:
            self._in_poll = None  # type: ignore[assignment]
            self._flush_brpop_reauth()  # type: ignore[no-untyped-call]
        if not found:
            raise Empty
        queue, item = bytes_to_str(found[0]).rsplit(self.sep, 1)[0], found[1]  # type: ignore[no-untyped-call]
        self._queue_cycle.rotate(queue)
        self.connection.take(item, queue)
        last, self._delivered_at = self._delivered_at, time.monotonic()
        if self._delivered_at - last <= _STREAM and not self._closing:
            credit = self.qos.can_consume_max_estimate()
            count = min(_BATCH, _BATCH if credit is None else credit, _BATCH if _intake is None else _intake.room())
            if count > 0 and names.QUEUE in self.active_queues:
                self._pop_more(connection, count)
        if self.active_queues and not self._closing and self.qos.can_consume():
            self._brpop_start()
        return True

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Begin a blocking pop. kombu's own, but of one queue the command is the same each time."""
        if timeout is not None or len(self.active_queues) != 1:
            super()._brpop_start(timeout)  # type: ignore[no-untyped-call]
            return
        (queue,), connection = self.active_queues, self.client.connection
        if self._pop is None or self._pop[0] != queue:
            keys = [
                f"{self.global_keyprefix}{self._q_for_pri(queue, step)}"  # type: ignore[no-untyped-call]
                for step in self.priority_steps
            ]
            self._pop = queue, connection.pack_command("BRPOP", *keys, self.brpop_timeout or 0)
        self._in_poll, self._brpop_sent_at = connection, time.monotonic()  # type: ignore[assignment]
        connection.send_packed_command(self._pop[1])

    def _pop_more(self, connection: Any, count: int) -> None:
        key = f"{self.global_keyprefix}{self._q_for_pri(names.QUEUE, 0)}"  # type: ignore[no-untyped-call]
        began = time.monotonic()
        connection.send_command("RPOP", key, count)
        items = self._read(connection)
        if _popped is not None:
            _popped(time.monotonic() - began)
        for item in items or ():
            self.connection.take(item, names.QUEUE)

    def _read(self, connection: Any) -> Any:
        try:
            return connection.read_response()
        except self.connection_errors:
            # So the next turn connects anew.
            connection.disconnect()
            raise

    @property
    def waits(self) -> bool:
        """Whether all is in place to hear of what comes: nothing is to be sent, or registered with the event loop, before the next poll."""
        if self.active_queues:
            polled: Any = self._in_poll
            if not polled or polled is not self.client.connection or polled._sock is None or not self.qos.can_consume():
                return False
        if self.active_fanout_queues:
            listening: Any = self._in_listen
            return bool(listening) and listening._sock is not None
        return True


class Transport(stock.Transport):
    """Named by `broker_transport` in celeryconfig.py."""

    Channel = Channel
    # A Redis that is full refuses even what Celery asks it at the start. That passes, so it is waited for; by itself Celery ends the worker.
    connection_errors = (*stock.Transport.connection_errors, OutOfMemoryError)
    _prepared = (0, 0)

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """As kombu does; but what it does before each poll is done where there is something to do."""
        before = set(loop.on_tick)
        super().register_with_event_loop(connection, loop)  # type: ignore[no-untyped-call]
        for prepare in set(loop.on_tick) - before:
            loop.on_tick.remove(prepare)
            loop.on_tick.add(partial(self._prepare, prepare))

    def _prepare(self, prepare: Callable[[], None]) -> None:
        cycle: Any = self.cycle
        seen = (len(cycle._channels), len(cycle._fd_to_chan))
        if seen != self._prepared or cycle._paused_brpop or not all(channel.waits for channel in cycle._channels):
            prepare()
            self._prepared = (len(cycle._channels), len(cycle._fd_to_chan))

    def take(self, item: bytes, queue: str) -> None:
        """A message as it was popped: to the intake where it is an invocation's, else on to Celery."""
        found = messages.recognised(item) if _intake is not None and queue == names.QUEUE else None
        if found is None or _intake is None:
            self._deliver(loads(bytes_to_str(item)), queue)  # type: ignore[no-untyped-call]
        else:
            _intake.take(found[0], names.reply_channel(found[1]), partial(json.loads, item))

    def _deliver(self, message: Any, queue: str) -> None:
        """The same of one from elsewhere."""
        found = _invocation(message) if _intake is not None and queue == names.QUEUE else None
        if found is None or _intake is None:
            super()._deliver(message, queue)  # type: ignore[no-untyped-call]
        else:
            _intake.take(*found, lambda: message)


def _invocation(message: Any) -> tuple[str, str | None] | None:
    """The id in a message of `faas.invoke`, and where its end is waited for. None for all that Celery is to look at, wrong messages too."""
    try:
        if message["headers"]["task"] != names.INVOKE:
            return None
        found = invocation_id(base64.b64decode(message["body"]))
        reply_to = message["properties"].get("reply_to")
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return (found, names.reply_channel(reply_to)) if found else None


def invocation_id(body: bytes | str) -> str | None:
    """The first argument in a body of protocol 2, where it is an id."""
    try:
        (first, *_), _kwargs, _embed = json.loads(body)
    except (ValueError, TypeError):
        return None
    return first if isinstance(first, str) and is_id(first) else None
