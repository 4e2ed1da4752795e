"""The result hook as any Celery application sees it."""

from __future__ import annotations

import pytest
from celery import Celery, states
from factories import claimed, function, invocation, succeeded

from faas.db import invocations
from faas.domain import ids
from faas.domain import outcome as outcomes
from faas.domain.invocation import Status
from faas.domain.outcome import Outcome
from faas.errors import InvocationCancelled, InvocationFailed
from faas.results import backend
from faas.results.backend import Ended


@pytest.fixture
def app(database_url):
    made = Celery(backend=f"faas+{database_url}", set_as_current=False)
    yield made
    made.close()
    with backend._lock:
        for opened in backend._databases.values():
            opened.close()
        backend._databases.clear()


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (succeeded([1, {"x": None}]), states.SUCCESS),
        (outcomes.failed("ValueError", "no", ("a", "b")), states.FAILURE),
        (outcomes.timed_out("late"), states.FAILURE),
        (Outcome(Status.CANCELLED), states.REVOKED),
    ],
)
def test_each_end_has_celerys_state(app, database, endings, outcome, state):
    got = claimed(database, function(database).id)
    asked = app.AsyncResult(got.invocation_id)
    assert asked.state == states.STARTED
    endings.end(got, outcome)
    assert asked.state == state
    assert asked.ready()


def test_get_returns_what_the_function_returned(app, database, endings):
    got = claimed(database, function(database).id)
    endings.end(got, succeeded({"greeting": "hello"}))
    assert app.AsyncResult(got.invocation_id).get(timeout=60) == {"greeting": "hello"}


def test_get_raises_the_functions_failure(app, database, endings):
    got = claimed(database, function(database).id)
    endings.end(got, outcomes.failed("ValueError", "no", ("line 1",)))
    with pytest.raises(InvocationFailed, match="ValueError: no") as caught:
        app.AsyncResult(got.invocation_id).get(timeout=60)
    assert (caught.value.type, caught.value.stack_trace) == ("ValueError", ["line 1"])
    assert app.AsyncResult(got.invocation_id).traceback == "line 1"


def test_get_raises_a_cancellation(app, database):
    one = invocation(database, function(database).id)
    invocations.cancel(database, one.id)
    with pytest.raises(InvocationCancelled):
        app.AsyncResult(one.id).get(timeout=60)


def test_what_is_queued_or_unknown_is_pending(app, database):
    assert app.AsyncResult(invocation(database, function(database).id).id).state == states.PENDING
    assert app.AsyncResult(ids.uuid7()).state == states.PENDING
    assert app.AsyncResult("no id at all").state == states.PENDING


def test_a_tasks_return_value_becomes_the_terminal_row(app, database, endings):
    backend.write_with(endings)
    try:
        got = claimed(database, function(database).id)
        app.backend.store_result(got.invocation_id, Ended(got, succeeded(5)), states.SUCCESS)
        assert invocations.get(database, got.invocation_id).result == 5
        app.backend.store_result(ids.uuid7(), None, states.SUCCESS)
        app.backend.store_result(ids.uuid7(), ValueError("a fault of the platform"), states.FAILURE)
    finally:
        backend.write_with(None)


def test_a_process_that_is_no_worker_ends_nothing(app, database):
    got = claimed(database, function(database).id)
    with pytest.raises(RuntimeError, match="no worker"):
        app.backend.store_result(got.invocation_id, Ended(got, succeeded(5)), states.SUCCESS)
    assert invocations.status(database, got.invocation_id) is Status.RUNNING
