"""kombu's Redis transport without the bookkeeping that the platform does not need (PERFORMANCE.md): no set of unacknowledged messages in Redis, since
the row is the truth; messages popped in batches; and those of `faas.invoke` handed over before kombu and Celery make objects of them.
`WORKER_DISPATCH=stock` leaves it out.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any, Protocol

from kombu.transport import redis as stock
from kombu.transport import virtual
from redis.exceptions import OutOfMemoryError

from faas.domain.ids import is_id
from faas.queueing import names

# What one look into Redis takes at most.
_BATCH = 64
# Messages that come closer than this (seconds) come in a stream; after a lone one a second look would find nothing, and cost a round trip.
_STREAM = 0.004


class Intake(Protocol):
    """Who takes invocations in."""

    def room(self) -> int:
        """How many it would take now."""
        ...

    def take(self, invocation_id: str, reply_to: str | None, message: dict[str, Any]) -> None:
        """One that was published.

        Args:
            reply_to: the channel on which its end is waited for.
            message: as it came.
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

    def _brpop_read(self, **options: Any) -> bool:
        """Deliver the message that ended the blocking pop; in a stream of them, the connection being idle, as many more as there is room for."""
        super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        last, self._delivered_at = self._delivered_at, time.monotonic()
        if self._delivered_at - last > _STREAM:
            return True
        credit = self.qos.can_consume_max_estimate()
        count = min(_BATCH, _BATCH if credit is None else credit, _BATCH if _intake is None else _intake.room())
        if count > 0 and names.QUEUE in self.active_queues:
            self._pop_more(count)
        return True

    def _pop_more(self, count: int) -> None:
        key = f"{self.global_keyprefix}{self._q_for_pri(names.QUEUE, 0)}"  # type: ignore[no-untyped-call]
        connection, began = self.client.connection, time.monotonic()
        try:
            connection.send_command("RPOP", key, count)
            items = self.client.parse_response(connection, "RPOP")
        except self.connection_errors:
            connection.disconnect()
            raise
        if _popped is not None:
            _popped(time.monotonic() - began)
        for item in items or ():
            self.connection._deliver(json.loads(item), names.QUEUE)


class Transport(stock.Transport):
    """Named by `broker_transport` in celeryconfig.py."""

    Channel = Channel
    # A Redis that is full refuses even what Celery asks it at the start. That passes, so it is waited for; by itself Celery ends the worker.
    connection_errors = (*stock.Transport.connection_errors, OutOfMemoryError)

    def _deliver(self, message: Any, queue: str) -> None:
        """A message that came: to the intake where it is an invocation's, else on to Celery."""
        found = _invocation(message) if _intake is not None and queue == names.QUEUE else None
        if found is None or _intake is None:
            super()._deliver(message, queue)  # type: ignore[no-untyped-call]
        else:
            _intake.take(*found, message)


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
