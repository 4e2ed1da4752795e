"""Waiting for a reply, and for an end of anybody's making: which channels a process listens to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from factories import eventually, function, invocation, succeeded, worker

from faas.db import attempts
from faas.domain.invocation import Status
from faas.queueing import names
from faas.services.requests import NewInvocation


@pytest.fixture
def listeners(client):
    return lambda: client.pubsub_numsub(names.ENDED)[0][1]


@pytest.fixture
def running(services, database):
    """Invoke, wait, and claim it meanwhile: the claim, and what the call will return."""
    made, by = function(database, max_concurrency=9), worker(database)
    with ThreadPoolExecutor(4) as pool:

        def one():
            call = pool.submit(services.invocations.invoke, NewInvocation(made.id, "1", {}), wait_s=60)
            (mine,) = eventually(lambda: list(services.waiters._waiting))
            return eventually(lambda: attempts.claim(database, mine, by)), call

        yield one


def test_who_is_sent_a_reply_hears_of_no_other_end(services, endings, listeners, running, monkeypatch):
    monkeypatch.setattr("faas.services.waiting._REPLY_SECONDS", 60)
    monkeypatch.setattr("faas.services.waiting._LOOK_SECONDS", 60)
    claim, call = running()
    eventually(lambda: services.waiters._replies.wait_ready(0))
    endings.end(claim, succeeded(3), services.waiters.channel)
    assert call.result(30).invocation.result == 3
    assert listeners() == 0


def test_an_end_without_a_reply_is_heard_when_the_reply_does_not_come(
    services, endings, listeners, running, monkeypatch
):
    monkeypatch.setattr("faas.services.waiting._LOOK_SECONDS", 60)
    claim, call = running()
    eventually(lambda: listeners() == 1)
    endings.end(claim, succeeded(4))
    assert call.result(30).invocation.result == 4


def test_an_end_that_came_before_all_are_listened_to_is_looked_for(services, endings, running, monkeypatch):
    monkeypatch.setattr("faas.services.waiting._REPLY_SECONDS", 2)
    monkeypatch.setattr("faas.services.waiting._LOOK_SECONDS", 60)
    claim, call = running()
    endings.end(claim, succeeded(5))
    assert call.result(30).invocation.result == 5


def test_a_reply_is_not_spoilt_by_the_word_to_all(services, database, endings, listeners, running, monkeypatch):
    monkeypatch.setattr("faas.services.waiting._REPLY_SECONDS", 60)
    with ThreadPoolExecutor(1) as pool:
        other = invocation(database, function(database).id).id
        waits = pool.submit(services.invocations.wait, other, 60)
        eventually(lambda: listeners() == 1)
        claim, call = running_beside(services, running, other)
        services.publisher.announce(ended=[claim.invocation_id])
        (watch,) = services.waiters._waiting[claim.invocation_id]
        assert not watch.wait(0.5)
        endings.end(claim, succeeded(6), services.waiters.channel)
        assert call.result(30).invocation.result == 6
        services.invocations.cancel(other)
        assert waits.result(30).status is Status.CANCELLED


def running_beside(services, running, other):
    """As `running`, while somebody waits for another one."""
    waiting = services.waiters._waiting.pop(other)
    claim, call = running()
    services.waiters._waiting[other] = waiting
    return claim, call


def test_the_ends_of_all_are_left_when_nobody_has_needed_them_for_a_while(services, database, listeners, monkeypatch):
    monkeypatch.setattr("faas.services.waiting._KEPT_SECONDS", 0)
    one = invocation(database, function(database).id).id
    for _ in range(2):
        with ThreadPoolExecutor(1) as pool:
            waits = pool.submit(services.invocations.wait, one, 0.5)
            eventually(lambda: listeners() == 1)
            assert waits.result(30).status is Status.QUEUED

        def left():
            services.publisher.announce(ended=[one])
            return listeners() == 0

        eventually(left)
    assert services.waiters._ends is None
