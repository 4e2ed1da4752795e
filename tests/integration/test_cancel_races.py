"""Cancelling at the very moment of something else, and two clocks at once: there is one end, and each thing is done once."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from functools import partial

import pytest
from factories import accept, claimed, function, invocation, run_sql, slots, succeeded, worker

from faas.db import attempts, histories, invocations, upkeep
from faas.domain.function import Retry
from faas.domain.invocation import Status
from faas.domain.outcome import Failure, Outcome
from faas.queueing import names
from faas.queueing.publisher import connect
from faas.reconciler.loop import Reconciler

ROUNDS = 10
RETRY = Retry(max_attempts=5, backoff_ms=3_600_000, max_backoff_ms=3_600_000)
LATE = "UPDATE invocations SET expires_at = now() - interval '1 second' WHERE id = %s"


def failed(kind="ValueError") -> Outcome:
    return Outcome(Status.FAILED, failure=Failure(kind, "no"))


def hand_back(endings, got):
    endings.hand_back(got)


def lose(endings, got):
    endings.lose(got.revision.function_id, got.invocation_id, got.attempt, got.platform_failures)


def fail_and_retry(endings, got):
    endings.end(got, failed())


def fail_of_the_platform(endings, got):
    endings.end(got, failed("Platform.SandboxError"))


@pytest.mark.parametrize("end", [hand_back, lose, fail_and_retry, fail_of_the_platform])
def test_cancel_and_an_end_that_would_be_tried_again_leave_it_cancelled(database, endings, at_once, end):
    made = function(database, max_concurrency=100, retry=RETRY)
    by = worker(database)
    for _ in range(ROUNDS):
        got = claimed(database, made.id, by)
        (verdict, _), nothing = at_once(
            partial(invocations.cancel, database, got.invocation_id), partial(end, endings, got)
        )
        assert nothing is None
        assert verdict in ("stopping", "cancelled")
        record = invocations.get(database, got.invocation_id)
        assert (record.status, record.attempts, record.error) == (Status.CANCELLED, 1, None)
        assert attempts.claim(database, got.invocation_id, by) is None
    assert slots(database, made.id) == (0, 100)


def test_cancel_and_the_start_of_a_retry_have_one_winner(database, endings, at_once):
    made = function(database, retry=RETRY)
    by = worker(database)
    for _ in range(ROUNDS):
        got = claimed(database, made.id, by)
        endings.end(got, failed())
        run_sql(database, "UPDATE invocations SET due_at = now() WHERE id = %s", got.invocation_id)

        def start(one=got.invocation_id):
            upkeep.admit(database, made.id)
            return attempts.claim(database, one, by)

        (verdict, _), again = at_once(partial(invocations.cancel, database, got.invocation_id), start)
        assert verdict == ("stopping" if again else "cancelled")
        if again:
            assert again.attempt == 2
            endings.end(again, Outcome(Status.CANCELLED))
        assert invocations.status(database, got.invocation_id) is Status.CANCELLED
    assert slots(database, made.id) == (0, 10)


def test_expiry_start_and_cancel_have_one_winner(database, endings, at_once):
    made = function(database)
    by = worker(database)
    for _ in range(ROUNDS):
        one = invocation(database, made.id, expires_ms=60_000).id
        _, ended, got, (verdict, _) = at_once(
            partial(run_sql, database, LATE, one),
            lambda: upkeep.expire(database, made.id, 10)[0],
            partial(attempts.claim, database, one, by),
            partial(invocations.cancel, database, one),
        )
        assert not (ended and got)
        assert verdict == ("terminal" if ended else "stopping" if got else "cancelled")
        if got:
            endings.end(got, succeeded(1))
        record = invocations.get(database, one)
        assert record.status is (Status.SUCCEEDED if got else Status.CANCELLED)
        assert (record.error or {}).get("type") == ("Platform.Expired" if ended else None)
    assert slots(database, made.id) == (0, 10)


def test_two_clocks_do_everything_once(database, publisher, endings, at_once, redis_url):
    made = function(database, max_concurrency=1000, retry=RETRY)
    by, gone = worker(database), worker(database)
    due = [claimed(database, made.id, by) for _ in range(20)]
    for one in due:
        endings.end(one, failed())
    run_sql(database, "UPDATE invocations SET due_at = now() WHERE status = 'queued'")
    lost = [claimed(database, made.id, gone) for _ in range(20)]
    late = [invocation(database, made.id, expires_ms=60_000).id for _ in range(20)]
    for one in late:
        run_sql(database, LATE, one)
    run_sql(database, "UPDATE workers SET beat_at = now() - interval '1 hour' WHERE id = %s", gone)
    with connect(redis_url) as client:
        # Told to nobody by then.
        client.set(names.EPOCH, "1")
        client.delete(names.QUEUE)
        clocks = [Reconciler(database, publisher, endings, lease_s=5.0) for _ in range(2)]
        for clock in clocks:
            clock._up_since = time.monotonic() - 3600
        duties = ("admit_due", "expire", "expire_leases", "let_go", "build_again", "finish_deletions", "mend_slots")
        assert at_once(*[getattr(clock, duty) for duty in duties for clock in clocks]) == [None] * 2 * len(duties)
        sent = Counter(
            json.loads(base64.b64decode(json.loads(one)["body"]))[0][0] for one in client.lrange(names.QUEUE, 0, -1)
        )
    assert {one: sent[one.invocation_id] for one in due if sent[one.invocation_id] != 1} == {}
    for one in lost:
        told = [event.type for event in histories.get(database, one.invocation_id).events]
        assert (told.count("claimed"), told.count("retried")) == (1, 1)
        assert invocations.get(database, one.invocation_id).max_attempts == made.spec.retry.max_attempts + 1
    assert {invocations.status(database, one) for one in late} == {Status.CANCELLED}
    assert upkeep.mend_slots(database) == 0


def test_each_attempt_is_told_with_its_times_its_worker_and_its_reason(database, endings):
    made = function(database, retry=RETRY)
    one = accept(database, made.id).invocation_id
    by = [worker(database) for _ in range(3)]
    outcomes = [failed("KeyError"), failed("Platform.SandboxError"), succeeded(7)]
    for name, outcome in zip(by, outcomes, strict=True):
        run_sql(database, "UPDATE invocations SET due_at = now() WHERE id = %s", one)
        upkeep.admit(database, made.id)
        endings.end(attempts.claim(database, one, name), outcome)
    events = histories.get(database, one).events
    assert [(event.about["attempt"], event.about["worker_id"]) for event in events if event.type == "claimed"] == [
        (n, name) for n, name in enumerate(by, 1)
    ]
    reasons = [
        (event.about["attempt"], event.about["outcome"], event.about["error_type"])
        for event in events
        if event.type == "retried"
    ]
    assert reasons == [(1, "failed", "KeyError"), (2, "failed", "Platform.SandboxError")]
    assert [event.time for event in events] == sorted(event.time for event in events)
    assert events[-1].about["status"] == "succeeded"
