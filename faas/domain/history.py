"""What happened to an invocation, told from its row and its former attempts; and why it is still queued. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from faas.domain.invocation import Invocation, Status

# An attempt that a worker gave back unfinished: no status of an invocation.
HANDED_BACK = "handed_back"


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was followed by another. `status` is a terminal status or `handed_back`."""

    number: int
    worker_id: str | None
    started_at: datetime | None
    finished_at: datetime
    status: str
    error_type: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `about` is JSON."""

    time: datetime
    type: str
    about: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a queued invocation waits for.

    Attributes:
        reason: `building` (its revision), `delayed` or `retry` (until a time), `concurrency` (the function's limit), `admission` (a free slot is
            there, the clock gives it), `worker` (it is in Redis), `deleted` (its function: it is about to be cancelled).
        about: JSON that goes with the reason.
    """

    reason: str
    about: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Marks:
    """Times of an invocation's row that its record does not show. `admitted_at` and `published_at` are the last attempt's."""

    due_at: datetime | None
    admitted_at: datetime | None
    published_at: datetime | None
    cancel_requested_at: datetime | None


@dataclass(frozen=True, slots=True)
class Line:
    """The line in front of an invocation that was not admitted.

    Attributes:
        limit, used: the function's `max_concurrency`, and how many are admitted and have not ended; None where the function is deleted.
        position: 1 for the next; None past the number up to which is counted.
    """

    limit: int | None
    used: int | None
    position: int | None


@dataclass(frozen=True, slots=True)
class History:
    """The events in order, and what it waits for where it is queued."""

    record: Invocation
    events: list[Event]
    waiting: Waiting | None


def tell(record: Invocation, marks: Marks, former: Sequence[Attempt]) -> list[Event]:
    """The events of an invocation in the order in which they happened."""
    events = [_accepted(record)]
    for attempt in former:
        # When the next attempt was due is known of the last one alone.
        events += _former(attempt, marks.due_at if attempt is former[-1] else None)
    events += _published(marks)
    # A retry that waits still has the times of the attempt before.
    if record.started_at and record.attempts > (former[-1].number if former else 0):
        events.append(_claimed(record.started_at, record.attempts, record.worker_id))
    if marks.cancel_requested_at:
        events.append(Event(marks.cancel_requested_at, "cancel_requested", {}))
    events += _ended(record)
    return sorted(events, key=lambda event: event.time)


def why(record: Invocation, marks: Marks, line: Line, workers: int, now: datetime) -> Waiting | None:
    """What a queued invocation waits for; None for one that is not queued.

    Args:
        workers: how many are known to be there.
        now: by the database's clock.
    """
    if record.status is not Status.QUEUED:
        return None
    if marks.due_at is None:
        return Waiting("building", {"revision": record.revision})
    if marks.admitted_at is not None:
        return Waiting("worker", {"workers": workers})
    if line.limit is None or line.used is None:
        return Waiting("deleted", {})
    if marks.due_at > now:
        return Waiting("retry" if record.attempts else "delayed", {"until": marks.due_at})
    reason = "concurrency" if line.used >= line.limit else "admission"
    return Waiting(reason, {"limit": line.limit, "used": line.used, "position": line.position})


def _accepted(record: Invocation) -> Event:
    about: dict[str, Any] = {"revision": record.revision}
    about |= {
        name: value
        for name in ("run_at", "expires_at", "batch_id", "replay_of")
        if (value := getattr(record, name)) is not None
    }
    return Event(record.created_at, "accepted", about)


def _claimed(time: datetime, number: int, worker: str | None) -> Event:
    return Event(time, "claimed", {"attempt": number, "worker_id": worker})


def _published(marks: Marks) -> Iterator[Event]:
    if marks.admitted_at:
        yield Event(marks.admitted_at, "admitted", {})
    # Both are one moment until the clock publishes it again.
    if marks.published_at:
        yield Event(marks.admitted_at or marks.published_at, "published", {})
    if marks.published_at and marks.admitted_at and marks.published_at > marks.admitted_at:
        yield Event(marks.published_at, "republished", {})


def _former(attempt: Attempt, due_at: datetime | None) -> Iterator[Event]:
    if attempt.started_at:
        yield _claimed(attempt.started_at, attempt.number, attempt.worker_id)
    if attempt.status == HANDED_BACK:
        yield Event(attempt.finished_at, HANDED_BACK, {"attempt": attempt.number})
    else:
        reason: dict[str, Any] = {
            "attempt": attempt.number,
            "outcome": attempt.status,
            "error_type": attempt.error_type,
        }
        if due_at is not None:
            reason["until"] = due_at
        yield Event(attempt.finished_at, "retried", reason)


def _ended(record: Invocation) -> Iterator[Event]:
    if record.finished_at:
        about = {"status": record.status.value, "error_type": record.error["type"] if record.error else None}
        if record.init_ms is not None:
            about |= {"cold_start": record.cold_start, "init_ms": record.init_ms, "duration_ms": record.duration_ms}
        yield Event(record.finished_at, "ended", about)
