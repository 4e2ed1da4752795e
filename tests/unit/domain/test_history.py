"""The story of an invocation out of its row: order, and what goes with each event."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from faas.domain.history import Attempt, Line, Marks, tell, why
from faas.domain.invocation import Invocation, Status

T0 = datetime(2026, 1, 2, tzinfo=UTC)
NOTHING = Marks(T0, None, None, None)
RECORD = Invocation(
    id="i", function_id="f", function_name="f", revision=3, status=Status.QUEUED, payload=None, headers=None, result=None, error=None, attempts=0,
    max_attempts=1, created_at=T0, started_at=None, finished_at=None, queue_ms=None, init_ms=None, duration_ms=None, cold_start=None,
    memory_peak_mb=None, worker_id=None,
)  # fmt: skip


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def test_what_was_asked_for_goes_with_accepted():
    asked = replace(RECORD, run_at=at(9), batch_id="b", replay_of="r")
    assert tell(asked, NOTHING, [])[0].about == {"revision": 3, "run_at": at(9), "batch_id": "b", "replay_of": "r"}


def test_events_are_in_the_order_of_their_times():
    former = [Attempt(1, "w1", at(2), at(3), "failed", "E")]
    record = replace(
        RECORD, status=Status.CANCELLED, attempts=2, started_at=at(6), worker_id="w2", finished_at=at(8), init_ms=None
    )
    told = tell(record, Marks(at(4), at(5), at(5.5), at(7)), former)
    assert [event.type for event in told] == [
        "accepted", "claimed", "retried", "admitted", "published", "republished", "claimed", "cancel_requested", "ended",
    ]  # fmt: skip
    assert told[2].about == {"attempt": 1, "outcome": "failed", "error_type": "E", "until": at(4)}
    assert [event.time for event in told[3:6]] == [at(5), at(5), at(5.5)]
    assert told[-1].about == {"status": "cancelled", "error_type": None}


def test_one_that_was_published_once_was_not_published_again():
    told = tell(RECORD, Marks(T0, at(5), at(5), None), [])
    assert [event.type for event in told] == ["accepted", "admitted", "published"]


def test_a_retry_that_waits_does_not_repeat_the_attempt_before():
    former = [Attempt(1, "w1", at(2), at(3), "failed", "E")]
    record = replace(RECORD, attempts=1, started_at=at(2), worker_id="w1")
    assert [event.type for event in tell(record, NOTHING, former)] == ["accepted", "claimed", "retried"]


def test_an_attempt_that_was_never_timed_is_told_by_its_end():
    told = tell(replace(RECORD, attempts=1), NOTHING, [Attempt(1, None, None, at(3), "handed_back", None)])
    assert [event.type for event in told] == ["accepted", "handed_back"]


def test_only_a_queued_one_waits():
    line = Line(1, 1, 1)
    for status in Status:
        assert (why(replace(RECORD, status=status), NOTHING, line, 1, at(1)) is None) == (status is not Status.QUEUED)
    assert why(RECORD, Marks(at(9), None, None, None), line, 1, at(1)).about == {"until": at(9)}
    assert why(RECORD, Marks(at(9), None, None, None), line, 1, at(10)).reason == "concurrency"
