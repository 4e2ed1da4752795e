"""Where a follower of a function was, in an event's id."""

from __future__ import annotations

import pytest

from faas.domain.ids import uuid7
from faas.domain.log import Position
from faas.services.function_logs import Mark
from faas.web.function_logs import read_mark, write_mark


def test_a_mark_is_read_as_it_was_written():
    mark = Mark(1_700_000_000.25, {uuid7(): Position(2, 300), uuid7(): None})
    assert read_mark(write_mark(mark)) == mark


def test_a_mark_fits_into_a_header_and_keeps_the_places_of_those_that_run():
    places = {uuid7(): None for _ in range(500)} | {uuid7(): Position(1, 10**8) for _ in range(16)}
    text = write_mark(Mark(1_700_000_000.0, places))
    assert len(text) < 6000
    read = read_mark(text)
    assert read is not None
    assert sum(place is not None for place in read.places.values()) == 16


@pytest.mark.parametrize("text", ["", "x", "1~", "1~zz", "1:2", "-5", "1" * 16, "1~" + "~" * 200])
def test_what_is_no_mark_begins_anew(text):
    assert read_mark(text) is None
