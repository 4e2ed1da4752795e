"""Claiming in batches, before a thread is taken."""

from __future__ import annotations

import base64
import json
import queue
import threading
from types import SimpleNamespace

import pytest
from factories import eventually, function, invocation, worker

from faas.db import invocations
from faas.domain import ids
from faas.domain.invocation import Status
from faas.results.endings import Endings
from faas.worker.dispatch import Dispatcher
from faas.worker.strategy import _invocation_id


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
    dispatcher.arrived(one, lambda: said.put(("go", one)), lambda: said.put(("settle", one)))


def test_what_can_be_claimed_goes_on_with_its_claim_and_the_rest_is_settled(database, dispatcher, said):
    mine = invocation(database, function(database).id).id
    unknown = ids.uuid7()
    for one in (mine, mine, unknown):
        arrive(dispatcher, said, one)
    assert sorted(said.get(timeout=60) for _ in range(3)) == sorted(
        [("go", mine), ("settle", mine), ("settle", unknown)]
    )
    assert dispatcher.held() == {(mine, 1)}
    assert dispatcher.take(mine).attempt == 1
    assert dispatcher.take(mine) is None
    assert dispatcher.held() == set()


def test_no_more_are_claimed_than_there_are_free_threads(database, dispatcher, said):
    made = function(database)
    mine = [invocation(database, made.id).id for _ in range(5)]
    for one in mine:
        arrive(dispatcher, said, one)
    assert [said.get(timeout=60)[1] for _ in range(3)] == mine[:3]
    with pytest.raises(queue.Empty):
        said.get(timeout=0.3)
    assert invocations.status(database, mine[3]) is Status.QUEUED
    dispatcher.take(mine[0])
    dispatcher.done()
    assert said.get(timeout=60) == ("go", mine[3])


def test_messages_for_nothing_never_use_the_threads_up(database, dispatcher, said):
    for _ in range(20):
        arrive(dispatcher, said, ids.uuid7())
    assert {said.get(timeout=60)[0] for _ in range(20)} == {"settle"}
    mine = invocation(database, function(database).id).id
    arrive(dispatcher, said, mine)
    assert said.get(timeout=60) == ("go", mine)


def test_messages_that_fail_give_their_places_back_and_take_no_others_with_them(database, dispatcher, said):
    made = function(database)
    for _ in range(6):
        arrive(dispatcher, said, "no id, which PostgreSQL refuses")
    for _ in range(6):
        dispatcher.arrived(invocation(database, made.id).id, lambda: 1 / 0, lambda: None)
    mine = invocation(database, function(database).id).id
    arrive(dispatcher, said, mine)
    assert said.get(timeout=60) == ("go", mine)
    assert dispatcher.held() == {(mine, 1)}


def test_those_in_one_batch_with_what_fails_go_on(database, publisher, said):
    made = function(database)
    opened = Dispatcher(database, publisher, worker(database), threading.Event(), threads=10)
    mine = [invocation(database, made.id).id for _ in range(3)]
    arrive(opened, said, mine[0])
    arrive(opened, said, "no id, which PostgreSQL refuses")
    arrive(opened, said, mine[1])
    opened.arrived(invocation(database, made.id).id, lambda: 1 / 0, lambda: None)
    arrive(opened, said, mine[2])
    # All five are there before it begins, so they are one batch.
    opened.start()
    assert [said.get(timeout=60) for _ in mine] == [("go", one) for one in mine]
    assert opened.held() == {(one, 1) for one in mine}
    opened.stop()


def test_a_worker_that_stops_passes_on_what_waits_here(database, dispatcher, draining, said, publisher):
    made = function(database)
    mine = [invocation(database, made.id).id for _ in range(5)]
    draining.set()
    for one in mine:
        arrive(dispatcher, said, one)
    dispatcher.stop()
    assert {said.get(timeout=60) for _ in mine} == {("settle", one) for one in mine}
    assert publisher.backlog() == 5
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
        return _invocation_id(SimpleNamespace(body=body if isinstance(body, bytes) else json.dumps(body).encode()))

    assert read([[one], {}, {}]) == one
    for wrong in ([[1], {}, {}], [["x"], {}, {}], [[], {}, {}], {}, [], "x", b"\xff", b"", base64.b64encode(b"x")):
        assert read(wrong) is None
