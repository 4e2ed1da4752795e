"""Waiting for an invocation inside a request: in slices, so that a process which is told to stop lets its waiters go with an answer."""

from __future__ import annotations

import logging
import time

from flask import Flask

from faas.domain.invocation import Invocation
from faas.errors import PlatformError
from faas.services import Invocations
from faas.web.context import services, stopping

_log = logging.getLogger("faas.web")
SLICE_S = 5.0


def wait(invocations: Invocations, id_: str, seconds: float, app: Flask | None = None) -> Invocation:
    """One invocation when it is terminal, the time is over, or the process stops.

    Args:
        seconds: how long at most.
        app: whose process it is; the current one where it is left out.

    Raises:
        NotFound: there is no such invocation.
    """
    deadline = time.monotonic() + seconds
    while True:
        record = invocations.wait(id_, max(0.0, min(SLICE_S, deadline - time.monotonic())))
        if record.status.terminal or stopping(app).is_set() or time.monotonic() >= deadline:
            return record


def waited(record: Invocation, seconds: float, app: Flask | None = None) -> Invocation:
    """A record after waiting; arguments as for `wait`. It is accepted already, so a failure of the wait must not look like a refusal that can be sent again."""
    if record.status.terminal or seconds <= 0:
        return record
    try:
        return wait(services(app).invocations, record.id, seconds, app)
    except PlatformError:
        _log.warning("the wait ended early", exc_info=True, extra={"fields": {"invocation_id": record.id}})
        return record
