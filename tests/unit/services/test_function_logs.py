"""Following a function: which of its invocations, in how much memory, and where to go on."""

from __future__ import annotations

import threading

import pytest
from factories import claimed, eventually, function, invocation

from faas.domain.invocation import Status
from faas.domain.log import Position
from faas.domain.outcome import Outcome
from faas.results.endings import Endings
from faas.services.function_logs import Dropped, Mark, Marker, Printed, Tail
from faas.services.lines import Line


@pytest.fixture
def endings(services, publisher):
    opened = Endings(services.database, publisher, platform_retries=1)
    yield opened
    opened.close()


@pytest.fixture
def tail(services):
    started = []

    def start(made, mark=None, **options):
        started.append(Tail(services.database, services.invocations, made.id, mark, **options))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()
    # They must not look at a database that is being closed.
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("function log")])


def ended(services, endings, made, log):
    claim = claimed(services.database, made.id)
    endings.end(claim, Outcome(Status.SUCCEEDED, result="null", logs=log))
    return claim.invocation_id


def take(one, enough):
    found = []

    def look():
        found.extend(one.next(0.1))
        return enough(found)

    eventually(look)
    return found


def said(found):
    """What was shown: (the invocation, its line or status), or how many lines were dropped."""
    return [
        one.lines
        if isinstance(one, Dropped)
        else (one.invocation_id, one.found.text if isinstance(one.found, Line) else one.found)
        for one in found
    ]


def ends(count):
    return lambda found: sum(isinstance(one, Printed) and isinstance(one.found, Status) for one in found) >= count


def test_those_that_come_are_shown_and_those_that_were_are_not(services, endings, tail):
    made, other = function(services.database), function(services.database)
    ended(services, endings, made, b"before")
    running = claimed(services.database, made.id)
    followed = tail(made)
    ended(services, endings, other, b"another function's")
    second = ended(services, endings, made, b"one\ntwo")
    invocation(services.database, made.id)
    endings.end(running, Outcome(Status.SUCCEEDED, result="null", logs=b"first"))
    shown = said(take(followed, ends(2)))
    assert sorted(shown) == sorted(
        [
            (second, "one\n"),
            (second, "two"),
            (second, Status.SUCCEEDED),
            (running.invocation_id, "first"),
            (running.invocation_id, Status.SUCCEEDED),
        ]
    )


def test_a_reader_that_is_slow_is_told_how_much_he_missed_and_costs_bounded_memory(services, endings, tail):
    made = function(services.database)
    followed = tail(made, buffer_bytes=20_000)
    ended(services, endings, made, b"a line of some length\n" * 10_000)
    # It must be full by then, whatever comes later.
    eventually(lambda: followed.waiting > 19_000)
    kept = missed = 0
    while kept + missed < 10_001:
        portion = followed.next(60)
        assert (
            sum(len(one.found.text) for one in portion if isinstance(one, Printed) and isinstance(one.found, Line))
            <= 20_000
        )
        missed += sum(one.lines for one in portion if isinstance(one, Dropped))
        kept += sum(isinstance(one, Printed) for one in portion)
    # Each line, and the end, was either shown or counted.
    assert kept + missed == 10_001
    assert missed
    later = ended(services, endings, made, b"again")
    assert said(take(followed, ends(1))) == [(later, "again"), (later, Status.SUCCEEDED)]


def test_one_who_comes_again_misses_nothing_and_sees_nothing_twice(services, endings, tail):
    made = function(services.database)
    followed, marker = tail(made), Marker(None)
    shown = ended(services, endings, made, b"shown")
    half = ended(services, endings, made, b"1\n2\n")
    for one in take(followed, ends(2)):
        mark = marker.after(one)
    assert mark.places == {shown: None, half: None}
    followed.stop()
    # As it was after the first line of the second.
    places = {shown: None, half: Position(1, 2)}
    meanwhile = ended(services, endings, made, b"meanwhile")
    again = tail(made, Mark(mark.since, places))
    assert sorted(said(take(again, ends(2)))) == sorted(
        [(half, "2\n"), (half, Status.SUCCEEDED), (meanwhile, "meanwhile"), (meanwhile, Status.SUCCEEDED)]
    )


def test_the_newest_of_those_that_were_come_first_where_that_is_asked_for(services, endings, tail):
    made = function(services.database)
    ids = [ended(services, endings, made, text) for text in (b"a", b"b", b"c")]
    shown = said(take(tail(made, last=2), ends(2)))
    assert shown == [(ids[1], "b"), (ids[1], Status.SUCCEEDED), (ids[2], "c"), (ids[2], Status.SUCCEEDED)]
