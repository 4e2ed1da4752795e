"""What the running application was made with: the services, its metrics, and the word that its process is about to stop."""

from __future__ import annotations

import threading

from flask import Flask, current_app

from faas.services import Services
from faas.telemetry.metrics import Metrics

_SERVICES, _METRICS, _STOPPING = "faas", "faas.metrics", "faas.stopping"


def attach(app: Flask, services: Services) -> None:
    """Give an application its services."""
    app.extensions[_SERVICES] = services
    app.extensions[_METRICS] = Metrics(services.measuring.platform, services.measuring.backlog)
    app.extensions[_STOPPING] = threading.Event()


def services(app: Flask | None = None) -> Services:
    """The services of an application, the current one where it is left out."""
    found: Services = (app or current_app).extensions[_SERVICES]
    return found


def metrics(app: Flask | None = None) -> Metrics:
    """The metrics of an application's process."""
    found: Metrics = (app or current_app).extensions[_METRICS]
    return found


def stopping(app: Flask | None = None) -> threading.Event:
    """Set when the process is told to stop: whoever holds an answer gives it then."""
    event: threading.Event = (app or current_app).extensions[_STOPPING]
    return event
