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
from kombu.transport.virtual import Message

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
    intake = _Intake(dispatcher, task.name, consumer, stock)
    transport.hand_to(intake)

    def on_message(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **extra: Any) -> None:
        invocation_id = transport.invocation_id(message.body)
        # As Celery's own request does. Its loop calls this later: there a wrong call would end the whole worker.
        ack(log, consumer.connection_errors)
        if invocation_id is None:
            log.error("a message of %s holds no id, and was dropped", task.name)
        else:
            intake.accept(invocation_id, None, lambda: message)

    return on_message


class _Intake:
    """Hands invocations to the dispatcher; those that need a thread go through Celery's own strategy, with their claims in hand.

    Args:
        consumer: Celery's.
        stock: the strategy.
    """

    def __init__(self, dispatcher: Dispatcher, name: str, consumer: Any, stock: Callable[..., Any]) -> None:
        self._dispatcher, self._name, self._consumer, self._stock = dispatcher, name, consumer, stock
        dispatcher.tell_of_room(lambda: consumer.hub.call_soon(_nothing))

    def room(self) -> int:
        """See `faas.queueing.transport.Intake`."""
        return self._dispatcher.room()

    def take(self, invocation_id: str, reply_to: str | None, read: Callable[[], dict[str, Any]]) -> None:
        """See `faas.queueing.transport.Intake`."""
        self.accept(invocation_id, reply_to, partial(self._made, read, self._consumer.task_consumer))

    def _made(self, read: Callable[[], dict[str, Any]], consumer: Any) -> Any:
        return Message(read(), consumer.channel, accept=consumer.accept)  # type: ignore[no-untyped-call]

    def accept(self, invocation_id: str, reply_to: str | None, make_message: Callable[[], Any]) -> None:
        """Hand an invocation to the dispatcher, and its message on to Celery where that is needed."""
        active = _Active(invocation_id, self._name, self._consumer.hostname)
        self._dispatcher.arrived(
            Arrival(
                invocation_id,
                partial(self._go_on, invocation_id, make_message),
                reply_to,
                begun=partial(state.task_accepted, active),
                ended=partial(state.task_ready, active),
            )
        )

    def _go_on(self, invocation_id: str, make_message: Callable[[], Any]) -> None:
        # Not by way of Celery's loop: what waits there is lost with the connection, and a claim would wait for it for ever.
        self._consumer.controller.state.revoked.discard(invocation_id)
        self._stock(make_message(), None, _settled, _settled, ())


def _settled(*_: Any) -> None:
    """A message was settled when it came."""


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
