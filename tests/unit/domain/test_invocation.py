"""States, transitions and the pauses between attempts."""

from __future__ import annotations

import pytest

from faas.domain import outcome
from faas.domain.function import Retry
from faas.domain.invocation import TERMINAL, TRANSITIONS, Status, backoff_ms


def test_four_states_are_terminal_and_nothing_follows_them():
    assert set(TERMINAL) == {Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT, Status.CANCELLED}
    assert not any(status in TRANSITIONS for status in TERMINAL)


def test_every_transition_leads_to_a_known_state_and_every_state_can_be_reached():
    reached = {status for following in TRANSITIONS.values() for status in following}
    assert reached == set(Status)


@pytest.mark.parametrize(("attempt", "step"), [(1, 1000), (2, 2000), (3, 4000), (4, 5000), (10, 5000), (1000, 5000)])
def test_the_pause_doubles_up_to_its_maximum(attempt, step):
    retry = Retry(10, backoff_ms=1000, max_backoff_ms=5000)
    assert backoff_ms(retry, attempt, 1.0) == step
    assert backoff_ms(retry, attempt, 0.0) == step // 2
    assert step // 2 <= backoff_ms(retry, attempt) <= step


def test_the_pauses_are_spread():
    retry = Retry(10, backoff_ms=1_000_000, max_backoff_ms=1_000_000)
    assert len({backoff_ms(retry, 1) for _ in range(20)}) > 10


def test_only_failures_of_the_platform_are_the_platforms():
    assert outcome.failed(outcome.WORKER_LOST, "").failure.is_platform
    assert outcome.failed(outcome.SANDBOX_ERROR, "").failure.is_platform
    assert not outcome.failed(outcome.EXIT_ERROR, "").failure.is_platform
    assert not outcome.failed("PlatformError", "").failure.is_platform


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("ValueError", "ValueError"),
        ("$x", "$x"),
        ("Function.Timeout", "Error"),
        ("Platform.WorkerLost", "Error"),
        ("", "Error"),
        ("a" * 129, "Error"),
        (None, "Error"),
        ("A\n", "Error"),
    ],
)
def test_no_function_can_make_a_type_of_the_platforms(name, kept):
    assert outcome.class_name(name) == kept
