"""Waiting for an invocation inside a request: in slices, so that a process which is told to stop lets its waiters go with an answer."""

from __future__ import annotations

import time

from faas.domain.invocation import Invocation
from faas.services import Invocations
from faas.web.context import stopping

SLICE_S = 5.0


def wait(invocations: Invocations, id_: str, seconds: float) -> Invocation:
    """One invocation when it is terminal, the time is over, or the process stops.

    Args:
        seconds: how long at most.

    Raises:
        NotFound: there is no such invocation.
    """
    deadline = time.monotonic() + seconds
    while True:
        record = invocations.wait(id_, max(0.0, min(SLICE_S, deadline - time.monotonic())))
        if record.status.terminal or stopping().is_set() or time.monotonic() >= deadline:
            return record
