"""How long idle sandboxes are kept."""

from __future__ import annotations

import pytest

from faas.sandbox.keep_alive import KeepAlive

HOUR = 3600.0


def kept_s(*gaps: float, seconds: float = 300, longest_s: float = HOUR) -> float:
    """How long a function's sandbox is kept after calls with these gaps between them."""
    keep_alive, now = KeepAlive(seconds, longest_s), 1000.0
    keep_alive.called("f", now)
    for gap in gaps:
        now += gap
        keep_alive.called("f", now)
    return keep_alive.seconds_for("f")


def test_an_unknown_function_is_kept_for_the_set_time() -> None:
    assert KeepAlive(300, HOUR).seconds_for("f") == 300
    assert kept_s(1, 1, 1) == 300


def test_a_function_that_is_called_every_ten_minutes_is_kept_until_the_next_call() -> None:
    assert 600 < kept_s(*[600] * 10) < 1000


def test_a_busy_function_that_stops_gives_its_memory_back_sooner() -> None:
    assert kept_s(*[0.5] * 200) == 60


@pytest.mark.parametrize("gap", [7200, 1e6, 1e9])
def test_a_function_that_is_called_more_seldom_than_it_may_be_kept_is_not_kept_in_vain(gap: float) -> None:
    assert kept_s(*[gap] * 10) == 60


def test_gaps_that_no_keeping_bridges_do_not_lengthen_it() -> None:
    assert kept_s(*([200] * 10 + [1e6] * 10)) < 400


def test_a_new_rhythm_replaces_the_old_one() -> None:
    assert 600 < kept_s(*([1] * 1000 + [600] * 300)) < 1000


def test_the_longest_time_bounds_what_is_learned() -> None:
    assert kept_s(*[1000] * 10, longest_s=500) <= 500


def test_nothing_is_learned_where_that_is_off() -> None:
    assert kept_s(*[600] * 10, longest_s=0) == 300


def test_zero_keeps_none() -> None:
    assert kept_s(*[600] * 10, seconds=0) == 0


def test_only_so_many_functions_are_known() -> None:
    keep_alive = KeepAlive(300, HOUR)
    for round_ in range(10):
        for number in (0, *range(20_000, 30_001)) if round_ == 9 else (0,):
            keep_alive.called(str(number), 600.0 * round_ + number / 1e6)
    # Ten thousand others were called after it.
    assert keep_alive.seconds_for("0") == 300
