"""Invocations that run later, and those whose time is over before they begin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from factories import accept, claimed, column, function, invocation, run_sql, slots, worker

from faas.db import attempts, builds, functions, invocations, upkeep
from faas.domain import ids
from faas.domain.function import Runtime
from faas.domain.invocation import Status

LATE = "UPDATE invocations SET expires_at = now() - interval '1 second' WHERE id = %s"


def test_a_delayed_one_waits_outside_of_the_slots_until_its_time(database):
    made = function(database, max_concurrency=1)
    verdict = accept(database, made.id, delay_ms=3_600_000)
    record = verdict.invocation
    assert (verdict.admitted, record.run_at - record.created_at) == (False, timedelta(hours=1))
    assert invocations.get(database, record.id) == record
    assert slots(database, made.id) == (0, 1)
    assert attempts.claim(database, record.id, worker(database)) is None
    assert upkeep.waiting_functions(database, 10) == []
    assert accept(database, made.id).admitted
    run_sql(database, "UPDATE slots SET used = 0")
    run_sql(
        database,
        "UPDATE invocations SET created_at = now() - interval '1 hour', due_at = now() - interval '1 second' WHERE id = %s",
        record.id,
    )
    assert upkeep.waiting_functions(database, 10) == [made.id]
    assert upkeep.admit(database, made.id) == [record.id]
    claim = attempts.claim(database, record.id, worker(database))
    assert claim.attempt == 1
    # The wait is counted from the time that was asked for.
    assert 1000 <= column(database, record.id, "queue_ms") < 1_800_000


def test_a_time_that_has_gone_by_is_now(database):
    made = function(database)
    for moment in (datetime.now(UTC) - timedelta(days=1), datetime(1, 1, 1, tzinfo=UTC)):
        verdict = accept(database, made.id, run_at=moment)
        assert verdict.admitted
        assert invocations.get(database, verdict.invocation_id).run_at == verdict.invocation.created_at
    ahead = datetime.now(UTC) + timedelta(days=1)
    verdict = accept(database, made.id, run_at=ahead)
    assert (verdict.admitted, verdict.invocation.run_at) == (False, ahead)
    assert accept(database, made.id, delay_ms=0).admitted


def test_a_delay_outlives_the_build_that_it_waits_for(database):
    made = function(database, artifact=None, runtime=Runtime.GO, handler="main")
    soon, later = invocation(database, made.id), invocation(database, made.id, delay_ms=3_600_000)
    build = builds.claim(database, made.id, 1, worker(database))
    assert builds.succeed(database, build, "sha256:" + "cd" * 32) == [soon.id]
    assert column(database, later.id, "due_at") == later.run_at


def test_an_expired_one_is_not_claimed_and_ends_cancelled(database):
    made = function(database, max_concurrency=1)
    first, second = accept(database, made.id, expires_ms=60_000), accept(database, made.id)
    record = first.invocation
    assert (first.admitted, second.admitted) == (True, False)
    assert record.expires_at - record.created_at == timedelta(minutes=1)
    assert upkeep.expired_functions(database, 10) == []
    assert upkeep.expire(database, made.id, 10) == ([], [])
    run_sql(database, LATE, record.id)
    assert attempts.claim(database, record.id, worker(database)) is None
    assert upkeep.expired_functions(database, 10) == [made.id]
    assert upkeep.expire(database, made.id, 10) == ([record.id], [second.invocation_id])
    ended = invocations.get(database, record.id)
    assert (ended.status, ended.error["type"], ended.error["stack_trace"]) == (Status.CANCELLED, "Platform.Expired", [])
    assert ended.finished_at is not None
    assert slots(database, made.id) == (1, 1)
    assert upkeep.expire(database, made.id, 10) == ([], [])


def test_one_that_waits_for_a_slot_expires_without_giving_one_back(database):
    made = function(database, max_concurrency=1)
    running = claimed(database, made.id)
    waiting = [invocation(database, made.id, expires_ms=60_000) for _ in range(3)]
    for one in waiting:
        run_sql(database, LATE, one.id)
    ended, run = upkeep.expire(database, made.id, 2)
    assert (len(ended), run) == (2, [])
    assert upkeep.expire(database, made.id, 2)[0] == [one.id for one in waiting if one.id not in ended]
    assert slots(database, made.id) == (1, 1)
    assert invocations.get(database, running.invocation_id).status is Status.RUNNING


def test_one_that_was_started_does_not_expire(database):
    made = function(database)
    by = worker(database)
    claim = claimed(database, made.id, by, expires_ms=60_000)
    run_sql(database, LATE, claim.invocation_id)
    assert upkeep.expired_functions(database, 10) == []
    end = attempts.AttemptEnd(made.id, claim.invocation_id, 1, Status.FAILED, retry_ms=0, fault="platform")
    assert attempts.finish(database, [end])[0][0].status is Status.QUEUED
    assert upkeep.expired_functions(database, 10) == []
    assert upkeep.expire(database, made.id, 10) == ([], [])
    assert attempts.claim(database, claim.invocation_id, by).attempt == 2


def test_one_of_a_deleted_function_expires_too(database):
    made = function(database)
    one = invocation(database, made.id, expires_ms=60_000)
    functions.mark_deleted(database, made.id)
    run_sql(database, LATE, one.id)
    assert upkeep.expire(database, made.id, 10) == ([one.id], [])


def test_a_controller_of_the_release_before_is_understood(database):
    made = function(database)
    sql = "SELECT verdict, admitted FROM faas_accept(%s, %s, %s, %s, %s, %s, %s, %s)"
    with database.autocommit() as tx:
        row = tx.one(sql, (ids.uuid7(), made.id, made.id, "null", "{}", None, None, b""))
    assert tuple(row) == ("accepted", True)
