"""The life of an invocation in the database: accepted, claimed, ended, tried again, cancelled."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import factories
import pytest
from factories import accept, claimed, column, function, invocation, run_sql, slots, worker

from faas.db import attempts, functions, invocations, upkeep, workers
from faas.db.attempts import AttemptEnd
from faas.domain import ids
from faas.domain.invocation import Claim, Status
from faas.errors import Conflict, Invalid, NotFound


def ending(claim: Claim, **changes) -> AttemptEnd:
    given = {
        "function_id": claim.revision.function_id,
        "invocation_id": claim.invocation_id,
        "attempt": claim.attempt,
        "status": Status.SUCCEEDED,
        "result": "1",
    }
    return AttemptEnd(**{**given, **changes})


def finish(database, claim, **changes):
    (done,), admitted = attempts.finish(database, [ending(claim, **changes)])
    return SimpleNamespace(applied=done.applied, status=done.status, admitted=admitted)


def test_an_accepted_invocation_is_queued_admitted_and_pinned_to_its_revision(database):
    made = function(database, name="one", timeout_ms=5000)
    verdict = accept(database, "one", payload='{"a": 1}', headers={"x": "y"}, timeout_ms=700)
    assert (verdict.verdict, verdict.admitted) == ("accepted", True)
    record = invocations.get(database, verdict.invocation_id)
    assert record == verdict.invocation
    assert (record.status, record.revision, record.payload, record.headers, record.attempts) == (
        Status.QUEUED,
        1,
        {"a": 1},
        {"x": "y"},
        0,
    )
    assert column(database, record.id, "timeout_ms") == 700
    assert slots(database, made.id) == (1, 10)


def test_an_invocation_over_the_limit_waits_in_the_database(database):
    made = function(database, max_concurrency=1)
    assert accept(database, made.id).admitted
    second = accept(database, made.id)
    assert (second.verdict, second.admitted) == ("accepted", False)
    assert attempts.claim(database, second.invocation_id, worker(database)) is None
    assert slots(database, made.id) == (1, 1)


@pytest.mark.parametrize("ref", ["nobody", ids.uuid7()])
def test_an_unknown_function_is_missing_and_leaves_nothing(database, ref):
    verdict = accept(database, ref, key="k", fingerprint=b"f")
    assert (verdict.verdict, verdict.invocation) == ("missing", None)
    made = function(database)
    assert accept(database, made.id, key="k", fingerprint=b"other").verdict == "accepted"


def test_a_timeout_may_only_shorten_the_functions_own(database):
    made = function(database, timeout_ms=1000)
    assert accept(database, made.id, timeout_ms=1001).verdict == "too_long"
    assert accept(database, made.id, timeout_ms=1000).verdict == "accepted"
    assert slots(database, made.id) == (1, 10)


def test_a_claim_gives_payload_attempt_and_revision_once(database):
    made = function(database, environment={"A": "b"}, memory_mb=64)
    accepted = invocation(database, made.id, payload="[1]", headers={"h": "v"})
    by = worker(database)
    got = attempts.claim(database, accepted.id, by)
    assert (got.attempt, got.payload, got.headers, got.timeout_ms) == (1, "[1]", {"h": "v"}, made.spec.timeout_ms)
    assert (got.revision.key, got.revision.spec, got.revision.artifact_digest) == (
        (made.id, 1),
        made.spec,
        factories.DIGEST,
    )
    assert attempts.claim(database, accepted.id, by) is None
    record = invocations.get(database, accepted.id)
    assert (record.status, record.worker_id, record.attempts) == (Status.RUNNING, by, 1)
    assert record.queue_ms >= 0
    assert record.started_at >= record.created_at


def test_a_worker_that_is_not_enrolled_claims_nothing(database):
    accepted = invocation(database, function(database).id)
    by = worker(database)
    workers.leave(database, by)
    assert attempts.claim(database, accepted.id, by) is None
    workers.enrol(database, by, by, "simple")
    assert attempts.claim(database, accepted.id, by).attempt == 1


def test_what_waited_for_months_can_still_be_claimed(database):
    accepted = invocation(database, function(database).id)
    run_sql(
        database,
        "UPDATE invocations SET created_at = now() - interval '90 days', due_at = now() - interval '90 days' WHERE id = %s",
        accepted.id,
    )
    assert attempts.claim(database, accepted.id, worker(database)) is not None
    assert invocations.get(database, accepted.id).queue_ms == 2**31 - 1


def test_an_end_makes_the_row_terminal_and_admits_the_next(database):
    made = function(database, max_concurrency=1)
    first = claimed(database, made.id)
    second = accept(database, made.id)
    done = finish(
        database,
        first,
        result='{"x": [1]}',
        logs=b"said\xff",
        init_ms=3,
        duration_ms=4,
        cold_start=True,
        memory_peak_mb=1.5,
    )
    assert (done.applied, done.status, done.admitted) == (True, Status.SUCCEEDED, [second.invocation_id])
    record = invocations.get(database, first.invocation_id)
    assert (record.status, record.result, record.error, record.init_ms, record.duration_ms) == (
        Status.SUCCEEDED,
        {"x": [1]},
        None,
        3,
        4,
    )
    assert (record.cold_start, record.memory_peak_mb) == (True, 1.5)
    assert record.finished_at >= record.started_at
    assert invocations.logs(database, record.id) == b"said\xff"
    assert slots(database, made.id) == (1, 1)


def test_only_the_first_of_two_ends_is_written(database):
    made = function(database)
    got = claimed(database, made.id)
    both, admitted = attempts.finish(
        database, [ending(got, result="1"), ending(got, result="2", status=Status.SUCCEEDED)]
    )
    assert ([one.applied for one in both], admitted) == ([True, False], [])
    assert not finish(database, got, result="3").applied
    assert invocations.get(database, got.invocation_id).result == 1
    assert slots(database, made.id) == (0, 10)


def test_a_stale_attempt_is_refused(database):
    made = function(database)
    first = claimed(database, made.id)
    again = finish(database, first, status=Status.FAILED, retry_ms=0, fault="platform")
    assert (again.status, again.admitted) == (Status.QUEUED, [first.invocation_id])
    second = attempts.claim(database, first.invocation_id, worker(database))
    assert second.attempt == 2
    assert not finish(database, first).applied
    assert invocations.get(database, first.invocation_id).status is Status.RUNNING
    assert finish(database, second).applied


def test_a_retry_waits_for_its_time_without_a_slot_and_is_remembered(database):
    made = function(database, max_concurrency=1)
    got = claimed(database, made.id)
    done = finish(
        database,
        got,
        status=Status.FAILED,
        result=None,
        error='{"type": "E"}',
        error_type="E",
        retry_ms=3_600_000,
        logs=b"first",
    )
    assert (done.applied, done.status, done.admitted) == (True, Status.QUEUED, [])
    assert slots(database, made.id) == (0, 1)
    assert upkeep.admit(database, made.id) == []
    record = invocations.get(database, got.invocation_id)
    assert (record.status, record.error, record.attempts, record.max_attempts) == (Status.QUEUED, None, 1, 1)
    assert column(database, record.id, "due_at - clock_timestamp()") > timedelta(minutes=50)
    with database.autocommit() as tx:
        kept = tx.one(
            "SELECT number, status, error_type, worker_id FROM attempts WHERE invocation_id = %s", (record.id,)
        )
    assert tuple(kept)[:3] == (1, "failed", "E")


@pytest.mark.parametrize(
    ("fault", "more", "failures", "word"),
    [("function", 0, 0, "failed"), ("platform", 1, 1, "failed"), ("handback", 1, 0, "handed_back")],
)
def test_what_the_platform_spoils_costs_the_function_no_attempt(database, fault, more, failures, word):
    got = claimed(database, function(database).id)
    finish(database, got, status=Status.FAILED, retry_ms=0, fault=fault)
    record = invocations.get(database, got.invocation_id)
    assert record.max_attempts == got.max_attempts + more
    assert column(database, record.id, "platform_failures") == failures
    with database.autocommit() as tx:
        assert tx.one("SELECT status FROM attempts WHERE invocation_id = %s", (record.id,))[0] == word


def test_queue_ms_of_a_retry_counts_from_when_it_fell_due(database):
    made = function(database)
    got = claimed(database, made.id)
    run_sql(
        database, "UPDATE invocations SET created_at = created_at - interval '1 hour' WHERE id = %s", got.invocation_id
    )
    finish(database, got, status=Status.FAILED, retry_ms=0)
    attempts.claim(database, got.invocation_id, worker(database))
    assert invocations.get(database, got.invocation_id).queue_ms < 1_800_000


def test_a_queued_invocation_is_cancelled_at_once_and_gives_its_slot_on(database):
    made = function(database, max_concurrency=1)
    first, second = accept(database, made.id), accept(database, made.id)
    assert invocations.cancel(database, first.invocation_id) == ("cancelled", [second.invocation_id])
    record = invocations.get(database, first.invocation_id)
    assert (record.status, record.error, record.result) == (Status.CANCELLED, None, None)
    assert record.finished_at is not None
    assert attempts.claim(database, first.invocation_id, worker(database)) is None
    assert slots(database, made.id) == (1, 1)
    assert invocations.cancel(database, first.invocation_id) == ("terminal", [])


def test_cancelling_who_waits_frees_no_slot(database):
    made = function(database, max_concurrency=1)
    accept(database, made.id)
    waiting = accept(database, made.id)
    assert invocations.cancel(database, waiting.invocation_id) == ("cancelled", [])
    assert slots(database, made.id) == (1, 1)


def test_cancelling_a_running_one_asks_its_worker_and_forbids_retries(database):
    made = function(database)
    by = worker(database)
    got = claimed(database, made.id, by)
    assert invocations.cancel(database, got.invocation_id) == ("stopping", [])
    assert invocations.cancel(database, got.invocation_id) == ("stopping", [])
    assert [(one.invocation_id, one.attempt, one.cancel) for one in workers.claimed(database, by)] == [
        (got.invocation_id, 1, True)
    ]
    done = finish(database, got, status=Status.FAILED, result=None, error='{"type": "E"}', retry_ms=0, fault="platform")
    assert done.status is Status.CANCELLED
    assert invocations.get(database, got.invocation_id).error is None
    assert workers.claimed(database, by) == []
    assert slots(database, made.id) == (0, 10)


def test_a_retry_that_waits_can_be_cancelled(database):
    got = claimed(database, function(database).id)
    finish(database, got, status=Status.FAILED, retry_ms=3_600_000)
    assert invocations.cancel(database, got.invocation_id) == ("cancelled", [])


@pytest.mark.parametrize("wrong", ["x", ids.uuid7(), "0192F0C1-0000-7000-8000-000000000000"])
def test_an_unknown_invocation_is_not_found_anywhere(database, wrong):
    for ask in (invocations.get, invocations.status, invocations.logs, invocations.cancel):
        with pytest.raises(NotFound):
            ask(database, wrong)


def test_deleting_ends_the_queue_and_lets_the_running_finish(database):
    made = function(database, name="gone", max_concurrency=1)
    got = claimed(database, made.id)
    waiting = accept(database, made.id)
    assert functions.mark_deleted(database, "gone") == made.id
    assert accept(database, made.id).verdict == "missing"
    assert accept(database, "gone").verdict == "missing"
    assert invocations.cancel_queued_of(database, made.id, 10) == [waiting.invocation_id]
    assert finish(database, got).status is Status.SUCCEEDED
    with pytest.raises(NotFound):
        functions.get(database, made.id)
    assert function(database, name="gone").id != made.id


@pytest.mark.parametrize(
    ("fault", "status"), [("function", Status.FAILED), ("platform", Status.FAILED), ("handback", Status.CANCELLED)]
)
def test_nothing_of_a_deleted_function_is_tried_again(database, fault, status):
    made = function(database)
    got = claimed(database, made.id)
    functions.mark_deleted(database, made.id)
    assert finish(database, got, status=Status.FAILED, retry_ms=0, fault=fault).status is status


def test_names_are_unique_among_the_living(database):
    made = function(database, name="taken")
    with pytest.raises(Conflict):
        function(database, name="taken")
    other = function(database, name="other")
    with pytest.raises(Conflict), database.begin() as tx:
        functions.add_revision(
            tx, functions.lock(tx, other.id), "taken", other.spec, functions.Code(factories.DIGEST, 1, factories.DIGEST)
        )
    assert functions.get(database, "taken").id == made.id
    assert functions.get(database, "other").revision == 1


def test_pages_of_invocations_follow_one_another_without_gaps(database):
    mine, other = function(database), function(database)
    made = [invocation(database, mine.id).id for _ in range(7)]
    invocation(database, other.id)
    invocations.cancel(database, made[0])
    seen, cursor = [], None
    while True:
        page = invocations.find(database, function_id=mine.id, status=None, limit=3, cursor=cursor)
        seen += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == made[::-1]
    assert [item.payload for item in page.items] == [None] * len(page.items)
    assert len(invocations.find(database, function_id=None, status=None, limit=50, cursor=None).items) == 8
    assert [
        item.id
        for item in invocations.find(
            database, function_id=mine.id, status=Status.CANCELLED, limit=50, cursor=None
        ).items
    ] == [made[0]]


def test_pages_of_functions_follow_one_another_and_a_name_matches_exactly(database):
    made = [function(database, name=f"f{n}").id for n in range(5)]
    first = functions.find(database, name=None, limit=3, cursor=None)
    rest = functions.find(database, name=None, limit=3, cursor=first.next_cursor)
    assert [item.id for item in first.items + rest.items] == made[::-1]
    assert rest.next_cursor is None
    assert [item.name for item in functions.find(database, name="f1", limit=9, cursor=None).items] == ["f1"]
    assert functions.find(database, name="f", limit=9, cursor=None).items == []


@pytest.mark.parametrize("cursor", ["", "x", "é", "MTIz", "=", "MDE5MmYwYzEtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAw="])
def test_a_tampered_cursor_is_invalid(database, cursor):
    for ask in (
        lambda: invocations.find(database, function_id=None, status=None, limit=1, cursor=cursor),
        lambda: functions.find(database, name=None, limit=1, cursor=cursor),
    ):
        with pytest.raises(Invalid) as caught:
            ask()
        assert list(caught.value.errors) == ["cursor"]


def test_the_count_of_slots_is_mended(database):
    made, right = function(database, max_concurrency=5), function(database)
    claimed(database, made.id)
    invocation(database, made.id)
    run_sql(database, "UPDATE slots SET used = 5 WHERE function_id = %s", made.id)
    assert upkeep.mend_slots(database) == 1
    assert slots(database, made.id) == (2, 5)
    assert slots(database, right.id) == (0, 10)
    assert upkeep.mend_slots(database) == 0
