"""Buckets and quantiles."""

from __future__ import annotations

import itertools
import random

import pytest

from faas.domain.stats import BOUNDS_MS, Window, quantile


def buckets(values):
    counts = [0] * len(BOUNDS_MS)
    for value in values:
        counts[next(n for n, bound in enumerate(BOUNDS_MS) if value <= bound)] += 1
    return counts


def test_bounds_rise_in_small_steps_and_reach_what_the_records_hold():
    assert list(BOUNDS_MS) == sorted(set(BOUNDS_MS))
    assert BOUNDS_MS[0] == 1
    assert BOUNDS_MS[-1] == 2**31 - 1
    assert all(high <= 2 * low for low, high in itertools.pairwise(BOUNDS_MS))


def test_of_nothing_there_is_no_quantile():
    assert quantile(buckets([]), 0.5) is None


@pytest.mark.parametrize("part", [0.5, 0.95, 0.99])
def test_a_quantile_is_near_that_of_the_values(part):
    source = random.Random(17)
    values = sorted(round(source.lognormvariate(4, 1.5)) for _ in range(5000))
    exact = values[round(part * len(values)) - 1]
    assert quantile(buckets(values), part) == pytest.approx(exact, rel=0.2, abs=1)


def test_a_quantile_is_within_the_bucket_of_the_value():
    assert 91 < quantile(buckets([100]), 0.99) <= 128
    assert quantile(buckets([0]), 1.0) <= 1
    assert quantile(buckets([2**31 - 1]), 1.0) == 2**31 - 1


def test_each_window_is_a_number_of_its_steps():
    for window in Window:
        assert window.length.total_seconds() % window.step_s == 0
