"""What the running application was made with: the services, and the word that its process is about to stop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, current_app, request

from faas.services import Services
from faas.services.metrics import Metrics
from faas.web.slow_clients import Reading, SlowClients

_SERVICES, _STOPPING, _CLIENTS = "faas", "faas.stopping", "faas.clients"


def attach(app: Flask, services: Services) -> None:
    """Give an application its services."""
    app.extensions[_SERVICES] = services
    app.extensions[_STOPPING] = threading.Event()


def services(app: Flask | None = None) -> Services:
    """The services of an application, the current one where it is left out."""
    found: Services = (app or current_app).extensions[_SERVICES]
    return found


def metrics(app: Flask | None = None) -> Metrics:
    """Where an application's requests are counted."""
    return services(app).metrics


def watch_clients(app: Flask, clients: SlowClients) -> None:
    """Let a watcher bound how slowly bodies come; without one they may take their time."""
    app.extensions[_CLIENTS] = clients


@contextmanager
def reading_body() -> Iterator[Reading | None]:
    """The body of the request at hand is read inside."""
    clients: SlowClients | None = current_app.extensions.get(_CLIENTS)
    sock = request.environ.get("gunicorn.socket")
    if clients is None or sock is None:
        yield None
        return
    with clients.body(sock) as reading:
        yield reading


def stopping(app: Flask | None = None) -> threading.Event:
    """Set when the process is told to stop: whoever holds an answer gives it then."""
    event: threading.Event = (app or current_app).extensions[_STOPPING]
    return event
