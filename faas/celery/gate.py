"""What a worker does with a message of `faas.call` when it arrives (`Task.Strategy`): it has the invocation accepted at once, and hands the message
to its pool when that has ended. So a pool of four processes has a thousand functions under way, and its other tasks are not held up.

It is treated as Celery treats a task with an ETA: the message stays unacknowledged, and the prefetch count is raised by one meanwhile. What a worker
held when it ends is delivered again, to another one, which finds the same invocation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery.worker import state
from celery.worker.strategy import default as stock_strategy

from faas.celery.doorbell import Doorbell
from faas.celery.names import Asked
from faas.celery.platform import address_of
from faas.celery.watch import Watch

log = logging.getLogger("faas.celery")

# Messages held at once beyond Celery's own prefetching. What is more waits in the broker.
MOST_HELD = 5000

_gates: dict[int, Gate] = {}


def strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """A handler of messages. Celery makes one each time that the consumer has connected; what the last one held comes again from the broker."""
    stock: Callable[..., Any] = stock_strategy(task, app, consumer, **options)
    _quiet()
    if (former := _gates.pop(id(consumer), None)) is not None:
        former.close()
    # Pools of green threads have no event loop here, and lose nothing by a task that waits.
    if consumer.hub is None:
        return stock
    gate = _gates[id(consumer)] = Gate(app, consumer)

    def on_message(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **extra: Any) -> Any:
        asked = asked_by(message)
        if asked is None:
            return stock(message, body, ack, reject, callbacks, **extra)
        return gate.hold(asked, lambda: stock(message, body, ack, reject, callbacks, **extra))

    return on_message


def _quiet() -> None:
    """httpx tells of every request at level INFO; in a worker's log that is several lines for each task. A level that somebody has set stays."""
    if (requests := logging.getLogger("httpx")).level == logging.NOTSET:
        requests.setLevel(logging.WARNING)


def asked_by(message: Any) -> Asked | None:
    """What a message of Celery's protocol 2 asks for. None where it has an ETA, or is not understood: that is Celery's own to tell."""
    try:
        headers, (args, kwargs, _) = message.headers, message.payload
        if headers.get("eta"):
            return None
        options = {name: value for name, value in kwargs.items() if name != "function"}
        return Asked.of(headers["id"], args[0] if args else None, kwargs["function"], options)
    except Exception:
        return None


class Gate:
    """Holds messages until their invocations have ended. Its methods are called by the thread of the worker's event loop.

    Args:
        consumer: Celery's.
    """

    def __init__(self, app: Any, consumer: Any) -> None:
        self._app, self._consumer = app, consumer
        self._watch: Watch | None = None
        self._bell: Doorbell | None = None
        self._held = 0

    def hold(self, asked: Asked, go_on: Callable[[], Any]) -> None:
        """Call `go_on` when the invocation has ended, or is refused, or the task is revoked."""
        if self._watch is None or self._bell is None:
            # Not before the first message: the pool's processes are forked by then.
            self._bell = Doorbell(self._consumer.hub)
            self._watch = Watch(*address_of(self._app), lambda task_id: task_id in state.revoked)
        bell, extra = self._bell, self._held < MOST_HELD
        self._held += 1
        if extra:
            self._consumer.qos.increment_eventually()
        self._watch.begin(asked, lambda: bell.ring(lambda: self._let_go(go_on, extra)))

    def close(self) -> None:
        """Forget what is held."""
        if self._watch is not None:
            self._watch.close()
        if self._bell is not None:
            self._bell.close()

    def _let_go(self, go_on: Callable[[], Any], extra: bool) -> None:
        self._held -= 1
        if extra:
            self._consumer.qos.decrement_eventually()
        go_on()
