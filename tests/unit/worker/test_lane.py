"""Warm calls without a thread each, in sandboxes of the simple engine."""

from __future__ import annotations

import queue
import threading
import time

import pytest
from factories import eventually

from faas.db import attempts
from faas.domain.invocation import Status
from faas.worker import lane
from faas.worker.running import Reason

CODE = b"""
import os, sys, time

def handler(event, context):
    print("got", event)
    if event == "nap":
        time.sleep(0.5)
    if event == "sleep":
        time.sleep(60)
    if event == "exit":
        os._exit(3)
    if event == "much":
        sys.stdout.write("x" * 300_000)
        return "y" * 300_000
    return event
"""


@pytest.fixture
def fast(open_bench):
    opened = open_bench(WORKER_DISPATCH="fast", WORKER_STEM_CELLS="0")
    opened.context.lane.start()
    yield opened
    opened.context.lane.stop()


@pytest.fixture
def made(fast):
    return fast.deploy(CODE, max_concurrency=50)


@pytest.fixture
def claim(fast, made):
    def one(payload, **changes):
        context = fast.context
        return attempts.claim(context.database, fast.submit(made, payload, **changes), context.incarnation)

    return one


def warm(context, revision, count=1):
    """Idle sandboxes of a revision."""
    held = []
    for _ in range(count):
        sandbox, cold = context.pool.acquire(revision, timeout_s=60)
        assert cold
        assert isinstance(sandbox.specialise(revision, context.shelf.get(revision), 30_000), int)
        held.append(sandbox)
    for sandbox in held:
        context.pool.release(sandbox)


def run(context, claim):
    done = queue.Queue()
    assert context.lane.begin(claim, lambda running, outcome, _: done.put((running, outcome)))
    running, outcome = done.get(timeout=90)
    assert running.claim is claim
    context.running.remove(running)
    return outcome


def test_without_a_warm_sandbox_nothing_happens(fast, claim):
    mine = claim("1")
    assert not fast.context.lane.begin(mine, lambda *_: None)
    assert len(fast.context.running) == 0


def test_calls_follow_one_another_in_one_sandbox_each_with_its_own_log(fast, claim):
    mine = claim('"first"')
    warm(fast.context, mine.revision)
    first, second = run(fast.context, mine), run(fast.context, claim('"second"'))
    assert (first.result, first.logs, second.result, second.logs) == (
        '"first"',
        b"got first\n",
        '"second"',
        b"got second\n",
    )
    assert not first.cold_start


def test_what_is_larger_than_a_pipe_and_a_read_comes_whole(fast, claim):
    mine = claim('"much"')
    warm(fast.context, mine.revision)
    outcome = run(fast.context, mine)
    assert (len(outcome.result), len(outcome.logs)) == (300_002, len("got much\n") + 300_000)


def test_a_large_payload_goes_on_although_its_reader_was_quicker_than_the_lane(fast, monkeypatch):
    context = fast.context
    function = fast.deploy(b"def handler(event, context):\n    return len(event)\n")

    def claimed(payload):
        return attempts.claim(context.database, fast.submit(function, payload, timeout_ms=20_000), context.incarnation)

    first = claimed('"x"')
    warm(context, first.revision)
    assert run(context, first).result == "1"
    board = context.lane._board

    def board_late(passenger):
        # The agent has read all that fitted into the socket, and waits for the rest.
        time.sleep(0.5)
        board(passenger)

    monkeypatch.setattr(context.lane, "_board", board_late)
    assert run(context, claimed(f'"{"x" * 2_000_000}"')).result == "2000000"


def test_a_call_that_is_late_or_dies_ends_as_such_and_its_sandbox_goes(fast, claim):
    late = claim('"sleep"', timeout_ms=300)
    warm(fast.context, late.revision)
    assert run(fast.context, late).status is Status.TIMED_OUT
    dead = claim('"exit"')
    warm(fast.context, dead.revision)
    assert run(fast.context, dead).failure.message == "The process exited with status 3."
    assert fast.context.pool.take_warm(dead.revision.key) is None


def test_a_cancelled_call_is_killed(fast, claim):
    mine, done = claim('"sleep"'), queue.Queue()
    warm(fast.context, mine.revision)
    assert fast.context.lane.begin(mine, lambda running, outcome, _: done.put((running, outcome)))
    fast.context.running.stop(mine.invocation_id, Reason.CANCELLED)
    running, outcome = done.get(timeout=60)
    assert (running.reason, outcome.status) == (Reason.CANCELLED, Status.FAILED)


def test_many_at_once_get_their_own_answers_while_one_takes_long(fast, claim):
    slow, answers = claim('"sleep"', timeout_ms=3000), queue.Queue()
    warm(fast.context, slow.revision, 4)

    def done(running, outcome, _):
        fast.context.running.remove(running)
        answers.put((running.claim.payload, outcome))

    assert fast.context.lane.begin(slow, done)
    wanted = {str(n) for n in range(30)}
    for payload in sorted(wanted):
        mine = claim(payload)
        eventually(lambda mine=mine: fast.context.lane.begin(mine, done))
    got = [answers.get(timeout=60) for _ in range(31)]
    assert {payload for payload, outcome in got if outcome.result == payload} == wanted
    assert [outcome.status for payload, outcome in got if payload == '"sleep"'] == [Status.TIMED_OUT]
    assert len(fast.context.running) == 0


def test_it_stops_when_what_is_under_way_has_ended(open_bench):
    fast = open_bench(WORKER_DISPATCH="fast", WORKER_STEM_CELLS="0")
    context, done = fast.context, threading.Event()
    made = fast.deploy(b"import time\ndef handler(event, context):\n    time.sleep(1)\n")
    mine = attempts.claim(context.database, fast.submit(made), context.incarnation)
    warm(context, mine.revision)
    context.lane.start()
    assert context.lane.begin(mine, lambda *_: done.set())
    context.lane.stop()
    assert done.is_set()


@pytest.fixture
def busy(fast, claim):
    """The one sandbox of a revision whose calls are known to be quick, in use."""
    first = claim('"first"')
    warm(fast.context, first.revision)
    run(fast.context, first)
    return fast.context.pool.take_warm(first.revision.key)


@pytest.fixture
def stand(fast, claim):
    """Begin a call that has to wait: its claim, and what becomes of it."""

    def one(payload='"mine"'):
        mine, told = claim(payload), queue.Queue()
        assert fast.context.lane.begin(mine, lambda *end: told.put(end), lambda: told.put("turned away"))
        return mine, told

    return one


def test_quick_calls_wait_for_the_sandbox_that_is_busy_in_turn(fast, busy, stand, monkeypatch):
    monkeypatch.setattr(lane, "TURNED_AWAY_S", 60)
    waiting = [stand(str(n)) for n in range(3)]
    assert all(told.empty() for _, told in waiting)
    assert len(fast.context.running) == 3
    fast.context.pool.release(busy)
    ends = [told.get(timeout=60) for _, told in waiting]
    assert [outcome.result for _, outcome, _ in ends] == ["0", "1", "2"]
    assert [outcome.logs for _, outcome, _ in ends] == [b"got 0\n", b"got 1\n", b"got 2\n"]
    eventually(lambda: fast.context.pool.stats().idle == 1)


def test_a_sandbox_goes_from_one_call_to_the_next_that_waits(fast, claim, stand, monkeypatch):
    monkeypatch.setattr(lane, "TURNED_AWAY_S", 60)
    first, ended = claim('"first"'), queue.Queue()
    warm(fast.context, first.revision)
    run(fast.context, first)
    nap = claim('"nap"')
    assert fast.context.lane.begin(nap, lambda *end: ended.put(end))
    _, told = stand()
    assert ended.get(timeout=60)[1].result == '"nap"'
    assert told.get(timeout=60)[1].result == '"mine"'


def test_who_waits_for_nothing_is_turned_away_and_held_nowhere(fast, busy, stand):
    _, told = stand()
    assert told.get(timeout=60) == "turned away"
    eventually(lambda: len(fast.context.running) == 0)
    fast.context.pool.release(busy)
    assert fast.context.pool.stats().idle == 1


@pytest.fixture
def alone(fast):
    """Run a call by itself: its outcome, whether this thread may write its end, and whether it was told so before `begin` returned."""

    def one(claim, by=lambda: None):
        told = queue.Queue()
        assert fast.context.lane.begin(claim, lambda *end: told.put(end), alone=True)
        at_once = not told.empty()
        by()
        running, outcome, here = told.get(timeout=60)
        fast.context.running.remove(running)
        return outcome, here, at_once

    return one


def test_a_quick_call_that_comes_alone_is_served_by_who_brings_it(fast, claim, alone, monkeypatch):
    monkeypatch.setattr(lane, "_ALONE_S", 60)
    first = claim('"first"')
    warm(fast.context, first.revision)
    assert alone(first)[1:] == (False, False), "how long it takes is not known"
    for payload in ('"much"', "2", '"exit"'):
        # Once by the lane's own thread in between: the sandbox goes to and fro.
        assert run(fast.context, claim("1")).result == "1"
        outcome, *where = alone(claim(payload))
        assert where == [outcome.failure is None] * 2
        assert len(outcome.logs) == len(f"got {payload}\n") + (300_000 if payload == '"much"' else 0) - payload.count(
            '"'
        )
    assert outcome.failure.message == "The process exited with status 3."
    assert fast.context.pool.stats().busy == 0


def test_one_that_takes_longer_than_was_thought_goes_on_in_the_lane(fast, claim, alone):
    first = claim('"first"')
    warm(fast.context, first.revision)
    run(fast.context, first)
    outcome, here, at_once = alone(claim('"nap"'))
    assert (outcome.result, outcome.logs, here, at_once) == ('"nap"', b"got nap\n", False, False)


def test_one_that_is_stopped_while_it_is_waited_for_is_over(fast, claim, alone, monkeypatch):
    monkeypatch.setattr(lane, "_ALONE_S", 60)
    first = claim('"first"')
    warm(fast.context, first.revision)
    run(fast.context, first)
    mine = claim('"sleep"')
    threading.Timer(0.3, fast.context.running.stop, (mine.invocation_id, Reason.CANCELLED)).start()
    outcome, *_ = alone(mine)
    assert (outcome.status, outcome.logs) == (Status.FAILED, b"got sleep\n")


def test_calls_of_unknown_length_do_not_wait(fast, claim):
    mine = claim("1")
    warm(fast.context, mine.revision)
    busy = fast.context.pool.take_warm(mine.revision.key)
    assert not fast.context.lane.begin(mine, lambda *_: None, lambda: None)
    fast.context.pool.release(busy)


def test_a_call_that_is_stopped_while_it_waits_costs_no_sandbox(fast, busy, stand, monkeypatch):
    monkeypatch.setattr(lane, "TURNED_AWAY_S", 60)
    mine, told = stand()
    fast.context.running.stop(mine.invocation_id, Reason.CANCELLED)
    fast.context.pool.release(busy)
    assert told.get(timeout=60)[0].reason is Reason.CANCELLED
    assert fast.context.pool.take_warm(mine.revision.key) is busy
    fast.context.pool.release(busy)


def test_who_waits_when_the_worker_stops_is_handed_back(fast, busy, stand, monkeypatch):
    monkeypatch.setattr(lane, "TURNED_AWAY_S", 60)
    _, told = stand()
    fast.context.lane.hand_back()
    assert told.get(timeout=60)[0].reason is Reason.HANDED_BACK
    fast.context.pool.release(busy)
