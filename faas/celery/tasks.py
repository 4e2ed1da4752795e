"""The task `faas.call`."""

from __future__ import annotations

from typing import Any

from celery import shared_task, states
from celery.exceptions import Ignore

from faas.celery.names import CALL, Asked
from faas.celery.platform import client_of
from faas.client.errors import ConnectionFailed, InvocationFailed, ProblemError, TooManyRequests, Unavailable


@shared_task(  # type: ignore[untyped-decorator]
    name=CALL,
    bind=True,
    Strategy="faas.celery.gate:strategy",
    # Delivered again when a worker dies in the middle, by Celery's own means; the Idempotency-Key makes that harmless.
    acks_late=True,
    reject_on_worker_lost=True,
    # A platform that is away for an hour delays a workflow by an hour.
    autoretry_for=(ConnectionFailed, Unavailable, TooManyRequests),
    max_retries=None,
    retry_backoff=1,
    retry_backoff_max=60,
    # No stack trace in the worker's log for what is the function's own affair.
    throws=(InvocationFailed, ProblemError),
)
def call(
    self: Any,
    payload: Any = None,
    *,
    function: str,
    headers: dict[str, str] | None = None,
    timeout: str | float | None = None,
    expires_in: str | float | None = None,
) -> Any:
    """Run a function of the platform, and return what it returned.

    The worker's consumer hands this to the pool once the invocation has ended (`faas.celery.gate`), so it finds the end at once. Where that was
    left out (other pools, tasks with an ETA, eager mode), this waits.

    Raises:
        FunctionRaised, TimedOut, Cancelled, PlatformFailed: it ended so.
        ProblemError: the platform refused: no such function, a payload over the limit.
    """
    if self.request.delivery_info and self.request.delivery_info.get("redelivered") and _was_ended(self):
        raise Ignore
    given = {"headers": headers, "timeout": timeout, "expires_in": expires_in}
    asked = Asked.of(
        self.request.id, payload, function, {name: value for name, value in given.items() if value is not None}
    )
    return client_of(self.app).call(asked.function, asked.payload, idempotency_key=asked.key, **asked.options)


def _was_ended(task: Any) -> bool:
    """Whether an earlier delivery came to the end: the message was only not acknowledged in time."""
    return task.backend.get_state(task.request.id) in states.READY_STATES
