"""One attempt, from its message to its outcome."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from factories import eventually, slots

from faas.db import functions, invocations, workers
from faas.db.database import Database
from faas.db.functions import Code
from faas.domain import ids
from faas.domain import outcome as outcomes
from faas.domain.invocation import Status
from faas.embedded.ports import free_port
from faas.worker import execution
from faas.worker.running import Reason

ECHO = b"def handler(event, context):\n    print('said')\n    return {'got': event, 'id': context.aws_request_id}\n"
SLEEP = b"import time\ndef handler(event, context):\n    time.sleep(600)\n"


def run(bench, invocation_id):
    """As the task and the result hook do."""
    ended = execution.run(bench.context, invocation_id)
    return bench.context.endings.end(ended.claim, ended.outcome) if ended else None


@pytest.fixture
def started(bench):
    """Begins a call of a function that sleeps; gives (its thread, its id) once it runs."""
    threads = []

    def start():
        one = bench.submit(bench.deploy(SLEEP))
        results = []
        thread = threading.Thread(target=lambda: results.append(execution.run(bench.context, one)))
        thread.start()
        threads.append(thread)
        eventually(lambda: len(bench.context.running))
        return one, lambda: (thread.join(60), results[0])[1]

    yield start
    bench.context.running.stop_all(Reason.CANCELLED)
    for thread in threads:
        thread.join(60)


def test_what_a_function_returns_is_written(bench):
    made = bench.deploy(ECHO)
    first, second = bench.submit(made, '{"a": [1]}'), bench.submit(made, "2")
    assert run(bench, first).status is Status.SUCCEEDED
    record = invocations.get(bench.context.database, first)
    assert record.result == {"got": {"a": [1]}, "id": first}
    assert (record.cold_start, record.attempts, record.worker_id) == (True, 1, bench.context.incarnation)
    assert invocations.logs(bench.context.database, first) == b"said\n"
    run(bench, second)
    record = invocations.get(bench.context.database, second)
    assert (record.result["got"], record.cold_start, record.init_ms) == (2, False, 0)
    assert slots(bench.context.database, made.id) == (0, 10)
    assert len(bench.context.running) == 0


def test_a_message_that_comes_twice_runs_once(bench):
    one = bench.submit(bench.deploy(ECHO))
    assert run(bench, one).applied
    assert execution.run(bench.context, one) is None
    assert execution.run(bench.context, ids.uuid7()) is None


def test_a_functions_failure_is_its_outcome(bench):
    one = bench.submit(bench.deploy(b"def handler(event, context):\n    raise KeyError('k')\n"))
    assert run(bench, one).status is Status.FAILED
    assert invocations.get(bench.context.database, one).error["type"] == "KeyError"


def test_code_that_does_not_load_is_the_functions_failure(bench):
    one = bench.submit(bench.deploy(b"this is no Python"))
    assert run(bench, one).status is Status.FAILED
    record = invocations.get(bench.context.database, one)
    assert (record.error["type"], record.cold_start) == (outcomes.INIT_ERROR, True)


def test_code_that_is_gone_is_the_platforms_failure_and_tried_again(bench):
    database = bench.context.database
    digest = "sha256:" + "0" * 64
    made = functions.create(database, ids.uuid7(), "gone", bench.deploy(ECHO).spec, Code(digest, 1, digest))
    one = bench.submit(made)
    assert run(bench, one).status is Status.QUEUED
    with database.autocommit() as tx:
        tx.run("UPDATE invocations SET due_at = now()")
        tx.rows("SELECT faas_admit(%s)", (made.id,))
    assert run(bench, one).status is Status.FAILED
    assert invocations.get(database, one).error["type"] == outcomes.SANDBOX_ERROR


def test_a_cancelled_call_ends_cancelled(bench, started):
    one, result = started()
    invocations.cancel(bench.context.database, one)
    bench.context.running.stop(one, Reason.CANCELLED)
    ended = result()
    assert (ended.outcome.status, ended.outcome.failure) == (Status.CANCELLED, None)
    assert bench.context.endings.end(ended.claim, ended.outcome).status is Status.CANCELLED


def test_a_cancellation_that_comes_before_the_sandbox_kills_it_all_the_same(bench):
    made = bench.deploy(SLEEP)
    one = bench.submit(made)
    stopper = threading.Thread(
        target=lambda: (
            eventually(lambda: len(bench.context.running)),
            bench.context.running.stop(one, Reason.CANCELLED),
        )
    )
    stopper.start()
    assert execution.run(bench.context, one).outcome.status is Status.CANCELLED
    stopper.join()


def test_a_call_that_is_handed_back_is_queued_for_another_worker(bench, started):
    one, result = started()
    bench.context.running.stop_all(Reason.HANDED_BACK)
    assert result() is None
    record = invocations.get(bench.context.database, one)
    assert (record.status, record.attempts, record.max_attempts) == (Status.QUEUED, 1, 2)
    assert bench.context.publisher.backlog() == 1


def test_a_call_of_a_lost_worker_is_given_up_and_nothing_written(bench, started):
    one, result = started()
    bench.context.running.stop_all(Reason.LOST)
    assert result() is None
    assert invocations.status(bench.context.database, one) is Status.RUNNING


def test_a_worker_that_stops_passes_messages_on(bench):
    one = bench.submit(bench.deploy(ECHO))
    bench.context.draining.set()
    assert execution.run(bench.context, one) is None
    assert bench.context.publisher.backlog() == 1
    assert invocations.status(bench.context.database, one) is Status.QUEUED


def test_a_message_that_comes_while_the_database_is_away_is_dropped(bench):
    away = Database(f"postgresql://postgres@127.0.0.1:{free_port()}/faas")
    assert execution.run(replace(bench.context, database=away), ids.uuid7()) is None


def test_a_worker_that_was_taken_as_lost_runs_nothing(bench):
    one = bench.submit(bench.deploy(ECHO))
    workers.leave(bench.context.database, bench.context.incarnation)
    assert execution.run(bench.context, one) is None
    assert invocations.status(bench.context.database, one) is Status.QUEUED
