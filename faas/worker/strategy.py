"""What Celery does with a message of `faas.invoke` when it arrives (`Task.Strategy`)."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from celery.worker import state
from celery.worker.strategy import default as stock_strategy

from faas.queueing import transport
from faas.queueing.names import QUEUE
from faas.worker.context import current
from faas.worker.dispatch import Arrival, Dispatcher

log = logging.getLogger("faas.worker")


def strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """A handler of messages: claim in a batch, then Celery's own strategy. The stock one alone where the dispatcher is left out.

    Celery's revocations are passed by: a message is a hint, and an invocation is cancelled in the database.
    """
    stock: Callable[..., Any] = stock_strategy(task, app, consumer, **options)
    dispatcher = current().dispatcher
    if dispatcher is None:
        return stock
    intake = _Intake(dispatcher, task.name, consumer)
    transport.hand_to(intake)
    revoked = consumer.controller.state.revoked

    def on_message(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **extra: Any) -> None:
        invocation_id = transport.invocation_id(message.body)
        if invocation_id is None:
            log.error("a message of %s holds no id, and was dropped", task.name)
            # As Celery's own request does. Its loop calls this later: there a wrong call would end the whole worker.
            ack(log, consumer.connection_errors)
            return
        # Claimed already: the intake had it first.
        revoked.discard(invocation_id)
        stock(message, body, ack, reject, callbacks, **extra)

    return on_message


class _Intake:
    """Hands invocations to the dispatcher; those that need a thread come back into Celery's loop, with their claims in hand.

    Args:
        consumer: Celery's.
    """

    def __init__(self, dispatcher: Dispatcher, name: str, consumer: Any) -> None:
        self._dispatcher, self._name, self._consumer = dispatcher, name, consumer
        dispatcher.tell_of_room(lambda: consumer.hub.call_soon(_nothing))

    def room(self) -> int:
        """See `faas.queueing.transport.Intake`."""
        return self._dispatcher.room()

    def take(self, invocation_id: str, reply_to: str | None, deliver: Callable[[], None]) -> None:
        """See `faas.queueing.transport.Intake`."""
        active = _Active(invocation_id, self._name, self._consumer.hostname)
        self._dispatcher.arrived(
            Arrival(
                invocation_id,
                partial(self._consumer.hub.call_soon, deliver),
                reply_to,
                begun=partial(state.task_accepted, active),
                ended=partial(state.task_ready, active),
            )
        )


def _nothing() -> None:
    """Wakes the event loop, which then looks whether there is room."""


class _Active:
    """What Celery's remote control is told of a call that runs without a request of Celery's (`inspect active`, `inspect stats`)."""

    __slots__ = ("__weakref__", "_began", "_hostname", "id", "name")

    def __init__(self, invocation_id: str, name: str, hostname: str) -> None:
        self.id, self.name, self._hostname = invocation_id, name, hostname
        self._began = time.time()

    def info(self, safe: bool = False) -> dict[str, Any]:
        """As Celery's request has it."""
        return {
            "id": self.id,
            "name": self.name,
            "args": [self.id],
            "kwargs": {},
            "type": self.name,
            "hostname": self._hostname,
            "time_start": self._began,
            "acknowledged": True,
            "delivery_info": {"exchange": "", "routing_key": QUEUE, "priority": 0, "redelivered": False},
            "worker_pid": os.getpid(),
        }
