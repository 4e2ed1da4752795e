"""Rounds end when the time is over, and there is always one."""

from __future__ import annotations

from dataclasses import replace

from bench.catalogue import ROWS
from bench.effort import SHORT
from bench.measures import MEASURES


def test_all_rounds_are_taken_while_there_is_time() -> None:
    assert list(replace(SHORT, rounds=4, seconds=3600.0).each_round()) == [0, 1, 2, 3]


def test_one_round_is_taken_without_any_time() -> None:
    assert list(replace(SHORT, rounds=4, seconds=-1.0).each_round()) == [0]


def test_a_measure_may_have_its_own_number_of_rounds() -> None:
    assert len(list(replace(SHORT, rounds=4, seconds=3600.0).each_round(2))) == 2


def test_every_row_is_filled_by_one_measure() -> None:
    filled = [row for measure in MEASURES for row in measure.rows]
    assert sorted(filled) == sorted(row.id for row in ROWS)
