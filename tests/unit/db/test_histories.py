"""What happened to an invocation, and why it still waits, out of the tables."""

from __future__ import annotations

import pytest
from factories import claimed, function, invocation, run_sql, worker

from faas.db import attempts, functions, histories, invocations
from faas.db.attempts import AttemptEnd
from faas.domain import ids
from faas.domain.function import Runtime
from faas.domain.invocation import Status
from faas.errors import NotFound


def end(database, claim, status=Status.SUCCEEDED, **changes):
    given = AttemptEnd(claim.revision.function_id, claim.invocation_id, claim.attempt, status, **changes)
    return attempts.finish(database, [given])[0][0]


def told(database, invocation_id):
    return [(event.type, event.about) for event in histories.get(database, invocation_id).events]


def waiting(database, invocation_id):
    found = histories.get(database, invocation_id).waiting
    return found and (found.reason, found.about)


def test_from_accepted_to_ended(database):
    made, by = function(database), worker(database)
    claim = claimed(database, made.id, by)
    assert [name for name, _ in told(database, claim.invocation_id)] == ["accepted", "admitted", "published", "claimed"]
    assert waiting(database, claim.invocation_id) is None
    end(database, claim, cold_start=True, init_ms=7, duration_ms=3)
    events = told(database, claim.invocation_id)
    assert events[0] == ("accepted", {"revision": 1})
    assert events[3] == ("claimed", {"attempt": 1, "worker_id": by})
    about = {"status": "succeeded", "error_type": None, "cold_start": True, "init_ms": 7, "duration_ms": 3}
    assert events[4:] == [("ended", about)]


def test_every_attempt_has_its_worker_and_its_reason(database):
    made = function(database)
    one, two = worker(database), worker(database)
    claim = claimed(database, made.id, one)
    end(database, claim, Status.FAILED, error_type="ValueError", retry_ms=0)
    assert [name for name, _ in told(database, claim.invocation_id)] == [
        "accepted", "claimed", "retried", "admitted", "published",
    ]  # fmt: skip
    second = attempts.claim(database, claim.invocation_id, two)
    end(database, second, Status.FAILED, retry_ms=0, fault="handback")
    third = attempts.claim(database, claim.invocation_id, one)
    end(database, third, Status.TIMED_OUT, error='{"type": "Function.Timeout", "message": "", "stack_trace": []}')
    events = [event for event in told(database, claim.invocation_id) if event[0] not in ("admitted", "published")]
    assert events[1:6] == [
        ("claimed", {"attempt": 1, "worker_id": one}),
        ("retried", {"attempt": 1, "outcome": "failed", "error_type": "ValueError"}),
        ("claimed", {"attempt": 2, "worker_id": two}),
        ("handed_back", {"attempt": 2}),
        ("claimed", {"attempt": 3, "worker_id": one}),
    ]
    assert events[6][1]["error_type"] == "Function.Timeout"
    assert len(events) == 7


def test_why_it_is_still_queued(database):
    made = function(database, max_concurrency=1)
    first, second, third = (invocation(database, made.id) for _ in range(3))
    assert waiting(database, first.id) == ("worker", {"workers": 0})
    worker(database)
    assert waiting(database, first.id) == ("worker", {"workers": 1})
    assert waiting(database, second.id) == ("concurrency", {"limit": 1, "used": 1, "position": 1})
    assert waiting(database, third.id) == ("concurrency", {"limit": 1, "used": 1, "position": 2})
    later = invocation(database, made.id, delay_ms=60_000)
    assert waiting(database, later.id) == ("delayed", {"until": later.run_at})
    run_sql(database, "UPDATE slots SET used = 0")
    assert waiting(database, second.id) == ("admission", {"limit": 1, "used": 0, "position": 1})
    functions.mark_deleted(database, made.id)
    assert waiting(database, second.id) == ("deleted", {})


def test_one_that_waits_for_its_build_or_for_another_attempt(database):
    go = function(database, artifact=None, runtime=Runtime.GO, handler="main")
    assert waiting(database, invocation(database, go.id).id) == ("building", {"revision": 1})
    claim = claimed(database, function(database).id)
    end(database, claim, Status.FAILED, error_type="ValueError", retry_ms=60_000)
    assert waiting(database, claim.invocation_id)[0] == "retry"


def test_a_cancelled_one_says_who_ended_it(database):
    one = invocation(database, function(database).id)
    invocations.cancel(database, one.id)
    assert [name for name, _ in told(database, one.id)][-2:] == ["cancel_requested", "ended"]
    assert waiting(database, one.id) is None


def test_nothing_is_told_of_what_is_not_there(database):
    with pytest.raises(NotFound):
        histories.get(database, ids.uuid7())
