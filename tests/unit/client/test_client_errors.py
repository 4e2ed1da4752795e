from __future__ import annotations

import json
import traceback
from typing import Any

import pytest

from faas.client import errors
from faas.client.records import Invocation


def record(status: str, error: dict[str, Any] | None = None) -> Invocation:
    return Invocation.from_json(
        {"id": "i", "function_name": "hello", "status": status, "error": error, "result": None, "from_the_future": 1}
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequest),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (413, errors.TooLarge),
        (418, errors.ProblemError),
        (422, errors.Invalid),
        (429, errors.TooManyRequests),
        (500, errors.ProblemError),
        (502, errors.Unavailable),
        (503, errors.Unavailable),
        (504, errors.Unavailable),
    ],
)
def test_each_status_has_its_exception(status: int, kind: type[errors.ProblemError]) -> None:
    error = errors.problem_of(status, {"title": "T", "detail": "D", "status": status})
    assert (type(error), error.status, str(error)) == (kind, status, f"{status} T: D")
    assert isinstance(error, errors.FaasError)


def test_the_fields_that_are_wrong_are_told() -> None:
    error = errors.problem_of(422, {"title": "T", "detail": "D", "errors": {"timeout": ["Is too long.", "Really."]}})
    assert error.errors == {"timeout": ["Is too long.", "Really."]}
    assert str(error) == "422 T\n  timeout: Is too long. Really."


def test_an_answer_that_is_no_problem_document_is_an_error_all_the_same() -> None:
    error = errors.problem_of(502, "<html>")
    assert (error.title, error.problem) == ("HTTP 502", {})


@pytest.mark.parametrize(
    ("status", "type_", "kind"),
    [
        ("failed", "ValueError", errors.FunctionRaised),
        ("failed", "Function.OutOfMemory", errors.FunctionRaised),
        ("failed", "Platform.WorkerLost", errors.PlatformFailed),
        ("timed_out", "Function.Timeout", errors.TimedOut),
        ("cancelled", "Platform.Expired", errors.Cancelled),
    ],
)
def test_each_end_has_its_exception(status: str, type_: str, kind: type[errors.InvocationFailed]) -> None:
    failure = errors.failure_of(record(status, {"type": type_, "message": "no", "stack_trace": []}))
    assert failure is not None
    assert (type(failure), failure.type, str(failure)) == (kind, type_, f"{type_}: no")


def test_a_cancelled_invocation_needs_no_error_and_one_that_succeeded_has_none() -> None:
    failure = errors.failure_of(record("cancelled"))
    assert isinstance(failure, errors.Cancelled)
    assert errors.failure_of(record("succeeded")) is None


def test_the_stack_trace_of_the_sandbox_is_shown_below_the_exception() -> None:
    trace = ['File "main.py", line 2, in handler', "  raise ValueError(1)"]
    failure = errors.failure_of(record("failed", {"type": "ValueError", "message": "1", "stack_trace": trace}))
    shown = "".join(traceback.format_exception(failure))
    assert "Stack trace in the sandbox (hello, invocation i):\n" + "\n".join(trace) in shown


def test_a_failure_survives_the_way_through_json() -> None:
    # As Celery's result backends send exceptions: the class by name, and its arguments.
    failure = errors.failure_of(record("failed", {"type": "E", "message": "m", "stack_trace": ["line"]}))
    assert failure is not None
    again = type(failure)(*json.loads(json.dumps(failure.args)))
    assert (again.type, again.message, again.stack_trace) == ("E", "m", ["line"])
