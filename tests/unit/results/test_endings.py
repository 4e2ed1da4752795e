"""The one place where an attempt ends."""

from __future__ import annotations

import json
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
import redis
from factories import claimed, column, eventually, function, invocation, run_sql, slots, succeeded, worker

from faas.db import attempts, invocations, upkeep
from faas.domain import outcome as outcomes
from faas.domain.function import Retry
from faas.domain.invocation import Status
from faas.domain.outcome import Failure, Outcome
from faas.queueing import names
from faas.queueing.publisher import connect


@pytest.fixture
def listening(redis_url):
    client = connect(redis_url)
    with client.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(names.ENDED)
        while channel.get_message(timeout=1.0) is not None:
            pass
        yield lambda: (channel.get_message(timeout=10.0) or {}).get("data")
    client.close()


def run_again(database, function_id, invocation_id):
    """Claim it once more, as if its time had come."""
    run_sql(database, "UPDATE invocations SET due_at = now() WHERE id = %s", invocation_id)
    upkeep.admit(database, function_id)
    got = attempts.claim(database, invocation_id, worker(database))
    assert got is not None
    return got


def test_an_end_is_committed_announced_and_publishes_the_next(database, endings, listening, redis_url):
    made = function(database, max_concurrency=1)
    got = claimed(database, made.id)
    waiting = invocation(database, made.id)
    done = endings.end(got, succeeded({"x": 1}))
    assert (done.applied, done.status) == (True, Status.SUCCEEDED)
    assert column(database, waiting.id, "admitted_at") is not None
    assert invocations.get(database, got.invocation_id).result == {"x": 1}
    assert listening() == got.invocation_id
    client = redis.Redis.from_url(redis_url)
    assert client.llen(names.QUEUE) == 1
    client.close()


def test_a_failure_keeps_type_message_and_stack(database, endings):
    got = claimed(database, function(database).id)
    endings.end(got, outcomes.failed("ValueError", "no \x00 \ud800", ("a", "b")))
    assert invocations.get(database, got.invocation_id).error == {
        "type": "ValueError",
        "message": "no \x00 \ud800",
        "stack_trace": ["a", "b"],
    }


@pytest.mark.parametrize("outcome", [outcomes.failed("E", "no"), outcomes.timed_out("late")])
def test_the_functions_failures_are_tried_again_up_to_its_maximum(database, endings, outcome):
    made = function(database, retry=Retry(2, backoff_ms=60_000, max_backoff_ms=60_000))
    got = claimed(database, made.id)
    assert endings.end(got, outcome).status is Status.QUEUED
    assert column(database, got.invocation_id, "due_at - clock_timestamp()") > timedelta(seconds=20)
    second = run_again(database, made.id, got.invocation_id)
    assert endings.end(second, outcome).status is outcome.status
    record = invocations.get(database, got.invocation_id)
    assert (record.attempts, record.max_attempts, record.error["type"]) == (2, 2, outcome.failure.type)


@pytest.mark.parametrize("outcome", [succeeded(1), Outcome(Status.CANCELLED)])
def test_success_and_cancellation_are_not_tried_again(database, endings, outcome):
    got = claimed(database, function(database, retry=Retry(5)).id)
    assert endings.end(got, outcome).status is outcome.status


def test_the_platforms_failures_are_tried_again_whatever_retry_says_then_end_it(database, endings):
    made = function(database)
    got = claimed(database, made.id)
    for count in (1, 2):
        assert endings.end(got, outcomes.failed(outcomes.SANDBOX_ERROR, "no")).status is Status.QUEUED
        got = run_again(database, made.id, got.invocation_id)
        assert (got.attempt, got.platform_failures) == (count + 1, count)
    assert endings.end(got, outcomes.failed(outcomes.SANDBOX_ERROR, "no")).status is Status.FAILED
    record = invocations.get(database, got.invocation_id)
    assert (record.error["type"], record.attempts) == (outcomes.SANDBOX_ERROR, 3)
    assert record.attempts <= record.max_attempts
    assert slots(database, made.id) == (0, 10)


def test_the_platforms_failures_leave_the_functions_attempts_whole(database, endings):
    made = function(database, retry=Retry(2, backoff_ms=1, max_backoff_ms=1))
    got = claimed(database, made.id)
    endings.end(got, outcomes.failed(outcomes.SANDBOX_ERROR, "no"))
    got = run_again(database, made.id, got.invocation_id)
    assert endings.end(got, outcomes.failed("E", "no")).status is Status.QUEUED
    got = run_again(database, made.id, got.invocation_id)
    assert endings.end(got, outcomes.failed("E", "no")).status is Status.FAILED


def test_a_lost_workers_attempt_is_tried_again_then_ends_as_lost(database, endings):
    made = function(database)
    got = claimed(database, made.id)
    for failures in (0, 1):
        assert endings.lose(made.id, got.invocation_id, got.attempt, failures).status is Status.QUEUED
        got = run_again(database, made.id, got.invocation_id)
    assert endings.lose(made.id, got.invocation_id, got.attempt, 2).status is Status.FAILED
    assert invocations.get(database, got.invocation_id).error["type"] == outcomes.WORKER_LOST


def test_a_handed_back_attempt_is_published_again_at_once(database, endings, redis_url):
    made = function(database)
    got = claimed(database, made.id)
    done = endings.hand_back(got)
    assert done.status is Status.QUEUED
    client = connect(redis_url)
    assert json.loads(client.rpop(names.QUEUE))["headers"]["id"] == got.invocation_id
    client.close()
    second = attempts.claim(database, got.invocation_id, worker(database))
    assert (second.attempt, second.max_attempts, second.platform_failures) == (2, 2, 0)
    assert not endings.end(got, succeeded(1)).applied


def test_threads_that_end_together_share_a_commit_and_each_gets_its_own_answer(database, endings):
    made = function(database, max_concurrency=1000)
    by = worker(database)
    claims = [claimed(database, made.id, by) for _ in range(60)]
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda n: endings.end(claims[n], succeeded(n)), range(60)))
    assert all(one.applied for one in done)
    assert [invocations.get(database, one.invocation_id).result for one in claims] == list(range(60))
    with database.autocommit() as tx:
        transactions = tx.one("SELECT count(DISTINCT xmin::text) FROM invocations")[0]
    assert transactions < 60
    assert slots(database, made.id) == (0, 1000)


def test_an_outcome_that_the_database_refuses_costs_nobody_else_theirs(database, endings):
    made = function(database, max_concurrency=1000)
    by = worker(database)
    claims = [claimed(database, made.id, by) for _ in range(12)]
    bad = {
        3: Outcome(Status.SUCCEEDED, result='"\0"'),
        7: Outcome(Status.SUCCEEDED, result='"\ud800"'),
        9: Outcome(Status.SUCCEEDED, result="1", duration_ms=1 << 40),
    }
    with ThreadPoolExecutor(12) as pool:
        done = list(pool.map(lambda n: endings.end(claims[n], bad.get(n) or succeeded(n)), range(12)))
    assert all(one.applied for one in done)
    for n, one in enumerate(claims):
        record = invocations.get(database, one.invocation_id)
        if n in bad:
            assert (record.status, record.error["type"]) == (Status.FAILED, outcomes.SANDBOX_ERROR)
        else:
            assert (record.status, record.result) == (Status.SUCCEEDED, n)
    assert slots(database, made.id) == (0, 1000)


def test_a_failures_text_is_plain_json(database, endings):
    got = claimed(database, function(database).id)
    endings.end(got, Outcome(Status.FAILED, failure=Failure("E", "\u2028é")))
    assert column(database, got.invocation_id, "error").isascii()


def test_a_thread_that_waits_behind_more_than_one_group_is_served_with_them(database, endings):
    made = function(database, max_concurrency=1000)
    by = worker(database)
    claims = [claimed(database, made.id, by) for _ in range(150)]
    written, waiting = queue.Queue(), []
    with database.begin() as tx:
        # While somebody holds the function's slots, the first end can't be written and all others gather behind it.
        tx.one("SELECT 1 FROM slots WHERE function_id = %s FOR UPDATE", (made.id,))
        for got in claims[:140]:
            endings.end_later(got, succeeded(1), lambda: written.put(1))
        for got in claims[140:]:
            thread = threading.Thread(target=lambda got=got: waiting.append(endings.end(got, succeeded(1)).applied))
            thread.start()
    for _ in range(140):
        written.get(timeout=60)
    eventually(lambda: len(waiting) == 10)
    assert all(waiting)
    assert slots(database, made.id) == (0, 1000)


def test_an_end_in_passing_is_written_by_the_thread_that_brings_it(database, endings):
    made, told = function(database, max_concurrency=9), queue.Queue()
    for n in range(3):
        got = claimed(database, made.id)
        endings.end_soon(got, succeeded(n), lambda n=n: told.put((n, threading.get_ident())))
        number, thread = told.get(timeout=60)
        # The first makes the thread that writes what nobody else does.
        assert (number, thread == threading.get_ident()) == (n, n > 0)
        assert invocations.get(database, got.invocation_id).result == n


def test_ends_in_passing_of_many_threads_are_all_written(database, endings):
    made, told = function(database, max_concurrency=99), queue.Queue()
    claims = [claimed(database, made.id) for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for one in claims:
            pool.submit(endings.end_soon, one, succeeded(1), lambda one=one: told.put(one.invocation_id))
    assert {told.get(timeout=60) for _ in claims} == {one.invocation_id for one in claims}
    assert slots(database, made.id) == (0, 99)


def test_what_waits_for_an_end_hears_of_it_though_it_can_not_be_kept(database, endings):
    got, done = claimed(database, function(database).id), threading.Event()
    endings.end_later(got, replace(succeeded(1), result="\0, which PostgreSQL refuses"), done.set)
    assert done.wait(60)
    record = invocations.get(database, got.invocation_id)
    assert (record.status, record.error["type"]) == (Status.FAILED, outcomes.SANDBOX_ERROR)
