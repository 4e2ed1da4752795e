"""gunicorn's settings: `gunicorn -c python:faas.web.gunicorn 'faas.web:create_app()'`. A composition root: gunicorn reads this module's names.

The number of processes is gunicorn's own variable, `WEB_CONCURRENCY` (1 where it is not set).
"""

from __future__ import annotations

import gc
import signal
import socket
import struct
from typing import Any

from faas.config import load
from faas.errors import ConfigError
from faas.telemetry import tracing
from faas.web import context
from faas.web.guard import guard
from faas.web.slow_clients import SlowClients

try:
    _settings = load()
    tracing.check(_settings)
except ConfigError as error:
    # One line that names the variable, where gunicorn would print a stack trace.
    raise SystemExit(str(error)) from None

bind = f"{_settings.server_host}:{_settings.server_port}"
worker_class = "faas.web.server.Worker"
logger_class = "faas.web.server.Log"
# Whoever waits for an invocation holds a thread, for up to a minute; threads are made when they are needed.
threads = 600
worker_connections = 2000
backlog = 2048
# For gthread this bounds the main loop, not a request: no request of ours makes the loop late.
timeout = 60
# Waits end early when the process stops (`post_worker_init`); hosts such as Heroku kill after 30 s.
graceful_timeout = 25
keepalive = 15
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
accesslog = None
loglevel = _settings.log_level.lower()
# gunicorn's own lines in the form of all others.
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "faas.telemetry.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"level": _settings.log_level, "handlers": ["stderr"]},
    "loggers": {"gunicorn.error": {"level": _settings.log_level, "propagate": True}},
}
# gunicorn's control socket would be one more door; nothing here needs it.
control_socket_disable = True
# A body of 70 MB must not be waited for without end: the longest silence of a client that sends, or that does not read.
_SILENCE_S = 30
# So many are made before the young ones are looked through for cycles, which requests seldom leave.
_NEW_OBJECTS = 20_000


def on_starting(server: Any) -> None:
    """Serve nobody who was not meant: on an address that others reach, a key must have been made."""
    guard(_settings)


def when_ready(server: Any) -> None:
    """Bound how long a connection may stay silent in the middle of a request. Linux hands a listener's options to its connections."""
    bound = struct.pack("ll", _SILENCE_S, 0)
    for listener in server.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bound)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, bound)


def post_worker_init(worker: Any) -> None:
    """Bound slow clients. On SIGTERM, let those who wait go with the answer that there is, before gunicorn's own handler stops the process."""
    worker.slow_clients = SlowClients(_settings.server_patience)
    worker.slow_clients.start()
    context.watch_clients(worker.wsgi, worker.slow_clients)
    inherited: Any = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: Any) -> None:
        context.stopping(worker.wsgi).set()
        inherited(number, frame)

    signal.signal(signal.SIGTERM, stop)
    # What is there by now stays. Looking through it for garbage would stop all requests for tens of milliseconds each time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)


def worker_exit(server: Any, worker: Any) -> None:
    """Close what the process's application opened."""
    if getattr(worker, "wsgi", None) is not None:
        context.services(worker.wsgi).close()
    tracing.stop()
