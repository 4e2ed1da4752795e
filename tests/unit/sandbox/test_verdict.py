"""What an agent's answer means; an agent may say anything, as a function may have taken its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.domain.function import MIB
from faas.domain.invocation import Status
from faas.domain.outcome import Outcome
from faas.sandbox import verdict
from faas.sandbox.body import Death

anything: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda some: st.lists(some) | st.dictionaries(st.text(), some),
    max_leaves=10,
)


def judged(**answer: Any) -> Outcome | None:
    return verdict.of_answer({"id": "call", **answer}, "call")


def kind(outcome: Outcome | None) -> str | None:
    return outcome.failure.type if outcome and outcome.failure else None


@given(anything)
def test_a_result_is_kept_exactly_or_refused(value: Any) -> None:
    outcome = judged(type="result", result=value)
    assert outcome is not None
    if outcome.status is Status.SUCCEEDED:
        assert json.loads(outcome.result or "") == value
    else:
        assert kind(outcome) == "Function.InvalidResult"
        assert "nan" in repr(value) or "inf" in repr(value)


@given(st.dictionaries(st.sampled_from(["kind", "class", "message", "stack_trace", "code", "signal"]), anything))
def test_any_error_frame_is_a_failure_of_the_function(fields: dict[str, Any]) -> None:
    outcome = judged(type="error", **fields)
    assert outcome is not None
    assert outcome.status is Status.FAILED
    assert outcome.failure is not None
    assert not outcome.failure.is_platform
    "".join((outcome.failure.message, *outcome.failure.stack_trace)).encode()


@pytest.mark.parametrize(
    "answer", [{"type": "hello"}, {}, {"type": "result", "id": "another", "result": 1}, {"type": ["result"]}]
)
def test_other_frames_answer_nothing(answer: dict[str, Any]) -> None:
    assert verdict.of_answer({"id": "call", **answer}, "call") is None


def test_a_result_without_a_value_is_null() -> None:
    outcome = judged(type="result")
    assert outcome is not None
    assert outcome.result == "null"


@pytest.mark.parametrize("name", ["Function.Timeout", "Platform.WorkerLost", "", "a b", None, 3, "ä"])
def test_no_function_makes_a_type_of_the_platform(name: object) -> None:
    assert kind(judged(type="error", **{"class": name})) == "Error"


def test_the_limit_is_on_the_bytes_that_a_client_gets() -> None:
    assert kind(judged(type="result", result="x" * (6 * MIB - 2))) is None
    assert kind(judged(type="result", result="x" * (6 * MIB - 1))) == "Function.ResultTooLarge"
    assert kind(judged(type="result", result="☂" * (2 * MIB - 1))) is None
    assert kind(judged(type="result", result="☂" * (2 * MIB))) == "Function.ResultTooLarge"


@pytest.mark.parametrize(
    ("output", "wanted"),
    [("", None), ("x\n", "x"), ("1\n", 1), ("NaN", "NaN"), ("[NaN]", "[NaN]"), ("\n", ""), ('"\\ud800"', "\ud800")],
)
def test_output_is_json_where_it_is_json(output: str, wanted: object) -> None:
    outcome = judged(type="result", output=output)
    assert outcome is not None
    assert outcome.result is not None
    assert json.loads(outcome.result) == wanted


@pytest.mark.parametrize("output", [None, 5, ["x"], "1e400", "[" * 1000 + "]" * 1000, "[" * 100_000 + "]" * 100_000])
def test_output_that_cannot_be_a_result(output: object) -> None:
    assert kind(judged(type="result", output=output)) == "Function.InvalidResult"


@pytest.mark.parametrize(
    ("death", "kind_", "words"),
    [
        (Death(exit_code=3), "Function.ExitError", "The process exited with status 3."),
        (Death(signal=9), "Function.ExitError", "The process was killed by SIGKILL (9)."),
        (Death(signal=63), "Function.ExitError", "The process was killed by signal 63."),
        (Death(), "Function.ExitError", "The process ended."),
        (
            Death(signal=9, out_of_memory=True),
            "Function.OutOfMemory",
            "The function used more than its 64 MB of memory.",
        ),
    ],
)
def test_a_death_is_told(death: Death, kind_: str, words: str) -> None:
    failure = verdict.of_death(death, 64).failure
    assert failure is not None
    assert (failure.type, failure.message) == (kind_, words)


def test_stack_traces_are_kept_to_their_end() -> None:
    outcome = judged(type="error", stack_trace=[*(str(n) for n in range(1000)), "x" * 10_000])
    assert outcome is not None
    assert outcome.failure is not None
    assert len(outcome.failure.stack_trace) == 200
    assert outcome.failure.stack_trace[-2] == "999"
    assert len(outcome.failure.stack_trace[-1]) == 1000
