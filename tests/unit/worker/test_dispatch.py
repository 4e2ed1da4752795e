"""Claiming in batches, before a thread is taken."""

from __future__ import annotations

import base64
import json
import queue
import threading

import pytest
from factories import eventually, function, invocation, worker

from faas.db import invocations
from faas.domain import ids
from faas.domain.invocation import Status
from faas.queueing.transport import invocation_id
from faas.results.endings import Endings
from faas.worker.dispatch import Arrival, Dispatcher


@pytest.fixture
def draining():
    return threading.Event()


@pytest.fixture
def dispatcher(database, publisher, draining):
    opened = Dispatcher(database, publisher, worker(database), draining, threads=3)
    opened.start()
    yield opened
    draining.set()
    opened.stop()


@pytest.fixture
def said():
    return queue.Queue()


def arrive(dispatcher, said, one):
    dispatcher.arrived(Arrival(one, lambda: said.put(one)))


def fail(dispatcher, one):
    dispatcher.arrived(Arrival(one, lambda: 1 / 0))


def test_what_can_be_claimed_goes_on_with_its_claim_and_the_rest_is_dropped(database, dispatcher, said):
    mine, last = (invocation(database, function(database).id).id for _ in range(2))
    for one in (mine, mine, ids.uuid7(), last):
        arrive(dispatcher, said, one)
    assert [said.get(timeout=60) for _ in range(2)] == [mine, last]
    assert dispatcher.held() == {(mine, 1), (last, 1)}
    assert dispatcher.take(mine).attempt == 1
    assert dispatcher.take(mine) is None
    assert dispatcher.held() == {(last, 1)}
    assert said.empty()


def test_a_claim_that_is_taken_on_board_needs_no_thread(database, publisher, said):
    made = function(database)
    opened = Dispatcher(database, publisher, worker(database), threading.Event(), threads=2)
    aboard = queue.Queue()

    def board(claim, reply_to, over, turned_away, _):
        if claim.payload == '"cold"':
            return False
        aboard.put((claim.invocation_id, reply_to, over))
        return True

    opened.start(board)
    warm, cold = (invocation(database, made.id, payload=payload).id for payload in ('"warm"', '"cold"'))
    told = []
    opened.arrived(
        Arrival(warm, lambda: said.put(warm), "somewhere", lambda: told.append("begun"), lambda: told.append("ended"))
    )
    arrive(opened, said, cold)
    assert said.get(timeout=60) == cold
    invocation_id, reply_to, over = aboard.get(timeout=60)
    assert (invocation_id, reply_to) == (warm, "somewhere")
    assert opened.held() == {(cold, 1)}
    third = invocation(database, made.id, payload='"cold"').id
    arrive(opened, said, third)
    with pytest.raises(queue.Empty):
        said.get(timeout=0.3)
    over()
    assert said.get(timeout=60) == third
    assert told == ["begun", "ended"]
    opened.stop()


def test_the_board_is_told_whether_something_else_is_to_be_done_meanwhile(database, publisher, said):
    made, told, go_on = function(database), queue.Queue(), threading.Event()

    def board(claim, reply_to, over, turned_away, alone):
        told.put(alone)
        go_on.wait(60)
        return True

    opened = Dispatcher(database, publisher, worker(database), threading.Event(), threads=9)
    opened.start(board)
    for one in [invocation(database, made.id).id for _ in range(4)]:
        arrive(opened, said, one)
        if told.empty():
            eventually(lambda: not told.empty())
    go_on.set()
    # The first came by itself, the others while it was under way.
    assert [told.get(timeout=60) for _ in range(4)] == [True, False, False, False]
    opened.stop()


def test_a_claim_that_waited_on_board_for_nothing_goes_to_a_thread_and_keeps_its_place(database, publisher, said):
    made, sent_away, told = function(database), queue.Queue(), []
    opened = Dispatcher(database, publisher, worker(database), threading.Event(), threads=1)
    opened.start(lambda claim, reply_to, over, turned_away, _: sent_away.put(turned_away) or True)
    mine, second = (invocation(database, made.id).id for _ in range(2))
    opened.arrived(
        Arrival(mine, lambda: said.put(mine), None, lambda: told.append("begun"), lambda: told.append("ended"))
    )
    arrive(opened, said, second)
    sent_away.get(timeout=60)()
    assert said.get(timeout=60) == mine
    assert opened.held() == {(mine, 1)}
    # The board may send it away before it has said that it took it.
    eventually(lambda: sorted(told) == ["begun", "ended"])
    assert opened.take(mine).attempt == 1
    with pytest.raises(queue.Empty):
        sent_away.get(timeout=0.3)
    opened.done()
    sent_away.get(timeout=60)
    opened.stop()


def test_a_claim_that_is_sent_away_when_the_pool_takes_nothing_more_is_given_back(database, publisher):
    made, sent_away, draining = function(database), queue.Queue(), threading.Event()
    opened = Dispatcher(database, publisher, worker(database), draining, threads=1)
    opened.start(lambda claim, reply_to, over, turned_away, _: sent_away.put(turned_away) or True)
    mine = invocation(database, made.id).id

    def closed():
        raise RuntimeError("cannot schedule new futures after shutdown")

    opened.arrived(Arrival(mine, closed))
    turned_away = sent_away.get(timeout=60)
    draining.set()
    turned_away()
    opened.stop()
    opened.hand_back(Endings(database, publisher, platform_retries=0))
    assert invocations.get(database, mine).status is Status.QUEUED


def test_there_is_room_for_as_many_in_hand_as_may_run_and_none_in_one_that_stops(database, dispatcher, said, draining):
    told = threading.Event()
    dispatcher.tell_of_room(told.set)
    made = function(database)
    assert dispatcher.room() == 3
    for _ in range(7):
        arrive(dispatcher, said, invocation(database, made.id).id)
    running = [said.get(timeout=60) for _ in range(3)]
    # Three run, one has been taken out of the queue and waits for its turn.
    eventually(lambda: dispatcher.room() == 0)
    assert not told.is_set()
    for one in running:
        dispatcher.take(one)
        dispatcher.done()
    assert told.wait(60)
    eventually(lambda: dispatcher.room() > 0)
    draining.set()
    assert dispatcher.room() == 0


def test_no_more_are_claimed_than_there_are_free_threads(database, dispatcher, said):
    made = function(database)
    mine = [invocation(database, made.id).id for _ in range(5)]
    for one in mine:
        arrive(dispatcher, said, one)
    assert [said.get(timeout=60) for _ in range(3)] == mine[:3]
    with pytest.raises(queue.Empty):
        said.get(timeout=0.3)
    assert invocations.status(database, mine[3]) is Status.QUEUED
    dispatcher.take(mine[0])
    dispatcher.done()
    assert said.get(timeout=60) == mine[3]


def test_messages_for_nothing_never_use_the_threads_up(database, dispatcher, said):
    for _ in range(20):
        arrive(dispatcher, said, ids.uuid7())
    mine = invocation(database, function(database).id).id
    arrive(dispatcher, said, mine)
    assert said.get(timeout=60) == mine


def test_messages_that_fail_give_their_places_back_and_take_no_others_with_them(database, dispatcher, said):
    made = function(database)
    for _ in range(6):
        arrive(dispatcher, said, "no id, which PostgreSQL refuses")
    for _ in range(6):
        fail(dispatcher, invocation(database, made.id).id)
    mine = invocation(database, function(database).id).id
    arrive(dispatcher, said, mine)
    assert said.get(timeout=60) == mine
    assert dispatcher.held() == {(mine, 1)}


def test_those_in_one_batch_with_what_fails_go_on(database, publisher, said):
    made = function(database)
    opened = Dispatcher(database, publisher, worker(database), threading.Event(), threads=10)
    mine = [invocation(database, made.id).id for _ in range(3)]
    arrive(opened, said, mine[0])
    arrive(opened, said, "no id, which PostgreSQL refuses")
    arrive(opened, said, mine[1])
    fail(opened, invocation(database, made.id).id)
    arrive(opened, said, mine[2])
    # All five are there before it begins, so they are one batch.
    opened.start()
    assert [said.get(timeout=60) for _ in mine] == mine
    assert opened.held() == {(one, 1) for one in mine}
    opened.stop()


def test_a_worker_that_stops_passes_on_what_waits_here(database, dispatcher, draining, said, publisher):
    made = function(database)
    mine = [invocation(database, made.id).id for _ in range(5)]
    draining.set()
    for one in mine:
        arrive(dispatcher, said, one)
    dispatcher.stop()
    assert publisher.backlog() == 5
    assert said.empty()
    assert {invocations.status(database, one) for one in mine} == {Status.QUEUED}


def test_what_was_claimed_and_never_reached_a_thread_is_handed_back(database, dispatcher, said, publisher):
    mine = invocation(database, function(database).id).id
    arrive(dispatcher, said, mine)
    said.get(timeout=60)
    endings = Endings(database, publisher, platform_retries=0)
    dispatcher.hand_back(endings)
    assert invocations.status(database, mine) is Status.QUEUED
    assert dispatcher.held() == set()
    eventually(lambda: publisher.backlog() == 1)


def test_only_an_id_in_its_place_is_taken_from_a_message():
    one = ids.uuid7()

    def read(body):
        return invocation_id(body if isinstance(body, bytes) else json.dumps(body).encode())

    assert read([[one], {}, {}]) == one
    for wrong in ([[1], {}, {}], [["x"], {}, {}], [[], {}, {}], {}, [], "x", b"\xff", b"", base64.b64encode(b"x")):
        assert read(wrong) is None
