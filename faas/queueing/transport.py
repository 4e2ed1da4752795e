"""kombu's Redis transport without the bookkeeping that the platform does not need (PERFORMANCE.md): no set of unacknowledged messages in Redis, since
the row is the truth, and messages popped in batches. `WORKER_DISPATCH=stock` leaves it out.
"""

from __future__ import annotations

import json
import time
from typing import Any

from kombu.transport import redis as stock
from kombu.transport import virtual

from faas.queueing import names

# What one look into Redis takes at most; the prefetch count bounds it too.
_BATCH = 64
# Messages that come closer than this (seconds) come in a stream; after a lone one a second look would find nothing, and cost a round trip.
_STREAM = 0.004


class QoS(virtual.QoS):
    """Counts what is in hand, and puts nothing back when it ends: the worker passes on what it did not begin, and the row has the rest."""

    restore_at_shutdown = False


class Channel(stock.Channel):
    """A channel that takes what else is there when a message has come."""

    ack_emulation = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self.QoS: type[Any] = QoS
        self._delivered_at = 0.0

    def _brpop_read(self, **options: Any) -> bool:
        """Deliver the message that ended the blocking pop; in a stream of them, the connection being idle, as many more as there is credit for."""
        super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        last, self._delivered_at = self._delivered_at, time.monotonic()
        if self._delivered_at - last > _STREAM:
            return True
        room = self.qos.can_consume_max_estimate()
        count = _BATCH if room is None else min(room, _BATCH)
        if count > 0 and names.QUEUE in self.active_queues:
            self._pop_more(count)
        return True

    def _pop_more(self, count: int) -> None:
        key = f"{self.global_keyprefix}{self._q_for_pri(names.QUEUE, 0)}"  # type: ignore[no-untyped-call]
        connection = self.client.connection
        try:
            connection.send_command("RPOP", key, count)
            items = self.client.parse_response(connection, "RPOP")
        except self.connection_errors:
            connection.disconnect()
            raise
        for item in items or ():
            self.connection._deliver(json.loads(item), names.QUEUE)


class Transport(stock.Transport):
    """Named by `broker_transport` in celeryconfig.py."""

    Channel = Channel
