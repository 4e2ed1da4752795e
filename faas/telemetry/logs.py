"""Structured logs: a JSON object a line on standard error, with the fields that are bound around the work (the invocation's id, the worker's)."""

from __future__ import annotations

import contextvars
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

_bound: contextvars.ContextVar[Mapping[str, Any] | None] = contextvars.ContextVar("faas_log_fields", default=None)
# `json.dumps` makes an encoder for each line where it is given a function of its own.
_encode = json.JSONEncoder(default=str).encode


@contextmanager
def bind(**fields: Any) -> Iterator[None]:
    """Add fields to every line that is logged inside, in this thread."""
    token = _bound.set({**(_bound.get() or {}), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


class JsonFormatter(logging.Formatter):
    """A line of JSON for each record. JSON's escapes keep CR, LF and ANSI sequences of user text inside the line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line: time, level, logger, message, bound fields, and those of `extra={"fields": {...}}`."""
        line: dict[str, Any] = {
            "time": f"{datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **(_bound.get() or {}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode(line)


def configure(level: str = "INFO") -> None:
    """Send every log line of this process to standard error as JSON. Called by composition roots alone."""
    # What no line of ours tells is not looked for (Python's logging HOWTO, "Optimization").
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Celery's two lines a task, and the HTTP clients' chatter, say nothing that the platform does not say.
    for name in ("celery.worker.strategy", "celery.app.trace", "botocore", "urllib3", "docker", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
