"""What running invocations print, sent to whoever follows them."""

from __future__ import annotations

import threading
import time

import pytest
from factories import claim as make_claim
from factories import eventually

from faas.domain import ids
from faas.domain.log import Position
from faas.queueing import names
from faas.queueing.follow import Feed
from faas.queueing.publisher import connect
from faas.worker import execution
from faas.worker.following import Following
from faas.worker.running import RunningSet

BEGINNING = Position()

TALK = b"""
import sys, time
print("loaded")
def handler(event, context):
    print("one")
    print("two", file=sys.stderr)
    time.sleep(event)
"""


@pytest.fixture
def running():
    return RunningSet()


@pytest.fixture
def follow(redis_url):
    """Begins to follow; gives a function that reads until the attempt's log is closed, or has so many bytes."""
    client = connect(redis_url)
    feeds, workers = [], []

    def begin(running_set, invocation_id, position=BEGINNING):
        if not workers:
            workers.append(Following(redis_url, running_set))
            workers[0].start()
            eventually(lambda: client.pubsub_numsub(names.FOLLOW)[0][1] == 1)
        feed = Feed(redis_url, invocation_id)
        feeds.append(feed)
        feed.open()
        feed.ask(position)

        def read(least=None):
            deadline, excerpts = time.monotonic() + 60, []
            while time.monotonic() < deadline:
                heard = feed.next(1)
                if heard is not None:
                    excerpts.append(heard)
                    if heard.closed or (least is not None and heard.end.offset >= least):
                        return excerpts
            raise AssertionError("the log was not closed in time")

        return read

    yield begin
    for one in (*workers, *feeds):
        one.stop() if isinstance(one, Following) else one.close()
    client.close()


def text(excerpts):
    return b"".join(piece.data for one in excerpts for piece in one.pieces)


def test_a_call_is_followed_from_before_its_start_to_its_end(bench, follow):
    one = bench.submit(bench.deploy(TALK), "0.3")
    read = follow(bench.context.running, one)
    ended = execution.run(bench.context, one)
    excerpts = read()
    assert text(excerpts) == ended.outcome.logs == b"loaded\none\ntwo\n"
    assert [piece.stream for excerpt in excerpts for piece in excerpt.pieces][-1] == "stderr"
    assert {excerpt.start.attempt for excerpt in excerpts} == {1}
    assert excerpts[-1].closed


def test_it_comes_while_it_runs(bench, follow):
    one = bench.submit(bench.deploy(TALK), "600")
    thread = threading.Thread(target=execution.run, args=(bench.context, one))
    thread.start()
    try:
        read = follow(bench.context.running, one)
        assert text(read(least=15)) == b"loaded\none\ntwo\n"
        assert bench.context.running.get(one) is not None
    finally:
        bench.context.draining.set()
        eventually(lambda: bench.context.running.get(one)).cancel.set()
        thread.join(60)


def test_who_comes_later_gets_what_was_before_and_who_resumes_only_the_rest(running, follow):
    claim = make_claim()
    with running.enter(claim) as one:
        one.log.add("stdout", b"before ")
        first = follow(running, claim.invocation_id)
        assert text(first(least=7)) == b"before "
        second = follow(running, claim.invocation_id, Position(1, 3))
        assert text(second(least=7)) == b"ore "
        third = follow(running, claim.invocation_id, Position(0, 3))
        assert text(third(least=7)) == b"before "
        one.log.add("stderr", b"after")
        assert text(third(least=12)) == b"after"
    assert third()[-1].closed


def test_a_later_attempt_is_followed_from_its_start(running, follow):
    claim = make_claim()
    with running.enter(claim) as one:
        read = follow(running, claim.invocation_id, Position(1, 1))
        one.log.add("stdout", b"first")
        assert text(read(least=5)) == b"irst"
    read()
    with running.enter(make_claim(invocation_id=claim.invocation_id, attempt=2)) as one:
        one.log.add("stdout", b"second")
        (excerpt,) = read(least=6)
    assert (excerpt.start, text([excerpt])) == (Position(2, 0), b"second")


def test_a_large_log_comes_in_portions_and_whole(running, follow):
    claim = make_claim()
    with running.enter(claim) as one:
        one.log.add("stdout", b"x" * 900_000)
        one.log.add("stderr", b"y" * 900_000)
        read = follow(running, claim.invocation_id)
        excerpts = read(least=1_800_000)
    assert len(excerpts) > 4
    assert [one.start.offset for one in excerpts[1:]] == [one.end.offset for one in excerpts[:-1]]
    assert text(excerpts) == b"x" * 900_000 + b"y" * 900_000


def test_what_nobody_follows_is_not_sent(redis_url, running, follow):
    claim, other = make_claim(), ids.uuid7()
    client = connect(redis_url)
    try:
        with client.pubsub(ignore_subscribe_messages=True) as channel, running.enter(claim) as one:
            channel.psubscribe(names.LOG + "*")
            eventually(lambda: client.pubsub_numpat() == 1)
            one.log.add("stdout", b"unheard")
            follow(running, other)
            time.sleep(0.5)
            assert channel.get_message(timeout=0.2) is None
    finally:
        client.close()


def test_it_stops_whether_or_not_somebody_follows(redis_url, running):
    following = Following(redis_url, running)
    following.start()
    following.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "followed logs"]
