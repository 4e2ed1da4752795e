"""Builds in the database."""

from __future__ import annotations

import pytest
from factories import DIGEST, accept, function, run_sql, slots, worker

from faas.db import attempts, builds, functions, invocations, workers
from faas.domain.function import FunctionState, Runtime
from faas.domain.invocation import Status

ERROR = '{"type": "Function.InitError", "message": "no", "stack_trace": []}'


@pytest.fixture
def made(database):
    return function(database, runtime=Runtime.GO, handler="main", artifact=None, max_concurrency=2)


def test_one_of_two_workers_gets_a_build(database, made):
    first, second = worker(database), worker(database)
    got = builds.claim(database, made.id, 1, first)
    assert (got.key, got.code_digest, got.spec.runtime) == ((made.id, 1), DIGEST, Runtime.GO)
    assert builds.claim(database, made.id, 1, second) is None
    assert builds.claim(database, made.id, 2, second) is None


def test_a_dead_workers_build_is_anothers(database, made):
    first, second = worker(database), worker(database)
    builds.claim(database, made.id, 1, first)
    assert builds.stale(database, 0.0, 900.0, 10) == []
    workers.leave(database, first)
    assert builds.stale(database, 0.0, 900.0, 10) == [(made.id, 1)]
    assert builds.claim(database, made.id, 1, second) is not None


def test_a_build_that_takes_longer_than_any_is_anothers_too(database, made):
    first, second = worker(database), worker(database)
    builds.claim(database, made.id, 1, first)
    run_sql(database, "UPDATE function_revisions SET build_published_at = now() - interval '1 hour'")
    assert builds.stale(database, 15.0, 900.0, 10) == [(made.id, 1)]
    assert builds.claim(database, made.id, 1, second) is not None


def test_an_unheard_build_is_published_again_after_its_time(database, made):
    assert builds.stale(database, 3600.0, 7200.0, 10) == []
    assert builds.stale(database, 0.0, 7200.0, 10) == [(made.id, 1)]


def test_who_waited_for_the_build_is_admitted_up_to_the_limit(database, made):
    waiting = [accept(database, made.id) for _ in range(3)]
    assert not any(one.admitted for one in waiting)
    assert attempts.claim(database, waiting[0].invocation_id, worker(database)) is None
    got = builds.claim(database, made.id, 1, worker(database))
    assert builds.succeed(database, got, "sha256:program") == [one.invocation_id for one in waiting[:2]]
    assert functions.get(database, made.id).state is FunctionState.ACTIVE
    assert (
        attempts.claim(database, waiting[0].invocation_id, worker(database)).revision.artifact_digest
        == "sha256:program"
    )
    assert slots(database, made.id) == (2, 2)
    assert accept(database, made.id).verdict == "accepted"


def test_who_waited_for_a_build_that_fails_ends_failed(database, made):
    waiting = accept(database, made.id)
    got = builds.claim(database, made.id, 1, worker(database))
    assert builds.fail(database, got, "it says no", ERROR) == [waiting.invocation_id]
    record = invocations.get(database, waiting.invocation_id)
    assert (record.status, record.error["type"], record.attempts) == (Status.FAILED, "Function.InitError", 0)
    assert functions.get(database, made.id).state_reason == "it says no"
    assert accept(database, made.id).verdict == "failed"
    assert slots(database, made.id) == (0, 2)


def test_the_first_word_on_a_build_stands(database, made):
    got = builds.claim(database, made.id, 1, worker(database))
    builds.succeed(database, got, "sha256:program")
    assert builds.fail(database, got, "late", ERROR) == []
    assert builds.succeed(database, got, "sha256:other") == []
    assert builds.give_back(database, got) == 0
    assert functions.get(database, made.id).state is FunctionState.ACTIVE


def test_failures_of_the_platform_are_counted_and_free_the_build(database, made):
    by = worker(database)
    for count in (1, 2, 3):
        got = builds.claim(database, made.id, 1, by)
        assert builds.give_back(database, got) == count


def test_work_of_an_old_revision_waits_for_the_old_revisions_build(database, made):
    old = accept(database, made.id)
    with database.begin() as tx:
        functions.add_revision(tx, functions.lock(tx, made.id), made.name, made.spec, functions.Code(DIGEST, 1, None))
    new = accept(database, made.id)
    got = builds.claim(database, made.id, 2, worker(database))
    assert builds.succeed(database, got, "sha256:two") == [new.invocation_id]
    got = builds.claim(database, made.id, 1, worker(database))
    assert builds.fail(database, got, "no", ERROR) == [old.invocation_id]
    assert functions.get(database, made.id).state is FunctionState.ACTIVE


def test_the_build_of_a_deleted_function_changes_nothing_for_its_queue(database, made):
    waiting = accept(database, made.id)
    got = builds.claim(database, made.id, 1, worker(database))
    functions.mark_deleted(database, made.id)
    assert builds.succeed(database, got, "sha256:program") == []
    assert invocations.cancel_queued_of(database, made.id, 10) == [waiting.invocation_id]
