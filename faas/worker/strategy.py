"""What Celery does with a message of `faas.invoke` when it arrives (`Task.Strategy`)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from celery.worker.strategy import default as stock_strategy

from faas.domain.ids import is_id
from faas.worker.context import current

log = logging.getLogger("faas.worker")


def strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """A handler of messages: claim in a batch, then Celery's own strategy. The stock one alone where the dispatcher is left out.

    Celery's revocations are passed by: a message is a hint, and an invocation is cancelled in the database.
    """
    stock: Callable[..., Any] = stock_strategy(task, app, consumer, **options)
    dispatcher = current().dispatcher
    if dispatcher is None:
        return stock
    revoked = consumer.controller.state.revoked

    def on_message(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **extra: Any) -> None:
        def settle() -> None:
            # As Celery's own request does. Its loop calls this later: there a wrong call would end the whole worker.
            ack(log, consumer.connection_errors)

        invocation_id = _invocation_id(message)
        if invocation_id is None:
            log.error("a message of %s holds no id, and was dropped", task.name)
            settle()
            return

        def go_on() -> None:
            revoked.discard(invocation_id)
            stock(message, body, ack, reject, callbacks, **extra)

        dispatcher.arrived(invocation_id, go_on, settle)

    return on_message


def _invocation_id(message: Any) -> str | None:
    """The first argument of a message of protocol 2, where it is an id."""
    try:
        (first, *_), _kwargs, _embed = json.loads(message.body)
    except (ValueError, TypeError):
        return None
    return first if isinstance(first, str) and is_id(first) else None
