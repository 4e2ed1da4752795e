"""What runs in a worker."""

from __future__ import annotations

import factories

from faas.worker.running import Reason, RunningSet


def test_the_first_reason_stands_and_every_stop_kills():
    running = RunningSet()
    claim = factories.claim()
    with running.enter(claim) as one:
        running.stop(claim.invocation_id, Reason.CANCELLED)
        running.stop_all(Reason.LOST)
        assert (one.reason, one.cancel.requested) == (Reason.CANCELLED, True)
        assert running.held() == {(claim.invocation_id, 1)}
    assert len(running) == 0


def test_stopping_what_does_not_run_here_does_nothing():
    RunningSet().stop("x", Reason.CANCELLED)


def test_a_later_attempt_of_the_same_invocation_stays_when_the_earlier_leaves():
    running = RunningSet()
    first = factories.claim()
    later = first._replace(attempt=2)
    entered = running.enter(first)
    entered.__enter__()
    with running.enter(later) as one:
        entered.__exit__(None, None, None)
        running.stop(first.invocation_id, Reason.CANCELLED)
        assert one.reason is Reason.CANCELLED
        assert running.held() == {(first.invocation_id, 2)}


def test_an_attempt_that_begins_again_stops_the_one_whose_claim_was_lost():
    running = RunningSet()
    lost = running.add(factories.claim())
    again = running.add(lost.claim)
    assert (lost.reason, lost.cancel.requested) == (Reason.LOST, True)
    assert (again.reason, again.cancel.requested) == (None, False)
    running.remove(lost)
    assert running.get(lost.claim.invocation_id) is again
