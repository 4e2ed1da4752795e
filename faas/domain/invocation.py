"""Invocations: their states and transitions, and what a worker is given when it claims one. No I/O."""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from faas.domain.function import Retry, Revision

T = TypeVar("T")


class Status(enum.StrEnum):
    """The states of an invocation; the last four are terminal and never change."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows it."""
        return self not in TRANSITIONS


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.CANCELLED, Status.FAILED}),
    Status.RUNNING: frozenset({Status.QUEUED, Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT, Status.CANCELLED}),
}
TERMINAL = tuple(status for status in Status if status.terminal)


@dataclass(frozen=True, slots=True)
class Invocation:
    """An invocation as its caller sees it.

    Attributes:
        payload, result: any JSON; `headers` text to text. None in items of a list.
        error: None, or `{"type", "message", "stack_trace"}`.
        run_at: when it was asked to run; `expires_at`: when it ends `cancelled` where it has not been started.
        replay_of: the id of the invocation that it runs again.
    """

    id: str
    function_id: str
    function_name: str
    revision: int
    status: Status
    payload: Any
    headers: dict[str, str] | None
    result: Any
    error: dict[str, Any] | None
    attempts: int
    max_attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    queue_ms: int | None
    init_ms: int | None
    duration_ms: int | None
    cold_start: bool | None
    memory_peak_mb: float | None
    worker_id: str | None
    run_at: datetime | None = None
    expires_at: datetime | None = None
    batch_id: str | None = None
    replay_of: str | None = None


class Claim(NamedTuple):
    """What a worker gets when it claims an invocation.

    Attributes:
        attempt: the number that guards every later write of this attempt, from 1.
        payload: JSON text.
        timeout_ms: this invocation's own, never over the function's.
        max_attempts, platform_failures: as stored when it was claimed.
        started_at, queue_ms, worker: what the claim wrote into the record.
    """

    invocation_id: str
    attempt: int
    max_attempts: int
    platform_failures: int
    revision: Revision
    payload: str
    headers: dict[str, str]
    timeout_ms: int
    started_at: datetime | None = None
    queue_ms: int | None = None
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, newest first; `next_cursor` is None on the last."""

    items: list[T]
    next_cursor: str | None


def backoff_ms(retry: Retry, attempt: int, uniform: float | None = None) -> int:
    """How long to wait after the failure of attempt number `attempt` (from 1).

    Exponential with "equal jitter" (AWS Architecture Blog, "Exponential Backoff And Jitter"): between half of the step and the step.

    Args:
        uniform: a number in 0 to 1 to take in place of a random one.
    """
    step: int = min(retry.max_backoff_ms, retry.backoff_ms << min(attempt - 1, 30))
    return round(step / 2 + step / 2 * (random.random() if uniform is None else uniform))  # noqa: S311 (no secret)
