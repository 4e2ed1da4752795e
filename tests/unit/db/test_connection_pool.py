"""The pool of connections: its limit, its order, and what it does not keep."""

from __future__ import annotations

import queue
import threading

import psycopg2
import pytest
from factories import eventually

from faas.db.overdue import Overdue
from faas.db.pool import Pool


@pytest.fixture
def make(database_url):
    pools = []

    def made(limit: int) -> Pool:
        pools.append(Pool(lambda: psycopg2.connect(database_url), limit, Overdue(60.0)))
        return pools[-1]

    yield made
    for pool in pools:
        pool.close()


def test_the_one_that_was_used_last_comes_first(make):
    pool = make(3)
    one, two = pool.take(1), pool.take(1)
    pool.give(one)
    pool.give(two)
    assert pool.take(1) is two
    assert pool.take(1) is one
    assert pool.take(1) not in (one, two)


def test_nobody_gets_more_than_there_may_be_and_who_waits_gets_what_is_given_back(make):
    pool, got = make(1), []
    only = pool.take(1)
    with pytest.raises(queue.Empty):
        pool.take(0.05)
    waiting = threading.Thread(target=lambda: got.append(pool.take(60)))
    waiting.start()
    pool.give(only)
    waiting.join(60)
    assert got == [only]


def test_closing_closes_what_rests_now_and_what_is_in_use_when_it_is_given_back(make):
    pool = make(2)
    used, rests = pool.take(1), pool.take(1)
    pool.give(rests)
    pool.close()
    assert (bool(rests.driver.closed), bool(used.driver.closed)) == (True, False)
    pool.give(used)
    assert used.driver.closed
    assert pool.take(1) not in (used, rests)


def test_a_server_that_can_not_be_reached_takes_no_place_away():
    def refuse():
        raise psycopg2.OperationalError("no")

    pool = Pool(refuse, 1, Overdue(60.0))
    for _ in range(3):
        with pytest.raises(psycopg2.OperationalError):
            pool.take(0.05)


def test_one_that_was_closed_by_its_user_is_not_given_to_another(make):
    pool = make(1)
    one = pool.take(1)
    one.driver.close()
    pool.give(one)
    other = pool.take(1)
    assert other is not one
    assert not other.driver.closed


def test_many_threads_share_few_connections(make):
    pool, lock, most = make(2), threading.Lock(), [0, 0]
    done = []

    def work():
        for _ in range(50):
            connection = pool.take(60)
            with lock:
                most[0] += 1
                most[1] = max(most)
            with lock:
                most[0] -= 1
            pool.give(connection)
        done.append(True)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(done) == 8)
    assert 1 <= most[1] <= 2
