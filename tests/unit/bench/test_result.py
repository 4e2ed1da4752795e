"""Figures of rounds become a line of the table."""

from __future__ import annotations

import pytest

from bench.catalogue import BY_ID
from bench.result import absolute, compared, percentile


def test_the_ratio_is_of_the_medians_and_the_spread_of_the_rounds() -> None:
    result = compared("warm-p50", [(2.0, 1.0), (3.0, 2.0), (9.0, 10.0)])
    assert (result.value, result.reference, result.ratio) == (3.0, 2.0, 1.5)
    assert result.spread == (0.9, 2.0)


@pytest.mark.parametrize(("value", "holds"), [(1.29, True), (1.31, False)])
def test_where_less_is_better_a_must_is_an_upper_bound(value: float, holds: bool) -> None:
    assert compared("warm-p50", [(value, 1.0)]).holds is holds


@pytest.mark.parametrize(("value", "holds"), [(5.1, True), (4.9, False)])
def test_where_more_is_better_a_must_is_a_lower_bound(value: float, holds: bool) -> None:
    assert compared("worker-drain", [(value, 1.0)]).holds is holds


@pytest.mark.parametrize(("value", "holds"), [(20.0, True), (20.1, False)])
def test_without_a_reference_the_value_itself_is_bounded(value: float, holds: bool) -> None:
    result = absolute("idle-sandbox-memory", [value, value - 5, value + 5])
    assert (result.holds, result.ratio, result.reference) == (holds, None, None)
    assert result.spread == (value - 5, value + 5)


def test_an_entry_of_the_file_has_the_bounds_of_its_row() -> None:
    entry = compared("cold-python", [(50.0, 400.0)]).as_json()
    row = BY_ID["cold-python"]
    wanted = {"id": row.id, "value": 50.0, "reference": 400.0, "ratio": 0.125, "spread": [0.125, 0.125]}
    assert entry | wanted | {"must": row.must, "aim": row.aim, "holds": True} == entry


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (95, 95), (99, 99), (100, 100), (1, 1)])
def test_a_percentile_is_a_value_that_was_measured(percent: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == value


def test_the_percentile_of_one_value_is_it() -> None:
    assert percentile([7.0], 99) == 7.0
